import hashlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from origin.pattern import BLOCK_SIZE, pattern

OFFSETS = st.integers(min_value=0, max_value=3 * BLOCK_SIZE)
SEEDS = st.binary(max_size=8)


@given(start=OFFSETS, end=OFFSETS, seed=SEEDS)
def test_random_access_equals_sequential(start: int, end: int, seed: bytes) -> None:
    assert pattern(start, end, seed) == pattern(0, 3 * BLOCK_SIZE, seed)[start:end]


@given(cuts=st.lists(OFFSETS, max_size=6).map(sorted), seed=SEEDS)
def test_pieces_join_to_the_whole(cuts: list[int], seed: bytes) -> None:
    edges = [0, *cuts, 3 * BLOCK_SIZE]
    pieces = [pattern(start, end, seed) for start, end in pairwise(edges)]
    assert b"".join(pieces) == pattern(0, 3 * BLOCK_SIZE, seed)


def test_block_is_what_the_documentation_says() -> None:
    assert pattern(4096, 8192, b"/x") == hashlib.shake_128(b"\0\0\0\0\0\0\0\1/x").digest(4096)


def test_far_offset_needs_no_content_before_it() -> None:
    assert len(pattern(10**15, 10**15 + 10)) == 10
