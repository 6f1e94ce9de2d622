"""What is published on the node: answered before the store is asked, in the full path and ready.

This node is its origin, so there is no Age; a version that becomes active is a new purge epoch to everybody.
"""

from collections.abc import Collection

from edge.caching.reuse import Detail
from edge.caching.status import CacheStatus
from edge.caching.stored import StoredResponse
from edge.errors import StoreError
from edge.exchange.deliver import Body, deliver
from edge.exchange.exchange import Exchange, with_own_fields
from edge.exchange.plan import plan
from edge.exchange.site import Site
from edge.ports import Closable, Piece, Published, Purges, Record, Second
from edge.semantics.messages import Request, Response

# So many ready answers are kept.
_MOST = 8192
_TRACE = ("published", "deliver")


class NothingPublished:
    """The port `Published` of a node to which nothing is pushed."""

    sites: Collection[str] = ()

    def covers(self, _site: str, _path: bytes) -> bool:
        """Return False."""
        return False

    def find(self, _site: str, _request: Request) -> StoredResponse | None:
        """Return None."""
        return None

    def at_hand(self, _stored: StoredResponse) -> bytes | None:
        """Return None."""
        return None

    def open(self, _stored: StoredResponse, _start: int, _end: int) -> Closable:
        """Raise StoreError."""
        raise StoreError("nothing is published")


async def serve_published(published: Published, ex: Exchange, now: float) -> bool:
    """Answer with what is published, if something is and can be read; return whether it was."""
    stored = published.find(ex.site.name, ex.request) if ex.site.name in published.sites else None
    if stored is None:
        return False
    length = stored.complete_length
    body = Body(
        lambda start, end: published.open(stored, start, (length or 0) if end is None else end),
        length,
        is_at_hand=bool(length),
    )
    ex.did("published")
    ex.outcome, ex.detail = "HIT", Detail.PUBLISHED.value
    try:
        await deliver(ex, stored, plan(ex.request, stored, length, now), body, age=None, now=now)
    except StoreError as error:
        if ex.status:
            raise
        # The origin may have it still.
        ex.did(error.detail)
        ex.outcome, ex.detail = "-", ""
        return False
    return True


class ReadyPublished:
    """The ready answer of published content, for as long as nothing is published or purged."""

    __slots__ = ("_epoch", "_node", "_published", "_scheme", "_shared", "_site", "_stored", "body", "length")

    def __init__(
        self, published: Published, purges: Purges, node: bytes, site: Site, scheme: bytes, stored: StoredResponse,
        body: bytes,
    ) -> None:  # fmt: skip
        self._published, self._node, self._site, self._scheme = published, node, site, scheme
        self._shared, self._epoch = purges.shared, purges.current()
        self._stored, self.length = stored, len(body)
        self.body: bytes | None = body

    def keeps(self) -> bool:
        """Return whether it is in memory still."""
        return self._published.at_hand(self._stored) is self.body

    def read(self) -> Piece | None:
        """Return the content, which is always at hand."""
        return self.body

    def second(self, _now: float) -> Second | None:
        """Return always the same, None when something was published or purged."""
        return (0, 0) if self._shared.epoch == self._epoch else None

    def head(self, _second: Second) -> Response:
        """Return the head as the full path makes it."""
        stored = self._stored
        own = with_own_fields(stored.fields, self._site, self._scheme, self._node, _status(self._node), "HIT")
        return Response(stored.status, own, stored.reason)

    def record(self, request: Request, client: str, now: float) -> Record:
        """Return what telemetry is told of one exchange."""
        return Record(
            request, self._stored.status, _TRACE, _status(self._node), "HIT", Detail.PUBLISHED.value, client,
            self._site.name, self.length, now, 0.0, 0.0, None, None, complete=True,
        )  # fmt: skip


class PublishedAnswers:
    """The ready answers of published content."""

    def __init__(self, published: Published, purges: Purges, node: bytes) -> None:
        self._published, self._purges, self._node = published, purges, node
        self._ready: dict[tuple[str, bytes, bytes, bytes], ReadyPublished] = {}

    def find(self, request: Request, site: Site) -> ReadyPublished | None:
        """Return the ready answer to a plain request, None when the full path must answer."""
        self._purges.current()
        scheme = request.target.scheme
        if site.https_port is not None and scheme == b"http":
            return None
        stored = self._published.find(site.name, request)
        body = None if stored is None else self._published.at_hand(stored)
        if stored is None or body is None:
            return None
        name = site.name, scheme, request.target.path, stored.key
        ready = self._ready.get(name)
        if ready is None or ready.body is not body or ready.second(0.0) is None:
            if len(self._ready) >= _MOST:
                self._ready.clear()
            ready = self._ready[name] = ReadyPublished(
                self._published, self._purges, self._node, site, scheme, stored, body
            )  # fmt: skip
        return ready


def _status(node: bytes) -> bytes:
    return CacheStatus(None, detail=Detail.PUBLISHED.value).encoded(node)
