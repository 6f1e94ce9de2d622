"""The law of HTTP caching (RFC 9111, 5861, 8246, 9211, 9213): pure decisions on stored responses.

Start with `stored` (what is kept) and `directives` (Cache-Control and its targeted fields).  `storing` decides whether
a response may be stored, `freshness` does the arithmetic of age and lifetime, `vary` selects among stored responses,
`reuse` decides between answering, validating and forwarding, `validation` makes conditional requests and freshens,
`partial` combines ranges, `invalidation` names what an unsafe method makes invalid, `status` writes Cache-Status.
`coding` decides in which content coding a client gets a response, `derived` is how other codings of it are stored.
Every function takes `now` where it needs it and returns a value with a reason; none does I/O.
"""
