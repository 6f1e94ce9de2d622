"""Making other codings of what the origin sent: while it comes in, on demand, and again, smaller, of what is hot.

What is made is a fill like any other, read from a coder instead of the origin, so that many may follow it while it is
made, each at its own pace.  It is stored once its source is, as `caching.derived` describes.
"""

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

from edge.caching import derived
from edge.caching.coding import IDENTITY, CompressionRules, Turned
from edge.caching.stored import StoredResponse
from edge.errors import StoreError
from edge.exchange.fill import Fill, FillReader
from edge.policy.learned import remember
from edge.ports import Closable, Codecs, Incoming, Store, Telemetry
from edge.tasks import spawn

#: How much is put into a content: what can be done while a client waits, or all there is.
FAST, CLOSE = b"fast", b"close"
# Content of more octets is not made twice: nobody can tell how long it would take.
_REMADE = 4 << 20
# So many contents are remembered as not worth it, or with their uses.
_REMEMBERED = 10_000
# Of what is stored, so many are decoded at a time for those who could read no other: a decoder may take 16 MiB.  The disk
# takes what they make, whatever their clients do, so that a turn comes soon; after so many seconds nobody waits for it.
_DECODED_AT_ONCE, _PATIENCE = 8, 5.0


@dataclass(frozen=True, slots=True)
class Material:
    """What a content is made of.

    Attributes:
        stored: its head.
        open: returns it whole.
        length: returns its length, once it is over.
        over: waits until nothing more of it comes.
        is_stored: whether all of it is there.
    """

    stored: StoredResponse
    open: Callable[[], Closable]
    length: Callable[[], int]
    over: Callable[[], Awaitable[None]]
    is_stored: bool


