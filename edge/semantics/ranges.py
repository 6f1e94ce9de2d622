"""Byte ranges: Range and Content-Range (RFC 9110 §14).

Positions in the grammar are inclusive; everywhere else a range is half-open, `(start, end)`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge.errors import ParseError

Range = tuple[int, int]

#: What a number with more than 18 digits is taken for: beyond any length there can be.
MAX_POSITION = 2**63 - 1

_SPEC = rb"([0-9]*)-([0-9]*)"
_spec = re.compile(_SPEC)
# RFC 9110 §5.6.1.2: empty members are read over.
_range_set = re.compile(rb"(?i:bytes)=((?:%s)?(?:[ \t]*,(?:[ \t]*%s)?)*)" % (_SPEC, _SPEC)).fullmatch
_content_range = re.compile(
    rb"(?i:bytes) (?:([0-9]{1,18})-([0-9]{1,18})/(?:([0-9]{1,18})|\*)|\*/([0-9]{1,18}))"
).fullmatch


@dataclass(frozen=True, slots=True)
class RangeSpec:
    """One range as asked for, inclusive; without `first` it is the suffix of `last` octets."""

    first: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class ContentRange:
    """A Content-Range, inclusive; no `first` and `last` in an unsatisfied range, no `complete` when it is unknown."""

    first: int | None
    last: int | None
    complete: int | None


def parse_range(value: bytes) -> tuple[RangeSpec, ...]:
    """Return the ranges a Range field asks for, at least one, in order.

    Raises:
        ParseError: the unit is not bytes, or a range is invalid (RFC 9110 §14.1.1); the field is then to be ignored.
    """
    match = _range_set(value)
    specs = tuple(_range_spec(first, last) for first, last in _spec.findall(match[1])) if match is not None else ()
    if not specs:
        raise ParseError("malformed range")
    return specs


def resolve(specs: Sequence[RangeSpec], length: int) -> tuple[Range, ...]:
    """Return the ranges that `specs` select of a representation of `length` octets, unsatisfiable ones left out.

    None is satisfiable when `length` is 0, because Content-Range has no word for an empty range.
    """
    ranges = []
    for spec in specs:
        if spec.first is None:
            start, end = max(0, length - (spec.last or 0)), length
        else:
            start, end = spec.first, length if spec.last is None else min(spec.last + 1, length)
        if start < end:
            ranges.append((start, end))
    return tuple(ranges)


def coalesced(ranges: Sequence[Range]) -> tuple[Range, ...]:
    """Return `ranges` with those that overlap or touch merged, each at the place of its first part."""
    merged: list[tuple[int, int, int]] = []
    # RFC 9110 §14.2 allows it, and it is what keeps many small or overlapping ranges from multiplying the content.
    for (start, end), place in sorted(zip(ranges, range(len(ranges)), strict=True)):
        if merged and start <= merged[-1][2]:
            earlier, first, last = merged[-1]
            merged[-1] = (min(earlier, place), first, max(last, end))
        else:
            merged.append((place, start, end))
    return tuple((start, end) for _, start, end in sorted(merged))


def parse_content_range(value: bytes) -> ContentRange:
    """Return the Content-Range that `value` is; ParseError if it is malformed or invalid (RFC 9110 §14.4)."""
    if (match := _content_range(value)) is None:
        raise ParseError("malformed content range")
    if match[4] is not None:
        return ContentRange(None, None, int(match[4]))
    first, last = int(match[1]), int(match[2])
    complete = None if match[3] is None else int(match[3])
    if last < first or (complete is not None and complete <= last):
        raise ParseError("invalid content range")
    return ContentRange(first, last, complete)


def format_content_range(start: int, end: int, complete: int | None) -> bytes:
    """Return the Content-Range of the octets [start, end) of `complete`, None while the length is unknown."""
    return b"bytes %d-%d/%s" % (start, end - 1, b"*" if complete is None else b"%d" % complete)


def format_unsatisfied(complete: int) -> bytes:
    """Return the Content-Range of a 416 answer for a representation of `complete` octets."""
    return b"bytes */%d" % complete


def _range_spec(first: bytes, last: bytes) -> RangeSpec:
    start, end = _position(first), _position(last)
    if start is None and end is None:
        raise ParseError("a range needs a position")
    if start is not None and end is not None and end < start:
        raise ParseError("a range ends before it begins")
    return RangeSpec(start, end)


def _position(digits: bytes) -> int | None:
    if not digits:
        return None
    significant = digits.lstrip(b"0")
    return int(significant or b"0") if len(significant) <= 18 else MAX_POSITION
