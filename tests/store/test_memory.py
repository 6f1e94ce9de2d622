"""The memory tier."""

import pytest

from edge.store.memory import SMALL, Known, Memory
from tests.store.keeping import MIB, a_stored


def test_heads_and_contents_share_one_bound():
    memory = Memory(100_000)
    for number in range(500):
        memory.keep_content(b"gen%05d" % number, bytes(5000))
        memory.keep_heads(b"hash%012d" % number, Known(b"key", (a_stored(),)))
        assert memory.used <= 100_000
    held = [number for number in range(500) if memory.content(b"gen%05d" % number) is not None]
    assert len(held) * 5000 < 100_000


def test_what_is_used_stays_and_what_came_once_goes():
    memory = Memory(50_000)
    memory.keep_content(b"the hot1", b"hot")
    for number in range(500):
        memory.keep_content(b"gen%05d" % number, bytes(5000))
        assert memory.content(b"the hot1") == b"hot"
    assert memory.visits(b"the hot1") == 501
    assert memory.content(b"gen00000") is None


def test_what_is_dropped_is_gone():
    memory = Memory(50_000)
    memory.keep_content(b"generatn", b"content")
    memory.keep_heads(bytes(16), Known(b"key", (a_stored(),)))
    memory.drop(b"generatn")
    memory.drop(bytes(16))
    memory.drop(b"never was")
    assert (memory.used, memory.content(b"generatn"), memory.heads(bytes(16))) == (0, None, None)


@pytest.mark.parametrize(("length", "uses"), [(SMALL, 0), (SMALL + 1, 3), (MIB, 3), (MIB + 1, None)])
def test_what_is_longer_is_wanted_once_it_is_asked_for_again_and_again(length, uses):
    memory = Memory(4 * MIB)
    seen = [memory.awaits(bytes(16), length)]
    memory.keep_heads(bytes(16), Known(b"key", (a_stored(),)))
    for _ in range(4):
        seen.append(memory.awaits(bytes(16), length))
        memory.awaits_no_more(bytes(16))
        memory.heads(bytes(16))
    assert seen == [uses is not None and number >= uses for number in range(5)]


def test_one_brings_it_and_few_are_brought_at_a_time():
    memory = Memory(64 * MIB)
    names = [b"hash%012d" % number for number in range(20)]
    for name in names:
        memory.keep_heads(name, Known(b"key", (a_stored(),)))
        for _ in range(3):
            memory.heads(name)
    assert sum(memory.awaits(name, MIB) for name in names) == 16
    assert not memory.awaits(names[0], MIB)
    memory.awaits_no_more(names[0])
    assert memory.awaits(names[0], MIB)
    assert all(memory.awaits(name, SMALL) for name in names)


def test_what_would_have_to_leave_again_is_not_wanted_and_what_was_used_more_stays():
    memory = Memory(MIB)
    memory.keep_heads(bytes(16), Known(b"key", (a_stored(),)))
    memory.keep_content(b"the hot1", bytes(MIB * 3 // 4))
    wanted = []
    for used in range(20):
        memory.heads(bytes(16))
        if used < 8:
            memory.content(b"the hot1")
            memory.content(b"the hot1")
        wanted.append(memory.awaits(bytes(16), MIB // 2))
        memory.awaits_no_more(bytes(16))
    assert not any(wanted[:8])
    assert any(wanted[8:])
    memory.keep_content(b"the new1", bytes(MIB // 2), of=bytes(16))
    assert memory.peek_content(b"the hot1") is None
    assert memory.visits(b"the new1") == 21


def test_while_there_is_no_room_every_eighth_is_promoted():
    memory = Memory(MIB)
    memory.keep_content(b"generatn", bytes(MIB - (1 << 14)))
    assert sum(memory.promotes() for _ in range(80)) == 10


def test_without_memory_nothing_is_kept():
    memory = Memory(0)
    memory.keep_content(b"generatn", b"content")
    assert memory.content(b"generatn") is None
