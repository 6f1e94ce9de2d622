"""`edge cache …`, on real stores."""

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge.cli import main
from edge.policy.key import KeyPolicy, cache_key
from edge.semantics.fields import FieldSection
from edge.semantics.target import Target
from edge.store.record import HEADER_SIZE, Kind
from tests.store.keeping import MIB, a_disk, content_of, flip, keep
from tests.store.test_inspect import digest, records_of

ROOT = Path(__file__).parents[1]
INDEX, PHOTO, GONE, OTHER = (
    Target(b"http", b"www.example.com", b"/index.html"),
    Target(b"http", b"www.example.com", b"/images/a b", b"w=1"),
    Target(b"http", b"www.example.com", b"/gone"),
    Target(b"https", b"other.example:8443", b"/big"),
)
LENGTHS = {INDEX: 1000, PHOTO: 2 * MIB + 5, GONE: 0, OTHER: 3 * MIB}


def key(target: Target) -> bytes:
    return cache_key(target, KeyPolicy())


def fields(*lines: tuple[bytes, bytes]) -> FieldSection:
    return FieldSection([(b"cache-control", b"max-age=600"), *lines])


@pytest.fixture
async def store(tmp_path):
    """Six stored responses of some ages: two are variants of one URL, and the last is incomplete, under a strange key."""
    path, now = tmp_path / "node", time.time()
    ago = {INDEX: 60, PHOTO: 3600, GONE: 0, OTHER: 7200}
    async with a_disk(path) as disk:
        for target, length in LENGTHS.items():
            when, status = now - ago[target], 404 if target is GONE else 200
            lines_of_it = fields((b"content-type", b"image/jpeg" if target is PHOTO else b"text/html; a=b"))
            await keep(
                disk,
                key(target),
                length,
                status=status,
                request_time=when - 0.5,
                response_time=when,
                fields=lines_of_it,
            )
        await keep(
            disk, key(INDEX), 700, nominated=((b"accept-encoding", b"br"),), fields=fields((b"x-esc", b"a\xc2\x9bb")),
            request_time=now, response_time=now,
        )  # fmt: skip
        await keep(
            disk,
            b"not a target",
            100_000,
            complete_length=200_000,
            fields=fields(),
            request_time=now,
            response_time=now,
        )
    return path


def run(*words: str, code: int = 0):
    done = CliRunner().invoke(main, ["cache", *words], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done


def lines(*words: str) -> list[dict]:
    return [json.loads(line) for line in run(*words, "--json").stdout.splitlines()]


def urls(*words: str) -> list[str]:
    return [line["url"] for line in lines("list", *words)]


INDEX_URL, PHOTO_URL, GONE_URL, OTHER_URL = (
    "http://www.example.com/index.html",
    "http://www.example.com/images/a b?w=1",
    "http://www.example.com/gone",
    "https://other.example:8443/big",
)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param([], [GONE_URL, PHOTO_URL, INDEX_URL, INDEX_URL, OTHER_URL, "not a target"], id="everything"),
        pytest.param(["--host", "WWW.example.com"], [GONE_URL, PHOTO_URL, INDEX_URL, INDEX_URL], id="a host"),
        pytest.param(["--host", "other.example"], [OTHER_URL], id="a host without its port"),
        pytest.param(["--host", "other.example:8443"], [OTHER_URL], id="a host with its port"),
        pytest.param(["--host", "example.com"], [], id="no part of a host"),
        pytest.param(["--prefix", "/i"], [PHOTO_URL, INDEX_URL, INDEX_URL], id="a prefix of the path"),
        pytest.param(["--prefix", "/images/a b?w"], [PHOTO_URL], id="a prefix with a query"),
        pytest.param(["--prefix", "https://other"], [OTHER_URL], id="a prefix of the URL"),
        pytest.param(["--min-size", "2MiB"], [PHOTO_URL, OTHER_URL], id="a size or more"),
        pytest.param(["--max-size", "999B"], [GONE_URL, INDEX_URL], id="a size or less"),
        pytest.param(["--min-size", "1000B", "--max-size", "1000B"], [INDEX_URL], id="a size itself"),
        pytest.param(["--older", "1h"], [PHOTO_URL, OTHER_URL], id="an age or more"),
        pytest.param(["--older", "30s", "--younger", "30m"], [INDEX_URL], id="an age between"),
        pytest.param(["--stale"], [PHOTO_URL, OTHER_URL], id="stale"),
        pytest.param(["--fresh", "--status", "4XX"], [GONE_URL], id="fresh, and a class of status"),
        pytest.param(["--status", "404", "--status", "500"], [GONE_URL], id="one status or another"),
    ],
)
def test_what_is_selected(store, options, expected):
    assert sorted(urls("--cache", str(store), *options)) == sorted(expected)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param(["--sort", "size", "--limit", "2"], [OTHER_URL, PHOTO_URL], id="the largest first"),
        pytest.param(["--sort", "age", "--limit", "2"], [OTHER_URL, PHOTO_URL], id="the oldest first"),
        pytest.param(
            ["--sort", "url"], sorted([GONE_URL, PHOTO_URL, *[INDEX_URL] * 2, OTHER_URL, "not a target"]), id="by URL"
        ),
    ],
)
def test_the_order(store, options, expected):
    assert urls("--cache", str(store), *options) == expected


