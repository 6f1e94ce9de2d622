import asyncio
import socket

import pytest

from edge.errors import UpstreamConnectError
from edge.upstream.addresses import ADDRESSES_LIMIT, Addresses, ResolverSettings, system_lookup
from tests.upstream.scripted import ManualClock


class FakeResolver:
    """Answers what `answer` holds; an exception is raised, and while `hold` is unset nothing is answered."""

    def __init__(self, *answer: str) -> None:
        self.answer: tuple[str, ...] | Exception = answer
        self.hold = asyncio.Event()
        self.hold.set()
        self.asked = 0

    async def __call__(self, host: str, port: int):
        self.asked += 1
        await self.hold.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Setting:
    def __init__(self, *answer: str, **settings: float) -> None:
        self.clock = ManualClock()
        self.resolver = FakeResolver(*answer)
        self.addresses = Addresses(
            "origin.test", 80, self.clock, lookup=self.resolver, settings=ResolverSettings(**settings)
        )

    async def candidates(self) -> set[str]:
        return set(await self.addresses.candidates())


async def test_answer_is_kept_while_it_is_fresh():
    it = Setting("192.0.2.1", fresh=30)
    assert await it.candidates() == {"192.0.2.1"}
    it.resolver.answer = ("192.0.2.2",)
    it.clock.time += 29
    assert await it.candidates() == {"192.0.2.1"}
    it.clock.time += 1
    assert await it.candidates() == {"192.0.2.2"}
    assert it.resolver.asked == 2


@pytest.mark.parametrize(
    "failure", [socket.gaierror(socket.EAI_NONAME, "no such name"), UnicodeError("label too long"), ()], ids=repr
)
async def test_old_answer_is_kept_while_there_is_no_new_one(failure):
    it = Setting("192.0.2.1", fresh=30, stale=3600, retry=1)
    await it.candidates()
    it.resolver.answer = failure
    it.clock.time += 30
    assert await it.candidates() == {"192.0.2.1"}
    assert await it.candidates() == {"192.0.2.1"}
    assert it.resolver.asked == 2
    it.clock.time += 1
    assert await it.candidates() == {"192.0.2.1"}
    assert it.resolver.asked == 3
    it.clock.time += 3600
    with pytest.raises(UpstreamConnectError):
        await it.candidates()
    it.resolver.answer = ("192.0.2.2",)
    assert await it.candidates() == {"192.0.2.2"}


async def test_old_answer_is_used_when_the_new_one_takes_long():
    it = Setting("192.0.2.1", fresh=30, patience=0.01)
    await it.candidates()
    it.resolver.answer = ("192.0.2.2",)
    it.resolver.hold.clear()
    it.clock.time += 30
    assert await it.candidates() == {"192.0.2.1"}
    it.resolver.hold.set()
    await it.addresses._query
    assert await it.candidates() == {"192.0.2.2"}
    assert it.resolver.asked == 2


async def test_many_who_ask_share_one_query():
    it = Setting("192.0.2.1")
    it.resolver.hold.clear()
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(it.candidates()) for _ in range(5)]
        await asyncio.sleep(0)
        asking[0].cancel()
        it.resolver.hold.set()
    assert [task.cancelled() or task.result() for task in asking] == [True] + [{"192.0.2.1"}] * 4
    assert it.resolver.asked == 1


async def test_first_answer_that_fails_is_asked_for_again_at_once():
    it = Setting()
    for asked in (1, 2):
        with pytest.raises(UpstreamConnectError):
            await it.candidates()
        assert it.resolver.asked == asked


async def test_each_connection_begins_with_the_next_address():
    it = Setting("192.0.2.1", "192.0.2.2", "192.0.2.1")
    assert [(await it.addresses.candidates())[0] for _ in range(4)] == ["192.0.2.2", "192.0.2.1"] * 2


async def test_failed_address_comes_last_for_some_seconds():
    it = Setting("192.0.2.1", "192.0.2.2", hold_down=5)
    it.addresses.mark_failed("192.0.2.2")
    assert [await it.addresses.candidates() for _ in range(2)] == [["192.0.2.1", "192.0.2.2"]] * 2
    it.clock.time += 5
    assert {(await it.addresses.candidates())[0] for _ in range(2)} == {"192.0.2.1", "192.0.2.2"}


async def test_answers_are_bounded():
    it = Setting(*[f"192.0.2.{number}" for number in range(200)])
    assert len(await it.candidates()) == ADDRESSES_LIMIT


@pytest.mark.parametrize(
    ("host", "address"),
    [("192.0.2.1", "192.0.2.1"), ("::1", "::1"), ("[2001:db8::1]", "2001:db8::1")],
)
async def test_literal_address_is_never_asked_for(host, address):
    resolver = FakeResolver("192.0.2.9")
    addresses = Addresses(host, 80, ManualClock(), lookup=resolver)
    assert await addresses.candidates() == [address]
    assert resolver.asked == 0


async def test_system_lookup():
    assert set(await system_lookup("localhost", 80)) <= {"127.0.0.1", "::1"}
    with pytest.raises(UnicodeError):
        await system_lookup("a" * 70 + ".test", 80)
