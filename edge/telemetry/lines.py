"""The forms of an access log line.

Nothing a client sends can end a line, start another or colour a terminal: what is not printable is escaped.  Of the
fields of a request only Host, Referer and User-Agent are written, never credentials or cookies.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, assert_never

import msgspec

from edge.ports import Record

Format = Literal["json", "text", "combined"]
Query = Literal["keep", "redact", "drop"]

#: So many octets of what a client calls its request are told.
LONGEST_ID = 200
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_value = re.compile(r"=[^&]*")
_userinfo = re.compile(r"//[^/?#]*@")
_encode = msgspec.json.Encoder().encode


class Line(msgspec.Struct, omit_defaults=True):
    """One exchange as the log tells it; what has no value is left out of the JSON form."""

    ts: str
    node: str
    client_ip: str
    status: int
    bytes_out: int
    dur_ms: float
    ttfb_ms: float
    cache: str
    zone: str = ""
    site: str = ""
    method: str = ""
    host: str = ""
    path: str = ""
    query: str | None = None
    proto: str = ""
    reason: str = ""
    id: str = ""
    req_id: str = ""
    cache_status: str = ""
    origin_status: int | None = None
    origin_ms: float | None = None
    referer: str = ""
    ua: str = ""
    complete: bool = True


def formatter(form: Format, query: Query, *, node: str, zone: str) -> Callable[[Record], bytes]:
    """Return what makes a line, line end included, of a record."""
    match form:
        case "json":
            return lambda record: _encode(make_line(record, query, node=node, zone=zone)) + b"\n"
        case "text":
            return lambda record: _text(make_line(record, query, node=node, zone=zone))
        case "combined":
            return lambda record: _combined(make_line(record, query, node=node, zone=zone), record.began)
        case _ as never:
            assert_never(never)


def make_line(record: Record, query: Query, *, node: str, zone: str) -> Line:
    """Return what the log may tell of `record`, every text in it printable."""
    line = Line(
        ts=_timestamp(record.began), id=name_of(record), node=node, zone=zone, site=record.site, client_ip=printable(record.client),
        status=record.status, bytes_out=record.bytes_out, dur_ms=_milliseconds(record.seconds),
        ttfb_ms=_milliseconds(record.first_byte_seconds), cache=record.outcome, reason=record.detail,
        cache_status=printable(record.cache_status), origin_status=record.origin_status, complete=record.complete,
    )  # fmt: skip
    if record.origin_seconds is not None:
        line.origin_ms = _milliseconds(record.origin_seconds)
    if (request := record.request) is not None:
        line.method = printable(request.method)
        line.host = printable(request.target.authority)
        line.path = printable(request.target.path)
        line.query = shown_query(request.target.query, query)
        line.proto = f"HTTP/{request.version[0]}.{request.version[1]}"
        line.referer = _shown_referer(request.fields.get(b"referer") or b"", query)
        line.req_id = printable((request.fields.get(b"x-request-id") or b"")[:LONGEST_ID])
        line.ua = printable(request.fields.get(b"user-agent") or b"")
    return line


def name_of(record: Record) -> str:
    """Return what an exchange is called, the same for as long as its record is kept; nothing is spent on it before."""
    return f"{int(record.began * 1e6):x}-{id(record) >> 4 & 0xFFFFFF:06x}"


def printable(value: bytes | str) -> str:
    r"""Return `value` as text in which everything that cannot be printed is spelt \xNN or \uNNNN."""
    text = value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def shown_query(query: bytes | None, policy: Query) -> str | None:
    """Return what may be told of a query: all, its names with * for values, or None for nothing."""
    if query is None or policy == "drop":
        return None
    text = printable(query)
    if policy == "keep":
        return text
    # A parameter without "=" may be a secret as a whole.
    return "&".join(_value.sub("=*", part, count=1) if "=" in part else "*" for part in text.split("&") if part)


def _shown_referer(referer: bytes, policy: Query) -> str:
    address, mark, query = _userinfo.sub("//", printable(referer)).partition("#")[0].partition("?")
    shown = shown_query(query.encode(), policy) if mark else None
    return address if shown is None else f"{address}?{shown}"


def _text(line: Line) -> bytes:
    query = "" if line.query is None else f"?{line.query}"
    reason = f" {line.reason}" if line.reason else ""
    cut = "" if line.complete else " incomplete"
    return (
        f"{line.ts} {line.client_ip or '-'} {line.method or '-'} {line.host}{line.path}{query} {line.status} {line.cache}"
        f"{reason} {line.bytes_out}B {line.dur_ms:g}ms{cut}\n"
    ).encode()


def _combined(line: Line, began: float) -> bytes:
    query = "" if line.query is None else f"?{line.query}"
    request = _quoted(f"{line.method} {line.path}{query} {line.proto}" if line.method else "")
    agent = f"{_quoted(line.referer)} {_quoted(line.ua)}"
    stamp = _common_log_time(int(began))
    return f"{line.client_ip or '-'} - - [{stamp}] {request} {line.status} {line.bytes_out} {agent}\n".encode()


def _quoted(text: str) -> str:
    # nginx's escapes, which log readers know.
    escaped = text.replace("\\", "\\x5C").replace('"', "\\x22")
    return f'"{escaped or "-"}"'


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _timestamp(when: float) -> str:
    return f"{_second(int(when))}.{int(when % 1 * 1000):03d}Z"


@lru_cache(maxsize=16)
def _second(when: int) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=16)
def _common_log_time(when: int) -> str:
    # Month names are the protocol's, not the locale's.
    moment = datetime.fromtimestamp(when, UTC)
    return f"{moment.day:02d}/{_MONTHS[moment.month - 1]}/{moment:%Y:%H:%M:%S} +0000"
