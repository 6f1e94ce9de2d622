"""HTTP semantics (RFC 9110) and what its messages are made of: pure, on bytes, without third-party code.

Start with `fields` (the ordered field section) and `messages` (request and response heads).  `target` parses
request targets and authorities (RFC 3986, RFC 9112 §3.2).  Single grammars: `dates`, `entity_tags`, `ranges`,
`structured` (RFC 9651), `media` (content types), `negotiation` (q-values).  `immutable` is what the values
are made with.  Rules that join several: `preconditions`
(RFC 9110 §13) and `forwarding` (hop-by-hop fields, Via, CDN-Loop).  Nothing here knows what a cache is.
"""
