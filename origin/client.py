"""A client of the admin planes of edges: the same request to each, and what each of them says."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

import aiohttp

#: How long one node may take to answer, seconds.
SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What one node said.

    Attributes:
        node: its URL.
        status: of its answer, 0 when there was none.
        told: the JSON of the answer; {} when there was none.
        error: what went wrong, "" when nothing did.
    """

    node: str
    status: int
    told: Mapping[str, Any]
    error: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether the node did what it was asked."""
        return not self.error


class Edges:
    """The edges of one origin operator, as an asynchronous context."""

    def __init__(self, nodes: Sequence[str], token: str) -> None:
        """Ask `nodes`, URLs of admin planes, with `token`."""
        self._nodes = [node.rstrip("/") for node in nodes]
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def __aenter__(self) -> Self:
        # Long contents may take longer altogether.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=SECONDS, sock_read=SECONDS)
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def purge(
        self,
        *,
        urls: Sequence[str] = (),
        prefixes: Sequence[str] = (),
        hosts: Sequence[str] = (),
        tags: Sequence[str] = (),
        everything: bool = False,
        hard: bool = False,
        dry_run: bool = False,
        rewarm: int = 0,
    ) -> list[Answer]:
        """Purge on every node; each answer is a receipt, or what a purge would hit; `rewarm` are fetched anew."""
        content = {
            "urls": list(urls), "prefixes": list(prefixes), "hosts": list(hosts), "tags": list(tags),
            "everything": everything, "mode": "hard" if hard else "soft", "dry_run": dry_run, "rewarm": rewarm,
        }  # fmt: skip
        # One key for all: should an answer be lost, the same call with it would not purge twice.
        return await self._all("POST", "/v1/purge", json=content, headers={"Idempotency-Key": str(uuid4())})

    async def preload(
        self,
        urls: Sequence[str],
        *,
        sitemaps: Sequence[str] = (),
        limits: Mapping[str, Any] | None = None,
    ) -> list[Answer]:
        """Begin a preload job on every node, and return the jobs; `limits` are concurrency, rate, window and retries."""
        content = {"urls": list(urls), "sitemaps": list(sitemaps), "limits": dict(limits or {})}
        return await self._all("POST", "/v1/preloads", json=content, headers={"Idempotency-Key": str(uuid4())})

    async def preload_done(self, job: Answer, report: Callable[[Mapping[str, Any]], None]) -> Answer:
        """Return a preload job when it is over; `report` is told of it every second."""
        while job.is_ok:
            report(job.told)
            if job.told.get("state") in {"done", "cancelled"}:
                break
            await asyncio.sleep(1)
            job = await self.ask(job.node, "GET", f"/v1/preloads/{quote(str(job.told.get('id')), safe='')}")
        return job

    async def status(self) -> list[Answer]:
        """Return the figures of every node."""
        return await self._all("GET", "/v1/stats")

    async def ask(self, node: str, method: str, path: str, **options: Any) -> Answer:  # noqa: ANN401 - those of aiohttp
        """Return what one node says to one request."""
        return await self._ask(node.rstrip("/"), method, path, options)

    async def rollback(self, site: str) -> list[Answer]:
        """Let every node serve the version of a site before the one it serves."""
        return await self._all("POST", f"/v1/sites/{quote(site, safe='')}/rollback", json={})

    async def versions(self, site: str) -> list[Answer]:
        """Return the versions of a site that each node has."""
        return await self._all("GET", "/v1/manifests", params={"site": site})

    async def _all(self, method: str, path: str, **options: Any) -> list[Answer]:  # noqa: ANN401 - those of aiohttp
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._ask(node, method, path, options)) for node in self._nodes]
        return [task.result() for task in asked]

    async def _ask(self, node: str, method: str, path: str, options: Mapping[str, Any]) -> Answer:
        try:
            async with self._session.request(method, node + path, **options) as response:
                told = await response.json(content_type=None)
        except TimeoutError:
            return Answer(node, 0, {}, f"no answer within {SECONDS:g} s")
        except (aiohttp.ClientError, ValueError) as error:
            return Answer(node, 0, {}, f"no answer that can be read: {error}")
        if not isinstance(told, dict):
            return Answer(node, response.status, {}, "it is not the admin plane of an edge")
        return Answer(node, response.status, told, "" if response.status == 200 else _sentence(told, response.status))


def _sentence(told: Mapping[str, Any], status: int) -> str:
    """Return what a problem (RFC 9457) says, in a line."""
    faults = [f"{fault.get('pointer')}: {fault.get('detail')}" for fault in told.get("errors", ())]
    return " ".join([f"{status}", told.get("detail") or str(told.get("title", "")), *faults])
