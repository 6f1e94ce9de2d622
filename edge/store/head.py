"""The body of a head record: a stored response's head as bytes, checked on the way out and again on the way in."""

import re
import struct
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise
from typing import Any, NamedTuple

from edge.caching.stored import Range, StoredResponse
from edge.errors import StoreDamaged, StoreError
from edge.semantics.fields import FIELD_VALUE, TOKEN, FieldSection, Line, is_field_value, is_token
from edge.store.record import HEAD_LIMIT

#: The most field lines, nominated fields or ranges one head can hold.
COUNT_LIMIT = 4096

# Framing belongs to a connection: a stored one that came back would desynchronise it (RFC 9112 §6.3, RFC 9110 §7.6.1).
_REFUSED = frozenset({
    b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade",
})  # fmt: skip
# status, request time, response time, complete length (-1: not known), epoch
_FIXED = struct.Struct("<HddqQ")
_SIZE = struct.Struct("<I")
_RANGE = struct.Struct("<QQ")
_ABSENT = 0xFFFFFFFF
# Behind the ranges of a pinned response, and nothing behind those of others.
_PINNED = b"\x01"
# Year 10000: whatever lies behind it was never a date of HTTP.
_LATEST = 253402300800.0
_UNSOUND = "a head with a field line that must not be stored"
# How many lines are remembered as they are encoded, and how long ones.
_LINES, _LONGEST = 4096, 256
_encoded_lines: dict[Line, bytes] = {}
# Names, in lower case, and values in turn, each behind the other's line break.
_are_sound = re.compile(rb"(?:%s\n%s\n)*+" % (TOKEN.replace(b"A-Z", b""), FIELD_VALUE)).fullmatch
_is_line_free = re.compile(rb"[^\r\n\0]*").fullmatch


Pairs = tuple[tuple[bytes, bytes | None], ...]
#: Fixed values; generation, key, method and reason; nominated fields; names and values of fields in turn; ranges; pinned.
_Parts = tuple[
    tuple[int, float, float, int, int], Sequence[bytes], Pairs, Sequence[bytes], tuple[Range, ...], bool
]  # fmt: skip


class _Layout(NamedTuple):
    """Where everything lies in a body of some length: of what sizes, with so many octet strings of nominated fields."""

    struct: struct.Struct
    sizes: tuple[int, ...]
    nominated: int


# Of as many lengths, of which there are few among the responses of one origin.
_LAYOUTS = 2048
_layouts: dict[int, _Layout] = {}


class Outline(NamedTuple):
    """What the index wants to know of a head: its variant as `variant_of` tells it, what is held, whether it is pinned."""

    variant: bytes
    ranges: tuple[Range, ...]
    pinned: bool


def encode(stored: StoredResponse) -> bytes:
    """Return `stored` as the body of a head record; StoreError if it is one that decoding would refuse."""
    if (problem := _problem(stored)) is not None:
        raise StoreError(problem)
    fields = _encode_lines(stored.fields.lines)
    length = -1 if stored.complete_length is None else stored.complete_length
    size = _SIZE.pack
    body = b"".join([
        _FIXED.pack(stored.status, stored.request_time, stored.response_time, length, stored.epoch),
        size(len(stored.generation)), stored.generation, size(len(stored.key)), stored.key,
        _encode_words(stored.method, stored.reason), _encode_nominated(stored.nominated), fields,
        size(len(stored.ranges)), *[_RANGE.pack(first, last) for first, last in stored.ranges],
        _PINNED if stored.pinned else b"",
    ])  # fmt: skip
    if len(body) > HEAD_LIMIT:
        raise StoreError("the head is too long to be stored")
    return body


def decode(body: bytes) -> StoredResponse:
    """Return the stored response that `body` holds; StoreDamaged if there is anything wrong with it."""
    fixed, names, nominated, values, ranges, pinned = _by_layout(body) or _by_steps(body)
    status, request_time, response_time, length, epoch = fixed
    generation, key, method, reason = names
    lines = tuple(zip(values[::2], values[1::2], strict=True))
    stored = StoredResponse(
        key, generation, method, nominated, status, reason, FieldSection(lines), request_time, response_time,
        None if length == -1 else length, ranges, epoch, pinned,
    )  # fmt: skip
    problem = _problem(stored)
    if problem is None and not (_are_sound(b"\n".join([*values, b""])) and _REFUSED.isdisjoint(values[::2])):
        problem = _UNSOUND
    if problem is not None:
        raise StoreDamaged(problem)
    return stored


