"""Which stored response answers a request: nominated fields (RFC 9111 §4.1)."""

from collections.abc import Iterable

from edge.caching.freshness import date_value
from edge.caching.stored import StoredResponse
from edge.semantics.fields import FieldSection, is_token, list_members
from edge.semantics.forwarding import connection_options
from edge.semantics.messages import Request
from edge.semantics.negotiation import normalised_encodings, weighted

Nominated = tuple[tuple[bytes, bytes | None], ...]

#: More names than this in one Vary is an origin's mistake that no cache should multiply.
MAX_NOMINATED = 32
# What a request had for a field is not known: no field value has a NUL, so no request matches.
_UNKNOWN = b"\0"
# Commas and white space are part of these values, not list syntax.
_NOT_LISTS = frozenset(
    {b"user-agent", b"cookie", b"authorization", b"referer", b"date", b"if-modified-since", b"origin"}
)


def nominated_names(fields: FieldSection) -> tuple[bytes, ...] | None:
    """Return the names in Vary, sorted, in lower case; None when it has a "*" (no request ever matches).

    A member that is no field name, as in "Cookie Accept", says that the response varies, but not on what: as "*" does.
    """
    names = {member.lower() for member in fields.members(b"vary")}
    return None if b"*" in names or not all(map(is_token, names)) else tuple(sorted(names))


def nominate(names: Iterable[bytes], request: FieldSection) -> Nominated:
    """Return `names` with the normalised values a request has for them, None where the field is absent."""
    return tuple((name, normalised(name, request)) for name in names)


def renominated(nominated: Nominated, fields: FieldSection, request: FieldSection | None) -> Nominated:
    """Return what a freshened response varies on, by its updated `fields`.

    What Vary names as before keeps its values.  The values of a name that is new come from the `request` for which the
    response was just validated; without one they are not known, and no request matches.
    """
    names = nominated_names(fields)
    earlier = dict(nominated)
    if names is None:
        return ((b"*", _UNKNOWN),)
    return tuple(
        (name, earlier[name] if name in earlier else _UNKNOWN if request is None else normalised(name, request))
        for name in names
    )


def normalised(name: bytes, request: FieldSection) -> bytes | None:
    """Return a request's value for `name` in a form that is equal where the meaning is (RFC 9111 §4.1)."""
    values = request.values(name)
    # RFC 9110 §7.6.1: a connection option takes the field from the request that the origin sees.
    if not values or name in connection_options(request):
        return None
    if name == b"accept-encoding":
        return normalised_encodings(request)
    if name == b"accept-language":
        return b",".join(b"%s;q=%d" % pair for pair in sorted(weighted(values)))
    if name in _NOT_LISTS:
        return b", ".join(values)
    return b",".join(member for value in values for member in list_members(value))


def select(request: Request, stored: Iterable[StoredResponse]) -> StoredResponse | None:
    """Return the one of `stored` that matches the request's nominated fields, None if none does.

    RFC 9111 §4: of several, the most recent one by Date; the first among equals.
    """
    matching = [
        candidate
        for candidate in stored
        if all(_matches(name, value, request.fields, candidate) for name, value in candidate.nominated)
    ]
    if len(matching) > 1:
        return max(matching, key=lambda candidate: date_value(candidate.fields, candidate.response_time))
    return matching[0] if matching else None


def _matches(name: bytes, value: bytes | None, request: FieldSection, stored: StoredResponse) -> bool:
    if normalised(name, request) == value:
        return True
    return name == b"accept-language" and _is_preferred_language(request, stored)


def _is_preferred_language(request: FieldSection, stored: StoredResponse) -> bool:
    """Return whether the stored response is in the one language that the request prefers to all others.

    RFC 9110 §12.5.4: then the origin, asked again, could do no better.
    """
    languages = stored.fields.members(b"content-language")
    ranges = sorted(weighted(request.values(b"accept-language")), key=lambda pair: -pair[1])
    if len(languages) != 1 or not ranges or ranges[0][1] == 0:
        return False
    if len(ranges) > 1 and ranges[1][1] == ranges[0][1]:
        return False
    language = languages[0].lower()
    return language == ranges[0][0] or language.startswith(ranges[0][0] + b"-")
