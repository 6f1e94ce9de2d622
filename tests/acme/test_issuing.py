"""What an authority that is none makes of an order: a sentence.  With a real one, see tests/real/test_acme.py."""

import asyncio
import ssl

import pytest
import trustme
from aiohttp import web

from edge.acme.folder import Folder
from edge.acme.issuing import Authority, issue
from edge.acme.keeper import NotIssued

CA = trustme.CA()


@pytest.fixture
async def authority(tmp_path):
    """Return what starts a server that answers everything with the same."""
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    runners = []

    async def start(status: int, content: str, content_type: str) -> Authority:
        async def answer(_request: web.Request) -> web.Response:
            return web.Response(status=status, text=content, content_type=content_type)

        application = web.Application()
        application.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        CA.issue_cert("127.0.0.1").configure_cert(context)
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        runners.append(runner)
        port = runner.addresses[0][1]
        return Authority(f"https://127.0.0.1:{port}/dir", (), tmp_path / "ca.pem", ("http-01",))

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "content", "content_type"),
    [
        pytest.param(200, "{}", "application/json", id="an empty directory"),
        pytest.param(200, "[]", "application/json", id="JSON that is none"),
        pytest.param(200, "<html>", "text/html", id="a web page"),
        pytest.param(500, "", "text/plain", id="an error"),
        pytest.param(
            503, '{"type": "urn:ietf:params:acme:error:serverInternal", "detail": "later"}', "application/problem+json",
            id="a problem",
        ),
    ],
)  # fmt: skip
async def test_what_is_no_authority_is_told_in_a_sentence(tmp_path, authority, status, content, content_type):
    asked, folder = await authority(status, content, content_type), Folder(tmp_path / "acme")
    folder.make()
    with pytest.raises(NotIssued, match=r"\w"):
        await asyncio.to_thread(issue, asked, folder, ("a.test",))
    assert not folder.certificate(("a.test",)).exists()
