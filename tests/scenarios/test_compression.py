"""Every coding by every method, range and condition, over real sockets: each answer is right by itself."""

import asyncio
import gzip
import itertools
from dataclasses import replace
from pathlib import Path

import brotli
import pytest
from backports import zstd

from edge.caching.coding import CompressionRules
from edge.clock import SystemClock
from edge.store.disk import Disk
from edge.store.settings import Settings
from tests.scenarios.origin_fixture import Peer, Received, sends

RULES = CompressionRules(types=("text/*",))
BODY = b"".join(b"<p>paragraph %d of a page</p>\n" % number for number in range(300))
DATE, LATER = "Mon, 05 Oct 2020 09:00:00 GMT", "Tue, 06 Oct 2020 09:00:00 GMT"
TAG = '"v1"'
DECODE = {None: bytes, b"br": brotli.decompress, b"gzip": gzip.decompress, b"zstd": zstd.decompress}

ACCEPTED = {"": None, "br": b"br", "gzip": b"gzip", "gzip, deflate, br, zstd": b"zstd", "gzip;q=0.5, identity": None}
RANGES = ["", "Range: bytes=5-9", f"Range: bytes=5-9\r\nIf-Range: {TAG}", f"Range: bytes=5-9\r\nIf-Range: W/{TAG}",
          f"Range: bytes=5-9\r\nIf-Range: {DATE}"]  # fmt: skip
CONDITIONS = {"": False, f"If-None-Match: {TAG}": True, f"If-None-Match: W/{TAG}": True, 'If-None-Match: "v0"': False,
              f"If-Modified-Since: {LATER}": True, f"If-Modified-Since: {DATE}": True}  # fmt: skip
MATRIX = list(itertools.product(ACCEPTED, ("GET", "HEAD"), RANGES, CONDITIONS))


def page(body: bytes = BODY, *fields: str) -> bytes:
    lines = [
        "HTTP/1.1 200 OK", "Content-Type: text/html", "Cache-Control: max-age=60", f"ETag: {TAG}",
        f"Last-Modified: {DATE}", "Accept-Ranges: bytes", f"Content-Length: {len(body)}", *fields, "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + body


async def asked(node, accepted: str, method: str, ranged: str, condition: str) -> Received:
    lines = [line for line in (f"Accept-Encoding: {accepted}" if accepted else "", ranged, condition) if line]
    return await node.get("/page", *lines, method=method)


def check(received: Received, accepted: str, method: str, ranged: str, condition: str) -> None:
    """Assert that an answer is what the page is for this request."""
    coding = ACCEPTED[accepted]
    if DATE in ranged and coding:
        ranged = ""
    if ranged:
        coding = None
    fields = received.fields
    assert b"accept-encoding" in fields[b"vary"].lower()
    assert fields[b"etag"] == (f"W/{TAG}" if coding else TAG).encode()
    if CONDITIONS[condition]:
        assert (received.status, received.content) == (304, b"")
        return
    if method == "GET" and ranged and "W/" not in ranged:
        assert (received.status, received.content) == (206, BODY[5:10])
        assert fields[b"content-range"] == b"bytes 5-9/%d" % len(BODY)
        assert b"content-encoding" not in fields
        return
    assert received.status == 200
    assert fields.get(b"content-encoding") == coding
    assert (b"accept-ranges" in fields) is (coding is None)
    if method == "HEAD":
        assert received.content == b""
        assert coding or fields[b"content-length"] == b"%d" % len(BODY)
    else:
        assert received.is_whole
        assert DECODE[coding](received.content) == BODY


@pytest.mark.parametrize("is_warm", [False, True], ids=["coded when asked for", "coded before"])
async def test_every_form_of_a_page(start, is_warm):
    node = await start(sends(page()), compression=RULES)
    if is_warm:
        for accepted in ACCEPTED:
            await asked(node, accepted, "GET", "", "")
    else:
        await node.get("/page")
    for case in MATRIX:
        check(await asked(node, *case), *case)
    assert len(node.raw.requests) == 1


@pytest.mark.parametrize("case", MATRIX[::7], ids=" | ".join)
async def test_the_first_answer_of_a_page(start, case):
    async def script(peer: Peer) -> None:
        assert (
            b"accept-encoding: identity" in peer.request.lower()
            or b"accept-encoding: br, gzip, zstd" in peer.request.lower()
        )
        head, _, body = page().partition(b"\r\n\r\n")
        if not peer.request.startswith(b"HEAD"):
            await peer.send(head + b"\r\n\r\n" + body[:1000])
            await peer.send(body[1000:])
        else:
            await peer.send(head + b"\r\n\r\n")

    node = await start(script, compression=RULES)
    accepted, method, ranged, condition = case
    if method == "HEAD":
        # What a HEAD is asked for goes to the origin, conditions and all, and this one knows none.
        ranged, condition = "", ""
    check(await asked(node, accepted, method, ranged, condition), accepted, method, ranged, condition)


@pytest.mark.parametrize("coding", ["br", "gzip", "zstd"])
async def test_content_that_the_origin_codes(start, coding):
    body = {"br": brotli.compress, "gzip": gzip.compress, "zstd": zstd.compress}[coding](BODY)
    node = await start(sends(page(body, f"Content-Encoding: {coding}", "Vary: Accept-Encoding")), compression=RULES)
    for _, (accepted, method, ranged, condition) in itertools.product(range(2), MATRIX):
        received = await asked(node, accepted, method, ranged, condition)
        takes_it = coding in accepted
        shown = coding.encode() if takes_it else ACCEPTED[accepted]
        assert received.fields[b"etag"] == (TAG if takes_it else f"W/{TAG}").encode()
        if CONDITIONS[condition]:
            assert received.status == 304
            continue
        assert received.fields.get(b"content-encoding") == shown
        if method == "HEAD":
            assert (received.status, received.content) == (200, b"")
        elif takes_it and ranged and "W/" not in ranged and DATE not in ranged:
            assert (received.status, received.content) == (206, body[5:10])
        elif received.status == 206:
            assert (takes_it, DATE in ranged, received.content) == (True, True, body[5:10])
        else:
            assert (received.status, DECODE[shown](received.content)) == (200, BODY)
    assert len(node.raw.requests) == 1


async def test_what_is_hot_becomes_smaller_on_disk(start, tmp_path):
    disk = await Disk.start(tmp_path, Settings(quota=64 << 20, memory=0), SystemClock())
    text = Path(__file__).read_bytes() * 3
    node = await start(sends(page(text)), store=disk, compression=replace(RULES, hot=3))
    try:
        lengths = []
        async with asyncio.timeout(20):
            while len(lengths) < 4 or lengths[-1] == lengths[1]:
                received = await node.get("/page", "Accept-Encoding: br")
                assert received.is_whole
                assert brotli.decompress(received.content) == text
                lengths.append(len(received.content))
        assert lengths[-1] < lengths[1]
        await disk.flush()
        assert disk.stats().objects == 1
        assert len(node.raw.requests) == 1
    finally:
        await disk.close()
