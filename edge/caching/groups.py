"""Tags and cache groups: the names under which the origin lets responses be purged together (RFC 9875)."""

import re

from edge.errors import ParseError
from edge.semantics.fields import FieldSection
from edge.semantics.messages import SAFE_METHODS, Request, Response
from edge.semantics.structured import DisplayString, Item, parse_list

_at_spaces = re.compile(rb"[^ \t]+").findall
_at_commas = re.compile(rb"[^, \t](?:[^,]*[^, \t])?").findall
_at_both = re.compile(rb"[^, \t]+").findall
#: The fields that content delivery networks and Varnish read tags from, and what parts the tags in each.
TAG_FIELDS = {
    b"surrogate-key": _at_spaces, b"cache-tag": _at_commas, b"edge-cache-tag": _at_commas, b"cdn-tag": _at_commas,
    b"xkey": _at_both,
}  # fmt: skip
#: The octets that one of these fields may hold; a response with more could not be purged by all of its tags.
LONGEST = 16 << 10


def tags(fields: FieldSection) -> frozenset[bytes]:
    """Return the tags of a response, its cache groups among them; case matters."""
    found = set(groups(fields, b"cache-groups"))
    for name, split in TAG_FIELDS.items():
        for value in fields.values(name):
            found.update(split(value))
    return frozenset(found)


def groups(fields: FieldSection, name: bytes) -> tuple[bytes, ...]:
    """Return the groups in Cache-Groups or Cache-Group-Invalidation; none if it is not a List of Strings."""
    if name not in fields:
        return ()
    try:
        members = parse_list(fields.combined(name) or b"")
    except ParseError:
        return ()
    named = [member.value for member in members if isinstance(member, Item)]
    strings = [value.encode("ascii") for value in named if isinstance(value, str) and type(value) is not DisplayString]
    return tuple(strings) if len(strings) == len(members) else ()


def has_too_many(fields: FieldSection) -> bool:
    """Return whether a field with tags or groups is longer than is looked at."""
    return any(len(fields.combined(name) or b"") > LONGEST for name in (*TAG_FIELDS, b"cache-groups") if name in fields)


def invalidated_groups(request: Request, response: Response) -> tuple[bytes, ...]:
    """Return the groups of the request's own origin that its response invalidates (RFC 9875 §3)."""
    # Whatever the status: the origin says itself that something changed.
    return () if request.method in SAFE_METHODS else groups(response.fields, b"cache-group-invalidation")
