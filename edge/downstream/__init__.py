"""The client's side: listeners and HTTP/1.1.

Start with `http1`: a connection, from bytes to requests and from responses to bytes.  `head` parses request heads
strictly (llhttp, and what it leaves open), `content` is the request content with its back-pressure, `response` one
answer on its way out, `listener` accepts connections and watches their time limits.  What a request means is not
decided here: a handler is called for each, in order.
"""
