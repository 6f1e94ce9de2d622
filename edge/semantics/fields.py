"""Field sections: ordered lines of (name, value), RFC 9110 §5.

Names are lower-case bytes, values are bytes without surrounding white space.  A section is never a dict: order and
repetition carry meaning, and Set-Cookie lines must not be combined (RFC 9110 §5.3).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Self, final

from edge.errors import ParseError

Line = tuple[bytes, bytes]

#: RFC 9110 §5.6.2 token.
TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
#: RFC 9110 §5.6.4 quoted-string.
QUOTED_STRING = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
#: RFC 9110 §5.5 field-value, without surrounding white space.
FIELD_VALUE = rb"(?:[\x21-\x7e\x80-\xff](?:[\t \x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?"
_is_token = re.compile(TOKEN).fullmatch
_is_value = re.compile(FIELD_VALUE).fullmatch
_is_quoted_string = re.compile(QUOTED_STRING).fullmatch
_quoted_pair = re.compile(rb"\\(.)", re.DOTALL)
# What decides where a list is split.  A quote that never closes takes the rest in one match: were it tried again for
# each quote after it, the time would grow with the square of the length.
_boundary = re.compile(rb'"(?:[^"\\]|\\.)*+"|,|(?P<rest>".*)', re.DOTALL)


@final
class FieldSection:
    """An immutable, ordered sequence of field lines."""

    __slots__ = ("_by_name", "_hash", "lines")

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self.lines: tuple[Line, ...] = tuple(lines)
        self._by_name: dict[bytes, list[bytes]] | None = None
        self._hash: int | None = None

    @classmethod
    def checked(cls, lines: Iterable[Line]) -> Self:
        """Return a section of `lines` with lower-case names; ParseError if a name or value is not RFC 9110 §5.5's."""
        section = cls((name.lower(), value) for name, value in lines)
        for name, value in section.lines:
            if not _is_token(name) or not _is_value(value):
                raise ParseError("malformed field line")
        return section

    def __iter__(self) -> Iterator[Line]:
        return iter(self.lines)

    def __len__(self) -> int:
        return len(self.lines)

    def __contains__(self, name: bytes) -> bool:
        return name in (self._by_name or self._indexed())

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, FieldSection) and self.lines == other.lines)

    def __hash__(self) -> int:
        # Kept: a section that comes again and again is what tables are asked for.
        if self._hash is None:
            self._hash = hash(self.lines)
        return self._hash

    def __repr__(self) -> str:
        return f"FieldSection({list(self.lines)!r})"

    def has_any(self, names: frozenset[bytes]) -> bool:
        """Return whether there is a line called one of `names`."""
        return not names.isdisjoint(self._by_name or self._indexed())

    def get(self, name: bytes) -> bytes | None:
        """Return the value of the first line called `name`, or None."""
        values = (self._by_name or self._indexed()).get(name)
        return values[0] if values is not None else None

    def values(self, name: bytes) -> Sequence[bytes]:
        """Return the value of every line called `name`, in order."""
        return (self._by_name or self._indexed()).get(name, ())

    def combined(self, name: bytes) -> bytes | None:
        """Return the lines called `name` as one value joined by a comma (RFC 9110 §5.3), or None if there is none."""
        values = self.values(name)
        return b", ".join(values) if values else None

    def members(self, name: bytes) -> list[bytes]:
        """Return the members of the list-based field `name` over all its lines, empty members left out."""
        values = self.values(name)
        if len(values) == 1:
            return list_members(values[0])
        return [member for value in values for member in list_members(value)]

    def without(self, *names: bytes) -> "FieldSection":
        """Return the section without the lines called one of `names`."""
        lines = [line for line in self.lines if line[0] not in names]
        return FieldSection(lines) if len(lines) < len(self.lines) else self

    def filtered(self, keep: Callable[[bytes], bool]) -> "FieldSection":
        """Return the section with the lines whose name `keep` accepts."""
        return FieldSection([line for line in self.lines if keep(line[0])])

    def with_lines(self, *lines: Line) -> "FieldSection":
        """Return the section with `lines` added at its end."""
        return FieldSection(self.lines + lines)

    def _indexed(self) -> dict[bytes, list[bytes]]:
        """Return the values by name, made when first asked for: a section is asked often, but not every one is."""
        self._by_name = unrepeated = {name: [value] for name, value in self.lines}
        if len(unrepeated) == len(self.lines):
            return unrepeated
        by_name: dict[bytes, list[bytes]] = {}
        for name, value in self.lines:
            by_name.setdefault(name, []).append(value)
        self._by_name = by_name
        return by_name

    def replacing(self, name: bytes, value: bytes) -> "FieldSection":
        """Return the section with every line called `name` replaced by one line at its end."""
        return self.without(name).with_lines((name, value))


def list_members(value: bytes) -> list[bytes]:
    """Return the non-empty members of a comma-separated list (RFC 9110 §5.6.1), commas in quoted strings kept.

    A quote that never closes protects no comma.
    """
    if b"," not in value:
        member = value.strip(b" \t")
        return [member] if member else []
    members = value.split(b",") if b'"' not in value else _split_outside_quotes(value)
    return [member for member in (member.strip(b" \t") for member in members) if member]


def is_token(value: bytes) -> bool:
    """Return whether `value` is an RFC 9110 §5.6.2 token."""
    return _is_token(value) is not None


def is_field_value(value: bytes) -> bool:
    """Return whether `value` is an RFC 9110 §5.5 field value without surrounding white space."""
    return _is_value(value) is not None


def unquote(value: bytes) -> bytes:
    """Return the content of a quoted-string, or `value` itself when it is not one."""
    return _quoted_pair.sub(rb"\1", value[1:-1]) if _is_quoted_string(value) else value


def _split_outside_quotes(value: bytes) -> list[bytes]:
    members, start = [], 0
    for match in _boundary.finditer(value):
        if match[0] == b",":
            members.append(value[start : match.start()])
            start = match.end()
        elif match["rest"] is not None:
            first, *others = match["rest"].split(b",")
            return [*members, value[start : match.start()] + first, *others]
    return [*members, value[start:]]
