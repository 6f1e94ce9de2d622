"""Contents by their hash: what counts, what is kept, and what is gone with the process."""

import pytest

from edge.errors import StoreDamaged, StoreError, StoreFull
from edge.published.blobs import Blobs, blob_path, remove_synced, write_synced
from tests.published.making import named, put


@pytest.fixture
def blobs(tmp_path):
    return Blobs(tmp_path, 100)


def sizes(*contents: bytes) -> dict[str, int]:
    return {named(content): len(content) for content in contents}


def test_what_has_arrived_is_not_lacking_and_takes_room(blobs):
    assert blobs.lacking(sizes(b"a", b"bb")) == [named(b"a"), named(b"bb")]
    put(blobs, b"a")
    assert (blobs.lacking(sizes(b"a", b"bb")), blobs.room) == ([named(b"bb")], 99)


def test_a_content_counts_once(blobs):
    put(blobs, b"aa", b"aa")
    blobs.settle()
    put(blobs, b"aa")
    blobs.settle()
    assert blobs.room == 98


def test_what_is_not_settled_is_gone_with_the_process(blobs, tmp_path):
    put(blobs, b"settled")
    blobs.settle()
    put(blobs, b"arrived")
    again = Blobs(tmp_path, 100)
    assert again.lacking(sizes(b"settled", b"arrived")) == [named(b"arrived")]
    assert (again.room, list((tmp_path / "incoming").iterdir())) == (93, [])


def test_one_of_another_size_is_lacking(blobs):
    put(blobs, b"a")
    assert blobs.lacking({named(b"a"): 2}) == [named(b"a")]


def test_what_does_not_fit_the_quota_is_not_begun(blobs):
    put(blobs, b"x" * 60)
    with pytest.raises(StoreFull, match="quota"):
        blobs.incoming(named(b"y" * 41), 41)
    put(blobs, b"y" * 40)
    assert blobs.room == 0


@pytest.mark.parametrize(
    "sent", [pytest.param(b"lie", id="another content"), pytest.param(b"tru", id="only its beginning")]
)
def test_what_is_not_what_was_announced_is_not_kept(blobs, tmp_path, sent):
    incoming = blobs.incoming(named(b"true"), 4)
    incoming.write(sent)
    with pytest.raises(StoreDamaged, match=named(b"true")):
        incoming.finish()
    assert (list((tmp_path / "incoming").iterdir()), blobs.room) == ([], 100)


def test_what_is_dropped_leaves_nothing(blobs, tmp_path):
    incoming = blobs.incoming(named(b"true"), 4)
    incoming.write(b"tr")
    assert incoming.left == 2
    incoming.drop()
    incoming.drop()
    assert (list((tmp_path / "incoming").iterdir()), blobs.room) == ([], 100)


def test_a_sweep_deletes_what_is_settled_and_not_used(blobs, tmp_path):
    put(blobs, b"used", b"unused")
    blobs.settle()
    put(blobs, b"arrived")
    assert blobs.sweep([named(b"used")]) == 6
    assert (blob_path(tmp_path, named(b"used")).read_bytes(), blobs.room) == (b"used", 89)
    assert not blob_path(tmp_path, named(b"unused")).exists()
    blobs.settle()
    assert blob_path(tmp_path, named(b"arrived")).read_bytes() == b"arrived"


def test_contents_that_cannot_be_settled_leave_nothing_and_take_no_room(blobs, tmp_path):
    put(blobs, b"kept")
    blobs.settle()
    put(blobs, b"kept", b"lost")
    # A file where the folder should be made.
    (tmp_path / "blobs" / named(b"lost")[:2]).write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        blobs.settle()
    assert (blobs.room, blobs.lacking(sizes(b"kept", b"lost"))) == (96, [named(b"lost")])
    assert blob_path(tmp_path, named(b"kept")).read_bytes() == b"kept"
    assert not (tmp_path / "incoming" / named(b"lost")).exists()


def test_a_directory_that_cannot_be_used_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be used"):
        Blobs(tmp_path / "file", 100)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "file"
    write_synced(path, b"one")
    write_synced(path, b"two")
    assert ([each.name for each in path.parent.iterdir()], path.read_bytes()) == (["file"], b"two")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_synced(tmp_path / "folder", b"data")
    assert not (tmp_path / ".folder.new").exists()


def test_what_is_removed_need_not_be_there(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file", tmp_path / "nowhere" / "file"):
        remove_synced(path)
        assert not path.exists()
