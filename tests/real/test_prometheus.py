"""A real Prometheus scrapes a node, and our rules give what an operator asks for."""

import asyncio
import json
import re
import signal
import subprocess
from math import isnan, nan
from pathlib import Path

import aiohttp
import pytest

from edge.telemetry.schema import METRICS
from tests.real.node import client, demo_origin, edge, get
from tests.real.programs import find
from tests.scenarios.test_store_faults import free_port

RULES = Path(__file__).parents[2] / "config/prometheus/foreland.rules.yml"
EXAMPLE = RULES.with_name("prometheus.yml")
pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_the_rules_and_the_example_are_valid() -> None:
    checked = subprocess.run(
        [find("promtool", "prometheus"), "check", "config", EXAMPLE], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, "SUCCESS" in checked.stdout) == (0, True), checked.stderr


def test_every_metric_that_the_rules_name_is_there() -> None:
    named = set(re.findall(r"(?<![:\w])edge_\w+", RULES.read_text()))
    suffixes = ("", "_bucket", "_sum", "_count")
    there = {metric.name + suffix for metric in METRICS for suffix in suffixes}
    assert named - there == set()


async def test_a_prometheus_tells_the_hit_ratio(tmp_path: Path) -> None:
    admin, port = f"127.0.0.1:{free_port()}", free_port()
    # The rules as they are shipped, over a shorter span and more often.
    (tmp_path / "foreland.rules.yml").write_text(RULES.read_text().replace("[5m]", "[10s]"))
    config = EXAMPLE.read_text().replace("15s", "250ms").replace("127.0.0.1:8901", admin)
    (tmp_path / "prometheus.yml").write_text(config)
    async with demo_origin() as origin, edge(origin.url, tmp_path / "cache", "--admin", admin) as node:
        prometheus = await asyncio.create_subprocess_exec(
            find("prometheus", "prometheus"),
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(60), client() as clients, aiohttp.ClientSession() as session:
                ratios = {}
                while not ratios.get("site:edge_hit_ratio:rate5m", 0) > 0.5 < ratios["site:edge_byte_hit_ratio:rate5m"]:
                    # Rates are those of counters that rise between scrapes: there must be traffic while it looks.
                    for _ in range(10):
                        await get(clients, f"{node.url}/images/dawn.png")
                    for name in ("site:edge_hit_ratio:rate5m", "site:edge_byte_hit_ratio:rate5m"):
                        ratios[name] = await value(session, port, name)
                assert all(0.5 < ratio <= 1 for ratio in ratios.values())
                assert await value(session, port, 'up{job="foreland"}') == 1
                assert await value(session, port, "edge_config_last_reload_successful") == 1
                assert await value(session, port, "edge_event_loop_lag_seconds_count") > 0
                lag = nan  # as long as no two scrapes have seen the lag counted on, as the rates above may have been
                while isnan(lag):
                    lag = await value(session, port, "instance:edge_event_loop_lag_seconds:p99_5m")
                assert lag < 30
                rules = json.loads(await text(session, port, "/api/v1/rules"))["data"]["groups"]
                assert {rule["health"] for group in rules for rule in group["rules"]} == {"ok"}
        finally:
            prometheus.send_signal(signal.SIGKILL)
            await prometheus.wait()


async def text(session: aiohttp.ClientSession, port: int, path: str) -> str:
    """Return an answer of Prometheus, "{}" as long as it gives none."""
    try:
        async with session.get(f"http://127.0.0.1:{port}{path}") as response:
            return await response.text() if response.status == 200 else "{}"
    except aiohttp.ClientConnectionError:
        return "{}"


async def value(session: aiohttp.ClientSession, port: int, query: str) -> float:
    """Return the first value of a query, 0 as long as there is none."""
    told = json.loads(await text(session, port, f"/api/v1/query?query={query}"))
    found = told.get("data", {}).get("result", [])
    return float(found[0]["value"][1]) if found else 0.0
