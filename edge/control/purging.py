"""Purges as the admin plane takes them, and what it says of them."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from edge.clock import Clock
from edge.control import census
from edge.control.endpoint import audit
from edge.control.inquiries import MOST_LEADERS
from edge.control.problems import Fault
from edge.errors import ParseError, PurgeNotWritten, StoreError
from edge.policy import purging_targets
from edge.policy.purging import EVERYTHING, Kind, Mode, Purge, Selector
from edge.policy.purging_targets import PolicyOf
from edge.purges.node import NodePurges
from edge.supervisor.faults import Unanswered

#: So many names in one request, each of so many characters.
MOST, LONGEST = 1000, 8192
Names = Annotated[list[Annotated[str, msgspec.Meta(max_length=LONGEST)]], msgspec.Meta(max_length=MOST)]


class PurgeRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What to purge, and how: soft makes it stale, hard as if it were not there.

    So many as `rewarm` of the URLs with the most hits that it hits are fetched anew by a preload job.
    """

    urls: Names = msgspec.field(default_factory=list)
    prefixes: Names = msgspec.field(default_factory=list)
    hosts: Names = msgspec.field(default_factory=list)
    tags: Names = msgspec.field(default_factory=list)
    everything: bool = False
    mode: Mode = Mode.SOFT
    dry_run: bool = False
    rewarm: Annotated[int, msgspec.Meta(ge=0, le=MOST_LEADERS)] = 0


class Named(msgspec.Struct, frozen=True):
    """What was purged, as it is compared with what is stored."""

    kind: Kind
    value: str


class Receipt(msgspec.Struct, frozen=True):
    """A purge that is in force: no later request is answered by what it hit, unless stale where that is allowed.

    `preload` is the id of the job that fetches anew, if there is one.
    """

    id: int
    time: str
    mode: Mode
    selectors: list[Named]
    node: str
    effect: Literal["absent", "stale"]
    preload: str = ""


class DryRun(msgspec.Struct, frozen=True):
    """What a purge would hit; nothing was purged."""

    selectors: list[Named]
    count: int
    samples: list[str]
    is_complete: bool
    dry_run: Literal[True] = True


class Purging:
    """The purges of one node, for those who may."""

    def __init__(
        self,
        purges: NodePurges,
        policy_of: PolicyOf,
        *,
        clock: Clock,
        node: str,
        stores: Sequence[Path],
        flush: Callable[[], Awaitable[None]],
        count: Callable[[str], None],
        tell: Callable[[str, str], None] = lambda _kind, _about: None,
    ) -> None:
        """Purge with `purges`.

        Args:
            purges: of the node.
            policy_of: how the sites make keys.
            clock: when a purge is asked for.
            node: the name of the node.
            stores: the directories that a dry run looks into.
            flush: sees to it that what is stored is in them.
            count: counts events.
            tell: told of each purge.
        """
        self._purges = purges
        self._policy_of = policy_of
        self._clock = clock
        self._node = node
        self._stores = stores
        self._flush = flush
        self._count = count
        self._tell = tell

    def selectors(self, request: PurgeRequest) -> tuple[list[Selector], list[Fault]]:
        """Return what is to be purged, and what of that is not understood."""
        selectors, faults = [EVERYTHING] if request.everything else [], []
        makers: tuple[tuple[str, list[str], Callable[[str], Selector]], ...] = (
            ("urls", request.urls, lambda text: purging_targets.url(text, self._policy_of)),
            ("prefixes", request.prefixes, lambda text: purging_targets.prefix(text, self._policy_of)),
            ("hosts", request.hosts, lambda text: purging_targets.host(text, self._policy_of)),
            ("tags", request.tags, purging_targets.tag),
        )
        for member, texts, make in makers:
            for index, text in enumerate(texts):
                try:
                    selectors.append(make(text))
                except ParseError as error:
                    faults.append(Fault(f"/{member}/{index}", f"{error}."))
        if len(selectors) + len(faults) > MOST:
            faults.append(Fault("", f"More than {MOST} names; send several requests."))
        if request.everything and len(selectors) + len(faults) > 1:
            faults.append(Fault("/everything", "It leaves nothing to name beside it."))
        if not selectors and not faults:
            faults.append(Fault("", "Nothing is named that could be purged."))
        return list(dict.fromkeys(selectors)), faults

    async def purge(self, mode: Mode, selectors: Sequence[Selector], *, by: str, at: str | None) -> Receipt:
        """Purge for `by`, who is `at` an address, and return the receipt; PurgeNotWritten: it did not happen."""
        purge = await self._purges.purge(mode, tuple(selectors), self._clock.now())
        self._count(f"purge-{mode}")
        receipt = self.receipt(purge)
        named = json.dumps([f"{one.kind}:{one.value}" for one in receipt.selectors])
        self._tell("purge", f"{mode} purge {purge.id} by {by} of {named}")
        audit.info("purge %d %s by %s from %s: %s", purge.id, mode, by, at, named)
        return receipt

    async def answer(self, asked: PurgeRequest, *, by: str, at: str) -> Receipt | DryRun:
        """Do what is asked; Unanswered, with what is wrong, when nothing was purged."""
        selectors, faults = self.selectors(asked)
        if faults:
            raise Unanswered(" ".join(f"{fault.pointer}: {fault.detail}".removeprefix(": ") for fault in faults))
        try:
            if asked.dry_run:
                return await self.dry_run(selectors)
            return await self.purge(asked.mode, selectors, by=by, at=at)
        except (PurgeNotWritten, StoreError) as error:
            raise Unanswered(f"nothing was purged: {error}") from error

    async def dry_run(self, selectors: Sequence[Selector]) -> DryRun:
        """Return what a purge would hit; StoreError if that cannot be found out."""
        await self._flush()
        self._purges.current()  # cache groups are purged by workers
        found = await asyncio.to_thread(census.take, self._stores, self._purges, selectors)
        return DryRun([_named(selector) for selector in selectors], found.count, found.samples, found.is_complete)

    async def purges(self) -> list[Receipt]:
        """Return the purges that are in force, by id; StoreError if the log cannot be read."""
        return [self.receipt(purge) for purge in await asyncio.to_thread(self._purges.log.everything)]

    def receipt(self, purge: Purge) -> Receipt:
        """Return what is said of a purge."""
        when = datetime.fromtimestamp(purge.time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        effect: Literal["absent", "stale"] = "absent" if purge.mode is Mode.HARD else "stale"
        return Receipt(purge.id, when, purge.mode, [_named(one) for one in purge.selectors], self._node, effect)


def _named(selector: Selector) -> Named:
    kind, value = selector
    return Named(kind, census.shown(value) if kind is Kind.URL else value.decode("ascii", "backslashreplace"))