def test_a_limit(store):
    assert len(urls("--cache", str(store), "--limit", "3")) == 3


def test_a_table_for_people(store):
    shown = run("list", "--cache", str(store), "--sort", "size").stdout.splitlines()
    assert shown[0].split() == ["SIZE", "AGE", "LEFT", "STATUS", "URL"]
    assert re.fullmatch(rf" +3\.0 MiB +2h00m +-1h50m +200  {OTHER_URL}", shown[1])
    assert shown[3].endswith("  200  not a target (incomplete)")
    assert any(line.endswith(f"{INDEX_URL} [accept-encoding=br]") for line in shown)


def test_show_says_everything(store):
    shown = run("show", "--cache", str(store), INDEX_URL).stdout
    assert shown.count(f"GET {INDEX_URL}") == 2
    assert "nominated by Vary   accept-encoding: br" in shown
    assert "x-esc: a\\xc2\\x9bb" in shown
    assert re.search(r"current_age +6\d\.\d{3} s", shown)
    assert "lifetime 600 s (max-age): fresh for 8m" in shown
    assert "holds all of 1,000 octets" in shown
    assert re.search(r"chunk  segment 0000000\d offset +\d+ +1060 bytes  ok  from octet 0", shown)


def test_show_as_json_adds_up(store):
    for record in lines("show", "--cache", str(store), INDEX_URL):
        terms = record["age_arithmetic"]
        assert terms["current_age"] == pytest.approx(terms["corrected_initial_age"] + terms["resident_time"], abs=0.01)
        assert [chunk["state"] for chunk in record["chunks"]] == ["ok"]
        assert record["ranges"] == [[0, record["complete_length"]]]


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        pytest.param("host", {"www.example.com": 4, "other.example:8443": 1, "-": 1}, id="hosts"),
        pytest.param("status", {"200": 5, "404": 1}, id="statuses"),
        pytest.param("type", {"text/html": 3, "image/jpeg": 1, "-": 2}, id="types"),
    ],
)
def test_sums(store, by, expected):
    sums = lines("du", "--cache", str(store), "--by", by)
    assert {each[by]: each["responses"] for each in sums} == expected
    assert sum(each["content"] for each in sums) == sum(LENGTHS.values()) + 700 + 100_000
    assert all(each["disk"] > each["content"] for each in sums)


def test_sums_of_segments_are_those_of_hosts(store):
    segments, hosts = (lines("du", "--cache", str(store), "--by", by) for by in ("segment", "host"))
    assert len(segments) > 1
    for what in ("content", "disk"):
        assert sum(each[what] for each in segments) == sum(each[what] for each in hosts)


