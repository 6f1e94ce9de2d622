"""A worker: one process that serves clients, as its supervisor tells it to.

Run as `python -m edge.worker FD PID`: its end of the channel to the supervisor, and the supervisor.  The first workers of a
node are forks of the supervisor instead.
"""

import asyncio
import faulthandler
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import uvloop

from edge import app
from edge.certificates import Certificates
from edge.clock import Clock, SystemClock
from edge.codecs.streams import NodeCodecs
from edge.config.load import load
from edge.config.model import Config
from edge.downstream.listener import Listener
from edge.downstream.ready import ReadyTable
from edge.errors import EdgeError, StoreError
from edge.exchange.driver import Driver
from edge.exchange.relay import invalidating_request
from edge.inquiry import Inquiry
from edge.published.content import PublishedContent
from edge.store.partitions import Partitions
from edge.store.shared import Shared
from edge.supervisor.channel import (
    Answered,
    Ask,
    Begin,
    Channel,
    Failed,
    Order,
    Prepared,
    Reopen,
    Report,
    Retire,
    Retired,
    Serving,
    Stop,
    Take,
    Told,
    first_order,
)
from edge.supervisor.child import die_with
from edge.supervisor.page import Page
from edge.supervisor.paths import CONTROL_FOLDER, Directory
from edge.supervisor.stall import StallWatch
from edge.tasks import cancel_all, spawn
from edge.telemetry.gauges import Gauges
from edge.telemetry.lines import make_line
from edge.telemetry.recorder import Recorder
from edge.telemetry.snapshot import take
from edge.upstream.origin import Origin
from edge.upstream.ring import Ring

if TYPE_CHECKING:
    from edge.purges.node import NodePurges

log = logging.getLogger("edge.worker")

# What the sockets of the ring are called, before the number of the worker.
_SOCKET = "worker-"


