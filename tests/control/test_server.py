import asyncio
import base64
import hashlib
import json
import os
import re

import aiohttp
import pytest

from edge.clock import SystemClock
from edge.control.guard import is_own_host
from edge.control.routes import Sources
from edge.control.server import Control
from edge.downstream.tls_contexts import TlsContexts
from edge.telemetry.gauges import Gauges, OriginStats, StoreStats
from edge.telemetry.metrics import Exposition
from edge.telemetry.recorder import Recorder
from edge.telemetry.snapshot import take
from tests.downstream.certificates import issue, trusting

STORE = StoreStats(
    objects=1, disk_bytes=2, disk_capacity=3, index_bytes=1, memory_bytes=4, memory_capacity=5, waiting_bytes=0,
    pinned_bytes=0, pinned_capacity=0, refusals=0, evictions=6, damaged=0, scrubbed_bytes=0, write_errors=0, is_storing=True,
)  # fmt: skip
GAUGES = Gauges(lambda: 1, lambda: 2, lambda: STORE, lambda: [OriginStats("app", 1, 2, 3)])


class Node:
    """A control plane with real telemetry behind it."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.recorder = Recorder(SystemClock(), ["a.example"])
        self.failing = False
        self.sources = Sources(
            node="n1",
            version="9.9",
            stats=self.stats,
            metrics=self.metrics,
            unready=self.unready,
        )
        self.control = Control(self.sources, names=["Admin.Example"])

    async def unready(self) -> list[str]:
        return self.reasons

    async def stats(self) -> dict[str, object]:
        if self.failing:
            raise KeyError("secret detail")
        return take(self.recorder, GAUGES).stats()

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        exposition = Exposition(version="9.9", node="n1", processes=lambda: [os.getpid()])
        return exposition.render(take(self.recorder, GAUGES), accept)


@pytest.fixture
async def node():
    node = Node()
    node.url = await node.control.start("127.0.0.1", 0)
    yield node
    await node.control.stop()


@pytest.fixture
async def client(node):
    async with aiohttp.ClientSession(node.url) as session:
        yield session


async def raw(node: Node, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(node.url.rsplit(":", 1)[1]))
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    ("path", "media_type", "text"),
    [
        pytest.param("/healthz", "application/json", '{"status":"ok"}', id="healthz"),
        pytest.param("/ping", "text/plain", "OK", id="ping"),
        pytest.param("/readyz", "application/json", '"ready","reasons":[]', id="readyz"),
        pytest.param("/metrics", "text/plain", 'edge_build_info{node="n1",version="9.9"} 1.0', id="metrics"),
        pytest.param("/v1/stats", "application/json", '"version":"9.9"', id="stats"),
        pytest.param("/ui", "text/html", "<title>Foreland</title>", id="dashboard"),
        pytest.param("/", "text/html", "<title>Foreland</title>", id="the root leads to the dashboard"),
    ],
)
async def test_what_is_answered(client, path, media_type, text):
    async with client.get(path) as answer:
        assert (answer.status, answer.content_type) == (200, media_type)
        assert text in await answer.text()
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Server"] == "foreland"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert not any(name.startswith("Access-Control") for name in answer.headers)
    async with client.head(path, allow_redirects=True) as answer:
        assert (answer.status, await answer.read()) == (200, b"")


async def test_a_node_that_is_not_ready_says_why(node, client):
    node.reasons = ["draining", "store-full"]
    async with client.get("/readyz") as answer:
        assert answer.status == 503
        assert await answer.json() == {"status": "unready", "reasons": ["draining", "store-full"]}
    async with client.get("/healthz") as answer:
        assert answer.status == 200


async def test_stats_name_everything_the_dashboard_shows(client):
    async with client.get("/v1/stats") as answer:
        stats = await answer.json()
    assert stats["windows"]["10m"]["hit_ratio"] is None
    assert stats["store"]["objects"] == 1
    assert stats["origins"][0]["name"] == "app"


async def test_metrics_are_negotiated(client):
    async with client.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"}) as answer:
        assert answer.content_type == "application/openmetrics-text"


async def is_problem(answer: aiohttp.ClientResponse, status: int) -> dict[str, object]:
    assert (answer.status, answer.content_type) == (status, "application/problem+json")
    members = json.loads(await answer.read())
    assert (members["status"], members["type"]) == (status, "about:blank")
    return members


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"])
async def test_other_methods_are_refused(client, method):
    async with client.request(method, "/v1/stats") as answer:
        await is_problem(answer, 405)
        assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/nothing", "/ui/", "/v1", "/healthz/", "/%2e%2e/etc/passwd", "/metrics/x"])
async def test_an_unknown_path_is_a_problem_that_repeats_nothing(client, path):
    async with client.get(path) as answer:
        assert (await is_problem(answer, 404)).keys() == {"type", "title", "status"}


async def test_a_bug_is_told_to_the_log_and_not_to_the_client(node, client, caplog):
    node.failing = True
    async with client.get("/v1/stats") as answer:
        assert "secret" not in json.dumps(await is_problem(answer, 500))
    assert "secret detail" in caplog.text


@pytest.mark.parametrize("host", ["localhost:8901", "LOCALHOST", "10.1.2.3:80", "[::1]:8901", "admin.example"])
async def test_own_names_and_addresses_are_answered(client, host):
    async with client.get("/ping", headers={"Host": host}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "a b", "", "[x]"])
async def test_other_names_are_misdirected(node, host):
    answer = await raw(node, b"GET /metrics HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % host.encode())
    assert answer.startswith(b"HTTP/1.1 421 ")
    assert b"edge_" not in answer
    assert b"evil" not in answer


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(b"", id="no Host"),
        pytest.param(b"Host: localhost\r\nHost: localhost\r\n", id="two Hosts"),
    ],
)
async def test_a_request_without_one_host_is_refused(node, fields):
    answer = await raw(node, b"GET /metrics HTTP/1.1\r\n%sConnection: close\r\n\r\n" % fields)
    assert answer.split()[1] in {b"400", b"421"}
    assert b"edge_" not in answer


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param("127.1", False, id="a short form of an address is a name"),
        pytest.param("[::ffff:127.0.0.1]", True, id="an IPv4 address in IPv6"),
        pytest.param("ADMIN.example:1", True, id="a configured name in any case"),
        pytest.param("admin.example:port", False, id="a port that is none"),
        pytest.param("user@localhost", False, id="user information"),
    ],
)
def test_which_hosts_are_ours(host, expected):
    assert is_own_host(host, frozenset({"localhost", "admin.example"})) is expected


async def test_the_dashboard_runs_its_own_code_and_no_other(client):
    async with client.get("/ui") as answer:
        page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    for tag in ("script", "style"):
        [text] = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    # The name space of the inline icon is the only address in the page.
    assert set(re.findall(r"https?://[^'\"\s]+", page)) == {"http://www.w3.org/2000/svg"}
    assert "innerHTML" not in page
    assert not re.search(r"\s(?:on\w+|style)=", page)


async def test_every_element_that_the_script_fills_is_there(client):
    async with client.get("/ui") as answer:
        page = await answer.text()
    named = set(re.findall(r'id="([^"]+)"', page))
    used = set(re.findall(r'\b(?:at|say|big|rows)\("([^"]+)"', page))
    assert used <= named


async def test_a_taken_address_is_told(node):
    other = Node()
    with pytest.raises(OSError):
        await other.control.start("127.0.0.1", int(node.url.rsplit(":", 1)[1]))
    await other.control.stop()


async def test_a_stopped_control_plane_refuses_connections_and_can_stop_again(node):
    await node.control.stop()
    with pytest.raises(ConnectionRefusedError):
        await raw(node, b"")
    await node.control.stop()


async def test_an_ipv6_address_has_brackets():
    node = Node()
    url = await node.control.start("::1", 0)
    async with aiohttp.ClientSession() as session, session.get(f"{url}/ping") as answer:
        assert url.startswith("http://[::1]:")
        assert answer.status == 200
    await node.control.stop()


@pytest.mark.parametrize(
    ("request_octets", "status"),
    [
        pytest.param(b"GARBAGE\r\n\r\n", b"400", id="no request line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\na b: c\r\n\r\n", b"400", id="no field line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\nx: " + b"y" * 20_000 + b"\r\n\r\n", b"400", id="too long"),
    ],
)
async def test_what_is_not_http_gets_a_problem_and_no_traceback(node, caplog, request_octets, status):
    answer = await raw(node, request_octets)
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.split()[1] == status
    assert b"Server: foreland" in head
    assert b"application/problem+json" in head
    assert json.loads(content)["status"] == int(status)
    assert caplog.records == []


async def test_by_tls_the_names_of_the_certificate_are_answered_and_a_new_certificate_is_shown(tmp_path):
    files = issue(tmp_path, "admin.test", "*.nodes.test", "127.0.0.1")
    tls = TlsContexts([files], protocols=["http/1.1"])
    node = Node()
    control = Control(node.sources, tls=tls)
    url = await control.start("127.0.0.1", 0)
    assert url.startswith("https://127.0.0.1:")

    async def serial() -> str:
        async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(ssl=trusting())) as session:
            for host, status in (("admin.test", 200), ("a.nodes.test", 200), ("nodes.test", 421), ("evil.test", 421)):
                async with session.get("/ping", headers={"Host": host}) as answer:
                    assert answer.status == status
        port = int(url.rsplit(":", 1)[1])
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting())
        shown = writer.get_extra_info("ssl_object").getpeercert()["serialNumber"]
        writer.close()
        await writer.wait_closed()
        return shown

    before = await serial()
    assert await serial() == before
    issue(tmp_path, "admin.test", "*.nodes.test", "127.0.0.1")
    control.refresh()
    assert await serial() != before
    await control.stop()


async def test_figures_need_a_token_where_other_machines_can_ask():
    node = Node()
    control = Control(node.sources, is_exposed=True)
    async with aiohttp.ClientSession(await control.start("127.0.0.1", 0)) as session:
        for path, status in (("/metrics", 403), ("/v1/stats", 403), ("/healthz", 200), ("/ui", 200)):
            async with session.get(path) as answer:
                assert answer.status == status
    await control.stop()


async def test_a_page_of_another_site_gets_no_leave_to_ask(client):
    fields = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for method, path in (("OPTIONS", "/v1/stats"), ("GET", "/v1/stats"), ("GET", "/ping")):
        async with client.request(method, path, headers=fields) as answer:
            assert not any(name.startswith("Access-Control") for name in answer.headers)
            assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
