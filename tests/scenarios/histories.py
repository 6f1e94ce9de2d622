"""Requests as octets, what is written for them, and random histories of a node."""

import asyncio

from hypothesis import strategies as st

from edge.caching.coding import CompressionRules
from edge.downstream.head import Head, head_length, parse_head
from edge.policy.limits import Limits

LIMITS = Limits()


class Wire:
    """What a responder writes to, as one string of octets."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, *pieces: bytes) -> None:
        self.written += b"".join(pieces)

    def put(self, answer: bytes) -> None:
        self.write(answer)

    async def drained(self) -> None:
        """Take all of it."""

    def abort(self) -> None:
        self.written += b"<reset>"

    def soon(self, callback) -> None:
        asyncio.get_running_loop().call_soon(callback)

    def date(self) -> bytes:
        return b"now"


def parsed(raw: bytes) -> Head:
    assert head_length(raw, LIMITS) == len(raw)
    return parse_head(raw, b"http", LIMITS)


def raw(path: bytes = b"/", *lines: bytes, method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    return b"\r\n".join([b"%s %s HTTP/%s" % (method, path, version), b"Host: a.test", *lines, b"", b""])


paths = st.sampled_from([b"/", b"/a", b"/a?v=1"])
request_lines = st.lists(
    st.sampled_from([
        b"Accept-Encoding: gzip", b"Accept-Encoding: br, gzip", b"Accept-Encoding: br, gzip;q=0.5", b"Accept-Language: de", b"Accept-Language: en, de",
        b"Cookie: a=b", b"Foo: 1", b"Foo: 2", b"Cache-Control: no-cache", b"Cache-Control: max-age=3",
        b"Pragma: no-cache", b"Range: bytes=0-2", b'If-None-Match: "v1"', b'If-None-Match: W/"v1", "v2"', b'If-None-Match: "v2"',
        b"If-Modified-Since: Sat, 01 Jan 2022 00:00:00 GMT", b"If-Modified-Since: Fri, 31 Dec 2021 00:00:00 GMT",
        b"If-Modified-Since: Tue, 01 Jan 2030 00:00:00 GMT",
        b"Authorization: x", b"Connection: keep-alive", b"Connection: close", b"Connection: Foo", b"Connection: accept-encoding", b"Via: 1.1 other",
        b"CDN-Loop: edge", b"X: y", b"Expect: 100-continue",
    ]),
    max_size=3,
    unique_by=lambda line: line.partition(b":")[0],
)  # fmt: skip
response_fields = st.lists(
    st.sampled_from([
        (b"cache-control", b"max-age=5"), (b"cache-control", b"max-age=60, stale-while-revalidate=5"),
        (b"cache-control", b"no-cache"), (b"cache-control", b"s-maxage=4, must-revalidate"), (b"cdn-cache-control", b"max-age=9"),
        (b"vary", b"accept-encoding"), (b"vary", b"foo"), (b"vary", b"accept-language"), (b"vary", b"foo, accept-encoding"),
        (b"age", b"2"), (b"etag", b'"v1"'), (b"last-modified", b"Fri, 31 Dec 2021 00:00:00 GMT"), (b"content-language", b"de"), (b"via", b"1.0 x"), (b"set-cookie", b"a=b"),
        (b"content-type", b"text/html"), (b"content-type", b"image/png"), (b"content-encoding", b"gzip"),
        (b"foreland-cache-control", b"max-age=7"), (b"cache-status", b"origin; hit"), (b"x-cache", b"theirs"),
    ]),
    max_size=5,
    unique_by=lambda line: line[0],
)  # fmt: skip
rules = st.sampled_from([None, CompressionRules(min_size=3), CompressionRules(min_size=3, origin=False, hot=2)])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("get"), paths, request_lines),
        st.tuples(st.just("wait"), st.floats(0, 7)),
        st.tuples(st.just("answer"), st.sampled_from([200, 404, 204, 301]), response_fields, st.integers(0, 40_000)),
        st.tuples(st.just("remove"), paths),
        st.tuples(st.just("post"), paths),
        st.tuples(st.just("sweep")),
    ),
    max_size=30,
)