class Worker:
    """One worker process."""

    def __init__(self, config: Config, begin: Begin, page: Page, clock: Clock) -> None:
        self._config, self._begin, self._page, self._clock = config, begin, page, clock
        self._origins = {
            name: Origin(app.origin_settings(name, origin, config.workers), clock)
            for name, origin in config.origins.items()
        }
        self._recorder = Recorder(clock, [site.name for site in config.sites], app.access_log(config))
        self._certificates = Certificates(config, clock)
        self._codecs = NodeCodecs()
        self._store: app.NodeStore | None = None
        self._purges: NodePurges | None = None
        self._directory = Directory(config.cache.path / CONTROL_FOLDER)
        self._ring: Ring | None = None
        self._ring_listener: Listener | None = None
        self._driver: Driver | None = None
        self._listeners: list[Listener] = []
        self._share = _Share(page, begin.slot, self._listeners)
        self._gauges = Gauges(
            in_flight=lambda: 0 if self._driver is None else self._driver.in_flight,
            connections=self._share.connections,
            store=lambda: app.store_stats(self._store, config),
            origins=lambda: [app.origin_stats(name, origin) for name, origin in self._origins.items()],
            certificates=self._certificates.expiries,
        )

    async def run(self, channel: Channel[Order]) -> None:
        """Do what is ordered until told to stop, or until nothing is left to do."""
        watch = StallWatch(self._config.watchdog.stall, self._beat)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: spawn(self._leave(channel), name="leave"))
        channel.say(Prepared())
        try:
            await self._obey(channel)
        finally:
            await self._close(channel)
            await channel.flush()
            watch.stop()
            channel.close()

    def _beat(self, now: float, late: float) -> None:
        self._page.beat(self._begin.slot, now)
        self._recorder.loop_lag.observe([late])

    async def _obey(self, channel: Channel[Order]) -> None:
        while True:
            match await channel.hear():
                case Take():
                    try:
                        await self._take()
                    except (EdgeError, OSError) as error:
                        channel.say(Failed(str(error)))
                    else:
                        channel.say(Serving())
                case Retire():
                    _ = spawn(self._leave(channel), name="leave")
                case Report(flushes=flushes):
                    if flushes and self._store is not None:
                        # A disk that does not take it has said so itself.
                        with suppress(StoreError):
                            await self._store.flush()
                    self._tell(channel)
                case Ask(number=number, question=question):
                    _ = spawn(self._answer(channel, number, question), name="inquiry")
                case Reopen():
                    if self._recorder.access_log is not None:
                        self._recorder.access_log.reopen()
                case Stop() | None | Begin():
                    return

    async def _take(self) -> None:
        """Open the store and accept clients; EdgeError when that cannot be."""
        config, clock = self._config, self._clock
        index, workers = self._begin.index, config.workers
        self._store = store = await app.open_store(config, clock, index, Shared(self._page.rest, self._begin.slot))
        self._ring = ring = Ring(
            index,
            workers,
            lambda worker: self._directory.address(f"{_SOCKET}{worker}"),
            lambda: _numbers(self._directory.names()),
            store.owner if isinstance(store, Partitions) else None,
            invalidating_request,
            clock=clock,
            answer_seconds=app.longest_answer(config),
        )
        published = await asyncio.to_thread(PublishedContent, config.push.path)
        self._purges = purges = await asyncio.to_thread(
            app.open_purges, config, clock, self._page, published.refresh
        )  # fmt: skip
        self._driver = driver = app.make_driver(
            config, store, self._origins, self._recorder, clock, purges, ring, codecs=self._codecs, published=published
        )  # fmt: skip
        await self._join_ring(driver)
        limits = app.limits(config)
        for settings, fd in zip(config.listeners, self._begin.listeners, strict=True):
            ready = ReadyTable(
                driver.prepared.find, self._recorder.answered, clock,
                named=self._recorder.answered_named, swept=driver.prepared.sweep,
            )  # fmt: skip
            listener = Listener(
                driver.handle,
                driver.refuse_unparsed,
                limits,
                clock,
                begin=driver.begin,
                ready=ready,
                tls=app.tls(self._certificates, settings),
                announcing=settings.proxy_protocol,
                count=self._recorder.count,
                h2c=settings.h2c,
                known=lambda client_ca: partial(driver.handle, client_ca=client_ca),
            )
            self._listeners.append(listener)
            await listener.start(socket.socket(fileno=fd), self._share if config.workers > 1 else None)
        _ = spawn(self._certificates.keep_up(), name="certificates")
        _spare_the_collector()

    async def _join_ring(self, driver: Driver) -> None:
        """Answer the other workers; those of a larger generation before this one are no more."""
        if self._begin.index == 0:
            for number in _numbers(self._directory.names()):
                if number >= self._config.workers:
                    self._directory.remove(f"{_SOCKET}{number}")
        limits = app.ring_limits(self._config)
        self._ring_listener = Listener(driver.handle_relayed, driver.refuse_unparsed, limits, self._clock)
        # No port is the default one of this scheme, so that an authority comes through as it is.
        self._ring_listener.scheme = b"ring"
        await self._ring_listener.start(self._directory.listener(f"{_SOCKET}{self._begin.index}"))

    def _all_listeners(self) -> list[Listener]:
        return self._listeners if self._ring_listener is None else [*self._listeners, self._ring_listener]

    async def _leave(self, channel: Channel[Order]) -> None:
        """Accept no more, let go of the store, let the exchanges in progress end, and end the process."""
        for listener in self._all_listeners():
            listener.drain()
        self._share.end()
        if self._ring is not None:
            self._ring.leave()
        if self._store is not None:
            await self._store.retire()
        channel.say(Retired())
        try:
            async with asyncio.timeout(self._config.limits.drain_timeout):
                for listener in self._all_listeners():
                    await listener.drained()
        except TimeoutError:
            log.warning("the time to drain is over")
        channel.end_hearing()

    async def _close(self, channel: Channel[Order]) -> None:
        for listener in self._all_listeners():
            listener.drain()
            listener.cut()
        if self._ring is not None:
            self._ring.close()
        for origin in self._origins.values():
            origin.close()
        await cancel_all()
        self._codecs.close()
        self._tell(channel)
        if self._store is not None:
            await self._store.close()
        if self._purges is not None:
            self._purges.close()
        if self._recorder.access_log is not None:
            self._recorder.access_log.close()

    async def _answer(self, channel: Channel[Order], number: int, question: bytes) -> None:
        if self._driver is not None:
            config = self._config
            inquiry = Inquiry(
                self._driver.explaining,
                self._driver.pushing,
                self._recorder,
                lambda record: make_line(record, config.log.query, node=config.node, zone=config.zone or ""),
            )
            channel.say(Answered(number, await inquiry.answer(question)))

    def _tell(self, channel: Channel[Order]) -> None:
        unready = []
        if self._store is not None and not self._store.stats().is_storing:
            unready.append("the store takes nothing at present")
        channel.say(Told(msgspec.msgpack.encode(take(self._recorder, self._gauges)), unready))


