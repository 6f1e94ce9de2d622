import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import StoreError
from edge.ports import Record
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request
from edge.semantics.target import Target
from edge.telemetry.access_log import BATCH, AccessLog
from edge.telemetry.lines import formatter

RECORD = Record(
    request=Request(b"GET", Target(b"http", b"a.example", b"/p"), FieldSection()), status=200, trace=(),
    cache_status=b"e; hit", outcome="HIT", detail="", client="192.0.2.1", site="a.example", bytes_out=1, began=0.0,
    seconds=0.001, first_byte_seconds=0.001, origin_seconds=None, origin_status=None, complete=True,
)  # fmt: skip
ROOT = Path(__file__).parents[2]


def line(record: Record) -> bytes:
    return b"%d\n" % record.status


def test_lines_are_written_in_order(tmp_path):
    log = AccessLog(tmp_path / "log", line)
    for _ in range(BATCH * 3 + 1):
        log.write(RECORD)
    assert log.close()
    assert (tmp_path / "log").read_bytes() == b"200\n" * (BATCH * 3 + 1)
    assert log.dropped == 0


def test_an_existing_file_is_appended_to_and_a_new_one_is_not_for_everybody(tmp_path):
    (tmp_path / "log").write_bytes(b"old\n")
    for name in ("log", "new"):
        log = AccessLog(tmp_path / name, line)
        log.write(RECORD)
        log.close()
    assert (tmp_path / "log").read_bytes() == b"old\n200\n"
    assert (tmp_path / "new").stat().st_mode & 0o007 == 0


def test_reopening_lets_a_rotated_file_go(tmp_path):
    log = AccessLog(tmp_path / "log", line)
    log.write(RECORD)
    log.reopen()
    log.write(RECORD)
    assert log.close()
    # Both are there: the file was not moved, so it was opened again.
    assert (tmp_path / "log").read_bytes() == b"200\n200\n"


def test_lines_after_a_rotation_go_to_the_new_file(tmp_path):
    os.mkfifo(tmp_path / "log")
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    log = AccessLog(tmp_path / "log", line)
    (tmp_path / "log").rename(tmp_path / "log.1")
    log.write(RECORD)
    log.reopen()
    log.write(RECORD)
    assert log.close()
    assert os.read(reader, 100) == b"200\n"
    assert os.read(reader, 100) == b""
    assert (tmp_path / "log").read_bytes() == b"200\n"
    os.close(reader)


def test_a_file_that_cannot_be_reopened_keeps_the_old_one(tmp_path, caplog):
    folder = tmp_path / "logs"
    folder.mkdir()
    log = AccessLog(folder / "log", line)
    folder.rename(tmp_path / "moved")
    log.reopen()
    log.write(RECORD)
    assert log.close()
    assert (tmp_path / "moved/log").read_bytes() == b"200\n"
    assert os.strerror(errno.ENOENT) in caplog.text


def test_a_file_that_cannot_be_opened_is_told_at_the_start(tmp_path):
    with pytest.raises(StoreError, match="No such file"):
        AccessLog(tmp_path / "none/log", line)


def test_a_full_disk_costs_lines_and_is_told_once(caplog):
    log = AccessLog(Path("/dev/full"), line)
    for _ in range(BATCH * 2):
        log.write(RECORD)
    assert log.close()
    assert log.dropped == BATCH * 2
    assert len(caplog.records) == 1


def test_a_reader_that_went_away_costs_lines(tmp_path):
    os.mkfifo(tmp_path / "log")
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    log = AccessLog(tmp_path / "log", line)
    os.close(reader)
    log.write(RECORD)
    assert log.close()
    assert log.dropped == 1


def test_a_record_that_cannot_be_told_does_not_end_the_log(tmp_path, caplog):
    def fails(record: Record) -> bytes:
        return b"%d\n" % (1 // (record.status - 200))

    log = AccessLog(tmp_path / "log", fails)
    log.write(RECORD)
    log.write(RECORD)
    assert log.close()
    assert log.dropped == 2
    assert "could not be formatted" in caplog.text


def run(close_stdout: bool) -> subprocess.CompletedProcess[bytes]:
    program = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("rows", {__file__!r})
rows = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rows)
import os
if {close_stdout}: os.close(1)
log = rows.AccessLog(None, rows.formatter("json", "keep", node="n", zone=""))
log.write(rows.RECORD)
assert log.close()
sys.stderr.write(f"dropped {{log.dropped}}")
"""
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)


@pytest.mark.slow
def test_standard_output_gets_the_lines():
    done = run(close_stdout=False)
    assert json.loads(done.stdout)["status"] == 200
    assert done.stderr == b"dropped 0"


@pytest.mark.slow
def test_a_closed_standard_output_is_survived():
    done = run(close_stdout=True)
    assert b"dropped 1" in done.stderr


def test_the_line_of_a_format_is_what_is_written(tmp_path):
    log = AccessLog(tmp_path / "log", formatter("text", "keep", node="n", zone=""))
    log.write(RECORD)
    assert log.close()
    assert (tmp_path / "log").read_text() == "1970-01-01T00:00:00.000Z 192.0.2.1 GET a.example/p 200 HIT 1B 1ms\n"
