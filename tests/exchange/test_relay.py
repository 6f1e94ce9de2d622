import asyncio
from dataclasses import replace

import pytest

from edge.errors import BadRequest
from edge.exchange.exchange import RING, Exchange
from edge.exchange.relay import arrived, invalidating_request, may_relay, relayed_request
from edge.exchange.site import Site
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request
from edge.semantics.target import Target
from edge.testing.clock import ManualClock
from edge.testing.responder import RecordingResponder
from edge.testing.upstream import Answer, ScriptedUpstream
from tests.exchange.world import FRESH, World

TARGET = Target(b"https", b"a.test:80", b"/p", b"q=1")


def exchange(*lines: tuple[bytes, bytes], method: bytes = b"GET", version: tuple[int, int] = (1, 1)) -> Exchange:
    request = Request(method, TARGET, FieldSection(lines), version)
    site = Site("a.test", (b"a.test",), "main")
    return Exchange(
        request, None, RecordingResponder(), client="2001:db8::1", node=b"e", site=site, target=TARGET, now=0.0
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        pytest.param([(b"accept", b"*/*")], [(b"accept", b"*/*")], id="end-to-end fields go on as they are"),
        pytest.param([(b"connection", b"x-a"), (b"x-a", b"1")], [], id="hop-by-hop fields do not"),
        pytest.param([(b"expect", b"100-continue"), (b"content-length", b"5")], [], id="nor what is about content"),
        pytest.param([(RING, b"answer http 1.1 192.0.2.1")], [], id="what a client calls itself is not heeded"),
        pytest.param([(b"range", b"bytes=0-1")], [(b"range", b"bytes=0-1")], id="a range is for the owner to answer"),
    ],
)
@pytest.mark.parametrize("version", [(1, 0), (1, 1), (2, 0)])
def test_what_is_relayed_arrives(lines, left, version):
    ex = exchange(*lines, version=version)
    sent = relayed_request(ex)
    # The ring listener knows no scheme but its own.
    request, client = arrived(replace(sent, target=replace(sent.target, scheme=b"ring"), version=(1, 1)))
    assert client == "2001:db8::1"
    assert request == Request(b"GET", TARGET, FieldSection(left), version)


@pytest.mark.parametrize("key", [b"http://a.test/p?q=1", bytes(range(256))])
def test_a_key_to_invalidate_arrives(key):
    assert arrived(invalidating_request(key)) == key


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="no worker sends nothing"),
        pytest.param(b"answer http 1.1", id="no address"),
        pytest.param(b"answer http 9.9 192.0.2.1", id="a version that does not exist"),
        pytest.param(b"invalidate zz", id="a key that is none"),
        pytest.param(b"remove 00", id="another word"),
    ],
)
def test_what_no_worker_sends_is_refused(value):
    fields = FieldSection([] if value is None else [(RING, value)])
    with pytest.raises(BadRequest):
        arrived(Request(b"GET", TARGET, fields))


def test_only_what_may_be_stored_is_relayed_and_only_once():
    assert may_relay(exchange())
    assert not may_relay(exchange((b"cache-control", b"no-store")))
    relayed = exchange()
    relayed.is_relayed = True
    assert not may_relay(relayed)


class Others:
    """The other workers: one of them owns every key once `is_there`."""

    def __init__(self) -> None:
        self.worker = ScriptedUpstream(ManualClock(), lambda _: Answer(content=[b"of its owner"]))
        self.is_there = False

    def owner(self, _key: bytes) -> ScriptedUpstream | None:
        return self.worker if self.is_there else None

    async def invalidate(self, _key: bytes) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("answer", "asked", "content"),
    [
        pytest.param(Answer(fields=[FRESH], content=[b"0123456789"]), 0, b"234", id="a whole response is at hand"),
        pytest.param(
            Answer(206, fields=[FRESH, (b"etag", b'"v"'), (b"content-range", b"bytes 0-9/20")], content=[b"0123456789"]),
            1, b"of its owner", id="of a part, the owner knows who reads on",
        ),
    ],
)  # fmt: skip
async def test_what_is_found_of_another_worker_is_an_answer_if_it_is_whole(answer, asked, content):
    others = Others()
    world = World(ring=others)
    world.upstream.script = lambda _: answer
    await world.get((b"range", b"bytes=0-9"))
    await world.settle()
    others.is_there = True
    got = await world.get((b"range", b"bytes=2-4"))
    assert (len(others.worker.requests), got.content) == (asked, content)


async def test_what_another_worker_answers_is_received_as_its_client_has_room():
    others = Others()
    others.is_there = True
    more = asyncio.Event()
    others.worker.answers(Answer(content=[b"a", more, b"b"]))
    responder = RecordingResponder()
    responder.allowance = lambda _: 0
    async with asyncio.TaskGroup() as group:
        getting = group.create_task(World(ring=others).get(responder=responder))
        await responder.began.wait()
        assert [response.is_paced for response in others.worker.open] == [True]
        more.set()
    assert getting.result().content == b"ab"
