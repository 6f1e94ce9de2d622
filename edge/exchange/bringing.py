"""Bringing stretches of a representation in: asking for each, making sure that it is of the same one, storing it."""

from dataclasses import replace

from edge.caching import partial, validation, vary
from edge.caching.stored import StoredResponse
from edge.errors import EdgeError, StoreError, UpstreamChanged, UpstreamClosed, UpstreamError, UpstreamProtocolError
from edge.exchange.asking import Asking
from edge.exchange.assembly import Assembly
from edge.exchange.context import Context
from edge.exchange.fence import Fence
from edge.exchange.filling import Filling
from edge.exchange.forward import Forwarded, forwarded_fields
from edge.exchange.purged import is_unpurged, lookup
from edge.exchange.stretch import Stretch
from edge.ports import Writer

# Of all representations together, so many stretches are in memory before only those are fetched that clients wait for.
_ROOM = 64


class Bringing:
    """The way of stretches from the origin into assemblies and into the store."""

    def __init__(self, context: Context, asking: Asking, filling: Filling, fence: Fence) -> None:
        self._context = context
        self._asking = asking
        self._filling = filling
        self._fence = fence
        self._under_way = 0

    @property
    def has_room(self) -> bool:
        """Whether so little is on its way that more may be brought in than somebody waits for."""
        return self._under_way < _ROOM

    async def bring(self, assembly: Assembly, stretch: Stretch) -> None:
        """Bring `stretch` in, to its end or its error."""
        self._under_way += 1
        try:
            if stretch.forwarded is not None:
                # Its writer is open, and the generation that it makes is the one to be extended by the others.
                async with assembly.storing:
                    await self._receive(assembly, stretch, stretch.forwarded)
                    await self._keep(assembly, stretch, stretch.forwarded)
            else:
                forwarded = await self._ask(assembly, stretch)
                await self._receive(assembly, stretch, forwarded)
                async with assembly.storing:
                    await self._keep(assembly, stretch, forwarded)
        except EdgeError as error:
            stretch.error = error
        finally:
            self._under_way -= 1

    async def _ask(self, assembly: Assembly, stretch: Stretch) -> Forwarded:
        """Ask for `stretch`; UpstreamError unless the answer is just that, of the same representation."""
        asker = assembly.asker
        etag = assembly.stored.fields.get(b"etag") or b""
        fields = forwarded_fields(asker).without(*validation.PRECONDITIONS, b"range")
        fields = fields.with_lines((b"range", b"bytes=%d-%d" % (stretch.start, stretch.end - 1)), (b"if-range", etag))
        self._context.telemetry.count("range-fetch")
        forwarded = await self._asking.forward(asker, fields)
        try:
            _check(assembly, stretch, forwarded)
        except UpstreamError as error:
            forwarded.upstream.close()
            if isinstance(error, UpstreamChanged):
                assembly.fail(error)
                await self._context.store.remove(assembly.stored.key, assembly.stored.generation)
            raise
        stretch.forwarded = forwarded
        assembly.stored = self._filling.freshened(asker, assembly.stored, forwarded)
        if not self._asking.may_keep(asker, forwarded, assembly.stored):
            assembly.is_kept = False
        assembly.wake()
        return forwarded

    @staticmethod
    async def _receive(assembly: Assembly, stretch: Stretch, forwarded: Forwarded) -> None:
        forwarded.upstream.hasten()
        while data := await forwarded.upstream.read():
            stretch.add(data)
            assembly.wake()
        if not stretch.is_whole:
            raise UpstreamClosed("less content than announced")

    async def _keep(self, assembly: Assembly, stretch: Stretch, forwarded: Forwarded) -> None:
        """Store `stretch` if that may still be; a store that refuses it costs nobody anything but memory."""
        if not self._may_keep(assembly, forwarded):
            return
        try:
            stored = await self._store(assembly, stretch)
        except StoreError as error:
            self._context.telemetry.count(error.detail)
            assembly.is_refused = True
            return
        if not self._may_keep(assembly, forwarded):
            await self._context.store.remove(stored.key, stored.generation)
            return
        assembly.stored = stored
        assembly.is_refused = False
        stretch.is_stored = stored.holds(stretch.start, stretch.end)

    def _may_keep(self, assembly: Assembly, forwarded: Forwarded) -> bool:
        stored = assembly.stored
        is_let_through = self._fence.lets_through(stored.key, forwarded.mark) and is_unpurged(
            self._context.purges, stored
        )
        return assembly.is_kept and assembly.takes_readers and is_let_through

    async def _store(self, assembly: Assembly, stretch: Stretch) -> StoredResponse:
        """Add `stretch` to what is stored of its representation, and return the head of that."""
        ours = assembly.stored
        theirs = vary.select(assembly.asker.selecting, await lookup(self._context, ours.key))
        base = theirs if theirs is not None and partial.is_same(ours, theirs) else None
        if base is not None and base.is_complete:
            return base
        if base is None and theirs is not None and _is_newer(theirs, ours):
            return replace(ours, ranges=())
        newest = base if base is not None and base.response_time > ours.response_time else ours
        writer = await self._writer(stretch, base, ours.key)
        await writer.write(stretch.content)
        held, epoch = ((), ours.epoch) if base is None else (base.ranges, min(ours.epoch, base.epoch))
        ranges = partial.merged(held, (stretch.start, stretch.end))
        head = replace(newest, generation=writer.generation, ranges=ranges, epoch=epoch, purged_at=None)
        await writer.commit(head)
        return head

    async def _writer(self, stretch: Stretch, base: StoredResponse | None, key: bytes) -> Writer:
        writer = stretch.writer
        if writer is not None and (base is None or base.generation == writer.generation):
            return writer
        if writer is not None:
            writer.abort()
        length = stretch.end - stretch.start
        stretch.writer = await self._context.store.writer(key, length=length, extends=base, start=stretch.start)
        return stretch.writer


def _check(assembly: Assembly, stretch: Stretch, forwarded: Forwarded) -> None:
    """Raise an UpstreamError unless the answer is `stretch`, of the representation that is being assembled."""
    head, stored = forwarded.head, assembly.stored
    if head.status not in {200, 206, 416}:
        raise UpstreamError(f"status {head.status} in answer to a part")
    if head.status == 416 or not partial.may_combine(stored, head):
        raise UpstreamChanged("the representation is not what it was")
    part = partial.described(head, forwarded.upstream.content_length, trust_framing=False)
    if head.status == 200 or part is None or (part.start, part.end) != (stretch.start, stretch.end):
        raise UpstreamProtocolError("not the part that was asked for")


def _is_newer(theirs: StoredResponse, ours: StoredResponse) -> bool:
    """Return whether `theirs` came in since `ours` was asked for."""
    return (theirs.response_time, theirs.is_complete) > (ours.request_time, False)
