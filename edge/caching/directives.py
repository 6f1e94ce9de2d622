"""Cache directives: Cache-Control (RFC 9111 §5.2) and the fields targeted at us (RFC 9213)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from edge.errors import ParseError
from edge.semantics.fields import FieldSection, is_token, list_members, unquote
from edge.semantics.structured import Item, parse_dictionary

#: RFC 9111 §1.2.2: what a delta-seconds too large to represent is taken for.
MAX_DELTA = 2**31
_LONGEST_REMEMBERED = 256
_digits = re.compile(rb"[0-9]+").fullmatch
_DELTAS = frozenset({b"max-age", b"s-maxage", b"stale-while-revalidate", b"stale-if-error"})
# Directives whose argument, where there is one, names the fields they are about.
_QUALIFIABLE = frozenset({b"no-cache", b"private"})
# What the law itself reads of a stored response.
_NEEDED = frozenset({b"age", b"date", b"expires", b"vary"})


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
        """Return the field names of the qualified form of `no-cache` or `private` (RFC 9111 §5.2.2.4).

        A malformed list, or one with a field that a cache cannot do without, names none: the directive is then about
        the whole response, which is never less than what was meant.
        """
        names = frozenset(member.lower() for member in list_members(self.arguments.get(name) or b""))
        return names if all(is_token(field) and not _is_needed(field) for field in names) else frozenset()

    def unqualified(self, name: bytes) -> bool:
        """Return whether `name` is present and names no fields."""
        return name in self.arguments and not self.field_names(name)


def parse_delta(value: bytes) -> int | None:
    """Return delta-seconds (RFC 9111 §1.2.2), at most 2^31, or None when `value` is not one."""
    if _digits(value) is None:
        return None
    significant = value.lstrip(b"0") or b"0"
    return MAX_DELTA if len(significant) > 10 else min(int(significant), MAX_DELTA)


def parse_directives(values: Sequence[bytes]) -> Directives:
    """Return the directives of Cache-Control lines; the first of several with one name counts (RFC 9111 §4.2.1).

    Several of `no-cache` or `private` are about all the fields they name, or, if one names none, about everything.
    """
    if not values:
        return _NO_DIRECTIVES
    if sum(map(len, values)) > _LONGEST_REMEMBERED:
        return _parsed(values)
    return _remembered(tuple(values))


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
        # Exactly these types: a Boolean and a Date are ints too, a Display String is a str.
        if name in _DELTAS:
            if type(value) is not int or value < 0:
                return None
            arguments[name] = b"%d" % value
        elif type(value) is str:
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


def _is_needed(name: bytes) -> bool:
    return name in _NEEDED or name.endswith(b"cache-control")


def _parsed(values: Sequence[bytes]) -> Directives:
    arguments: dict[bytes, bytes | None] = {}
    for value in values:
        for member in list_members(value):
            token, equals, argument = member.partition(b"=")
            name, given = token.lower(), unquote(argument) if equals else None
            if not is_token(name):
                continue
            if name in _QUALIFIABLE and name in arguments:
                earlier = arguments[name]
                arguments[name] = b"%s, %s" % (earlier, given) if earlier and given else None
            else:
                arguments.setdefault(name, given)
    return Directives(arguments)


# Few values stand in most messages.
_remembered = lru_cache(maxsize=1024)(_parsed)
_NO_DIRECTIVES = Directives({})