class Making:
    """The contents that are being made."""

    def __init__(self, store: Store, codecs: Codecs, telemetry: Telemetry) -> None:
        self._store, self._codecs, self._telemetry = store, codecs, telemetry
        self._fills: dict[tuple[bytes, bytes, bytes], Fill] = {}
        self._useless = OrderedDict[tuple[bytes, bytes, bytes], None]()
        self._uses = OrderedDict[bytes, int]()
        self._turns, self._in_turn = asyncio.Semaphore(_DECODED_AT_ONCE), set[Fill]()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._fills)

    def find(self, stored: StoredResponse, coding: bytes) -> Fill | None:
        """Return the content of `stored` in `coding` that is being made."""
        fill = self._fills.get((stored.generation, coding, FAST))
        return fill if fill is not None and fill.takes_followers else None

    def is_useless(self, stored: StoredResponse, coding: bytes) -> bool:
        """Return whether the content of `stored` was not made smaller by `coding`."""
        return (stored.generation, coding, FAST) in self._useless

    def turn(self, content: Closable, form: Turned, rules: CompressionRules) -> Incoming:
        """Return a content in the form for one reader, and keep nothing of it."""
        self._telemetry.count("turned-for-one")
        return self._turned(content, form, rules, FAST)

    def _turned(self, content: Closable, form: Turned, rules: CompressionRules, effort: bytes) -> Incoming:
        source = content
        if form.of != IDENTITY:
            source = self._codecs.decoded(content, form.of, rules.max_decoded)
            if form.to == IDENTITY:
                return source
        return self._codecs.coded(
            source,
            form.to,
            small=effort == CLOSE,
            is_dry=lambda: isinstance(content, FillReader) and content.is_dry,
        )

    async def begin_in_turn(self, material: Material, form: Turned, rules: CompressionRules) -> Fill | None:
        """Begin to make what a client cannot do without of what is stored, or find it; None as `begin`, or if its turn is late."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._turns.acquire()
        except TimeoutError:
            return self.find(material.stored, form.to)
        with ExitStack() as over:
            over.callback(self._turns.release)
            fill = self.find(material.stored, form.to) or await self.begin(material, form, rules)
            if fill is not None and fill not in self._in_turn:
                self._in_turn.add(fill)
                over.callback(self._in_turn.discard, fill)
                fill.call_when_over(over.pop_all().close)
            return fill

    async def begin(
        self,
        material: Material,
        form: Turned,
        rules: CompressionRules,
        *,
        effort: bytes = FAST,
        is_kept: bool = False,
        most: int = sys.maxsize,
    ) -> Fill | None:
        """Begin to make a content, which `is_kept` lets go on without any reader.

        None if the store takes nothing, or if as many as `most` are being made.
        """
        if len(self) >= most:
            return None
        source = material.stored
        coding = form.to
        name = (source.generation, coding, effort)
        with ExitStack() as unless_taken:
            # Opened before anything is waited for: a fill without a reader may be given up.
            made = self._turned(material.open(), form, rules, effort)
            unless_taken.callback(made.close)
            try:
                writer = await self._store.writer(source.key, length=None)
            except StoreError as error:
                self._telemetry.count(error.detail)
                return None
            if name in self._fills or len(self) >= most:
                # Another one was faster; if it has failed, so would this one.
                writer.abort()
                return self.find(source, coding)
            unless_taken.pop_all()
        draft = derived.derive(source, coding, writer.generation, effort=effort)

        async def commit(end: int) -> bool:
            await material.over()
            self._telemetry.coded(coding, material.length(), end)
            candidates = await self._store.lookup(source.key)
            if all(each.generation != source.generation for each in candidates):
                return False
            earlier = derived.find(candidates, source, coding)
            # Something has to be won by it that is worth its place.
            limit = material.length() * 19 // 20 if earlier is None else (earlier.complete_length or 0) - 1
            if end > limit and not (form.is_needed and earlier is None):
                remember(self._useless, name, None, _REMEMBERED)
                return False
            await writer.commit(replace(draft, complete_length=end, ranges=((0, end),) if end else ()))
            return True

        self._fills[name] = fill = Fill(writer, draft, start=0, end=None, is_kept=is_kept)
        fill.begin(made, commit)
        fill.call_when_over(lambda: self._over(name))
        return fill

    def used(self, material: Material, form: Turned, made: StoredResponse, rules: CompressionRules) -> None:
        """Note that the content `made` was used, and make it again, smaller, if that was often enough."""
        name = (material.stored.generation, form.to, CLOSE)
        uses = self._uses.get(made.generation, 0) + 1
        remember(self._uses, made.generation, uses, _REMEMBERED)
        if (
            form.to != IDENTITY
            and 0 < rules.hot <= uses
            and derived.effort(made) == FAST
            and material.length() <= _REMADE
            and name not in self._useless
            # One at a time: it takes seconds of a CPU.
            and not any(effort == CLOSE for *_, effort in self._fills)
        ):
            self.make(material, form, rules, effort=CLOSE)

    def make(self, material: Material, form: Turned, rules: CompressionRules, *, effort: bytes = FAST) -> None:
        """Make a content that nobody waits for."""

        async def make() -> None:
            await self.begin(material, form, rules, effort=effort, is_kept=True)

        _ = spawn(make(), name="make")

    def _over(self, name: tuple[bytes, bytes, bytes]) -> None:
        fill = self._fills.pop(name)
        if fill.store_error is not None:
            self._telemetry.count(fill.store_error.detail)


def stored_material(store: Store, stored: StoredResponse) -> Material:
    """Return the content of a stored response as what another is made of."""
    length = stored.complete_length or 0

    async def nothing() -> None:
        """Wait for nothing: it is stored."""

    return Material(stored, lambda: store.open(stored, 0, length), lambda: length, nothing, is_stored=True)


def filled_material(fill: Fill, stored: StoredResponse) -> Material:
    """Return the content that `fill` brings in as what another is made of."""

    async def over() -> None:
        is_over = asyncio.Event()
        fill.call_when_over(is_over.set)
        await is_over.wait()

    return Material(stored, lambda: fill.open(0, None), lambda: fill.produced, over, is_stored=False)
