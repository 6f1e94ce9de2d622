"""The purge log, on a real disk."""

import os
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.errors import PurgeNotWritten, StoreDamaged, StoreError
from edge.policy.purging import EVERYTHING, Kind, Mode, Purge, Selector
from edge.purges import log as module
from edge.purges.log import PurgeLog
from edge.purges.node import LocalEpoch, NodePurges
from edge.purges.record import encode, encode_heading

NOW = 1_800_000_000.0
FIRST_FROM_CLOCK = 1_800_000_000_000


def tag(name: str) -> Selector:
    return Selector(Kind.TAG, name.encode())


class Node:
    """A purge log and the rules one process makes of it."""

    def __init__(self, path: Path, *, holds: bool = True, shared: LocalEpoch | None = None) -> None:
        self.shared = shared or LocalEpoch()
        self.log = PurgeLog(path, self.shared, holds=holds, now=NOW)
        self.purges = NodePurges(self.log, self.shared)

    def append(self, *names: str, mode: Mode = Mode.SOFT) -> Purge:
        return self.log.append(mode, tuple(map(tag, names)), NOW)

    def verdict(self, epoch: int, *names: str):
        self.purges.current()
        found = self.purges.verdict(b"k", epoch, lambda: map(tag, names))
        return found and found.mode


@pytest.fixture
def path(tmp_path):
    return tmp_path / "purges"


@pytest.fixture
def node(path):
    return Node(path, holds=False)


def test_ids_count_up_across_restarts(node, path):
    assert [node.append("a").id, node.append("b").id] == [1, 2]
    node.purges.close()
    again = Node(path)
    assert again.purges.current() == 2
    assert again.append("c").id == 3
    assert (again.verdict(1, "b"), again.verdict(2, "b"), again.verdict(2, "c")) == (Mode.SOFT, None, Mode.SOFT)


def test_a_purge_is_in_force_in_another_process_as_soon_as_it_was_appended(node, path):
    other = Node(path, shared=node.shared)
    node.append("a")
    assert other.verdict(0, "a") is Mode.SOFT
    assert other.append("b", mode=Mode.HARD).id == 2
    assert node.verdict(0, "b") is Mode.HARD


def test_what_is_not_acknowledged_is_not_in_force(node, path):
    node.append("a")
    with node.log.path.open("ab") as file:
        file.write(encode(Purge(2, NOW, Mode.HARD, (EVERYTHING,))))
    node.shared.epoch = 1
    assert node.verdict(0) is None
    assert [purge.id for purge in node.log.everything()] == [1]


def test_a_torn_last_line_is_cut_wherever_it_was_torn(node, path):
    node.append("a")
    whole = node.log.path.read_bytes()
    node.append("b")
    line = node.log.path.read_bytes()[len(whole) :]
    for length in range(len(line)):
        node.log.path.write_bytes(whole + line[:length])
        again = Node(path)
        assert again.purges.current() == 1
        assert again.log.path.read_bytes() == whole
        assert again.append("c").id == 2


