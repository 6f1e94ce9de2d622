"""What is to be sent for a representation: status, fields and pieces of content, decided without sending anything."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Protocol, assert_never

from origin.conditional import Fields, Validators, Verdict, evaluate, format_date, range_applies
from origin.negotiation import content_coding
from origin.pattern import pattern
from origin.ranges import Range, content_range, multipart, parse_range

#: Shorter content is not worth a content coding.
SMALLEST_ENCODED = 1024
PIECE_SIZE = 64 * 1024
#: RFC 9110 §6.4.1: answers with these statuses end with their head.
WITHOUT_CONTENT = {204, 205, 304}

_COMPRESSIBLE = {
    "application/json",
    "application/manifest+json",
    "application/xml",
    "application/wasm",
    "image/svg+xml",
}


class Content(Protocol):
    """Octets that can be read from any offset."""

    @property
    def length(self) -> int:
        """How many there are."""
        ...

    def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the octets [start, end); EOFError when they are no longer there."""
        ...


@dataclass(frozen=True, slots=True)
class Literal:
    """Content held in memory."""

    data: bytes

    @property
    def length(self) -> int:  # noqa: D102 - the protocol documents it
        return len(self.data)

    async def read(self, start: int, end: int) -> AsyncIterator[bytes]:  # noqa: D102 - the protocol documents it
        yield self.data[start:end]


@dataclass(frozen=True, slots=True)
class Generated:
    """Content made by `pattern`."""

    length: int
    seed: bytes

    async def read(self, start: int, end: int) -> AsyncIterator[bytes]:  # noqa: D102 - the protocol documents it
        for offset in range(start, end, PIECE_SIZE):
            yield pattern(offset, min(end, offset + PIECE_SIZE), self.seed)


@dataclass(frozen=True, slots=True)
class Representation:
    """What a target stands for at present; `fields` are sent with 200, 206 and 304 alike."""

    content: Content
    content_type: str
    validators: Validators = field(default_factory=Validators)
    fields: tuple[tuple[str, str], ...] = ()
    status: int = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: its content is `pieces` in order, literal or ranges of `content`, in `coding` if any."""

    status: int
    fields: tuple[tuple[str, str], ...]
    content: Content
    pieces: tuple[bytes | Range, ...] = ()
    coding: str | None = None

    @property
    def length(self) -> int | None:
        """The length of the content in octets, None when a coding makes it unknown."""
        if self.coding is not None:
            return None
        return sum(len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in self.pieces)


def text(status: int, sentence: str = "", *fields: tuple[str, str]) -> Representation:
    """Return a short plain text about `status`."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unassigned"
    line = f"{status} {phrase}: {sentence}\n" if sentence else f"{status} {phrase}\n"
    return Representation(Literal(line.encode()), "text/plain; charset=utf-8", fields=fields, status=status)


def plan(method: str, fields: Fields, representation: Representation, *, now: float) -> Answer:
    """Return the answer to a GET or HEAD request with `fields` for `representation` (RFC 9110 §13.2)."""
    if representation.status != HTTPStatus.OK:
        return _whole(representation)
    selected, coding = _select(fields, representation)
    match evaluate(fields, selected.validators):
        case Verdict.PRECONDITION_FAILED:
            return _whole(text(412, "the representation is another one"))
        case Verdict.NOT_MODIFIED:
            return Answer(304, _metadata(selected), selected.content)
        case Verdict.PROCEED:
            pass
        case _ as never:
            assert_never(never)
    # RFC 9110 §14.2: only GET defines range handling.
    if method == "GET" and "Range" in fields and range_applies(fields, selected.validators, now=now):
        return _partial(fields["Range"], selected)
    return _whole(selected, coding)


def _select(fields: Fields, representation: Representation) -> tuple[Representation, str | None]:
    """Return the variant that the request's Accept-Encoding selects, with its own validators, and its coding."""
    essence = representation.content_type.partition(";")[0]
    worth_it = representation.content.length > SMALLEST_ENCODED
    if not worth_it or not (essence.startswith("text/") or essence in _COMPRESSIBLE or essence.endswith("+json")):
        return representation, None
    varied = replace(representation, fields=(*representation.fields, ("Vary", "Accept-Encoding")))
    # A range is asked of the octets as they lie on the disk.
    coding = content_coding(fields.get("Accept-Encoding")) if "Range" not in fields else None
    etag = varied.validators.etag
    if coding is None or etag is None:
        return varied, coding
    return replace(varied, validators=replace(varied.validators, etag=f'{etag[:-1]}-{coding}"')), coding


def _whole(representation: Representation, coding: str | None = None) -> Answer:
    content, status = representation.content, representation.status
    if status in WITHOUT_CONTENT:
        return Answer(status, _metadata(representation), content)
    extra: tuple[tuple[str, str], ...] = (("Content-Type", representation.content_type),)
    if coding is not None:
        extra += (("Content-Encoding", coding),)
    elif status == HTTPStatus.OK:
        extra += (("Accept-Ranges", "bytes"),)
    return Answer(status, _metadata(representation) + extra, content, ((0, content.length),), coding)


def _partial(value: str, representation: Representation) -> Answer:
    content, content_type = representation.content, representation.content_type
    length = content.length
    found = parse_range(value, length)
    if found is None:
        return _whole(representation)
    if not found:
        return _whole(text(416, f"there are {length} octets", ("Content-Range", f"bytes */{length}")))
    metadata = (*_metadata(representation), ("Accept-Ranges", "bytes"))
    if len(found) == 1:
        fields = (("Content-Type", content_type), ("Content-Range", content_range(found[0], length)))
        return Answer(206, metadata + fields, content, (found[0],))
    boundary = hashlib.blake2s(repr((representation.validators, found)).encode(), digest_size=12).hexdigest()
    pieces = multipart(found, length, content_type, boundary)
    multiple = ("Content-Type", f"multipart/byteranges; boundary={boundary}")
    return Answer(206, (*metadata, multiple), content, tuple(pieces))


def _metadata(representation: Representation) -> tuple[tuple[str, str], ...]:
    """Return the fields that a 304 carries as the 200 would (RFC 9110 §15.4.5)."""
    validators, fields = representation.validators, representation.fields
    if validators.etag is not None:
        fields += (("ETag", validators.etag),)
    if validators.last_modified is not None:
        fields += (("Last-Modified", format_date(validators.last_modified)),)
    return fields
