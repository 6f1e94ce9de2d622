"""Debian's nginx as an origin, from a directory of its own."""

import asyncio
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.real.node import STUCK
from tests.real.programs import find

_CONFIGURATION = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
events {{ worker_connections 512; }}
http {{
    include /etc/nginx/mime.types;
    log_format requests '$request_method $uri $status';
    access_log {folder}/access.log requests;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    sendfile on;
    server {{
        listen 127.0.0.1:{port};
        etag on;
{locations}
    }}
}}
"""


class Nginx:
    """An nginx that runs.

    Attributes:
        url: where it serves.
    """

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self._log = log

    def requests(self) -> list[str]:
        """Return what was asked of it, as in "GET /index.html 200", oldest first."""
        return self._log.read_text().splitlines()


@asynccontextmanager
async def nginx(folder: Path, locations: str) -> AsyncIterator[Nginx]:
    """Run nginx with the given location blocks, everything of it in `folder`."""
    program = find("nginx", "nginx-light")
    folder.mkdir(exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(user=user, folder=folder, port=port, locations=locations))
    process = await asyncio.create_subprocess_exec(
        program, "-p", folder, "-c", configuration, "-e", "stderr", "-g", "error_log stderr notice;",
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        async with asyncio.timeout(STUCK):
            said = ""
            while "start worker process " not in said:
                line = (await process.stderr.readline()).decode()
                assert line, f"nginx does not start: {said}"
                said += line
        yield Nginx(f"http://127.0.0.1:{port}", folder / "access.log")
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()
