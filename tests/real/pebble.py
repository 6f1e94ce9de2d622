"""Pebble, a certificate authority that speaks ACME, with a name server that sends it to this machine for every name."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import trustme

from tests.real.node import STUCK
from tests.real.programs import find


@dataclass(frozen=True)
class Pebble:
    """A running authority.

    Attributes:
        directory: the URL of its directory.
        ca: the file with what signs its own certificate.
        http_port, tls_port: where it comes to see challenges.
    """

    directory: str
    ca: Path
    http_port: int
    tls_port: int
    _management: str

    async def root(self) -> bytes:
        """Return the certificate that signs those it issues, in PEM."""
        async with aiohttp.ClientSession() as session, session.get(f"{self._management}/roots/0", ssl=False) as got:
            return await got.read()


def free_ports(count: int) -> list[int]:
    """Return ports that are free now."""
    bound = [socket.socket() for _ in range(count)]
    try:
        for each in bound:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in bound]
    finally:
        for each in bound:
            each.close()


@asynccontextmanager
async def pebble(folder: Path, *, seconds: int = 86_400 * 90) -> AsyncIterator[Pebble]:
    """Run an authority whose certificates last so many seconds."""
    programs = find("pebble", "pebble"), find("pebble-challtestsrv", "pebble")
    api, management, http, tls, names, unused = free_ports(6)
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "pebble-ca.pem")
    issued.private_key_pem.write_to_path(folder / "pebble.key")
    issued.cert_chain_pems[0].write_to_path(folder / "pebble.pem")
    settings = {
        "listenAddress": f"127.0.0.1:{api}", "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(folder / "pebble.pem"), "privateKey": str(folder / "pebble.key"),
        "httpPort": http, "tlsPort": tls, "certificateValidityPeriod": seconds,
    }  # fmt: skip
    (folder / "pebble.json").write_text(json.dumps({"pebble": settings}))
    off = ("-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", "", "-defaultIPv4", "127.0.0.1")
    async with AsyncExitStack() as programs_end:
        for command in (
            [programs[1], "-dns01", f"127.0.0.1:{names}", "-management", f"127.0.0.1:{unused}", *off],
            [programs[0], "-config", str(folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{names}"],
        ):
            await programs_end.enter_async_context(_running(command, folder / "pebble.log"))
        await _answers(api)
        yield Pebble(
            f"https://127.0.0.1:{api}/dir", folder / "pebble-ca.pem", http, tls, f"https://127.0.0.1:{management}"
        )


@asynccontextmanager
async def _running(command: list[str], log: Path) -> AsyncIterator[None]:
    # It refuses what is good now and then, and takes its time, both of which would only make these tests slower.
    environ = os.environ | {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0", "PEBBLE_WFE_NONCEREJECT": "30"}
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(*command, stdout=file, stderr=file, env=environ)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _answers(port: int) -> None:
    async with asyncio.timeout(STUCK):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
