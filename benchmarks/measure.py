"""Measuring: every contestant in turn, round by round, so that what the machine does meanwhile falls on all of them."""

import contextlib
import itertools
import os
import ssl
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load, processes
from benchmarks.cases import Case, Load
from benchmarks.contestants import LOAD_CORE, SERVER_CORE, Contestant, Site, certify, free_port, origin, running

IDLE = 10_000
_ZIPF_OBJECTS = 5000
_ZIPF_RATE = 2000.0


@dataclass(frozen=True, slots=True)
class Result:
    """One measurement.

    Attributes:
        answered: what the load saw.
        cpu: processor seconds that the contestant used for a million requests.
        memory: bytes of memory it had afterwards.
        at_origin: requests that reached the origin.
        idle_memory: bytes for each idle connection, in the case about those.
    """

    answered: load.Answered
    cpu: float
    memory: int
    at_origin: int
    idle_memory: float | None = None


Results = dict[str, dict[str, list[Result]]]


class Place:
    """One contestant that runs, with the origin behind it."""

    def __init__(self, contestant: Contestant, site: Site, pid: int, folder: Path) -> None:
        self.contestant, self.site, self.pid, self.folder = contestant, site, pid, folder
        self.counter = itertools.count(1)

    def url(self, case: Case) -> str:
        """Return the URL of what `case` asks for."""
        return (
            f"https://127.0.0.1:{self.site.tls}{case.path}"
            if case.is_tls
            else f"http://127.0.0.1:{self.site.port}{case.path}"
        )

    def warm(self, case: Case) -> None:
        """Have in the cache what the case wants there."""
        if case.paths:
            # What lies on the disk is made ready when it is asked for again.
            for _ in range(3 if case.is_disk else 1):
                load.drive("sweep", self.url(case), paths=case.paths)
        elif case.load in {Load.PEAK, Load.HALF, Load.IDLE, Load.HANDSHAKE}:
            with urllib.request.urlopen(
                self.url(case) + ("/warm" if case.is_unique else ""), context=ssl._create_unverified_context()
            ) as response:
                response.read()

    def measure(self, case: Case, seconds: float, half: float) -> Result:
        """Measure once; `half` is the rate of the cases that do not go to the peak."""
        asked_before, cpu_before, began = self._asked_origin(), processes.cpu_seconds(self.pid), time.monotonic()
        idle_memory = None
        with contextlib.ExitStack() as held:
            if case.load is Load.IDLE:
                before = processes.memory(self.pid)
                held.enter_context(load.held(self.url(case), IDLE))
                idle_memory = (processes.memory(self.pid) - before) / IDLE
                cpu_before, began = processes.cpu_seconds(self.pid), time.monotonic()
            answered = self._ask(case, seconds, half)
            took = time.monotonic() - began
            cpu = processes.cpu_seconds(self.pid) - cpu_before
        requests = case.connections if case.load is Load.BURST else answered.rate * min(seconds, took)
        # The status request that reads the counter is one itself.
        at_origin = self._asked_origin() - asked_before - 1
        return Result(answered, cpu / max(requests, 1) * 1e6, processes.memory(self.pid), at_origin, idle_memory)

    def _ask(self, case: Case, seconds: float, half: float) -> load.Answered:
        url, number = self.url(case), next(self.counter)
        match case.load:
            case Load.HALF:
                return load.steady(url, connections=case.connections, rate=half, seconds=seconds, folder=self.folder)
            case Load.BURST:
                return load.drive("burst", f"{url}/{number}", connections=case.connections)
            case Load.ZIPF:
                return load.drive(
                    "zipf", url, connections=case.connections, rate=_ZIPF_RATE, seconds=seconds, objects=_ZIPF_OBJECTS
                )
            case Load.PEAK if case.streams:
                return load.multiplexed(
                    url, connections=case.connections, streams=case.streams, seconds=seconds, folder=self.folder
                )
            case Load.HANDSHAKE:
                fields = ("Connection: close",)
                return load.peak(url, connections=case.connections, seconds=seconds, folder=self.folder, fields=fields)
            case Load.PEAK | Load.IDLE:
                return load.peak(
                    url,
                    connections=case.connections,
                    seconds=seconds,
                    folder=self.folder,
                    first=number * 10_000_000 if case.is_unique else 0,
                    paths=0 if case.is_unique else case.paths or 1,
                    fields=(f"If-None-Match: {self._etag(url)}",) if case.validates else (),
                )

    def _etag(self, url: str) -> str:
        with urllib.request.urlopen(url) as response:
            return str(response.headers["ETag"])

    def _asked_origin(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.site.origin}/status") as response:
            # ngx_http_stub_status_module: accepts, handled, requests.
            return int(response.read().split(b"\n")[2].split()[2])


def measure(cases: list[Case], contestants: list[Contestant], rounds: int, seconds: float) -> Results:
    """Return for each case and contestant the result of each round, the contestants taking turns."""
    results: Results = {}
    for is_disk in (False, True):
        chosen = [case for case in cases if case.is_disk is is_disk]
        if not chosen:
            continue
        with placed(contestants, is_disk=is_disk) as places:
            for case in chosen:
                able = [place for place in places if place.contestant.has_tls or not case.is_tls]
                of_case: dict[str, list[Result]] = {place.contestant.name: [] for place in able}
                half = _half_of_peak(places, case, seconds)
                for place in able:
                    place.warm(case)
                for number in range(rounds + 1):
                    for place in able:
                        # What the one before has written is not to reach the disk at this one's expense.
                        os.sync()
                        result = place.measure(case, seconds if number else 1, half)
                        # The first round warms caches and branch predictors up.
                        if number:
                            of_case[place.contestant.name].append(result)
                results[case.name] = of_case
    return {case.name: results[case.name] for case in cases}


def _half_of_peak(places: list[Place], case: Case, seconds: float) -> float:
    if case.load is not Load.HALF:
        return 0.0
    place = next((place for place in places if place.contestant.name == "foreland"), places[0])
    url = place.url(case)
    found = [load.peak(url, connections=case.connections, seconds=seconds, folder=place.folder) for _ in range(2)]
    return statistics.fmean(answered.rate for answered in found) / 2


@contextlib.contextmanager
def placed(contestants: list[Contestant], *, is_disk: bool) -> Iterator[list[Place]]:
    """Run the contestants, in front of one origin, until the block ends."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        certify(folder / "site.pem")
        at_origin = free_port()
        home = folder / "origin"
        home.mkdir()
        stack.enter_context(running("origin", origin(at_origin, home), at_origin, home, LOAD_CORE))
        places = []
        for contestant in contestants:
            home = folder / contestant.name
            home.mkdir()
            home.chmod(0o755)
            site = Site(free_port(), free_port(), at_origin, folder / "site.pem")
            started = contestant.start(site, home, is_disk)
            others = (site.tls,) if contestant.has_tls else ()
            pid = stack.enter_context(running(contestant.name, started, site.port, home, SERVER_CORE, *others))
            places.append(Place(contestant, site, pid, home))
        yield places
