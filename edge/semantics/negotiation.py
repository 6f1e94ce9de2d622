"""What a client prefers: weights (RFC 9110 §12.4.2), content codings (§12.5.3) and languages (§12.5.4)."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice

from edge.semantics.fields import QUOTED_STRING, TOKEN, FieldSection, list_members

#: Members of one field that are read; a client with more preferences than this is not negotiating.
MAX_MEMBERS = 64
_LONGEST_REMEMBERED = 256

_PARAMETER = rb"(%s)=(%s|%s)" % (TOKEN, TOKEN, QUOTED_STRING)
_parameter = re.compile(_PARAMETER)
_member = re.compile(rb"([!#$%%&'*+\-.^_`|~0-9A-Za-z/]+)((?:[ \t]*;(?:[ \t]*%s)?)*)" % _PARAMETER).fullmatch
_weight = re.compile(rb"0(?:\.([0-9]{0,3}))?|1(?:\.0{0,3})?").fullmatch

# RFC 9110 §8.4.1: recipients take these two for their names without "x-".
_ALIASES = {b"x-gzip": b"gzip", b"x-compress": b"compress"}
_NORMALISED = (b"br", b"gzip", b"zstd")


def weighted(values: Sequence[bytes]) -> list[tuple[bytes, int]]:
    """Return each member of a field's lines, in lower case and without parameters, with its weight in thousandths.

    Malformed members are left out, and no more than `MAX_MEMBERS` are read.
    """
    members = (member for value in values for member in list_members(value))
    return list(_weighted(islice(members, MAX_MEMBERS)))


def coding_quality(fields: FieldSection, coding: bytes) -> int:
    """Return how much Accept-Encoding wants `coding` (`identity`: none), 0 when it refuses it, at most 1000."""
    return (
        1000
        if b"accept-encoding" not in fields
        else _coding_quality(_codings(fields.values(b"accept-encoding")), coding)
    )


def best_coding(fields: FieldSection, offered: Sequence[bytes]) -> bytes | None:
    """Return the coding the client likes best, the first offered one among equals, or None if it refuses them all.

    `identity` is always on offer, as the last resort unless `offered` places it; it is also the answer to a client
    that sends no Accept-Encoding: RFC 9110 §12.5.3 allows it any coding, but such clients decode none.
    """
    if b"accept-encoding" not in fields:
        return b"identity"
    codings = _codings(fields.values(b"accept-encoding"))
    qualities = [(_coding_quality(codings, coding), coding) for coding in (*offered, b"identity")]
    quality, best = max(qualities, key=lambda pair: pair[0])
    return best if quality else None


def normalised_encodings(fields: FieldSection) -> bytes:
    """Return the codings of br, gzip and zstd that the client names or admits with `*`, as an Accept-Encoding value."""
    values = fields.values(b"accept-encoding")
    if sum(map(len, values)) > _LONGEST_REMEMBERED:
        return _normalised_encodings(values)
    return _remembered_encodings(tuple(values))


def language_quality(fields: FieldSection, tag: bytes) -> int:
    """Return how much Accept-Language wants `tag`, 0 to 1000, by the longest range that matches (RFC 4647 §3.3.1)."""
    ranges = dict(weighted(fields.values(b"accept-language")))
    if not ranges:
        return 1000
    prefix = tag.lower()
    while prefix:
        if prefix in ranges:
            return ranges[prefix]
        prefix = prefix.rpartition(b"-")[0]
    return ranges.get(b"*", 0)


def _weighted(members: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    for member in members:
        if (match := _member(member)) is not None and (quality := _quality(match[2])) is not None:
            yield match[1].lower(), quality


def _quality(parameters: bytes) -> int | None:
    for name, value in _parameter.findall(parameters):
        if name in {b"q", b"Q"}:
            if (match := _weight(value)) is None:
                return None
            return 1000 if value.startswith(b"1") else int((match[1] or b"").ljust(3, b"0"))
    return 1000


def _codings(values: Sequence[bytes]) -> dict[bytes, int]:
    return {_ALIASES.get(name, name): quality for name, quality in weighted(values)}


def _coding_quality(codings: dict[bytes, int], coding: bytes) -> int:
    # RFC 9110 §12.5.3: no coding at all is acceptable unless refused by name or by "*", but wanted least.
    unlisted = 1 if coding == b"identity" else 0
    return codings.get(_ALIASES.get(coding, coding), codings.get(b"*", unlisted))


def _normalised_encodings(values: Sequence[bytes]) -> bytes:
    codings = _codings(values)
    return b", ".join(coding for coding in _NORMALISED if _coding_quality(codings, coding))


# Browsers send a handful of different values.
_remembered_encodings = lru_cache(maxsize=256)(_normalised_encodings)
