"""Byte ranges (RFC 9110 §14): what a Range field asks for, and the framing of several parts."""

import re

Range = tuple[int, int]

#: More ranges than this in one request are answered with the whole representation (RFC 9110 §14.2).
MAX_RANGES = 32

_range_set = re.compile(r"bytes=(.*)", re.IGNORECASE | re.DOTALL).fullmatch
_range_spec = re.compile(r"(\d*)-(\d*)", re.ASCII).fullmatch


def parse_range(value: str, length: int) -> list[Range] | None:
    """Return the half-open ranges that `value` asks of `length` octets, in its order.

    None means that the field is to be ignored (another unit, malformed, too many or together more than the whole); an
    empty list that it cannot be satisfied.
    """
    match = _range_set(value)
    specs = [spec.strip() for spec in match[1].split(",")] if match is not None else []
    specs = [spec for spec in specs if spec]
    if not specs or len(specs) > MAX_RANGES:
        return None
    found = []
    for spec in specs:
        parts = _range_spec(spec)
        if parts is None or spec == "-" or len(spec) > 40:
            return None
        first, last = parts[1], parts[2]
        if first and last and int(last) < int(first):
            return None
        start = int(first) if first else max(0, length - int(last))
        end = min(length, int(last) + 1) if first and last else length
        if start < end:
            found.append((start, end))
    return None if len(found) > 1 and sum(end - start for start, end in found) > length else found


def content_range(part: Range, length: int) -> str:
    """Return the Content-Range value of `part`."""
    return f"bytes {part[0]}-{part[1] - 1}/{length}"


def multipart(parts: list[Range], length: int, content_type: str, boundary: str) -> list[bytes | Range]:
    """Return the content of a multipart/byteranges answer: literal octets and ranges of the representation, in turn."""
    pieces: list[bytes | Range] = []
    for part in parts:
        head = (
            f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {content_range(part, length)}\r\n\r\n"
        )
        pieces += [head.encode(), part]
    return [*pieces, f"\r\n--{boundary}--\r\n".encode()]
