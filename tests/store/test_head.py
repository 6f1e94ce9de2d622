"""Heads as bytes."""

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.caching.stored import StoredResponse
from edge.errors import StoreDamaged, StoreError
from edge.semantics.fields import FieldSection
from edge.store import head
from edge.store.record import HEAD_LIMIT
from tests.store.keeping import a_stored

TOKENS = st.from_regex(rb"[a-z][a-z0-9\-]{0,20}", fullmatch=True).filter(lambda name: name not in head._REFUSED)
VALUES = st.from_regex(rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]{0,50}[!-~\x80-\xff])?)?", fullmatch=True)
TIMES = st.floats(0, 4e9)
EDGES = st.lists(st.integers(0, 1 << 40), max_size=20, unique=True).map(sorted)


@st.composite
def stored_responses(draw):
    edges = draw(EDGES)
    ranges = tuple(zip(edges[::2], edges[1::2], strict=False))
    shortest = ranges[-1][1] if ranges else 0
    return StoredResponse(
        key=draw(st.binary(min_size=1, max_size=200)),
        generation=draw(st.binary(min_size=8, max_size=8)),
        method=draw(TOKENS),
        nominated=tuple(draw(st.lists(st.tuples(TOKENS, st.none() | VALUES), max_size=3))),
        status=draw(st.integers(100, 999)),
        reason=draw(VALUES),
        fields=FieldSection(draw(st.lists(st.tuples(TOKENS, VALUES), max_size=8))),
        request_time=draw(TIMES),
        response_time=draw(TIMES),
        complete_length=draw(st.none() | st.integers(shortest, 1 << 62)),
        ranges=ranges,
        epoch=draw(st.integers(0, (1 << 64) - 1)),
        pinned=draw(st.booleans()),
    )


@given(stored_responses())
def test_a_head_comes_back_as_it_was(stored):
    # The second time by the layout that was learnt the first time.
    assert [head.decode(head.encode(stored)) for _ in range(2)] == [stored, stored]


@given(stored_responses())
def test_an_outline_says_what_the_whole_head_says(stored):
    assert head.outline(head.encode(stored)) == head.outline_of(stored)


@given(st.data(), stored_responses())
def test_the_outline_of_anything_is_an_outline_or_damage(data, stored):
    raw = bytearray(head.encode(stored))
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=4)):
        raw[at] = data.draw(st.integers(0, 255))
    with suppress(StoreDamaged):
        head.outline(bytes(raw[: data.draw(st.integers(0, len(raw)))]))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_damaged_and_nothing_else(raw):
    with pytest.raises(StoreDamaged):
        head.decode(raw)


@given(stored_responses(), st.data())
def test_a_changed_head_is_damaged_or_a_head(stored, data):
    raw = bytearray(head.encode(stored))
    head.decode(bytes(raw))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        changed = head.decode(bytes(raw))
    except StoreDamaged:
        return
    assert head.encode(changed) is not None


@given(stored_responses(), st.integers(1, 50))
def test_a_head_that_is_cut_or_has_a_tail_is_damaged(stored, length):
    raw = head.encode(stored)
    # The last byte of a pinned one says nothing else.
    for damaged in (raw[: -length - stored.pinned], raw + bytes(length)):
        with pytest.raises(StoreDamaged):
            head.decode(damaged)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"key": b""}, id="no key"),
        pytest.param({"generation": b"short"}, id="a generation of another length"),
        pytest.param({"method": b"GET /"}, id="a method that is no token"),
        pytest.param({"status": 99}, id="a status below 100"),
        pytest.param({"status": 1000}, id="a status above 999"),
        pytest.param({"reason": b"OK\r\nx: y"}, id="a line break in the reason phrase"),
        pytest.param({"fields": FieldSection([(b"a", b"b\r\nc: d")])}, id="a line break in a field value"),
        pytest.param({"fields": FieldSection([(b"a", b"b\0")])}, id="a NUL in a field value"),
        pytest.param({"fields": FieldSection([(b"a b", b"c")])}, id="a field name that is no token"),
        pytest.param({"fields": FieldSection([(b"transfer-encoding", b"chunked")])}, id="a field of the connection"),
        pytest.param({"fields": FieldSection([(b"a", b"b")] * 10_000)}, id="10,000 field lines"),
        pytest.param({"nominated": ((b"a", b"b\nc"),)}, id="a line break in a nominated field"),
        pytest.param({"request_time": math.nan}, id="a request time that is no number"),
        pytest.param({"response_time": math.inf}, id="a response time without end"),
        pytest.param({"response_time": -1.0}, id="a response time before 1970"),
        pytest.param({"response_time": 253402300800.0}, id="a response time after the year 9999"),
        pytest.param({"epoch": -1}, id="a negative epoch"),
        pytest.param({"complete_length": -2}, id="a negative length"),
        pytest.param({"complete_length": 5, "ranges": ((0, 6),)}, id="a range behind the end"),
        pytest.param({"complete_length": 9, "ranges": ((3, 3),)}, id="an empty range"),
        pytest.param({"complete_length": 9, "ranges": ((4, 6), (0, 2))}, id="ranges out of order"),
        pytest.param({"complete_length": 9, "ranges": ((0, 4), (3, 6))}, id="ranges that overlap"),
    ],
)
def test_refused(monkeypatch, changes):
    stored = a_stored(**changes)
    with pytest.raises(StoreError):
        head.encode(stored)
    # The same bytes written by somebody else are refused when they are read.
    monkeypatch.setattr(head, "_problem", lambda _: None)
    try:
        raw = head.encode(stored)
    except Exception:  # noqa: BLE001 - no bytes can say this, so nobody can write it
        return
    monkeypatch.undo()
    with pytest.raises(StoreDamaged):
        head.decode(raw)


def test_a_head_over_the_limit_is_refused():
    with pytest.raises(StoreError):
        head.encode(a_stored(fields=FieldSection([(b"a", b"x" * HEAD_LIMIT)])))


def test_variants_differ_by_what_is_nominated():
    variants = [(), ((b"accept", b"a"),), ((b"accept", None),), ((b"accept", b""),), ((b"acce", b"pta"),)]
    assert len({head.variant_of(a_stored(nominated=nominated)) for nominated in variants}) == len(variants)
    assert head.variant_of(a_stored(b"http://a/")) == head.variant_of(a_stored(b"http://b/", status=404))
