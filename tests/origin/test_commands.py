"""The commands of the origin's operator, against nodes that run."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from origin.cli import main
from tests.control.plane import ALL, READ, Plane, plane


@asynccontextmanager
async def planes(folder: Path, count: int) -> AsyncIterator[list[Plane]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(plane(folder / str(number))) for number in range(count)]


@pytest.fixture
def token(tmp_path):
    path = tmp_path / "token"
    path.write_text(f"{ALL}\n")
    return str(path)


async def run(*arguments: str) -> tuple[int, str, str]:
    """Return what the command did; it has an event loop of its own, in a thread."""
    result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
async def nodes(tmp_path):
    async with planes(tmp_path, 2) as running:
        yield running


def named(nodes: list[Plane]) -> list[str]:
    return [word for node in nodes for word in ("--node", node.url)]


async def test_every_node_purges_and_says_so(nodes, token):
    code, out, _ = await run("purge", "--tag", "t", "--url", "http://a.example/", *named(nodes), "--token-file", token)
    assert code == 0
    assert out.splitlines() == [f"{node.url}  purge 1 on n1: 2 name(s), now stale" for node in nodes]
    assert [node.purges.current() for node in nodes] == [1, 1]


async def test_json_is_one_object_for_each_node(nodes, token):
    code, out, _ = await run("purge", "--everything", "--hard", *named(nodes), "--token-file", token, "--json")
    told = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(one["ok"], one["id"], one["mode"], one["node_url"]) for one in told] == [
        (True, 1, "hard", node.url) for node in nodes
    ]


async def test_a_node_that_does_not_answer_is_a_partial_success(nodes, token):
    await_nobody = ("--node", "http://127.0.0.1:1")
    code, out, err = await run("purge", "--host", "a.example", *named(nodes), *await_nobody, "--token-file", token)
    assert (code, len(out.splitlines())) == (4, 2)
    assert err.startswith("http://127.0.0.1:1  failed: no answer")


@pytest.mark.parametrize(
    ("secret", "arguments", "said"),
    [
        pytest.param("wrong", ("--everything",), "401 This needs a token.", id="an unknown token"),
        pytest.param(READ, ("--everything",), "lacks the scope purge", id="a token that may not"),
        pytest.param(ALL, ("--url", "/x"), "/urls/0: a URL begins with", id="a URL that is none"),
    ],
)
async def test_a_refusal_is_told(nodes, token, secret, arguments, said):
    Path(token).write_text(secret)
    code, _, err = await run("purge", *arguments, *named(nodes), "--token-file", token)
    assert code == 1
    assert err.count(said) == 2
    assert [node.purges.current() for node in nodes] == [0, 0]


async def test_a_dry_run_purges_nothing(nodes, token):
    code, out, _ = await run("purge", "--everything", "--dry-run", *named(nodes), "--token-file", token)
    assert (code, out.count("would hit 0 stored response(s)")) == (0, 2)
    assert [node.purges.current() for node in nodes] == [0, 0]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("purge", "--node", "http://127.0.0.1:1"), id="nothing to purge"),
        pytest.param(("purge", "--everything"), id="no node"),
        pytest.param(("purge", "--everything", "--node", "127.0.0.1:1"), id="a node that is no URL"),
        pytest.param(("status", "--node", "http://h", "--token-file", "/nowhere"), id="a token file that is not there"),
        pytest.param(("status", "--node", "http://h", "--token-file", __file__), id="a file that is no token"),
    ],
)
async def test_wrong_usage(arguments):
    assert (await run(*arguments))[0] == 2


async def test_the_status_of_a_node_needs_no_token(nodes):
    code, out, _ = await run("status", *named(nodes))
    assert (code, out.count("n1 9.9: no requests in the last minute")) == (0, 2)
