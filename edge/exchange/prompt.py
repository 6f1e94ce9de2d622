"""Prompt hits: what a plain request gets of a stored response that can be read without waiting, from the disk or memory.

What follows from the fields that decide is worked out once for all stored responses with the same ones, by the functions
of the full path; the rest are the dates of one response, and its content.  Whatever is not simple is left to that path.
"""

from collections.abc import Callable, Sequence

from edge.caching.freshness import current_age, freshness
from edge.caching.status import CacheStatus
from edge.caching.stored import StoredResponse
from edge.caching.vary import normalised
from edge.errors import DownstreamClosed
from edge.exchange.context import Context
from edge.exchange.exchange import Exchange, with_own_fields
from edge.exchange.prepared import TRACE, PreparedAnswers
from edge.exchange.purged import is_unpurged
from edge.exchange.shapes import DATELESS, places
from edge.exchange.site import Site
from edge.ports import PromptResponder, Record, Second
from edge.semantics.fields import FieldSection, Line
from edge.semantics.messages import Request, Response
from edge.semantics.target import Target

# So many shapes are remembered.
_SHAPES = 2048


class StoredShape:
    """Stored responses of one site that are shown to clients alike.

    Attributes:
        is_reusable: whether they are while they are fresh.
    """

    __slots__ = ("_lifetime", "_node", "_own", "_said", "_shown", "_site", "is_reusable")

    def __init__(self, site: Site, scheme: bytes, node: bytes, stored: StoredResponse) -> None:
        facts = freshness(stored.status, stored.fields, stored.response_time, site.freshness)
        self._site, self._node = site, node
        self.is_reusable = not facts.directives.unqualified(b"no-cache")
        self._lifetime = facts.lifetime if facts.source in DATELESS else None
        aged = stored.fields.replacing(b"age", b"")
        shown = with_own_fields(aged, site, scheme, node, b"", "HIT")
        self._shown = places(shown, stored.fields)
        self._own = shown.lines[len(self._shown) :]
        self._said: tuple[Second | None, bytes, tuple[Line, ...]] = None, b"", ()

    def lifetime(self, stored: StoredResponse) -> int:
        """Return how long one of them is fresh, in seconds."""
        if self._lifetime is not None:
            return self._lifetime
        return freshness(stored.status, stored.fields, stored.response_time, self._site.freshness).lifetime

    def shown(self, stored: StoredResponse, second: Second) -> Response:
        """Return one of them as a client gets it in a second of its age."""
        lines = stored.fields.lines
        return Response(
            stored.status,
            FieldSection([*[lines[place] for place in self._shown], *self._saying(second)[2]]),
            stored.reason,
        )

    def cache_status(self, second: Second) -> bytes:
        """Return the Cache-Status member of such an answer."""
        return self._saying(second)[1]

    def _saying(self, second: Second) -> tuple[Second | None, bytes, tuple[Line, ...]]:
        if self._said[0] != second:
            status = CacheStatus(None, ttl=second[1]).encoded(self._node)
            said = {b"age": b"%d" % second[0], b"cache-status": status}
            self._said = second, status, tuple((name, said.get(name, value)) for name, value in self._own)
        return self._said


class PromptHits:
    """Answers from the store without a task."""

    def __init__(self, context: Context, prepared: PreparedAnswers, ended: Callable[[Record], None]) -> None:
        """Answer from the store; `ended` is told of each exchange, and what is in memory becomes a ready answer."""
        self._context, self._prepared, self._ended = context, prepared, ended
        self._shapes: dict[tuple[object, ...], StoredShape] = {}

    def answer(
        self,
        request: Request,
        responder: PromptResponder,
        client: str,
        site: Site,
        target: Target,
        key: bytes,
        found: Sequence[StoredResponse],
        epoch: int,
    ) -> bool:
        """Answer a plain GET request for `key`, for which `found` is stored at `epoch`; return whether that could be done."""
        context = self._context
        now = context.clock.now()
        stored = _selected(request, found)
        if stored is None or not stored.is_complete:
            return False
        for each in found:
            if each.epoch != epoch and not is_unpurged(context.purges, each):
                return False
        shape = self._shape(site, target.scheme, stored)
        age, lifetime = current_age(stored, now), shape.lifetime(stored)
        if age >= lifetime or not shape.is_reusable:
            return False
        content = context.store.read_nowait(stored)
        if content is None:
            return False
        second = int(age), int(lifetime - age)
        status, sent, is_complete = stored.status, len(content), True
        trace: tuple[str, ...] = TRACE
        try:
            responder.answer(shape.shown(stored, second), content)
        except DownstreamClosed as gone:
            status, sent, is_complete = 499, 0, False
            trace = (*trace, gone.detail)
        said = shape.cache_status(second)
        record = Record(
            request, status, trace, said, "HIT", "", client, site.name, sent, now, 0.0, 0.0, None, None, is_complete
        )  # fmt: skip
        self._ended(record)
        if is_complete and context.store.at_hand(stored) is not None:
            ex = Exchange(
                request, None, responder, client=client, node=context.node, site=site, target=target, now=now
            )  # fmt: skip
            ex.key, ex.epoch, ex.is_complete = key, epoch, True
            self._prepared.install(ex, stored, found)
        return True

    def _shape(self, site: Site, scheme: bytes, stored: StoredResponse) -> StoredShape:
        lines, deciding = stored.fields.lines, site.deciding
        name = (
            id(site),
            scheme,
            stored.status,
            tuple([line[0] for line in lines]),
            tuple([line[1] for line in lines if line[0] in deciding]),
        )
        shape = self._shapes.get(name)
        if shape is None:
            shape = StoredShape(site, scheme, self._context.node, stored)
            if len(self._shapes) >= _SHAPES:
                # Begun anew rather than kept in order: what is frequent is back at once.
                self._shapes.clear()
            self._shapes[name] = shape
        return shape


def _selected(request: Request, found: Sequence[StoredResponse]) -> StoredResponse | None:
    """Return the one of `found` that the nominated fields select, None unless they select exactly one."""
    if len(found) == 1 and not found[0].nominated:
        return found[0]
    matching = [
        stored for stored in found if all(normalised(name, request.fields) == value for name, value in stored.nominated)
    ]
    return matching[0] if len(matching) == 1 else None
