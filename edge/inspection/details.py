"""Everything there is to say of one stored response: its fields, the arithmetic of its age, and where it lies."""

from collections.abc import Iterator
from dataclasses import dataclass

from edge.caching.freshness import age_value, date_value
from edge.errors import StoreDamaged
from edge.inspection import shown
from edge.inspection.selection import Facts
from edge.store.index import Found
from edge.store.inspect import Inspection


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk of a stored response, and "ok" or what is wrong with it."""

    found: Found
    state: str


def chunks_of(inspection: Inspection, facts: Facts) -> list[Chunk]:
    """Return the chunks of a stored response, each read and checked."""
    name, generation = facts.located.key_hash, facts.stored.generation
    chunks = []
    for found in inspection.chunks_of(generation):
        try:
            data = inspection.check_chunk(name, generation, found)
        except StoreDamaged as error:
            chunks.append(Chunk(found, str(error)))
        else:
            chunks.append(Chunk(found, "ok" if data is not None else "gone"))
    return chunks


def as_record(facts: Facts, chunks: list[Chunk], now: float) -> dict[str, object]:
    """Return what a line of JSON says of a stored response and its chunks."""
    stored = facts.stored
    return facts.record() | {
        "method": shown.text(stored.method),
        "reason": shown.text(stored.reason),
        "fields": [[shown.text(name), shown.text(value)] for name, value in stored.fields],
        "ranges": stored.ranges,
        "epoch": stored.epoch,
        "request_time": shown.instant(stored.request_time),
        "response_time": shown.instant(stored.response_time),
        "age_arithmetic": {name: round(value, 3) for name, value in _arithmetic(facts, now).items()},
        "chunks": [
            {
                "start": chunk.found.start,
                "end": chunk.found.end,
                "segment": chunk.found.place.segment,
                "offset": chunk.found.place.offset,
                "state": chunk.state,
            }
            for chunk in chunks
        ],
    }


def as_lines(facts: Facts, chunks: list[Chunk], now: float) -> Iterator[str]:
    """Yield what a terminal shows of a stored response and its chunks."""
    stored, place = facts.stored, facts.located.place
    yield f"{shown.text(stored.method)} {facts.url}"
    for name, asked in stored.nominated:
        yield f"  nominated by Vary   {shown.text(name)}: {shown.text(asked) if asked is not None else '(absent)'}"
    yield f"  {stored.status} {shown.text(stored.reason)}".rstrip()
    for name, value in stored.fields:
        yield f"    {shown.text(name)}: {shown.text(value)}"
    yield f"  asked {shown.instant(stored.request_time)}, answered {shown.instant(stored.response_time)}"
    for term, seconds in _arithmetic(facts, now).items():
        yield f"    {term:<22} {seconds:12.3f} s"
    left = facts.lifetime - facts.age
    verdict = f"fresh for {shown.duration(left)}" if facts.is_fresh else f"stale since {shown.duration(-left)}"
    yield f"  lifetime {facts.lifetime} s ({facts.source.value}): {verdict}"
    whole = "unknown" if stored.complete_length is None else f"{stored.complete_length:,}"
    held = "all" if stored.is_complete else ", ".join(f"[{first:,}, {last:,})" for first, last in stored.ranges)
    yield f"  holds {held or 'nothing'} of {whole} octets"
    pinned = ", pinned: never reclaimed" if stored.pinned else ""
    yield f"  generation {stored.generation.hex()}, purge epoch {stored.epoch}{pinned}"
    yield f"  head   segment {place.segment:08x} offset {place.offset:>10}  {place.length:>8} bytes  ok"
    for chunk in chunks:
        place = chunk.found.place
        where = f"segment {place.segment:08x} offset {place.offset:>10}  {place.length:>8} bytes"
        yield f"  chunk  {where}  {chunk.state}  from octet {chunk.found.start:,}"


def _arithmetic(facts: Facts, now: float) -> dict[str, float]:
    """Return the terms of RFC 9111 §4.2.3 by their names there, in seconds."""
    stored = facts.stored
    date = date_value(stored.fields, stored.response_time)
    response_delay = max(0.0, stored.response_time - stored.request_time)
    resident_time = max(0.0, now - stored.response_time)
    return {
        "date_value": date,
        "age_value": age_value(stored.fields),
        "apparent_age": max(0, int(stored.response_time) - date),
        "response_delay": response_delay,
        "corrected_age_value": age_value(stored.fields) + response_delay,
        "corrected_initial_age": facts.age - resident_time,
        "resident_time": resident_time,
        "current_age": facts.age,
    }
