"""The client's side: listeners, HTTP/1.1 and HTTP/2.

Start with `http1`: a connection, from bytes to requests and from responses to bytes.  `intake` takes apart what arrives,
with `head` for request heads (llhttp, and what it leaves open), `content` for request content and its back-pressure,
and `chunked` for its framing.  `response` is one answer on its way out, `pace` says whether the client takes it.
`http2` is the same for HTTP/2, and `choosing` tells the two apart.  `tls` is around either, with certificates by
`tls_contexts`, and `tls_openssl` for what Python's ssl cannot be told.  What both share of request content is `arriving`.
`listener` accepts connections and watches their time limits.  What a request means is not decided here: a handler is
called for each, in order.
"""
