"""Everything that a running node describes is guarded as it says: tokens and scopes, JSON alone, bounded contents."""

import gzip
import re
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.real.test_push import pushable

pytestmark = [pytest.mark.real, pytest.mark.slow]
SCOPES = ("read", "purge", "push", "config")
#: What everybody on this machine may ask.
OPEN = {"/", "/healthz", "/ping", "/readyz", "/metrics", "/v1/stats", "/ui", "/openapi.json"}
#: What they take may be longer than 1 MiB.
LONG = {"/v1/manifests", "/v1/preloads"}


class Guarded:
    """A node with a token for each scope."""

    def __init__(self, session: aiohttp.ClientSession, described: dict[str, Any]) -> None:
        self.session, self.described = session, described

    def operations(self, *, takes_json: bool = False) -> Iterator[tuple[str, str, str, str]]:
        """Yield the method, path, field for the token and scope of each operation that needs one."""
        for path, operations in self.described["paths"].items():
            for method, operation in operations.items():
                is_json = "application/json" in operation.get("requestBody", {}).get("content", {})
                if "security" in operation and (is_json or not takes_json):
                    (field,) = operation["security"][0]
                    scope = re.search(r"scope `(\w+)`", operation["description"])
                    assert scope is not None
                    yield method, re.sub(r"\{\w+\}", "x", path), field, scope[1]

    async def status(self, method: str, path: str, field: str, token: str | None, **options: Any) -> int:
        fields = {} if token is None else {field: token if field != "Authorization" else f"Bearer {token}"}
        fields |= options.pop("headers", {})
        async with self.session.request(method, path, headers=fields, **options) as response:
            if response.status >= 400 and not path.startswith("/client/"):
                assert response.content_type == "application/problem+json", (method, path)
            return response.status


@pytest.fixture
async def guarded(tmp_path: Path, monkeypatch) -> AsyncIterator[Guarded]:
    monkeypatch.setenv("EDGE_PUSH__PATH", str(tmp_path / "pushed"))
    monkeypatch.setenv("EDGE_ADMIN__COMPATIBLE", "fastly,cloudflare")
    tokens = tmp_path / "some"
    lines = [f"{scope} {scope} {sha256(f'only-{scope}'.encode()).hexdigest()}\n" for scope in SCOPES]
    async with pushable(tmp_path, 1) as there, aiohttp.ClientSession(f"http://{there.admin}") as session:
        tokens = tmp_path / "tokens"
        tokens.write_text("".join(lines))
        async with session.get("/openapi.json") as response:
            yield Guarded(session, await response.json())


async def test_only_what_tells_nothing_of_requests_is_open(guarded: Guarded) -> None:
    described = guarded.described["paths"]
    assert {
        path for path, operations in described.items() for each in operations.values() if "security" not in each
    } == {path for path in OPEN if path in described}
    for method, path, field, scope in guarded.operations():
        for token in (None, "", "unknown", *(f"only-{other}" for other in SCOPES if other != scope)):
            expected = 403 if token is not None and token.startswith("only-") else 401
            assert await guarded.status(method, path, field, token) == expected, (method, path, token)


async def test_content_that_is_not_json_or_too_long_is_refused(guarded: Guarded) -> None:
    operations = list(guarded.operations(takes_json=True))
    assert len(operations) >= 8
    long = b'{"x": "' + b" " * (1 << 20) + b'"}'
    for method, path, field, scope in operations:
        for content, headers, expected in (
            (b"x=1", {"Content-Type": "application/x-www-form-urlencoded"}, {415}),
            (b"{}", {"Content-Type": "text/plain"}, {415}),
            (b"{}", {"Content-Type": "application/json", "Content-Encoding": "gzip"}, {400}),
            (b"{", {"Content-Type": "application/json"}, {400}),
            (b'{"a":' * 100_000, {"Content-Type": "application/json"}, {400, 422}),
            (b"\xff", {"Content-Type": "application/json"}, {400}),
            (long, {"Content-Type": "application/json"}, {413} if path not in LONG else {422}),
            (
                gzip.compress(long),
                {"Content-Type": "application/json", "Content-Encoding": "gzip"},
                {413} if path not in LONG else {422},
            ),
        ):
            status = await guarded.status(method, path, field, f"only-{scope}", data=BytesIO(content), headers=headers)
            assert status in expected, (method, path, content[:20], headers)


async def test_a_key_that_came_with_another_content_is_refused_however_long_contents_may_be(guarded: Guarded) -> None:
    for path, token, one, other in (
        ("/v1/purge", "only-purge", {"tags": ["a"]}, {"tags": ["b"]}),
        ("/v1/preloads", "only-push", {"urls": ["http://a.test/a"]}, {"urls": ["http://a.test/b"]}),
    ):
        key = {"Idempotency-Key": f"key of {path}".replace(" ", "-")}
        for content, expected in ((one, 200), (one, 200), (other, 422)):
            assert await guarded.status("post", path, "Authorization", token, json=content, headers=key) == expected
