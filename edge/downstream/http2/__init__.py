"""HTTP/2 towards clients (RFC 9113, 7541, 9218), over the same handler as HTTP/1.1.

Start with `connection`: a connection, from bytes to requests and from answers to frames.  `intake` cuts frames off the
input and puts header blocks together, `receiver` does what each frame says, `decoding` and `request` make requests of
header blocks.  `stream` is one request and its answer, with `content` for what is uploaded and `responder` for what the
exchange says; `sending` writes all streams' frames by their `priority` and windows, `encoding` the header blocks.
`budgets` is how much of everything that costs more than it is worth a client may send.  Faults of the client are
`faults`; bytes and numbers are in `frames`.
"""
