"""The simulator runs the policies that serve."""

import pytest

from benchmarks import replay
from benchmarks.hit_ratio import main
from benchmarks.traces import Trace, read

MIB = 1 << 20


def a_trace(tmp_path, *rows: str):
    path = tmp_path / "trace.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def skewed(tmp_path):
    """Two hundred keys of which ten are asked for every other time, and one that is large."""
    rows = ["time,key,size"]
    for number in range(2000):
        key = number % 10 if number % 2 else 10 + number % 190
        rows.append(f"{number},http://a/{key},{50_000 + key}")
    return a_trace(tmp_path, *rows, f"2000,large,{3 * MIB}")


def test_a_trace_is_replayed_through_every_policy(skewed, capsys):
    main(["--trace", str(skewed)])
    lines = capsys.readouterr().out.splitlines()
    policies = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in lines if line.startswith("| ")}
    assert {"LRU", "memory tier", "disk tier, everything admitted", "disk tier, admission always"} <= policies.keys()
    assert {len(cells) for cells in policies.values()} == {5}


def test_what_fits_is_missed_once_and_written_once(skewed):
    trace = read(skewed)
    keys, asked = len(set(trace.keys)), sum(trace.sizes)
    expected = replay.Result(1 - keys / len(trace.keys), 1 - trace.footprint / asked, trace.footprint / asked)
    for result in (replay.lru(trace, 64 * MIB), replay.disk(trace, 64 * MIB, min_age=0.0)):
        assert (result.hits, result.bytes, result.written) == pytest.approx(
            (expected.hits, expected.bytes, expected.written)
        )


def test_the_disk_holds_no_more_than_its_capacity(skewed):
    trace = read(skewed)
    tier = replay.DiskTier(4 * MIB, 0.0, 0.0)
    for now, key, size in zip(trace.times, trace.keys, trace.sizes, strict=True):
        tier.ask(key, size, now)
        assert sum(chunk.size for chunk in tier._chunks.values()) <= 4 * MIB


def test_under_pressure_a_key_is_written_on_its_second_request():
    names = [bytes([number]) * 16 for number in range(100)]
    keys = [name for name in names for _ in range(3)]
    trace = Trace([float(at) for at in range(300)], keys, [500_000] * 300)
    always, pressed = (replay.disk(trace, 10 * MIB, min_age=age) for age in (0.0, replay.ALWAYS_PRESSED))
    assert always.hits == pytest.approx(2 / 3)
    assert 1 / 3 < pressed.hits < 0.45


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        pytest.param(["0,a,1", "1,b"], "line 2 is not time,key,size", id="a line without a size"),
        pytest.param(["time,key,size"], "no requests", id="nothing but the first line"),
    ],
)
def test_what_is_no_trace_is_refused_in_one_sentence(tmp_path, rows, reason):
    with pytest.raises(SystemExit, match=reason):
        read(a_trace(tmp_path, *rows))


def test_a_preset_that_does_not_exist_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--presets", "movies"])
    assert "there are web, images" in capsys.readouterr().err
