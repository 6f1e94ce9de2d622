"""Entity tags and their two comparisons (RFC 9110 §8.8.3)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge.errors import ParseError

# A backslash escapes nothing here, and a comma may stand in a tag: lists of tags are not lists of quoted strings.
_TAG = rb'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"'
_tag = re.compile(_TAG)
_tags = re.compile(rb"[ \t,]*(?:%s[ \t]*(?:,[ \t,]*|\Z))*" % _TAG).fullmatch


@dataclass(frozen=True, slots=True)
class EntityTag:
    """An entity tag; `opaque` is what stands between its quotes."""

    opaque: bytes
    weak: bool = False

    @property
    def encoded(self) -> bytes:
        """The tag as it stands in a field value."""
        return b'%s"%s"' % (b"W/" if self.weak else b"", self.opaque)


def parse_entity_tag(value: bytes) -> EntityTag:
    """Return the entity tag that `value` is; ParseError if it is none."""
    if (match := _tag.fullmatch(value)) is None:
        raise ParseError("malformed entity tag")
    return EntityTag(match[2], weak=match[1] is not None)


def parse_entity_tags(values: Sequence[bytes]) -> tuple[EntityTag, ...] | None:
    """Return the tags in the lines of If-Match or If-None-Match, None for `*`; ParseError if one is malformed."""
    value = b", ".join(values)
    if value == b"*":
        return None
    if _tags(value) is None:
        raise ParseError("malformed list of entity tags")
    return tuple(EntityTag(opaque, weak=weak != b"") for weak, opaque in _tag.findall(value))


def strong_match(a: EntityTag, b: EntityTag) -> bool:
    """Return whether both are strong and the same (RFC 9110 §8.8.3.2)."""
    return not a.weak and not b.weak and a.opaque == b.opaque


def weak_match(a: EntityTag, b: EntityTag) -> bool:
    """Return whether the opaque tags are the same (RFC 9110 §8.8.3.2)."""
    return a.opaque == b.opaque
