"""Which stream is sent first: urgency and incremental delivery (RFC 9218)."""

from typing import NamedTuple

from edge.errors import ParseError
from edge.semantics.structured import Item, parse_dictionary

_LEAST_URGENT = 7


class Priority(NamedTuple):
    """How urgent a response is, 0 the most, and whether a part of it is of use before the rest."""

    urgency: int = 3
    is_incremental: bool = False


DEFAULT = Priority()


def parse_priority(value: bytes, base: Priority = DEFAULT) -> Priority:
    """Return `base` with what a Priority field value changes of it; what it says wrongly is ignored (RFC 9218 §4)."""
    try:
        members = parse_dictionary(value)
    except ParseError:
        return base
    urgency, incremental = members.get(b"u"), members.get(b"i")
    if isinstance(urgency, Item) and type(urgency.value) is int and 0 <= urgency.value <= _LEAST_URGENT:
        base = base._replace(urgency=urgency.value)
    if isinstance(incremental, Item) and isinstance(incremental.value, bool):
        base = base._replace(is_incremental=incremental.value)
    return base
