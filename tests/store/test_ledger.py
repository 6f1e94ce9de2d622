"""What waits, and who uses what."""

import asyncio

import pytest

from edge.errors import StoreError
from edge.store.entry import Outcome
from edge.store.index import Index
from edge.store.ledger import Ledger
from edge.store.memory import Memory
from edge.store.record import Kind
from edge.store.shared import Shared
from tests.store.keeping import MIB, a_stored

HASH = bytes(16)
ONE, TWO = b"generat1", b"generat2"


@pytest.fixture
async def ledger(tmp_path):
    index = Index.open(tmp_path, 2 * MIB)
    yield Ledger(index, Memory(MIB), Shared.alone())
    index.close()


def kinds(ledger: Ledger) -> list[Kind | None]:
    return [entry.kind for entry in ledger.take()]


def settle(ledger: Ledger, *, written: bool = True, **outcome) -> None:
    number, entries = ledger.number, ledger.take()
    error = None if written else StoreError("no")
    ledger.settle(entries, number, Outcome(done=len(entries) if written else 0, error=error, **outcome))


async def test_what_waits_is_read_until_it_is_written(ledger):
    ledger.add_chunk(HASH, ONE, 1000, b"content")
    assert bytes(ledger.waiting(ONE, 1003)) == b"tent"
    assert [ledger.waiting(ONE, 999), ledger.waiting(ONE, 1007), ledger.waiting(TWO, 1000)] == [None] * 3
    settle(ledger)
    assert (ledger.waiting(ONE, 1000), ledger.size) == (None, 0)


async def test_heads_are_as_they_will_be(ledger):
    ledger.add_head(HASH, a_stored(generation=ONE))
    ledger.add_head(HASH, a_stored(generation=TWO))
    assert [ref.generation for ref in ledger.heads(HASH)] == [TWO]
    assert ledger.remove_heads(HASH, ONE) == 0
    assert ledger.remove_heads(HASH, TWO) == 1
    assert ledger.heads(HASH) == ()


async def test_a_later_change_outlives_the_settling_of_an_earlier_one(ledger):
    ledger.add_head(HASH, a_stored(generation=ONE))
    number, entries = ledger.number, ledger.take()
    ledger.add_head(HASH, a_stored(generation=TWO))
    ledger.settle(entries, number, Outcome(done=1))
    assert [ref.generation for ref in ledger.heads(HASH)] == [TWO]
    assert ledger.stored(ONE) is None
    assert ledger.stored(TWO) is not None


async def test_what_has_no_head_is_forgotten_when_its_last_reader_is_gone(ledger):
    ledger.pin(ONE)
    ledger.pin(ONE)
    ledger.release(ONE)
    ledger.unpin(ONE)
    await asyncio.sleep(0)
    assert (kinds(ledger), ledger.is_needed(ONE)) == ([], True)
    ledger.unpin(ONE)
    # Somebody may be about to open it again.
    assert kinds(ledger) == []
    await asyncio.sleep(0)
    assert (kinds(ledger), ledger.is_needed(ONE)) == ([None], False)


async def test_removals_are_tried_again_and_additions_are_not(ledger):
    ledger.add_head(HASH, a_stored(generation=ONE))
    settle(ledger, written=False)
    # The head that was not written leaves only its content to be forgotten.
    assert (ledger.heads(HASH), kinds(ledger)) == ((), [None])
    ledger.add_head(HASH, a_stored(generation=ONE))
    ledger.remove_heads(HASH, ONE)
    settle(ledger, written=False)
    assert Kind.REMOVED in kinds(ledger)
    assert ledger.heads(HASH) == ()


async def test_heads_that_the_log_changed_are_read_anew(ledger):
    before = ledger.changes
    settle(ledger, changed={HASH}, evicted=[b"first---", b"second--"], damaged=1)
    assert (ledger.changes > before, ledger.evicted, ledger.damaged) == (True, 2, 1)
