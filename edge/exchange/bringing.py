"""Bringing pieces of a representation in: asking for each, making sure that it is of the same one, storing it."""

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
from edge.exchange.piece import Piece
from edge.ports import Writer


class Bringing:
    """The way of pieces from the origin into assemblies and into the store."""

    def __init__(self, context: Context, asking: Asking, filling: Filling, fence: Fence) -> None:
        self._context = context
        self._asking = asking
        self._filling = filling
        self._fence = fence

    async def bring(self, assembly: Assembly, piece: Piece) -> None:
        """Bring `piece` in, to its end or its error."""
        try:
            if piece.forwarded is not None:
                # Its writer is open, and the generation that it makes is the one to be extended by the others.
                async with assembly.storing:
                    await self._receive(assembly, piece, piece.forwarded)
                    await self._keep(assembly, piece, piece.forwarded)
            else:
                forwarded = await self._ask(assembly, piece)
                await self._receive(assembly, piece, forwarded)
                async with assembly.storing:
                    await self._keep(assembly, piece, forwarded)
        except EdgeError as error:
            piece.error = error

    async def _ask(self, assembly: Assembly, piece: Piece) -> Forwarded:
        """Ask for `piece`; UpstreamError unless the answer is just that, of the same representation."""
        asker = assembly.asker
        etag = assembly.stored.fields.get(b"etag") or b""
        fields = forwarded_fields(asker).without(*validation.PRECONDITIONS, b"range")
        fields = fields.with_lines((b"range", b"bytes=%d-%d" % (piece.start, piece.end - 1)), (b"if-range", etag))
        piece.forwarded = forwarded = await self._asking.forward(asker, fields)
        try:
            _check(assembly, piece, forwarded)
        except UpstreamError as error:
            piece.close()
            piece.forwarded = None
            if isinstance(error, UpstreamChanged):
                assembly.fail(error)
                await self._context.store.remove(assembly.stored.key, assembly.stored.generation)
            raise
        assembly.stored = self._filling.freshened(asker, assembly.stored, forwarded)
        if not self._asking.may_keep(asker, forwarded, assembly.stored):
            assembly.is_kept = False
        assembly.wake()
        return forwarded

    @staticmethod
    async def _receive(assembly: Assembly, piece: Piece, forwarded: Forwarded) -> None:
        while data := await forwarded.upstream.read():
            piece.add(data)
            assembly.wake()
        if not piece.is_whole:
            raise UpstreamClosed("less content than announced")

    async def _keep(self, assembly: Assembly, piece: Piece, forwarded: Forwarded) -> None:
        """Store `piece` if that may still be; a store that refuses it costs nobody anything but memory."""
        if not self._may_keep(assembly, forwarded):
            return
        try:
            stored = await self._store(assembly, piece)
        except StoreError as error:
            self._context.telemetry.count(error.detail)
            assembly.is_refused = True
            return
        if not self._may_keep(assembly, forwarded):
            await self._context.store.remove(stored.key, stored.generation)
            return
        assembly.stored = stored
        assembly.is_refused = False
        piece.is_stored = stored.holds(piece.start, piece.end)

    def _may_keep(self, assembly: Assembly, forwarded: Forwarded) -> bool:
        is_let_through = self._fence.lets_through(assembly.stored.key, forwarded.mark)
        return assembly.is_kept and assembly.takes_readers and is_let_through

    async def _store(self, assembly: Assembly, piece: Piece) -> StoredResponse:
        """Add `piece` to what is stored of its representation, and return the head of that."""
        ours = assembly.stored
        theirs = vary.select(assembly.asker.request, await self._context.store.lookup(ours.key))
        base = theirs if theirs is not None and partial.is_same(ours, theirs) else None
        if base is not None and base.is_complete:
            return base
        if base is None and theirs is not None and _is_newer(theirs, ours):
            return replace(ours, ranges=())
        newest = base if base is not None and base.response_time > ours.response_time else ours
        writer = await self._writer(piece, base, ours.key)
        await writer.write(piece.content)
        held = () if base is None else base.ranges
        head = replace(newest, generation=writer.generation, ranges=partial.merged(held, (piece.start, piece.end)))
        await writer.commit(head)
        return head

    async def _writer(self, piece: Piece, base: StoredResponse | None, key: bytes) -> Writer:
        writer = piece.writer
        if writer is not None and (base is None or base.generation == writer.generation):
            return writer
        if writer is not None:
            writer.abort()
        length = piece.end - piece.start
        piece.writer = await self._context.store.writer(key, length=length, extends=base, start=piece.start)
        return piece.writer


def _check(assembly: Assembly, piece: Piece, forwarded: Forwarded) -> None:
    """Raise an UpstreamError unless the answer is `piece`, of the representation that is being assembled."""
    head, stored = forwarded.head, assembly.stored
    if head.status not in {200, 206, 416}:
        raise UpstreamError(f"status {head.status} in answer to a part")
    if head.status == 416 or not partial.may_combine(stored, head):
        raise UpstreamChanged("the representation is not what it was")
    part = partial.described(head, forwarded.upstream.content_length, trust_framing=False)
    if head.status == 200 or part is None or (part.start, part.end) != (piece.start, piece.end):
        raise UpstreamProtocolError("not the part that was asked for")


def _is_newer(theirs: StoredResponse, ours: StoredResponse) -> bool:
    """Return whether `theirs` came in since `ours` was asked for."""
    return (theirs.response_time, theirs.is_complete) > (ours.request_time, False)
