"""Bundles, whole, octet by octet, and with what does not belong there."""

import hashlib

import pytest

from edge.errors import ParseError, StoreDamaged, StoreFull
from edge.published.blobs import Blobs
from edge.published.bundle import Bundle
from tests.published.making import named

CONTENTS = [b"one", b"", b"three" * 100]


def head(content: bytes, size: int | None = None) -> bytes:
    return hashlib.sha256(content).digest() + (len(content) if size is None else size).to_bytes(8, "big")


WHOLE = b"".join(head(content) + content for content in CONTENTS)


@pytest.fixture
def blobs(tmp_path):
    return Blobs(tmp_path, 1000)


@pytest.mark.parametrize("step", [1, 7, 40, 41, len(WHOLE)])
def test_the_pieces_in_which_it_comes_do_not_matter(blobs, step):
    bundle = Bundle(blobs)
    for at in range(0, len(WHOLE), step):
        bundle.feed(WHOLE[at : at + step])
    bundle.end()
    assert (bundle.count, blobs.lacking({named(each): len(each) for each in CONTENTS})) == (3, [])


def test_an_empty_one_is_one(blobs):
    bundle = Bundle(blobs)
    bundle.end()
    assert bundle.count == 0


@pytest.mark.parametrize("length", [1, 39, 40, 42, 43 + 1, len(WHOLE) - 1])
def test_one_that_ends_in_the_middle_is_refused_and_leaves_what_was_whole(blobs, tmp_path, length):
    bundle = Bundle(blobs)
    bundle.feed(WHOLE[:length])
    with pytest.raises(ParseError, match="middle"):
        bundle.end()
    bundle.drop()
    assert len(list((tmp_path / "incoming").iterdir())) == bundle.count


def test_a_content_that_is_not_what_its_hash_says_is_refused(blobs):
    bundle = Bundle(blobs)
    with pytest.raises(StoreDamaged):
        bundle.feed(head(b"one") + b"two")
    bundle.drop()
    assert blobs.room == 1000


@pytest.mark.parametrize("size", [1001, (1 << 64) - 1])
def test_one_that_announces_more_than_there_is_room_for_is_refused_before_it_comes(blobs, size):
    with pytest.raises(StoreFull):
        Bundle(blobs).feed(head(b"", size))
