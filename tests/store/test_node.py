"""Who may open a node directory."""

import os
import stat
import struct
import subprocess
import sys
from zlib import crc32

import pytest

from edge.errors import StoreError
from edge.store.node import Node


def test_a_new_directory_is_ours_alone(tmp_path):
    node = Node(tmp_path / "a" / "node")
    node.mark(clean=False)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (node.path, *node.path.iterdir())}
    node.close()
    assert modes == {"node": 0o700, "lock": 0o600, "control": 0o600}


@pytest.mark.parametrize("clean", [True, False])
def test_how_it_was_left_is_known(tmp_path, clean):
    node = Node(tmp_path)
    assert (node.was_clean, node.was_this_boot) == (False, False)
    node.mark(clean=clean)
    node.close()
    again = Node(tmp_path)
    again.close()
    assert (again.was_clean, again.was_this_boot) == (clean, True)


def test_a_second_process_is_refused_and_told_who_has_it(tmp_path):
    node = Node(tmp_path)
    opening = f"from pathlib import Path; from edge.store.node import Node; Node(Path({str(tmp_path)!r}))"
    second = subprocess.run([sys.executable, "-c", opening], capture_output=True, text=True, check=False)
    node.close()
    assert second.returncode != 0
    assert f"StoreError: {tmp_path} is in use by process {os.getpid()}" in second.stderr
    Node(tmp_path).close()


def test_another_format_is_refused_in_words(tmp_path):
    fields = struct.pack("<8sII36s", b"FLstore\n", 9, 1, bytes(36))
    (tmp_path / "control").write_bytes(fields + struct.pack("<I", crc32(fields)))
    for _ in range(2):
        with pytest.raises(StoreError, match="has store format 9 and this program knows only formats 1 to 2"):
            Node(tmp_path)


def test_somebody_elses_file_is_refused(tmp_path):
    (tmp_path / "control").write_text("[settings]\n")
    with pytest.raises(StoreError, match="holds something else"):
        Node(tmp_path)


@pytest.mark.parametrize("length", [8, 40])
def test_a_torn_control_file_is_not_clean(tmp_path, length):
    node = Node(tmp_path)
    node.mark(clean=True)
    node.close()
    os.truncate(tmp_path / "control", length)
    again = Node(tmp_path)
    again.close()
    assert (again.was_clean, again.was_this_boot) == (False, False)


@pytest.mark.parametrize("name", ["lock", "control"])
@pytest.mark.parametrize("how", ["symlink", "hard link", "pipe", "directory"])
def test_a_file_that_is_not_its_own_is_refused(tmp_path, name, how):
    (tmp_path / "victim").write_text("precious")
    node = tmp_path / "node"
    node.mkdir()
    match how:
        case "symlink":
            (node / name).symlink_to(tmp_path / "victim")
        case "hard link":
            (node / name).hardlink_to(tmp_path / "victim")
        case "pipe":
            os.mkfifo(node / name)
        case _:
            (node / name).mkdir()
    with pytest.raises(StoreError):
        Node(node)
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_path_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        Node(tmp_path / "file")
