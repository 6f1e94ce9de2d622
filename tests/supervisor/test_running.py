"""Which nodes of this user run: links in a directory of its own."""

from pathlib import Path

import pytest

from edge.supervisor.running import announce, folders, withdraw


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which there is one for the links."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "foreland"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    folder = tmp_path / "node" / "run"
    folder.mkdir(parents=True)
    return folder


def test_a_node_is_found_until_it_is_withdrawn(node: Path) -> None:
    assert folders() == []
    announce(node)
    announce(node)  # as the next program does on an upgrade
    assert folders() == [node]
    withdraw(node)
    withdraw(node)
    assert folders() == []


def test_a_node_whose_directory_is_gone_is_forgotten_by_the_next_one(node: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    announce(other)
    other.rmdir()
    announce(node)
    assert folders() == [node]


def test_a_relative_folder_is_found_from_everywhere(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(node.parent)
    announce(Path("run"))
    assert folders() == [node]


@pytest.mark.parametrize("planted", ["a directory for everybody", "a link to somewhere else"])
def test_what_somebody_else_may_have_planted_is_not_believed(node: Path, runtime: Path, planted: str) -> None:
    target = runtime if planted == "a directory for everybody" else runtime.with_name("elsewhere")
    target.mkdir()
    target.joinpath("0").symlink_to(node)
    target.chmod(0o777)
    if target != runtime:
        target.chmod(0o700)
        runtime.symlink_to(target)
    assert folders() == []
    with pytest.raises(OSError, match=r"alone|Not a directory|symbolic links"):
        announce(node)
