"""Traces to replay: read from CSV, or generated in the likeness of published ones.

A generated trace has Zipf popularity, a share of keys asked for once (part of them by crawlers, in bursts), sizes that go
with popularity, and a life for each key, log-normal, during which all its requests come, by day more than by night.  The
figures are those of public descriptions of CDN traces (Akamai's classes in Tragen, the S3-FIFO data sets).
"""

import csv
from dataclasses import dataclass, replace
from math import log, pi, sqrt
from pathlib import Path

from edge.store.record import key_hash

DAY = 86_400.0
# How long a generated trace is, and into how many bursts of an hour its crawlers come.
_LENGTH = 7 * DAY
_BURSTS = 20


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests in the order they come: their times in seconds, hashed keys, and sizes in octets."""

    times: list[float]
    keys: list[bytes]
    sizes: list[int]

    @property
    def footprint(self) -> int:
        """What all contents take together, octets."""
        return sum(dict(zip(self.keys, self.sizes, strict=True)).values())


@dataclass(frozen=True, slots=True)
class Preset:
    """What a kind of content looks like.

    Attributes:
        requests: how many there are.
        alpha: exponent of the popularity by rank.
        one_hit: share of the keys that are asked for once.
        per_key: requests for each key, on average.
        median: median of the sizes, octets.
        sigma: of the log-normal sizes.
        correlation: of size and popularity, both as logarithms.
        tail: share of sizes that are Pareto from `tail_from` octets on instead.
        largest: longest content, octets.
        life: median life of a key, seconds.
        crawled: share of the requests that come from crawlers, for keys that nobody else asks for.
    """

    requests: int
    alpha: float
    one_hit: float
    per_key: float
    median: float
    sigma: float
    correlation: float = 0.0
    tail: float = 0.0
    tail_from: int = 1 << 20
    largest: int = 256 << 20
    life: float = 2 * DAY
    crawled: float = 0.05


PRESETS = {
    "web": Preset(300_000, 0.84, 0.69, 6.7, 17_000, 2.0, correlation=0.1, tail=0.03),
    "images": Preset(1_000_000, 0.65, 0.77, 2.4, 10_000, 1.16, correlation=0.05, life=DAY),
    "video": Preset(60_000, 0.8, 0.56, 5.0, 10 << 20, 0.0),
    "downloads": Preset(
        200_000, 1.38, 0.77, 20.0, 40_000, 2.3, correlation=0.4, tail=0.1, tail_from=2 << 20, largest=64 << 20,
        life=5 * DAY,
    ),
    "mix": Preset(300_000, 0.8, 0.743, 4.7, 12_000, 2.38, correlation=0.05, life=DAY),
}  # fmt: skip


def read(path: Path) -> Trace:
    """Return the trace in a CSV file of time, key, size; a first line without numbers is left out."""
    trace = Trace([], [], [])
    with path.open(newline="") as file:
        for number, row in enumerate(csv.reader(file)):
            try:
                time, size = float(row[0]), int(row[2])
            except (ValueError, IndexError) as error:
                if number == 0:
                    continue
                raise SystemExit(f"{path}: line {number + 1} is not time,key,size") from error
            trace.times.append(time)
            trace.keys.append(key_hash(row[1].encode()))
            trace.sizes.append(size)
    if not trace.keys:
        raise SystemExit(f"{path}: no requests in it")
    return trace


def generate(preset: Preset, *, scale: float = 1.0, seed: int = 1) -> Trace:
    """Return a trace like `preset` of `scale` as many requests; the same seed, the same trace."""
    try:
        import numpy as np  # noqa: PLC0415 - only who generates traces needs it
    except ImportError:
        raise SystemExit("Generated traces need numpy: pip install 'foreland[bench]'") from None
    preset = replace(preset, requests=int(preset.requests * scale))
    random = np.random.default_rng(seed)
    every = int(preset.requests / preset.per_key)
    crawled = min(int(preset.requests * preset.crawled), int(every * preset.one_hit))
    often = every - int(every * preset.one_hit)

    share = np.arange(1, often + 1.0) ** -preset.alpha
    asked = preset.requests - int(every * preset.one_hit)
    counts = np.ones(every, int)
    counts[:often] = np.maximum(2, np.round(share / share.sum() * asked))

    fame = -np.log(np.arange(1, every + 1) / every)
    fame = (fame - fame.mean()) / fame.std()
    chance = sqrt(1 - preset.correlation**2) * random.standard_normal(every)
    sizes = np.exp(log(preset.median) + preset.sigma * (preset.correlation * fame + chance))
    in_tail = random.random(every) < preset.tail
    sizes[in_tail] = preset.tail_from * (1 + random.pareto(1.5, in_tail.sum()))
    sizes = np.clip(sizes, 200, preset.largest).astype(int)

    lives = np.minimum(random.lognormal(log(preset.life), 1.5, every), _LENGTH)
    births = random.random(every) * (_LENGTH - lives)
    keys = np.repeat(np.arange(every), counts)
    times = births[keys] + random.random(len(keys)) * lives[keys]
    if crawled:
        bursts = np.repeat(random.random(_BURSTS) * _LENGTH, crawled // _BURSTS + 1)[:crawled]
        times[-crawled:] = bursts + random.random(crawled) * 3600

    # Twice as many in the evening as in the morning: as many requests pass between two points of `passed`.
    grid = np.linspace(0, _LENGTH, 10_001)
    passed = grid - DAY / (2 * pi) / 3 * (np.cos(2 * pi * grid / DAY) - 1)
    times = np.interp(times * passed[-1] / _LENGTH, passed, grid)
    order = np.argsort(times, kind="stable")
    names = [key_hash(b"%d" % number) for number in range(every)]
    return Trace(times[order].tolist(), [names[key] for key in keys[order].tolist()], sizes[keys[order]].tolist())
