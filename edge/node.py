"""A node: the supervisor with the workers of one configuration under it, and the admin plane of all of them."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edge.acme.keeper import Keeper
from edge.app import make_sites, open_purges
from edge.certificates import acme_folder, acme_groups, acme_validity, uses_acme
from edge.clock import SystemClock
from edge.config.address import UnixAddress
from edge.config.errors import ConfigError
from edge.config.model import Config
from edge.config.places import placed
from edge.config.show import show
from edge.control.events import Events
from edge.control.inquiries import AboutLog, AboutRequest, Inquiries
from edge.downstream.listener import bind
from edge.errors import EdgeError
from edge.store.shared import SIZE as SHARED_SIZE
from edge.supervisor import running
from edge.supervisor import sockets as listening
from edge.supervisor.channel import Reopen, Told
from edge.supervisor.commands import Commands, reply
from edge.supervisor.faults import Refused, StartError, Unanswered
from edge.supervisor.fork import Become
from edge.supervisor.notify import Notify
from edge.supervisor.page import Page
from edge.supervisor.paths import CONTROL_FOLDER
from edge.supervisor.plan import Plan, State, find
from edge.supervisor.supervisor import Supervisor
from edge.tasks import cancel_all, spawn
from edge.telemetry.snapshot import Snapshot

if TYPE_CHECKING:
    from edge.control.purging import Purging
    from edge.control.server import Control
    from edge.preloading.preloads import Preloads
    from edge.purges.node import NodePurges
    from edge.telemetry.metrics import Exposition

log = logging.getLogger("edge.node")

# What the admin plane needs, and nothing else: importing it takes as long as all the rest of the start.
_OF_CONTROL = ("importlib.metadata", "edge.administration", "edge.telemetry.metrics")

# How often what changes without anybody telling is looked at.
_LOOK_SECONDS = 5.0

_decode = msgspec.msgpack.Decoder(Snapshot).decode


class Node:
    """One node of several processes, of which this is the first.

    Args:
        config: what to begin with.
        load: returns the configuration as it is when it is called; ConfigError when there is a problem.
        become: is a worker, in a fork of this process.
    """

    def __init__(self, config: Config, load: Callable[[], Config], become: Become) -> None:
        self._config, self._load, self._become = config, load, become
        # As it was read last, to tell where a setting stands.
        self._written = config
        self._clock = SystemClock()
        self._events = Events(self._clock)
        self._ended = Snapshot(configured_at=self._clock.now())
        self._left: State | None = find()
        self._notify = Notify(os.environ)
        self._sockets = listening.Sockets(bind)
        self._kept: object = None
        self._keeping: asyncio.Task[None] | None = None
        self._exposition: Exposition
        self._purges: NodePurges | None = None
        self._purging: Purging | None = None
        self._control: Control | None = None
        self._preloads: Preloads | None = None

    async def run(self, ready: Callable[[Sequence[str]], None]) -> None:
        """Serve until SIGTERM or SIGINT; `ready` is given the URLs once clients are accepted.

        Raises:
            StartError: with a sentence that says what is in the way.
        """
        plan = planned(self._config)
        self._hold_sockets(plan)
        bound = self._sockets.open(plan.addresses)
        self._nodes = supervisor = self._supervisor()
        supervisor.happened, supervisor.reloaded = self._happened, self._keep_certificates
        self._inquiries = Inquiries(supervisor.ask, lambda rule, site: placed(self._written, rule, site))
        if self._left is not None:
            self._ended = replace(
                _decode(self._left.numbers), is_configured=True, configured_at=self._ended.configured_at
            )
            await supervisor.adopt(self._left)
        commands = Commands(
            {"reload": lambda _: supervisor.reload(), "upgrade": supervisor.upgrade},
            {
                "explain": self._explain,
                "log": self._log,
                "stat": self._stat,
                "purge": self._purge,
                "ports": self._ports,
            },
        )
        self._handle_signals()
        try:
            await self._listen(commands)

            async def begun() -> None:
                # Clients are served already.
                self._keep_certificates()
                await asyncio.to_thread(self._import_control)
                await self._start_control()
                ready(_urls(self._config, bound))
                if self._left is not None and self._left.reply is not None:
                    reply(self._left.reply, supervisor.problems)

            await supervisor.run(plan, begun)
        finally:
            commands.stop()
            running.withdraw(control_folder(self._config))
            self._events.end()
            if self._control is not None:
                await self._control.stop()
            if self._preloads is not None:
                await self._preloads.close()
            if self._purges is not None:
                self._purges.close()
            await cancel_all()

    def _supervisor(self) -> Supervisor:
        self._page = Page.create(SHARED_SIZE) if self._left is None else Page(self._left.page)
        return Supervisor(
            self._loaded,
            _check_program,
            sockets=self._sockets,
            page=self._page,
            notify=self._notify,
            ended=self._add_ended,
            numbers=lambda: msgspec.msgpack.encode(self._ended),
            become=self._become,
        )

    def _hold_sockets(self, plan: Plan) -> None:
        """Hold the sockets that the program before this one, or the service manager, has bound."""
        if self._left is not None:
            for address, fd in self._left.sockets:
                self._sockets.adopt(address, socket.socket(fileno=fd))
        unasked = self._sockets.adopt_given(listening.given_by_manager(os.environ), plan.addresses)
        if unasked:
            raise StartError(f"the service manager listens on {unasked[0]}, which the configuration does not mention")

    async def _listen(self, commands: Commands) -> None:
        folder = control_folder(self._config)
        try:
            await commands.start(folder)
        except OSError as error:
            raise StartError(f"{folder} cannot be used: {error.strerror}") from error
        try:
            running.announce(folder)
        except OSError as error:
            log.warning("commands have to be told --cache %s: %s", folder.parent, error)

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        supervisor = self._nodes
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, supervisor.stop)
        loop.add_signal_handler(signal.SIGHUP, supervisor.reload_soon)
        loop.add_signal_handler(signal.SIGUSR1, supervisor.say, Reopen())
        loop.add_signal_handler(signal.SIGUSR2, supervisor.upgrade_soon)

    def _loaded(self) -> Plan:
        try:
            self._written = self._load()
        except ConfigError as error:
            raise Refused([str(problem) for problem in error.problems]) from error
        return planned(self._written)

    def _keep_certificates(self) -> None:
        """See to the certificates that the configuration in force has from an authority."""
        config = self._written
        groups = acme_groups(config) if uses_acme(config) else []
        # An order in progress is not disturbed by a reload that has nothing to do with it.
        if self._kept == (kept := (config.acme, groups)):
            return
        self._kept = kept
        if self._keeping is not None:
            self._keeping.cancel()
        if not groups:
            return
        # It brings an HTTP client and a second TLS, which only few nodes need.
        from edge.acme.issuing import Authority, issue  # noqa: PLC0415

        settings, folder = config.acme, acme_folder(config)
        authority = Authority(settings.directory, settings.contact, settings.ca_file, settings.challenges)
        keeper = Keeper(
            folder, partial(issue, authority, folder), partial(acme_validity, folder), SystemClock(), self._count
        )
        self._keeping = spawn(keeper.keep_up(groups), name="acme")

    def _import_control(self) -> None:
        if self._config.admin.address is not None:
            for name in _OF_CONTROL:
                import_module(name)

    async def _start_control(self) -> None:
        address = self._config.admin.address
        if address is None:
            return
        from importlib.metadata import version  # noqa: PLC0415 - see _OF_CONTROL

        from edge import administration  # noqa: PLC0415 - as above
        from edge.control.routes import Sources  # noqa: PLC0415 - as above
        from edge.telemetry.metrics import Exposition  # noqa: PLC0415 - as above

        self._exposition = Exposition(
            version=version("foreland"), node=self._config.node, processes=lambda: self._nodes.pids
        )  # fmt: skip
        sources = Sources(
            node=self._config.node,
            version=version("foreland"),
            stats=self._stats,
            metrics=self._metrics,
            unready=self._unready,
        )
        config, clock = self._config, self._clock
        self._purges = await asyncio.to_thread(open_purges, config, clock, self._page)
        self._preloads = preloads = administration.make_preloads(
            config, make_sites(config), clock=clock, flush=self._flush, tell=self._events.add
        )
        self._purging = purging = administration.make_purging(
            config, make_sites(config), self._purges, clock=clock, flush=self._flush, count=self._count,
            tell=self._events.add,
        )  # fmt: skip
        try:
            pushing = await asyncio.to_thread(administration.make_pushing, config, make_sites(config), self._inquiries)
            publishing = await asyncio.to_thread(administration.make_publishing, config, self._purges, clock=clock)
            self._control = await asyncio.to_thread(
                administration.make_control, config, sources, purging, pushing, publishing, self._inquiries,
                self._events, preloads,
            )  # fmt: skip
            await preloads.start()
            if isinstance(address, UnixAddress):
                url = await self._control.start_unix(address.path)
            else:
                url = await self._control.start(address.host, address.port)
        except EdgeError as error:
            raise StartError(str(error)) from error
        except OSError as error:
            raise StartError(f"the admin plane cannot listen on {address}: {error.strerror}") from error
        log.info("admin plane on %s", url)
        _ = spawn(self._look_on(), name="look-on")

    async def _explain(self, question: bytes) -> object:
        return await self._inquiries.explain(msgspec.json.decode(question, type=AboutRequest))

    async def _log(self, question: bytes) -> object:
        return await self._inquiries.log(msgspec.json.decode(question, type=AboutLog))

    async def _stat(self, _: bytes) -> object:
        return await self._stats()

    async def _purge(self, question: bytes) -> object:
        if self._purging is None:
            raise Unanswered("this node takes no purges: it has no admin plane (admin.address)")
        from edge.control.purging import PurgeRequest  # noqa: PLC0415 - see _OF_CONTROL

        asked = msgspec.json.decode(question, type=PurgeRequest)
        return await self._purging.answer(asked, by="who owns the node's directory", at="its socket")

    async def _ports(self, _: bytes) -> object:
        return self._sockets.ports()

    async def _stats(self) -> dict[str, object]:
        return {**(await self._snapshot()).stats(), "processes": len(self._nodes.pids)}

    async def _metrics(self, accept: str) -> tuple[bytes, str]:
        return self._exposition.render(await self._snapshot(), accept)

    async def _unready(self) -> list[str]:
        reasons = [self._nodes.state] if self._nodes.state else []
        return reasons + sorted({reason for told in await self._nodes.reports() for reason in told.unready})

    async def _snapshot(self) -> Snapshot:
        total = _decode(msgspec.msgpack.encode(self._ended))
        for told in await self._nodes.reports():
            total.add(_decode(told.numbers))
        return total

    async def _flush(self) -> None:
        await self._nodes.reports(flushes=True)

    def _count(self, event: str) -> None:
        """Count what happened in the admin plane."""
        self._ended.events[event] = self._ended.events.get(event, 0) + 1

    def _happened(self, word: str, sentence: str) -> None:
        """Take note of what the supervisor tells."""
        self._events.add(word, sentence)
        if word == "reload":
            self._ended.is_configured, self._ended.configured_at = True, self._clock.now()
        elif word == "reload-refused":
            self._ended.is_configured = False

    async def _look_on(self) -> None:
        """Take note of what changes without anybody telling."""
        before = await self._snapshot()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self._control is not None:
                await asyncio.to_thread(self._control.refresh)
            now = await self._snapshot()
            if now.store.is_storing is not before.store.is_storing:
                self._events.add("storing" if now.store.is_storing else "not-storing")
            for name, not_after in now.certificates.items():
                if before.certificates.get(name, not_after) != not_after:
                    self._events.add("certificate", f"{name}, good until {_day(not_after)}")
            before = now

    def _add_ended(self, told: Told) -> None:
        self._ended.add(_decode(told.numbers).totals_only())


def planned(config: Config) -> Plan:
    """Return the plan of a configuration."""
    return Plan(
        config=show(config),
        workers=config.workers,
        addresses=[(listener.address.host, listener.address.port) for listener in config.listeners],
        fixed={
            "cache.path": str(config.cache.path),
            "admin.address": str(config.admin.address),
            "admin.cert_file": str(config.admin.cert_file),
            "admin.key_file": str(config.admin.key_file),
            "node": config.node,
        },
        drain_seconds=config.limits.drain_timeout,
        stall_seconds=config.watchdog.kill,
    )


def control_folder(config: Config) -> Path:
    """Return where the sockets of a node are."""
    return config.cache.path / CONTROL_FOLDER


async def _check_program() -> list[str]:
    """Return what keeps the program that is installed now from serving what this one does."""
    command = [word if word != "serve" else "check" for word in sys.orig_argv]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command[1:], stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    if process.returncode == 0:
        return []
    return errors.decode(errors="replace").strip().splitlines()[-5:] or ["the new program cannot be run"]


def _day(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).date().isoformat()


def _urls(config: Config, bound: Sequence[socket.socket]) -> list[str]:
    found = []
    for listener, each in zip(config.listeners, bound, strict=True):
        host, port = each.getsockname()[:2]
        scheme = "http" if listener.tls is None else "https"
        found.append(f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}")
    return found
