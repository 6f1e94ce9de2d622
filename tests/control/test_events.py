"""What happens to a node is streamed to those who look on, and told again to those who come back."""

import json

import aiohttp
import pytest

from edge.clock import SystemClock
from edge.control import event_endpoints
from edge.control.events import CAPACITY, Event, Events
from edge.testing.clock import ManualClock
from tests.control.plane import READ, Plane

READER = {"Authorization": f"Bearer {READ}"}


async def heard(response: aiohttp.ClientResponse, count: int = 1) -> list[dict]:
    """Return the next events of a stream."""
    found, fields = [], {}
    while len(found) < count:
        name, colon, value = (await response.content.readline()).decode().rstrip("\n").partition(": ")
        if colon:
            fields[name] = value
        elif fields:
            told = json.loads(fields.pop("data"))
            assert (fields.pop("id"), fields.pop("event"), fields) == (str(told["id"]), told["kind"], {})
            found.append(told)
    return found


async def test_a_purge_is_heard_of(node: Plane) -> None:
    async with node.session.get("/v1/events", headers=READER) as stream:
        assert (stream.status, stream.content_type) == (200, "text/event-stream")
        assert (await node.purge(tags=["news"]))[0] == 200
        (event,) = await heard(stream)
    assert (event["kind"], event["about"]) == ("purge", 'soft purge 1 by all of ["tag:news"]')


async def test_who_comes_back_hears_what_was_missed(node: Plane) -> None:
    for number in range(3):
        node.happenings.add("reload", str(number))
    async with node.session.get("/v1/events", headers=READER) as stream:
        first, *_ = await heard(stream, 3)
    async with node.session.get("/v1/events", headers=READER | {"Last-Event-ID": str(first["id"])}) as stream:
        assert [event["about"] for event in await heard(stream, 2)] == ["1", "2"]
        node.happenings.add("reload", "3")
        assert [event["about"] for event in await heard(stream)] == ["3"]


async def test_the_end_of_the_node_is_the_end_of_the_stream(node: Plane) -> None:
    async with node.session.get("/v1/events", headers=READER) as stream:
        node.happenings.end()
        assert (await stream.content.read()).replace(b":\n\n", b"") == b""


async def test_a_head_is_answered_without_a_stream(node: Plane) -> None:
    async with node.session.head("/v1/events", headers=READER) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")


@pytest.mark.parametrize(("headers", "status"), [({}, 401), (READER | {"Last-Event-ID": "x"}, 400)])
async def test_who_may_not_or_asks_wrongly_is_told(node: Plane, headers, status) -> None:
    async with node.session.get("/v1/events", headers=headers) as response:
        assert (response.status, response.content_type) == (status, "application/problem+json")


async def test_there_are_only_so_many_streams(node: Plane) -> None:
    streams = [await node.session.get("/v1/events", headers=READER) for _ in range(event_endpoints.MOST)]
    async with node.session.get("/v1/events", headers=READER) as response:
        assert response.status == 503
    for stream in streams:
        stream.close()


async def test_ids_rise_and_the_oldest_are_forgotten() -> None:
    clock = ManualClock()
    events = Events(clock)
    for number in range(CAPACITY + 2):
        events.add("reload", str(number))
    ids = [event.id for event in events.after(0)]
    assert (len(ids), ids) == (CAPACITY, sorted(set(ids)))
    clock.advance(60)
    later = Events(clock)
    later.add("reload")
    assert later.after(ids[-1]) == [Event(later.after(0)[0].id, "2023-11-14T22:14:20.000Z", "reload", "")]


async def test_a_wait_has_an_end() -> None:
    await Events(SystemClock()).wait(0.01)