def _by_steps(body: bytes) -> _Parts:
    """Return the parts of a body, found one after the other."""
    try:
        fixed = _FIXED.unpack_from(body)
        names, at = _values(body, _FIXED.size, 4)
        nominated, at = _nominated(body, at)
        (count,) = _SIZE.unpack_from(body, at)
        values, at = _values(body, at + 4, 2 * _bounded(count))
        reading = _Reading(body, at)
        ranges = tuple([reading.range() for _ in range(reading.count())])
        pinned = reading.flag()
    except struct.error as error:
        raise StoreDamaged("the head of a stored response is malformed") from error
    if reading.rest:
        raise StoreDamaged("there are bytes behind the head")
    _learn_layout(body, names, nominated, values, ranges, pinned=pinned)
    return fixed, names, nominated, values, ranges, pinned


def _by_layout(body: bytes) -> _Parts | None:
    """Return the parts of a body that is laid out as an earlier one of the same length was, found in one step."""
    layout = _layouts.get(len(body))
    if layout is None:
        return None
    found = layout.struct.unpack(body)
    first = 5
    values, end = found[first + 1 : first + 2 * len(layout.sizes) : 2], first + 2 * len(layout.sizes)
    # A count is kept as the size of a value without octets.
    if found[first:end:2] != layout.sizes:
        return None
    at = 5 + layout.nominated
    nominated = tuple(zip(values[5:at:2], values[6:at:2], strict=True))
    return found[:first], values[:4], nominated, values[at + 1 : -1], (found[end:],) if found[end:] else (), False


