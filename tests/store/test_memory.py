"""The memory tier."""

from edge.store.memory import Known, Memory
from tests.store.keeping import a_stored


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


def test_without_memory_nothing_is_kept():
    memory = Memory(0)
    memory.keep_content(b"generatn", b"content")
    assert memory.content(b"generatn") is None
