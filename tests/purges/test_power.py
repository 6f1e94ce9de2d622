"""Power cuts: whatever was not on the disk may be gone, in whole or in part; no acknowledged purge is."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.policy.purging import Kind, Mode, Purge, Selector
from edge.purges.log import PurgeLog
from edge.purges.node import LocalEpoch, NodePurges
from edge.purges.record import encode
from tests.store.keeping import MIB
from tests.store.mounting import CAN_MOUNT, an_ext4
from tests.store.test_power import torn

CUTS = int(os.environ.get("FORELAND_CUTS", "3"))
NOW = 1_800_000_000.0


def tag(name: str) -> Selector:
    return Selector(Kind.TAG, name.encode())


def forgotten(directory: Path, acknowledged: dict[str, int]) -> list[str]:
    """Return the tags of purges, given with their ids, that a node that starts now does not know to hold."""
    shared = LocalEpoch()
    purges = NodePurges(PurgeLog(directory, shared, holds=True, now=NOW), shared)
    try:
        newest = max(acknowledged.values())
        assert purges.current() >= newest
        # What was fetched before the purge is hit by it.
        return [
            name for name, id_ in acknowledged.items()
            if (found := purges.verdict(b"k", id_ - 1, lambda name=name: [tag(name)])) is None
            or found.mode is not Mode.HARD
        ]  # fmt: skip
    finally:
        purges.close()


@pytest.mark.parametrize("seed", range(8))
def test_a_line_that_did_not_get_to_the_disk_whole_takes_none_before_it_along(tmp_path, seed):
    """The file-level equivalent of a cut, in the middle of writing a purge of many names."""
    rng = random.Random(seed)
    directory, acknowledged = tmp_path / "purges", {}
    log = PurgeLog(directory, LocalEpoch(), holds=False, now=NOW)
    for number in range(rng.randrange(1, 200)):
        acknowledged[f"tag-{number}"] = log.append(Mode.HARD, (tag(f"tag-{number}"),), NOW).id
    log.close()
    shutil.copytree(directory, tmp_path / "synced")
    names = tuple(tag(f"unacknowledged-{number}") for number in range(rng.randrange(1, 1000)))
    with (directory / "log").open("ab") as file:
        file.write(encode(Purge(max(acknowledged.values()) + 1, NOW, Mode.HARD, names)))
    torn(tmp_path / "synced", directory, rng)
    assert forgotten(directory, acknowledged) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(CUTS) if CAN_MOUNT else ())
def test_a_file_system_whose_power_is_cut_has_every_acknowledged_purge(tmp_path, seed, request):
    rng, acknowledged = random.Random(seed), {}
    with an_ext4(tmp_path, 64 * MIB) as disk:
        for _ in range(3):
            program = [sys.executable, "-m", "tests.purges.keeps_purging", str(disk.path / "purges")]
            with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, cwd=request.config.rootpath) as process:
                for _ in range(rng.randrange(1, 100)):
                    id_, name = process.stdout.readline().split()
                    acknowledged[name] = int(id_)
                disk.cut_power()
                # What it was told is durable until the disk refused.
                for line in process.stdout:
                    id_, name = line.split()
                    acknowledged[name] = int(id_)
            disk.power_up()
            assert forgotten(disk.path / "purges", acknowledged) == []