def _learn_layout(
    body: bytes,
    names: Sequence[bytes],
    nominated: Pairs,
    values: Sequence[bytes],
    ranges: tuple[Range, ...],
    *,
    pinned: bool,
) -> None:
    flat = [text for pair in nominated for text in pair]
    if len(body) in _layouts or pinned or len(ranges) > 1 or None in flat:
        return
    counted: list[tuple[int, int]] = [(len(text), len(text)) for text in names]
    for count, texts in ((len(nominated), flat), (len(values) // 2, values), (len(ranges), ())):
        counted += [(count, 0), *[(len(text), len(text)) for text in texts if text is not None]]
    layout = _FIXED.format + "".join(f"I{length}s" for _, length in counted) + "QQ" * len(ranges)
    if len(_layouts) >= _LAYOUTS:
        _layouts.clear()
    _layouts[len(body)] = _Layout(struct.Struct(layout), tuple(count for count, _ in counted), len(flat))


def variant_of(stored: StoredResponse) -> bytes:
    """Return 8 bytes that are the same for stored responses of one key with the same nominated fields."""
    return _variant_of(stored.nominated)


def outline_of(stored: StoredResponse) -> Outline:
    """Return what the index wants to know of `stored`."""
    return Outline(variant_of(stored), stored.ranges, stored.pinned)


def outline(body: bytes) -> Outline:
    """Return what the index wants to know of `body`, at a fraction of the cost of decoding; StoreDamaged if malformed."""
    reading = _Reading(body)
    try:
        reading.unpack(_FIXED)
        for _ in range(4):
            reading.sized()
        first = reading.at
        for _ in range(2 * reading.count()):
            reading.optional()
        variant = _variant(body[first : reading.at])
        for _ in range(2 * reading.count()):
            reading.optional()
        ranges = tuple(reading.range() for _ in range(reading.count()))
        return Outline(variant, ranges, reading.flag())
    except struct.error as error:
        raise StoreDamaged("the head of a stored response is malformed") from error


def _values(body: bytes, at: int, count: int) -> tuple[list[bytes], int]:
    """Return so many values that begin at `at`, and where they end; StoreDamaged or struct.error when they do not."""
    values, size_at = [], _SIZE.unpack_from
    for _ in range(count):
        (size,) = size_at(body, at)
        at += 4 + size
        values.append(body[at - size : at])
    if at > len(body):
        raise StoreDamaged("a value of a head is longer than the head, or absent")
    return values, at


def _nominated(body: bytes, at: int) -> tuple[Pairs, int]:
    (count,) = _SIZE.unpack_from(body, at)
    if not count:
        return (), at + 4
    reading = _Reading(body, at + 4)
    return tuple([(reading.sized(), reading.optional()) for _ in range(_bounded(count))]), reading.at


def _bounded(count: int) -> int:
    if count > COUNT_LIMIT:
        raise StoreDamaged("a head holds too many lines")
    return count


class _Reading:
    """What is left to decode."""

    def __init__(self, raw: bytes, at: int = 0) -> None:
        self._raw, self.at = raw, at

    @property
    def rest(self) -> int:
        return len(self._raw) - self.at

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        values = layout.unpack_from(self._raw, self.at)
        self.at += layout.size
        return values

    def count(self) -> int:
        return _bounded(self.unpack(_SIZE)[0])

    def sized(self) -> bytes:
        value = self.optional()
        if value is None:
            raise StoreDamaged("a head lacks a value")
        return value

    def optional(self) -> bytes | None:
        (size,) = self.unpack(_SIZE)
        if size == _ABSENT:
            return None
        if size > self.rest:
            raise StoreDamaged("a value of a head is longer than the head")
        self.at += size
        return self._raw[self.at - size : self.at]

    def range(self) -> Range:
        first, last = self.unpack(_RANGE)
        return first, last

    def flag(self) -> bool:
        is_set = self._raw[self.at :] == _PINNED
        self.at += is_set
        return is_set


def _sized(value: bytes | None) -> bytes:
    return _SIZE.pack(_ABSENT) if value is None else _SIZE.pack(len(value)) + value


def _variant(nominated: bytes) -> bytes:
    return blake2b(nominated, digest_size=8).digest()


def _encode_lines(lines: tuple[Line, ...]) -> bytes:
    """Return field lines as bytes; StoreError if one of them must not be stored."""
    known = list(map(_encoded_lines.get, lines))
    parts = [encoded or _encode_line(line) for encoded, line in zip(known, lines, strict=True)]
    return _SIZE.pack(len(lines)) + b"".join(parts)


def _encode_line(line: Line) -> bytes:
    if not _is_sound(line):
        raise StoreError(_UNSOUND)
    encoded = _sized(line[0]) + _sized(line[1])
    if len(encoded) <= _LONGEST:
        if len(_encoded_lines) >= _LINES:
            # Begun anew rather than kept in order: what is frequent is back at once.
            _encoded_lines.clear()
        _encoded_lines[line] = encoded
    return encoded


def _is_sound(line: Line) -> bool:
    name, value = line
    return is_token(name) and is_field_value(value) and name not in _REFUSED


@lru_cache(maxsize=256)
def _encode_words(method: bytes, reason: bytes) -> bytes:
    return _sized(method) + _sized(reason)


# The few things that clients prefer.
@lru_cache(maxsize=256)
def _variant_of(pairs: Pairs) -> bytes:
    return _variant(_encode_nominated(pairs))


@lru_cache(maxsize=256)
def _encode_nominated(pairs: Pairs) -> bytes:
    return _SIZE.pack(len(pairs)) + b"".join([_sized(name) + _sized(value) for name, value in pairs])


def _problem(stored: StoredResponse) -> str | None:
    """Return what is wrong with `stored`, its field lines apart, or None."""
    if not stored.key or len(stored.generation) != 8:
        return "a head without key or generation"
    if not _are_lines(stored.method, stored.status, stored.reason):
        return "a head with an impossible method or status line"
    if max(len(stored.fields.lines), len(stored.nominated), len(stored.ranges)) > COUNT_LIMIT:
        return "a head holds too many lines"
    if stored.nominated and not _are_nominated(stored.nominated):
        return "a head with a malformed nominated field"
    # Neither holds for what is not a number.
    if not (0 <= stored.request_time < _LATEST and 0 <= stored.response_time < _LATEST):
        return "a head with an impossible time"
    if not 0 <= stored.epoch < 1 << 64:
        return "a head with an impossible epoch"
    if stored.ranges == ((0, stored.complete_length),) and 0 < (stored.complete_length or 0) < 1 << 63:
        return None
    return _range_problem(stored)


@lru_cache(maxsize=256)
def _are_lines(method: bytes, status: int, reason: bytes) -> bool:
    return is_token(method) and 100 <= status <= 999 and is_field_value(reason)


@lru_cache(maxsize=256)
def _are_nominated(pairs: Pairs) -> bool:
    return all(is_token(name) and _is_line_free(value or b"") for name, value in pairs)


def _range_problem(stored: StoredResponse) -> str | None:
    length = (1 << 63) - 1 if stored.complete_length is None else stored.complete_length
    if not 0 <= length < 1 << 63:
        return "a head with an impossible length"
    edges = [edge for held in stored.ranges for edge in held]
    if edges and (edges[0] < 0 or edges[-1] > length):
        return "a head with ranges beyond its length"
    if not all(first < last for first, last in stored.ranges) or any(a > b for a, b in pairwise(edges)):
        return "a head with ranges out of order"
    return None
