"""In which content coding a response goes to a client (RFC 9110 §8.4, §12.5.3), and with which fields.

What is stored is coded, since it is for everybody to read and its length gives nothing away; what may hold somebody's
secrets beside what a stranger made him send is not (BREACH).  A coded form has the tag of the response it is made of,
weakened: the two have the same meaning and other octets.  Ranges are of what is stored, since only its tag is strong.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from edge.caching.directives import parse_directives, request_directives
from edge.caching.validation import entity_tag
from edge.caching.vary import nominated_names
from edge.semantics.entity_tags import EntityTag
from edge.semantics.fields import FieldSection
from edge.semantics.forwarding import connection_options
from edge.semantics.messages import Request, Response
from edge.semantics.negotiation import best_coding, coding_quality

#: The codings that can be made and taken off here, those that cost least for their size first.
CODINGS = (b"zstd", b"br", b"gzip")
#: No coding.
IDENTITY = b"identity"
#: What the origin is asked for in place of what each client takes.
OFFERED = b"br, gzip, zstd"
# Each event is to go out by itself.
_EVENTS = "text/event-stream"
# What is about the octets of one form only.
_OF_OCTETS = (
    b"content-encoding", b"content-length", b"content-md5", b"digest", b"content-digest", b"repr-digest", b"etag",
    b"accept-ranges",
)  # fmt: skip
_LONGEST_REMEMBERED = 256
_ALIASES = {b"x-gzip": b"gzip"}
# Files that are coded by nature, and labelled so by old servers: clients save them as they are.
_ARCHIVES = frozenset({
    "application/gzip", "application/x-gzip", "application/x-tar", "application/x-gtar", "application/x-tgz",
    "application/x-compressed", "application/x-compressed-tar", "application/zstd",
})  # fmt: skip


class NotCoded(StrEnum):
    """Why content goes out as it is."""

    STATUS = "status"
    CODED_ALREADY = "coded-already"
    SMALL = "small"
    MEDIA_TYPE = "media-type"
    NO_TRANSFORM = "no-transform"
    PRIVATE = "private"
    SET_COOKIE = "set-cookie"
    CREDENTIALS = "credentials"
    NOT_WANTED = "not-wanted"
    RANGE = "range"


@dataclass(frozen=True, slots=True)
class CompressionRules:
    """What the operator of a site chose.

    Attributes:
        codings: those that are made, the first of those that a client likes equally.
        min_size: contents of fewer octets go out as they are.
        types: media types that are coded; "text/*" for all below one, "*+xml" for all with a suffix.
        origin: whether the origin is asked for coded content whatever a client takes.
        max_decoded: octets after which the decoding of a content breaks off.
        hot: how often a coded content is used before it is made again, smaller; 0 for never.
        strip_cookies: whether the origin sees no Cookie.
    """

    codings: tuple[bytes, ...] = CODINGS
    min_size: int = 1400
    types: tuple[str, ...] = ("text/*",)
    origin: bool = True
    max_decoded: int = 1 << 30
    hot: int = 20
    strip_cookies: bool = False


@dataclass(frozen=True, slots=True)
class AsItIs:
    """As it is, and why; `varies` when others get another form."""

    reason: NotCoded
    varies: bool = False


@dataclass(frozen=True, slots=True)
class Turned:
    """Whole, in the coding `to` in place of the coding `of` that it is in; each may be `IDENTITY`."""

    to: bytes
    of: bytes = IDENTITY

    @property
    def is_needed(self) -> bool:
        """Whether the client cannot take it as it is."""
        return self.of != IDENTITY


Form = AsItIs | Turned


def form(
    request: Request, response: Response, length: int | None, rules: CompressionRules, *, is_first_hand: bool = False
) -> Form:
    """Return in which form a client gets a response that is stored for everybody.

    Args:
        request: the client's request.
        response: the response as the origin sent it.
        length: of its content in octets, None while that is not known.
        rules: the operator's choices.
        is_first_hand: whether the response was made for this request.
    """
    fields = response.fields
    if response.status == 206:
        return AsItIs(NotCoded.STATUS)
    if b"content-encoding" in fields:
        coding = coding_of(fields)
        if coding is None or (_media_type(fields) in _ARCHIVES and not _varies(fields)):
            return AsItIs(NotCoded.CODED_ALREADY)
        if accepts(request.fields, coding):
            return AsItIs(NotCoded.CODED_ALREADY, varies=True)
        made = _made(request, response, None, rules, is_first_hand=is_first_hand)
        # Not even no-transform leaves a client with what it cannot read only because others can.
        return Turned(made if isinstance(made, bytes) else IDENTITY, coding)
    made = _made(request, response, length, rules, is_first_hand=is_first_hand)
    if not isinstance(made, bytes):
        return made
    return AsItIs(NotCoded.RANGE, varies=True) if b"range" in request.fields else Turned(made)


def form_of_passed(request: Request, response: Response, rules: CompressionRules) -> Turned | None:
    """Return in which form a client gets a response that is for it alone, None for as it is: nothing is coded then."""
    wanted = form(request, response, None, rules)
    return Turned(IDENTITY, wanted.of) if isinstance(wanted, Turned) and wanted.is_needed else None


def accepts(fields: FieldSection, coding: bytes) -> bool:
    """Return whether a client can be sent `coding`: one that says nothing decodes nothing."""
    if b"accept-encoding" not in fields or b"accept-encoding" in connection_options(fields):
        return False
    return coding_quality(fields, coding) > 0


def coding_of(fields: FieldSection) -> bytes | None:
    """Return the one coding of a content if it can be taken off here, else None."""
    codings = [_ALIASES.get(coding.lower(), coding.lower()) for coding in fields.members(b"content-encoding")]
    return codings[0] if len(codings) == 1 and codings[0] in CODINGS else None


def without_dated_range(request: Request, rules: CompressionRules) -> Request:
    """Return a request that does not go on with what may be in another coding: no date tells one from another."""
    fields = request.fields
    date = fields.get(b"if-range")
    if date is None or date.startswith((b'"', b"W/")) or _best(fields, rules.codings) == IDENTITY:
        return request
    return request.with_fields(fields.without(b"range", b"if-range"))


def shown_fields(fields: FieldSection, shown: Form) -> FieldSection:
    """Return the fields of a response in a form."""
    if isinstance(shown, AsItIs):
        return varying(fields) if shown.varies else fields
    etag = entity_tag(fields)
    changed = varying(fields.without(*_OF_OCTETS))
    if shown.to != IDENTITY:
        changed = changed.with_lines((b"content-encoding", shown.to))
    if etag is not None:
        changed = changed.with_lines((b"etag", EntityTag(etag.opaque, weak=True).encoded))
    return changed


def varying(fields: FieldSection) -> FieldSection:
    """Return the fields with Vary saying that there are other codings."""
    return fields if _varies(fields) else fields.with_lines((b"vary", b"Accept-Encoding"))


def offering(fields: FieldSection) -> FieldSection:
    """Return request fields with the codings that the origin is offered whatever the client takes."""
    return fields.replacing(b"accept-encoding", OFFERED)


def _made(
    request: Request, response: Response, length: int | None, rules: CompressionRules, *, is_first_hand: bool
) -> bytes | AsItIs:
    """Return the coding that is made for a client of a content without one, or why none is."""
    if response.status != 200:
        return AsItIs(NotCoded.STATUS)
    if (reason := _refusal(response.fields, length, rules)) is not None:
        return AsItIs(reason)
    if is_first_hand and _has_credentials(request, rules) and b"public" not in _directives(response.fields):
        return AsItIs(NotCoded.CREDENTIALS, varies=True)
    if b"no-transform" in request_directives(request.fields):
        # RFC 9111 §5.2.1.6.
        return AsItIs(NotCoded.NO_TRANSFORM, varies=True)
    best = _best(request.fields, rules.codings)
    return AsItIs(NotCoded.NOT_WANTED, varies=True) if best == IDENTITY else best


def _refusal(fields: FieldSection, length: int | None, rules: CompressionRules) -> NotCoded | None:
    """Return why a content is coded for nobody."""
    if not rules.codings or (length is not None and length < rules.min_size):
        return NotCoded.SMALL
    if not _is_of(_media_type(fields), rules.types):
        return NotCoded.MEDIA_TYPE
    directives = _directives(fields)
    if b"no-transform" in directives:
        return NotCoded.NO_TRANSFORM
    if b"private" in directives:
        return NotCoded.PRIVATE
    return NotCoded.SET_COOKIE if b"set-cookie" in fields else None


def _media_type(fields: FieldSection) -> str:
    return (fields.get(b"content-type") or b"").partition(b";")[0].strip().lower().decode("latin-1")


def _varies(fields: FieldSection) -> bool:
    names = nominated_names(fields)
    return names is None or b"accept-encoding" in names


def _directives(fields: FieldSection) -> frozenset[bytes]:
    # RFC 9110 §7.7 is about every recipient, so that no targeted field takes its place.
    return frozenset(parse_directives(fields.values(b"cache-control")).arguments)


def _has_credentials(request: Request, rules: CompressionRules) -> bool:
    fields = request.fields
    return b"authorization" in fields or (b"cookie" in fields and not rules.strip_cookies)


def _best(fields: FieldSection, codings: tuple[bytes, ...]) -> bytes:
    values = fields.values(b"accept-encoding")
    if not values or b"accept-encoding" in connection_options(fields):
        return IDENTITY
    if sum(map(len, values)) > _LONGEST_REMEMBERED:
        return best_coding(fields, codings) or IDENTITY
    return _remembered_best(tuple(values), codings)


# Browsers send a handful of different values.
@lru_cache(maxsize=256)
def _remembered_best(values: tuple[bytes, ...], codings: tuple[bytes, ...]) -> bytes:
    fields = FieldSection((b"accept-encoding", value) for value in values)
    return best_coding(fields, codings) or IDENTITY


@lru_cache(maxsize=1024)
def _is_of(media_type: str, types: tuple[str, ...]) -> bool:
    if media_type == _EVENTS:
        return False
    group, suffix = media_type.partition("/")[0] + "/*", "*+" + media_type.rpartition("+")[2]
    return any(each in {media_type, group, suffix} for each in types)
