"""Cache directives: Cache-Control (RFC 9111 §5.2) and the fields targeted at us (RFC 9213)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge.errors import ParseError
from edge.semantics.fields import FieldSection, is_token, list_members, unquote
from edge.semantics.structured import Item, parse_dictionary

#: RFC 9111 §1.2.2: what a delta-seconds too large to represent is taken for.
MAX_DELTA = 2**31
_digits = re.compile(rb"[0-9]+").fullmatch
_DELTAS = frozenset({b"max-age", b"s-maxage", b"stale-while-revalidate", b"stale-if-error", b"max-stale", b"min-fresh"})


@dataclass(frozen=True, slots=True)
class Directives:
    """The directives of one message by lower-case name; the argument is None where there is none."""

    arguments: Mapping[bytes, bytes | None]

    def __contains__(self, name: bytes) -> bool:
        return name in self.arguments

    def delta(self, name: bytes) -> int | None:
        """Return a delta-seconds argument, None when the directive is absent.

        RFC 9111 §4.2.1 encourages taking invalid freshness information for stale: an invalid argument is 0.
        """
        if name not in self.arguments:
            return None
        return parse_delta(self.arguments[name] or b"") or 0

    def field_names(self, name: bytes) -> frozenset[bytes]:
        """Return the field names of the qualified form of `no-cache` or `private` (RFC 9111 §5.2.2.4)."""
        return frozenset(member.lower() for member in list_members(self.arguments.get(name) or b""))

    def unqualified(self, name: bytes) -> bool:
        """Return whether `name` is present and names no fields."""
        return name in self.arguments and not self.field_names(name)


def parse_delta(value: bytes) -> int | None:
    """Return delta-seconds (RFC 9111 §1.2.2), at most 2^31, or None when `value` is not one."""
    if _digits(value) is None:
        return None
    return MAX_DELTA if len(value.lstrip(b"0")) > 10 else min(int(value), MAX_DELTA)


def parse_directives(values: Sequence[bytes]) -> Directives:
    """Return the directives of Cache-Control lines; the first of several with one name counts (RFC 9111 §4.2.1)."""
    arguments: dict[bytes, bytes | None] = {}
    for value in values:
        for member in list_members(value):
            name, equals, argument = member.partition(b"=")
            if is_token(name):
                arguments.setdefault(name.lower(), unquote(argument) if equals else None)
    return Directives(arguments)


def parse_targeted(values: Sequence[bytes]) -> Directives | None:
    """Return the directives of one targeted field, None when RFC 9213 §2.1 has the field ignored.

    That is when it is empty, not a Dictionary, or gives a directive of ours a value of another type.
    """
    try:
        members = parse_dictionary(b", ".join(values))
    except ParseError:
        return None
    arguments: dict[bytes, bytes | None] = {}
    for name, member in members.items():
        value = member.value if isinstance(member, Item) else None
        if name in _DELTAS:
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                return None
            arguments[name] = b"%d" % value
        elif isinstance(value, str):
            arguments[name] = value.encode("ascii")
        elif value is not False:
            arguments[name] = None
    return Directives(arguments) if members else None


def response_directives(fields: FieldSection, targets: Sequence[bytes]) -> tuple[Directives, bool]:
    """Return the directives a response has for us, and whether they come from a targeted field.

    RFC 9213 §2.2: the first valid field of the target list counts; Cache-Control and Expires are then ignored.
    """
    for name in targets:
        if name in fields and (directives := parse_targeted(fields.values(name))) is not None:
            return directives, True
    return parse_directives(fields.values(b"cache-control")), False


def request_directives(fields: FieldSection) -> Directives:
    """Return a request's directives; `Pragma: no-cache` counts when there is no Cache-Control (RFC 9111 §5.4)."""
    if b"cache-control" not in fields and any(member.lower() == b"no-cache" for member in fields.members(b"pragma")):
        return Directives({b"no-cache": None})
    return parse_directives(fields.values(b"cache-control"))