@pytest.mark.parametrize("at", ["heading", "middle", "end", "line end"])
def test_an_altered_log_purges_everything_and_is_kept_aside(node, path, at):
    for name in "abc":
        node.append(name)
    raw = bytearray(node.log.path.read_bytes())
    place = {"heading": 3, "middle": len(raw) // 2, "end": len(raw) - 3, "line end": len(raw) - 1}[at]
    raw[place] ^= 1
    node.log.path.write_bytes(raw)
    again = Node(path)
    assert again.verdict(3, "x") is Mode.HARD
    given = again.append("d").id
    assert given > FIRST_FROM_CLOCK
    assert again.verdict(given - 1, "x") is None
    [aside] = path.glob("damaged-*")
    assert aside.read_bytes() == raw
    assert Node(path).verdict(3, "x") is Mode.HARD


@pytest.mark.parametrize("left", [b"", encode_heading(0)[:9]])
def test_a_log_without_a_heading_is_an_altered_one(node, path, left):
    node.append("a")
    node.log.path.write_bytes(left)
    assert Node(path).verdict(1, "x") is Mode.HARD


@pytest.mark.parametrize(("holds", "expected"), [(True, Mode.HARD), (False, None)])
def test_a_log_that_is_gone_purges_what_is_stored(node, path, holds, expected):
    node.append("a")
    node.log.path.unlink()
    assert Node(path, holds=holds).verdict(0, "x") is expected


def test_a_log_that_is_altered_while_it_is_used_purges_everything(node, path):
    node.append("a")
    node.purges.current()
    other = Node(path)
    other.append("b")
    raw = node.log.path.read_bytes()
    node.log.path.write_bytes(raw[:-4] + b"x" + raw[-3:])
    node.shared.epoch = 2
    assert node.verdict(1, "x") is Mode.HARD
    assert node.purges.current() == 2
    with pytest.raises(PurgeNotWritten):
        node.append("c")


def test_a_log_that_ends_too_early_while_it_is_used_purges_everything(node):
    node.append("a")
    node.purges.current()
    whole = node.log.path.read_bytes()
    node.append("b")
    node.log.path.write_bytes(whole)
    assert node.verdict(1, "x") is Mode.HARD
    assert node.purges.current() == 2


def test_a_log_out_of_order_is_an_altered_one(node):
    lines = [encode(Purge(number, NOW, Mode.SOFT, (EVERYTHING,))) for number in (2, 1)]
    node.log.path.write_bytes(b"".join([encode_heading(0), *lines]))
    node.shared.epoch = 2
    with pytest.raises(StoreDamaged):
        node.log.everything()


@contextmanager
def files_of_at_most(size: int):
    """Let the system refuse to make any file longer than `size`, as a full disk would."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_refuses_a_purge_that_then_did_not_happen(node, path):
    node.append("a")
    before = node.log.path.read_bytes()
    with files_of_at_most(len(before) + 20), pytest.raises(PurgeNotWritten):
        node.append("b")
    assert node.log.path.read_bytes() == before
    assert node.verdict(0, "b") is None
    assert node.append("c").id == 2
    assert Node(path).verdict(0, "c") is Mode.SOFT


def test_a_purge_that_cannot_be_taken_back_stops_all_others(node, monkeypatch):
    def refuse(*_):
        raise OSError("the disk is gone")

    monkeypatch.setattr(os, "ftruncate", refuse)
    monkeypatch.setattr(os, "fdatasync", refuse)
    with pytest.raises(PurgeNotWritten):
        node.append("a")
    monkeypatch.undo()
    with pytest.raises(PurgeNotWritten, match="restart"):
        node.append("b")
    assert node.verdict(0, "a") is None


def test_a_log_becomes_shorter_and_keeps_its_ids(node, path, monkeypatch):
    monkeypatch.setattr(module, "COMPACT_EVERY", 10)
    other = Node(path, shared=node.shared)
    for _ in range(25):
        node.append("same")
    assert len(node.log.everything()) == 6
    assert other.verdict(24, "same") is Mode.SOFT
    again = Node(path)
    assert len(again.log.everything()) == 1
    assert again.append("x").id == 26
    assert node.append("y").id == 27
    node.shared.epoch = 27
    assert node.verdict(25, "x") is Mode.SOFT


def test_a_directory_that_cannot_be_used_is_told(tmp_path):
    (tmp_path / "purges").write_text("a file")
    with pytest.raises(StoreError, match="purge log"):
        Node(tmp_path / "purges")


ACKNOWLEDGING = """
import sys, time
from pathlib import Path
from edge.policy.purging import Kind, Mode, Selector
from edge.purges.log import PurgeLog
from edge.purges.node import LocalEpoch

log = PurgeLog(Path(sys.argv[1]), LocalEpoch(), holds=False, now=1.0)
number = int(sys.argv[2])
while True:
    number += 1
    purge = log.append(Mode.SOFT, (Selector(Kind.TAG, b"%d" % number),), time.time())
    print(number, purge.id, flush=True)
"""


def test_a_purge_that_was_acknowledged_is_kept_by_a_process_that_is_killed(path):
    acknowledged: dict[int, int] = {}
    for _ in range(int(os.environ.get("FORELAND_KILLS", "5"))):
        arguments = [sys.executable, "-c", ACKNOWLEDGING, str(path), str(len(acknowledged))]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
            lines = [child.stdout.readline() for _ in range(20)]
            child.send_signal(signal.SIGKILL)
            lines += child.stdout.readlines()
        for line in lines:
            if line.endswith("\n"):
                number, given = map(int, line.split())
                acknowledged[number] = given
        kept = {purge.selectors[0].value: purge.id for purge in Node(path, holds=False).log.everything()}
        assert {name: kept.get(b"%d" % name) for name in acknowledged} == acknowledged
    assert len(set(acknowledged.values())) == len(acknowledged)
