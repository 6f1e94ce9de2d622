"""The way to one origin: everything between the exchange's `Upstream` port and the origin's socket.

`origin` is where to start: it joins the rest and retries.  `pool` keeps connections for reuse and queues for them;
`addresses` says which address to connect to next; `connection` drives one socket, one exchange at a time, and `tls` puts
itself between the two; `response` buffers content between the connection and its reader, and `pacing` receives no more
than that has room for.  `parser` and `request` are the two directions of HTTP/1.1 as bytes, without I/O, `whole` the parser
of what arrives in one piece.  `settings` holds what an operator may choose.

Not here: which fields are forwarded, whether to forward at all, what becomes of a response.
"""