class _Share:
    """The part of all connections that this worker has; implements the listeners' `Sharing`."""

    def __init__(self, page: Page, slot: int, listeners: list[Listener]) -> None:
        self._page, self._slot, self._listeners = page, slot, listeners
        self._has_ended = False

    def connections(self) -> int:
        return sum([listener.connections for listener in self._listeners])

    def changed(self) -> None:
        if not self._has_ended:
            self._page.count(self._slot, self.connections())

    def has_more(self) -> bool:
        return self.connections() > self._page.fewest() * 9 // 8 + 1

    def end(self) -> None:
        """Take note that this worker accepts no more."""
        self._has_ended = True
        self._page.count(self._slot, None)


async def serve(config: Config, begin: Begin, end: socket.socket) -> None:
    """Be the worker that `begin` describes, over `end`."""
    channel = await Channel[Order].open(end, Order)
    try:
        worker = Worker(config, begin, Page(begin.page), SystemClock())
    except (EdgeError, OSError) as error:
        channel.say(Failed(str(error)))
        await channel.flush()
    else:
        await worker.run(channel)


def _spare_the_collector() -> None:
    """Have the garbage collector leave alone what was made at the start, and look at the rest less often.

    Next to nothing of an exchange is part of a cycle, so looking for them at the usual rate finds little.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _numbers(names: Iterable[str]) -> list[int]:
    """Return the workers whose sockets are called `names`."""
    numbers = [name.removeprefix(_SOCKET) for name in names if name.startswith(_SOCKET)]
    return [int(number) for number in numbers if number.isdigit()]


def loaded(text: str) -> Config:
    """Return the configuration that the supervisor has checked and written down whole."""
    fd = os.memfd_create("foreland-config")
    try:
        os.fchmod(fd, 0o600)
        os.write(fd, text.encode())
        return load(Path(f"/proc/self/fd/{fd}"), {}, {})
    finally:
        os.close(fd)


def runner(config: Config) -> Callable[..., None]:
    """Return what runs the event loop that is asked for."""
    return asyncio.run if config.loop == "asyncio" else uvloop.run


def be(end: socket.socket, supervisor: int) -> None:
    """Be a worker over `end`, for as long as the process `supervisor` lives."""
    die_with(supervisor)
    faulthandler.enable()
    # The whole group gets an interrupt from the keyboard; the supervisor sees to it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        begin = first_order(end)
    except EOFError:
        return
    which = f"[{begin.index}]" if begin.workers > 1 else ""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format=f"%(levelname)s %(name)s{which}: %(message)s", force=True
    )  # fmt: skip
    config = loaded(begin.config)
    runner(config)(serve(config, begin, end))


if __name__ == "__main__":
    be(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