def test_sums_for_people(store):
    heads, *rows = run("du", "--cache", str(store)).stdout.splitlines()
    assert heads.split() == ["RESPONSES", "CONTENT", "ON", "DISK", "HOST"]
    assert rows[0].split()[1:3] == ["3.0", "MiB"]


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        pytest.param("largest", [OTHER_URL, PHOTO_URL], id="the largest"),
        pytest.param("oldest", [OTHER_URL, PHOTO_URL], id="the oldest"),
        pytest.param("newest", [INDEX_URL, GONE_URL], id="the newest"),
    ],
)
def test_top(store, by, expected):
    found = lines("top", "--cache", str(store), "--by", by, "--limit", "2", "--prefix", "http")
    assert [each["url"] for each in found] == expected


def test_hits_are_not_invented(store):
    done = run("top", "--cache", str(store), "--by", "hits", code=2)
    assert "hits are not kept on disk" in done.stderr


def test_verify_of_a_whole_store(store):
    assert run("verify", "--cache", str(store)).stdout.endswith("0 vanished meanwhile; none failed\n")
    (last,) = lines("verify", "--cache", str(store))
    assert last["verified"]["failures"] == 0


def test_verify_names_each_flipped_record(store):
    chunks = [record for record in records_of(store) if record[2].kind is Kind.CHUNK and record[2].length > 500_000]
    for file, offset, header in chunks:
        flip(file, offset + HEADER_SIZE + header.length // 2, 3)
    done = run("verify", "--cache", str(store), code=1)
    expected = {
        f"checksum segment {int(file.stem, 16):08x} offset {offset} chunk{f' from octet {header.offset}' * bool(header.offset)} of "
        for file, offset, header in chunks
    }
    failing = done.stdout.splitlines()[:-1]
    assert {line[: re.search(" of ", line).end()] for line in failing} == expected
    assert {re.search(r" of (.*): the body", line)[1] for line in failing} == {PHOTO_URL, OTHER_URL}
    assert run("verify", "--cache", str(store), "--json", code=1).stdout.count('"fault":"checksum"') == len(chunks)


def test_show_says_which_chunk_is_damaged(store):
    for file, offset, header in records_of(store):
        if header.length == 1000:
            flip(file, offset + HEADER_SIZE, 0)
    assert "the body of a record fails its checksum" in run("show", "--cache", str(store), INDEX_URL).stdout


def test_export_to_a_file(store, tmp_path):
    for generation in (record["generation"] for record in lines("show", "--cache", str(store), INDEX_URL)):
        run("export", "--cache", str(store), INDEX_URL, "--generation", generation, "-o", str(tmp_path / generation))
    contents = {file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    assert contents == {content_of(key(INDEX), 1000), content_of(key(INDEX), 700)}


def test_export_to_standard_output(store):
    done = run("export", "--cache", str(store), OTHER_URL)
    assert done.stdout_bytes == content_of(key(OTHER), LENGTHS[OTHER])


def test_export_leaves_the_file_as_it_was_when_content_is_damaged(store, tmp_path):
    for file, offset, header in records_of(store):
        if header.kind is Kind.CHUNK and header.offset == 2 * MIB:
            flip(file, offset + HEADER_SIZE, 0)
    out = tmp_path / "out"
    out.write_bytes(b"before")
    done = run("export", "--cache", str(store), OTHER_URL, "-o", str(out), code=1)
    assert done.stderr == "error: the body of a record fails its checksum\n"
    assert out.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["node", "out"]


@pytest.mark.parametrize(("partial", "expected"), [([], 5), (["--partial"], 6)])
def test_export_of_everything(store, tmp_path, partial, expected):
    folder = tmp_path / "copies"
    run("export", "--cache", str(store), "--all", str(folder), *partial)
    manifest = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    names = {record["file"] for record in manifest}
    assert len(names) == expected
    assert {file.name for file in folder.iterdir()} == names | {"manifest.jsonl"}
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*-[0-9a-f]{16}", name) for name in names)
    for record in manifest:
        assert (folder / record["file"]).stat().st_size == record["size"]
        if record["url"] == OTHER_URL:
            assert (folder / record["file"]).read_bytes() == content_of(key(OTHER), LENGTHS[OTHER])
            assert ["content-type", "text/html; a=b"] in record["fields"]


async def test_no_name_leads_out_of_the_directory(tmp_path):
    async with a_disk(tmp_path / "node") as disk:
        for number, path in enumerate([b"/../../etc/passwd", b"/..", b"/" + b"a" * 5000, b"/.\0/x", b"/%2e%2e/"]):
            await keep(disk, key(Target(b"http", b"..", path)), number + 1)
        await keep(disk, b"../../outside", 10)
    run("export", "--cache", str(tmp_path / "node"), "--all", str(tmp_path / "copies"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copies", "node"]
    assert len(list((tmp_path / "copies").iterdir())) == 7


async def test_export_of_everything_goes_on_after_damage(store, tmp_path):
    for file, offset, header in records_of(store):
        if header.length == 1000:
            flip(file, offset + HEADER_SIZE, 0)
    done = run("export", "--cache", str(store), "--all", str(tmp_path / "copies"), code=1)
    assert f"{INDEX_URL}: the body of a record fails its checksum" in done.stderr
    assert "4 written" in done.stderr
    assert len(list((tmp_path / "copies").iterdir())) == 5


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        pytest.param(["show", "www.example.com"], 2, "is not a URL such as", id="no URL"),
        pytest.param(["show", "ftp://www.example.com/"], 2, "is not a URL such as", id="another scheme"),
        pytest.param(
            ["show", "http://www.example.com/no"], 1, "http://www.example.com/no is not stored", id="not stored"
        ),
        pytest.param(["list", "--min-size", "12"], 2, "is not a size such as", id="a size without unit"),
        pytest.param(["list", "--older", "soon"], 2, "is not a duration such as", id="no duration"),
        pytest.param(["list", "--status", "40"], 2, "is not a status such as 404", id="no status"),
        pytest.param(["export"], 2, "give a URL, or --all with a directory", id="nothing to export"),
        pytest.param(["export", INDEX_URL], 1, "has 2 variants: choose one with --generation", id="several variants"),
        pytest.param(["export", INDEX_URL, "--generation", "00"], 1, "has no generation 00", id="no such variant"),
        pytest.param(["export", INDEX_URL, "--host", "a"], 2, "are for --all", id="a selection for one URL"),
        pytest.param(["export", OTHER_URL, "-o", "{}/node/x"], 1, "is inside the store", id="a file in the store"),
        pytest.param(["export", "--all", "{}/node/x"], 1, "is inside the store", id="a directory in the store"),
        pytest.param(["export", "--all", "{}"], 1, "is not empty", id="a directory that is in use"),
        pytest.param(["export", OTHER_URL, "-o", "/dev/null"], 1, "/dev/null is not a file", id="a device"),
        pytest.param(["export", OTHER_URL, "-o", "{}/no/x"], 1, "cannot be written: No such file", id="no directory"),
        pytest.param(["list", "--config", "{}/edge.toml"], 3, "edge.toml", id="no configuration"),
        pytest.param(["list", "--config", "x", "--profile", "safe"], 2, "without --config", id="two sets of rules"),
    ],
)
def test_refusals(store, tmp_path, words, code, sentence):
    words = [word.format(tmp_path) for word in words]
    command, *rest = words
    before = digest(store)
    assert sentence in run(command, "--cache", str(store), *rest, code=code).stderr
    assert digest(store) == before


async def test_incomplete_content_is_exported_only_when_asked_for(tmp_path):
    target = Target(b"http", b"a.example", b"/half")
    async with a_disk(tmp_path / "node") as disk:
        await keep(disk, key(target), 5000, complete_length=9000)
    url = "http://a.example/half"
    done = run("export", "--cache", str(tmp_path / "node"), url, code=1)
    assert "is incomplete, 5,000 octets are held: --partial writes these" in done.stderr
    done = run("export", "--cache", str(tmp_path / "node"), url, "--partial")
    assert done.stdout_bytes == content_of(key(target), 5000)


def test_a_directory_that_is_no_store(tmp_path):
    done = run("list", "--cache", str(tmp_path), code=1)
    assert done.stderr.startswith(f"error: {tmp_path} cannot be looked at as a store")
    assert list(tmp_path.iterdir()) == []


async def test_the_configuration_says_where_and_by_which_rules(tmp_path):
    """A site whose hosts share their responses, whose key ignores `utm`, and whose responses live an hour unasked."""
    (tmp_path / "edge.toml").write_text(f"""
        [cache]
        path = "{tmp_path}/node"
        [[listen]]
        address = ":0"
        [origins.app]
        urls = ["http://127.0.0.1:9"]
        [[site]]
        hosts = ["www.example.com", "example.com"]
        origin = "app"
        [site.key]
        host = false
        drop = ["utm"]
        [site.ttl]
        default = "1h"
    """)
    now = time.time()
    async with a_disk(tmp_path / "node") as disk:
        await keep(disk, key(INDEX), 10, fields=FieldSection(), request_time=now, response_time=now)
    (record,) = lines("show", "--config", str(tmp_path / "edge.toml"), "http://example.com/index.html?utm=1")
    assert (record["url"], record["lifetime"], record["lifetime_source"]) == (INDEX_URL, 3600, "default")
    (record,) = lines("list", "--cache", str(tmp_path / "node"))
    assert (record["lifetime"], record["is_fresh"]) == (0, False)


def test_no_command_changes_anything(store, tmp_path):
    before = digest(store)
    for words in (["list"], ["show", INDEX_URL], ["du", "--by", "segment"], ["top"], ["verify"], ["export", OTHER_URL]):
        run(words[0], "--cache", str(store), *words[1:])
    run("export", "--cache", str(store), "--all", str(tmp_path / "copies"))
    assert digest(store) == before


def test_every_command_of_the_documentation(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "docs" / "cache.md").read_text(), re.DOTALL)
    shown = [line.removeprefix("$ edge cache ") for block in blocks for line in block.splitlines()]
    assert len(shown) == 11
    newest = lines("show", "--cache", str(store), INDEX_URL)[0]["generation"]
    for line in shown:
        words = shlex.split(line.replace("/var/cache/foreland", str(store)))
        # The page has one variant of it in mind, and this store has two.
        run(*words, *(["--generation", newest] if "-o" in words else []))
    assert (tmp_path / "index.html").stat().st_size == 700
    assert (tmp_path / "copies" / "manifest.jsonl").exists()


@pytest.mark.slow
def test_a_running_node_and_a_killed_one(tmp_path, request):
    """A process that stores all the while; then what it leaves behind."""
    program = [sys.executable, "-m", "tests.store.keeps_storing", str(tmp_path / "node")]
    with subprocess.Popen(program, stdout=subprocess.PIPE, cwd=request.config.rootpath) as process:
        process.stdout.readline()
        for _ in range(3):
            assert len(urls("--cache", str(tmp_path / "node"))) > 0
            assert lines("du", "--cache", str(tmp_path / "node"))[0]["responses"] > 0
            assert lines("verify", "--cache", str(tmp_path / "node"))[-1]["verified"]["failures"] == 0
            assert process.stdout.readline()
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.stdout.read()
    before = digest(tmp_path / "node")
    assert lines("verify", "--cache", str(tmp_path / "node"))[-1]["verified"]["failures"] == 0
    assert len(urls("--cache", str(tmp_path / "node"))) > 0
    assert digest(tmp_path / "node") == before


async def test_what_is_pinned_is_shown_and_selected(store):
    async with a_disk(store) as disk:
        (stored,) = await disk.lookup(key(OTHER))
        await disk.pin(key(OTHER), stored.generation)
    assert [line["is_pinned"] for line in lines("list", "--cache", str(store), "--pinned")] == [True]
    assert len(urls("--cache", str(store), "--not-pinned")) == len(urls("--cache", str(store))) - 1
    assert "(pinned)" in run("list", "--cache", str(store), "--pinned").stdout
    assert "pinned: never reclaimed" in run("show", "--cache", str(store), "https://other.example:8443/big").stdout


async def test_a_site_with_a_quota_has_a_store_of_its_own(store):
    async with a_disk(store / "sites" / "b.test") as disk:
        await keep(disk, key(INDEX), 1000)
    everything = run("list", "--cache", str(store))
    assert "having stores of their own: b.test" in everything.stderr
    assert urls("--cache", str(store), "--site", "b.test") == ["http://www.example.com/index.html"]
    assert "no site '..' has a store of its own" in run("list", "--cache", str(store), "--site", "..", code=1).stderr
