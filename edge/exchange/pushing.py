"""Pushed content: stored without being asked for, pinned, and fresh for as long as it is there."""

from edge.caching.derived import originals
from edge.caching.stored import StoredResponse
from edge.errors import ParseError
from edge.exchange.context import Context
from edge.exchange.fence import Fence
from edge.exchange.site import Sites
from edge.policy.key import apply_query, cache_key
from edge.ports import Source
from edge.semantics.dates import format_date
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request

#: The request field that has a field line of the pushed response, `name: value`; one for each.
PUSHED = b"foreland-pushed"
# For this cache alone: clients get what the pusher says.  RFC 9111 §1.2.2: the longest there is.
_FOR_EVER = (b"foreland-cache-control", b"max-age=2147483648")


class Pushing:
    """Stores what is pushed to this worker."""

    def __init__(self, sites: Sites, context: Context, fence: Fence) -> None:
        self._sites, self._context, self._fence = sites, context, fence

    async def push(self, request: Request, content: Source) -> None:
        """Store the content of `request` under its target, in place of all that is stored there, and for good.

        Raises:
            ParseError: its fields are not those of a response, or no site has the host.
            StoreFull: there is no room for it among what is pinned.
            StoreError: the store failed.
            DownstreamError: the content did not come whole.
        """
        site = self._sites.of(request.target)
        if site is None:
            raise ParseError("no site has this host")
        fields = _fields(request)
        key = cache_key(apply_query(request.target, site.key), site.key)
        store, length = self._context.store, request.content_length or 0
        writer = await store.writer(key, length=length, pinned=True)
        try:
            while piece := await content.read():
                await writer.write(piece)
            now, epoch = self._context.clock.now(), self._context.purges.current()
            stored = StoredResponse(
                key, writer.generation, b"GET", (), 200, b"OK", fields.with_lines((b"date", format_date(now)), _FOR_EVER),
                now, now, length, ((0, length),) if length else (), epoch, pinned=True,
            )  # fmt: skip
            # What was asked of the origin before now is older than this.
            self._fence.invalidate(key)
            await writer.commit(stored)
        finally:
            writer.abort()
        for each in await store.lookup(key):
            if each.generation != stored.generation:
                await store.remove(key, each.generation)
        # Whoever pushes does not ask again whether it is still there.
        await store.flush()

    async def holds(self, target_key: bytes, etag: bytes) -> bool:
        """Return whether the content with `etag` was pushed under a key, and is what a client gets."""
        found = originals(await self._context.store.lookup(target_key))
        return bool(found) and found[0].pinned and found[0].is_complete and found[0].fields.get(b"etag") == etag


def _fields(request: Request) -> FieldSection:
    lines = []
    for line in request.fields.values(PUSHED):
        name, colon, value = line.partition(b":")
        if not colon:
            raise ParseError("a pushed field has no name")
        lines.append((name, value.strip(b" \t")))
    return FieldSection.checked(lines)
