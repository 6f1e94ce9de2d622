"""Foreland's edge: an HTTP cache in front of an origin.

Start reading at `exchange/driver.py`, which tells the story of one request.  The law of HTTP is in `semantics`
(RFC 9110, 9112, 9651) and `caching` (RFC 9111 and its family); the operator's choices are in `policy`.  These three
are pure: no I/O, no clock, no third-party code.  `exchange` drives them through ports; `downstream` (clients),
`upstream` (origins), `store` (disk and memory), `codecs` (content codings) and `telemetry` implement the ports; `config` reads the operator's
file; `control` is the admin plane; `app` joins everything; `cli` is the command.
"""
