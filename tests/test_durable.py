"""What the control plane remembers."""

import pickle  # noqa: TID251 - planted, to see that it is not loaded
import sqlite3

import pytest

from edge.durable import open_durable
from edge.errors import StoreDamaged, StoreError


class Planted:
    """Says so when it is loaded."""

    loaded = False

    def __reduce__(self):
        return (setattr, (Planted, "loaded", True))


@pytest.fixture
def kept(tmp_path):
    kept = open_durable(tmp_path / "kept")
    yield kept
    kept.close()


@pytest.mark.parametrize("value", [None, "text", "x" * 100_000, ["a", 200, {"b": None}]])
def test_what_is_kept_comes_back(kept, value):
    kept.set("k", value)
    assert kept.get("k") == value


def test_only_its_owner_can_look_at_it(kept, tmp_path):
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700


def test_what_is_not_json_is_not_kept(kept):
    with pytest.raises(TypeError):
        kept.set("k", object())
    with pytest.raises(TypeError):
        kept.set(("k",), 1)


@pytest.mark.parametrize(
    ("column", "planted"),
    [
        pytest.param("value = ?, mode = 4", pickle.dumps(Planted()), id="a pickle"),
        pytest.param("value = ?", b"octets", id="octets"),
        pytest.param("value = ?", "{", id="text that is not JSON"),
    ],
)
def test_what_was_planted_is_not_loaded(kept, tmp_path, column, planted):
    kept.set("k", 1)
    with sqlite3.connect(tmp_path / "kept" / "cache.db") as database:
        database.execute(f"UPDATE Cache SET {column}", (planted,))
    database.close()
    with pytest.raises(StoreDamaged):
        kept.get("k")
    assert not Planted.loaded


def test_a_planted_key_is_not_loaded(kept, tmp_path):
    kept.set("k", 1)
    with sqlite3.connect(tmp_path / "kept" / "cache.db") as database:
        database.execute("UPDATE Cache SET key = ?, raw = 0", (pickle.dumps(Planted()),))
    database.close()
    with pytest.raises(StoreDamaged):
        list(kept)
    assert not Planted.loaded


def test_a_directory_that_cannot_be_used_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        open_durable(tmp_path / "file")
