"""A real origin server, to demonstrate the edge and to test it against.

It serves a directory (by default the sample site in `site/`), a few endpoints and generated content of any size, with
the behaviour a cache in front of it cares about: validators, preconditions, ranges, content codings, Cache-Control by
rule, and knobs in the query that make it slow, wrong or broken on purpose.  It shares nothing with `edge`.

Start reading at `server.py`, which tells the story of one request.  What to answer is decided by pure modules:
`answer` (with `conditional`, `ranges` and `negotiation`), `rules` and `knobs`.  What the content is comes from `files`
(a directory), `api` (the endpoints) or `pattern` (generated).  `delivery` sends an answer; `settings` (with
`quantities`) reads the configuration; `cli` is the command; `demo` runs the origin behind an edge.
"""
