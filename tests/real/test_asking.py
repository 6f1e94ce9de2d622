"""A running node of several processes says what it would do, and what it did."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.real.node import client, demo_origin, edge, get, is_hit
from tests.scenarios.test_store_faults import free_port

pytestmark = [pytest.mark.real, pytest.mark.slow]


async def command(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    output, errors = await process.communicate()
    return process.returncode or 0, output.decode(), errors.decode()


async def test_the_commands_tell_what_all_workers_know(tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    async with demo_origin() as origin, edge(origin.url, tmp_path / "cache", "--workers", "2") as node:
        for _ in range(6):
            # A client of its own for each, so that both workers have some.
            async with client() as session:
                await get(session, f"{node.url}/images/dawn.png")
                async with session.get(f"{node.url}/nowhere") as response:
                    assert response.status == 404
        code, told, _ = await command("explain", "http://site.test/images/dawn.png", "--cache", cache)
        assert code == 0
        assert "HIT: it would be answered from what is stored; it is fresh" in told
        assert "86400 s, by max-age" in told
        assert "[setting site[0].hosts: command line]" in told
        code, told, _ = await command("explain", "http://site.test/nowhere", "--cache", cache, "--json")
        explained = json.loads(told)
        assert (explained["outcome"], explained["fwd"]) == ("forward", "uri-miss")
        assert [step["name"] for step in explained["steps"]][-1] == "last answer"
        assert explained["remedies"] == ["Let the origin send Cache-Control: max-age, or set ttl.default for the site."]
        assert {line["status"] for line in explained["past"]} == {404}
        code, told, _ = await command("log", "-q", 'status == 404 and path ~ "/no*"', "--cache", cache, "--json")
        lines = [json.loads(line) for line in told.splitlines()]
        assert len(lines) == 6
        assert [line["ts"] for line in lines] == sorted(line["ts"] for line in lines)
        code, told, _ = await command("log", "-n", "2", "-q", f'id == "{lines[0]["id"]}"', "--cache", cache)
        assert (code, told.count("\n"), "/nowhere 404 MISS no-lifetime" in told) == (0, 1, True)
        for number in range(5):
            # The last of these are ready hits, alike but for what their clients call them.
            async with client() as session:
                await get(session, f"{node.url}/images/dawn.png", **{"X-Request-ID": f"mine-{number}"})
        for number in range(5):
            code, told, _ = await command("log", "-q", f"req_id == mine-{number}", "--cache", cache)
            assert (code, told.count("\n"), " HIT " in told, f"[mine-{number}]" in told) == (0, 1, True, True)
        code, told, _ = await command("explain", "http://site.test/images/dawn.png", "--cache", cache)
        assert "[mine-4]" in told
        code, told, _ = await command("stat", "--cache", cache, "--json")
        assert json.loads(told)["totals"]["requests"] == 17
        code, told, _ = await command("stat", "--cache", cache)
        assert "totals.requests                  17\n" in told


async def test_the_log_is_followed_through_a_reload(tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")

    async def ask(url: str, path: str) -> None:
        async with client() as session, session.get(f"{url}{path}") as response:
            await response.read()

    async with demo_origin() as origin, edge(origin.url, tmp_path / "cache", "--workers", "2") as node:
        await ask(node.url, "/nowhere/0")
        words = ("log", "-f", "-q", "status == 404", "--json", "--cache", cache)
        # What was started in the background, as these tests may have been, ignores it, and so do its children.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        follower = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "edge", *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        signal.signal(signal.SIGINT, before)
        try:
            async with asyncio.timeout(60):

                async def told() -> str:
                    return json.loads(await follower.stdout.readline())["path"]

                assert await told() == "/nowhere/0"
                for number in range(1, 6):
                    await ask(node.url, "/images/dawn.png")
                    await ask(node.url, f"/nowhere/{number}")
                    assert await told() == f"/nowhere/{number}"
                assert (await command("reload", "--origin", origin.url, "--cache", cache))[0] == 0
                for number in range(6, 9):
                    await ask(node.url, f"/nowhere/{number}")
                    assert await told() == f"/nowhere/{number}"
                follower.send_signal(signal.SIGINT)
                left, errors = await follower.communicate()
            assert (follower.returncode, left, errors) == (130, b"", b"")
        finally:
            if follower.returncode is None:
                follower.kill()


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        pytest.param(["log", "-q", "statsu == 1"], 1, "did you mean status?", id="a field that there is not"),
        pytest.param(["log", "-f", "-q", "statsu == 1"], 1, "did you mean status?", id="nor one to follow"),
        pytest.param(["explain", "ftp://site.test/"], 1, "not a URL", id="a URL of another scheme"),
        pytest.param(["explain", "http://site.test/ä"], 1, "not a URL", id="a URL that no client sends"),
        pytest.param(["explain", "/x"], 1, "not a URL", id="no URL"),
        pytest.param(["explain", "http://site.test/", "-H", "x"], 2, "--header takes a field", id="no field"),
        pytest.param(["explain", "http://site.test/", "-H", "a b: c"], 1, "not a URL with fields", id="no field name"),
    ],
)
async def test_what_cannot_be_answered_is_told(tmp_path: Path, arguments, code, problem) -> None:
    async with edge("http://127.0.0.1:1", tmp_path / "cache"):
        told = await command(*arguments, "--cache", str(tmp_path / "cache"))
        assert (told[0], problem in told[2], told[1]) == (code, True, "")


async def test_without_a_node_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for cache in (tmp_path, tmp_path / "nowhere"):
        code, _, errors = await command("stat", "--cache", str(cache))
        assert (code, "no node answers" in errors) == (1, True)
    assert not (tmp_path / "nowhere").exists()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    code, _, errors = await command("stat")
    assert (code, "no node of this user runs here" in errors) == (2, True)


async def test_the_node_that_is_meant_is_found_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    async with demo_origin() as origin, edge(origin.url, tmp_path / "a") as first:
        code, told, _ = await command("stat", "--json")
        assert (code, json.loads(told)["totals"]["requests"]) == (0, 0)
        async with edge(origin.url, tmp_path / "b") as second, client() as session:
            await get(session, f"{second.url}/hello")
            code, _, errors = await command("stat")
            assert (code, f"--cache {tmp_path / 'a'}" in errors, f"--cache {tmp_path / 'b'}" in errors) == (
                2,
                True,
                True,
            )
            _, told, _ = await command("explain", f"{second.url}/hello", "-H", "Host: site.test")
            assert "HIT" in told
            _, told, _ = await command("explain", f"{first.url}/hello", "-H", "Host: site.test")
            assert "MISS" in told
            await second.stop(signal.SIGKILL)
        assert (await command("stat"))[0] == 0


async def test_who_owns_the_directory_purges_without_a_token(tmp_path: Path) -> None:
    cache, admin = str(tmp_path / "cache"), f"127.0.0.1:{free_port()}"
    async with (
        demo_origin() as origin,
        edge(origin.url, tmp_path / "cache", "--workers", "2", "--admin", admin) as node,
    ):

        async def status() -> str:
            async with client() as session:
                return (await get(session, f"{node.url}/hello"))[1]

        assert "fwd=uri-miss" in await status()
        assert is_hit(await status())
        code, told, _ = await command("purge", "--everything", "--dry-run", "--cache", cache)
        assert (code, told) == (0, "nothing was purged; stored and named by everything: 1\n  http://site.test/hello\n")
        assert is_hit(await status())
        code, told, _ = await command("purge", "http://site.test/hello", "--cache", cache)
        assert (code, "url http://site.test/hello is now stale (purge 1)" in told) == (0, True)
        assert "detail=soft-purged" in await status()
        code, told, _ = await command(
            "purge", "--host", "site.test", "--tag", "t", "--hard", "--cache", cache, "--json"
        )
        receipt = json.loads(told)
        assert (code, receipt["id"], receipt["effect"], len(receipt["selectors"])) == (0, 2, "absent", 2)
        assert "fwd=uri-miss" in await status()
        for arguments, expected in [
            ((), (2, "name what to purge")),
            (("ftp://site.test/",), (1, "/urls/0: ")),
            (("--prefix", "/a", "--prefix", "b/" * 5000), (1, "expected")),
            (("http://site.test/" + "a" * 8000,) * 140, (1, "at most 1048576 octets")),
        ]:
            code, told, errors = await command("purge", *arguments, "--cache", cache)
            assert (code, expected[1].lower() in errors.lower(), told) == (expected[0], True, ""), errors
        assert is_hit(await status())


async def test_a_node_without_an_admin_plane_takes_no_purges(tmp_path: Path) -> None:
    async with edge("http://127.0.0.1:1", tmp_path / "cache"):
        code, _, errors = await command("purge", "--everything", "--cache", str(tmp_path / "cache"))
        assert (code, "admin.address" in errors) == (1, True)


async def test_the_admin_plane_tells_the_same_to_whoever_may_read(tmp_path: Path) -> None:
    admin, tokens = f"127.0.0.1:{free_port()}", tmp_path / "tokens"
    options = ("--admin", admin, "--admin-token-file", str(tokens))
    async with demo_origin() as origin, edge(origin.url, tmp_path / "cache", *options) as node, client() as session:
        await get(session, f"{node.url}/images/dawn.png")
        (secret,) = [path for path in tmp_path.iterdir() if path.name.endswith(".secret")]
        headers = {"Host": admin, "Authorization": f"Bearer {secret.read_text().strip()}"}
        for path in ("/v1/explain?url=http://site.test/images/dawn.png", "/v1/log"):
            async with session.get(f"http://{admin}{path}", headers={"Host": admin}) as refused:
                assert refused.status == 401
        url = f"http://{admin}/v1/explain?url=http://site.test/images/dawn.png&header=Accept-Encoding:br"
        async with session.get(url, headers=headers) as response:
            assert (response.status, (await response.json())["outcome"]) == (200, "hit")
        async with session.get(f"http://{admin}/v1/top?by=misses&n=9", headers=headers) as response:
            assert (response.status, (await response.json())["leaders"]) == (
                200, [{"host": "site.test", "path": "/images/dawn.png", "weight": 1, "excess": 0}],
            )  # fmt: skip
        async with session.get(f"http://{admin}/v1/log?q=status==200&n=1", headers=headers) as response:
            assert (response.status, len((await response.json())["lines"])) == (200, 1)
        for wrong in (
            "/v1/explain?url=x",
            "/v1/explain?url=http://a/&header=x",
            "/v1/log?n=0",
            "/v1/log?n=x",
            "/v1/log?q=(",
            "/v1/top?by=beauty",
            "/v1/top?n=501",
        ):
            async with session.get(f"http://{admin}{wrong}", headers=headers) as response:
                assert (response.status, response.content_type) == (400, "application/problem+json")


async def test_what_happens_to_a_node_is_streamed(tmp_path: Path) -> None:
    admin, tokens = f"127.0.0.1:{free_port()}", tmp_path / "tokens"
    options = ("--admin", admin, "--admin-token-file", str(tokens), "--workers", "2")
    async with edge("http://127.0.0.1:1", tmp_path / "cache", *options) as node, client() as session:
        (secret,) = [path for path in tmp_path.iterdir() if path.name.endswith(".secret")]
        headers = {"Host": admin, "Authorization": f"Bearer {secret.read_text().strip()}"}
        async with session.get(f"http://{admin}/v1/events", headers=headers) as stream, asyncio.timeout(30):

            async def heard() -> dict:
                while not (line := await stream.content.readline()).startswith(b"data: "):
                    assert line, "the stream has ended"
                return json.loads(line[6:])

            node.process.send_signal(signal.SIGHUP)
            assert (await heard())["kind"] == "reload"
            children = Path(f"/proc/{node.process.pid}/task/{node.process.pid}/children").read_text().split()
            os.kill(int(children[-1]), signal.SIGKILL)
            ended = await heard()
            assert (ended["kind"], ended["about"][:7]) == ("worker-ended", "worker ")
            assert (await heard())["kind"] == "worker-restarted"
            node.process.send_signal(signal.SIGTERM)
            assert await stream.content.read() is not None


async def told(url: str, secret: str) -> str:
    """Return what is told of a request by a client of its own, so that any worker may answer it."""
    async with client() as session, session.get(f"{url}/images/dawn.png", headers={"Edge-Debug": secret}) as response:
        decisions = ", ".join(response.headers.getall("Edge-Debug"))
        assert "lookup; finding=" in decisions
        return decisions


async def test_whoever_may_read_gets_the_decisions_with_the_answer(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    options = ("--admin", f"127.0.0.1:{free_port()}", "--admin-token-file", str(tokens), "--workers", "2")
    async with demo_origin() as origin, edge(origin.url, tmp_path / "cache", *options) as node:
        secret = tokens.with_name("tokens.secret").read_text().strip()
        assert "lifetime; finding=" not in await told(node.url, secret)
        in_a_row = 0
        async with asyncio.timeout(10):
            # Only one worker owns the key; the other sees what is stored when it is committed.
            while in_a_row < 8:
                in_a_row = in_a_row + 1 if "lifetime; finding=" in await told(node.url, secret) else 0
        async with (
            client() as session,
            session.get(f"{node.url}/images/dawn.png", headers={"Edge-Debug": "wrong"}) as response,
        ):
            assert "Edge-Debug" not in response.headers
