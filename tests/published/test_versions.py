"""Versions of a site: kept, made active, gone back from, pruned."""

import pytest

from edge.errors import StoreError
from edge.published.blobs import blob_path
from edge.published.versions import Conflict, active_path, version_folder
from tests.published.making import NOW, SITE, manifest, named, publish, put, versions


@pytest.fixture
def kept(tmp_path):
    return versions(tmp_path)


def test_ids_count_up_over_all_sites_and_restarts(kept, tmp_path):
    first = kept.add(manifest(a=b"1"), "ann", NOW)
    other = kept.add(manifest("other.test", a=b"1"), "ann", NOW)
    again = versions(tmp_path)
    third = again.add(manifest(a=b"2"), "bob", NOW + 1)
    assert [each.id.partition("-")[0] for each in (first, other, third)] == ["000001", "000002", "000003"]
    assert (again.ids(SITE), again.sites()) == ([first.id, third.id], ["other.test", SITE])
    assert again.get(third.id) == third


def test_the_same_manifest_as_the_newest_is_that_version(kept):
    first = kept.add(manifest(a=b"1"), "ann", NOW)
    assert kept.add(manifest(a=b"1"), "bob", NOW + 1) == first
    kept.add(manifest(a=b"2"), "ann", NOW)
    assert kept.add(manifest(a=b"1"), "ann", NOW).id != first.id


@pytest.mark.parametrize("id_", ["", "000001-00000000", "../../secret", "000001-*"])
def test_a_version_that_is_not_there_is_none(kept, id_):
    kept.add(manifest(a=b"1"), "ann", NOW)
    assert kept.get(id_) is None


def test_a_version_is_active_only_with_all_its_contents(kept):
    version = kept.add(manifest(a=b"1", b=b"2"), "ann", NOW)
    put(kept.blobs, b"1")
    with pytest.raises(Conflict, match="1 of its contents"):
        kept.activate(version, "ann", NOW, expected=None)
    assert kept.active(SITE) is None
    put(kept.blobs, b"2")
    kept.activate(version, "ann", NOW, expected="")
    assert kept.active(SITE).id == version.id


def test_who_believes_something_else_is_told_what_there_is(kept):
    first = publish(kept, a=b"1")
    second = kept.add(manifest(a=b"1", b=b"1"), "bob", NOW)
    for expected in ("", "000009-00000000"):
        with pytest.raises(Conflict, match=f"{first.id} was published by ann"):
            kept.activate(second, "bob", NOW, expected=expected)
    kept.activate(second, "bob", NOW, expected=first.id)
    assert (kept.active(SITE).id, kept.active(SITE).by) == (second.id, "bob")
    kept.withdraw(SITE, expected=second.id)
    with pytest.raises(Conflict, match="nothing is published"):
        kept.rollback(SITE, "bob", NOW, expected=second.id)


def test_a_rollback_goes_back_one_by_one(kept, tmp_path):
    first, second, third = (publish(kept, a=b"%d" % number) for number in range(3))
    again = versions(tmp_path)
    assert again.rollback(SITE, "bob", NOW, expected=third.id).id == second.id
    assert again.rollback(SITE, "bob", NOW, expected=None).id == first.id
    with pytest.raises(Conflict, match="no version to go back to"):
        again.rollback(SITE, "bob", NOW, expected=None)


def test_activating_what_is_active_changes_nothing(kept):
    first = publish(kept, a=b"1")
    before = kept.active(SITE)
    assert kept.activate(first, "bob", NOW + 1, expected=None) == before == kept.active(SITE)


def test_a_rollback_leaves_out_what_was_pruned(kept):
    for number in range(4):
        publish(kept, a=b"%d" % number)
    kept.prune(SITE, 1)
    with pytest.raises(Conflict, match="no version to go back to"):
        kept.rollback(SITE, "bob", NOW, expected=None)


def test_pruning_keeps_the_newest_and_the_active_with_their_contents(kept, tmp_path):
    first, second, third = (publish(kept, a=b"a%d" % number, same=b"same") for number in range(3))
    kept.activate(first, "ann", NOW, expected=None)
    assert kept.prune(SITE, 1) == ([second.id], 2)
    assert kept.ids(SITE) == [first.id, third.id]
    there = {name: blob_path(tmp_path, named(name)).exists() for name in (b"a0", b"a1", b"a2", b"same")}
    assert there == {b"a0": True, b"a1": False, b"a2": True, b"same": True}
    assert kept.prune(SITE, 0) == ([third.id], 2)
    assert kept.ids(SITE) == [first.id]


def test_what_was_active_is_put_back(kept):
    kept.restore(SITE, None)
    first = publish(kept, a=b"1")
    before = kept.active(SITE)
    publish(kept, a=b"2")
    kept.restore(SITE, before)
    assert kept.active(SITE).id == first.id
    kept.restore(SITE, None)
    assert kept.active(SITE) is None


def test_what_cannot_be_read_is_told(kept, tmp_path):
    version = publish(kept, a=b"1")
    (version_folder(tmp_path, SITE) / f"{version.id}.json").write_text("{")
    with pytest.raises(StoreError, match="cannot be read"):
        kept.get(version.id)
    active_path(tmp_path, SITE).write_text("[]")
    with pytest.raises(StoreError, match="cannot be read"):
        kept.active(SITE)


def test_the_name_of_a_site_is_no_path(kept, tmp_path):
    kept.add(manifest("../../x", a=b"1"), "ann", NOW)
    assert kept.sites() == ["../../x"]
    assert [folder.parent for folder in (tmp_path / "versions").iterdir()] == [tmp_path / "versions"]
