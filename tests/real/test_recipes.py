"""The recipes of docs/tagging.md do what they say, behind a node: a change is seen at once wherever it shows."""

import re
from pathlib import Path

import aiohttp
import pytest

from tests.real.node import client, edge, get, is_hit, running
from tests.scenarios.test_store_faults import free_port

pytestmark = [pytest.mark.real, pytest.mark.slow]
PAGE = Path(__file__).parents[2] / "docs" / "tagging.md"

#: How each application is run: with the settings that a project has, by a server on the port $PORT.
WSGI = """
import os
from wsgiref.simple_server import make_server
server = make_server("127.0.0.1", int(os.environ["PORT"]), app)
print("ready", f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
"""
RUNS = {
    "django": """
from django.conf import settings
databases = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
settings.configure(ALLOWED_HOSTS=["*"], MIDDLEWARE=["django_pages.tagging"], ROOT_URLCONF=__name__, DATABASES=databases)
from django.core.wsgi import get_wsgi_application
from django.urls import path
app = get_wsgi_application()
import django_pages
urlpatterns = [path("", django_pages.front), path("articles/<int:number>", django_pages.article)]
""" + WSGI,
    "flask": "from flask_pages import app" + WSGI,
    "fastapi": """
import os, socket, uvicorn
from fastapi_pages import app
listening = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
print("ready", f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error")).run([listening])
""",
}  # fmt: skip


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the modules that the page shows, from which every process imports."""
    folder = tmp_path / "recipes"
    folder.mkdir()
    for name, code in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE.read_text(), re.DOTALL):
        (folder / name).write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


@pytest.mark.parametrize("framework", RUNS)
async def test_a_change_is_seen_at_once_on_every_page_that_shows_it(
    framework: str, recipes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (recipes / "run_it.py").write_text(RUNS[framework])
    admin, port = f"127.0.0.1:{free_port()}", free_port()
    monkeypatch.setenv("EDGE_NODES", f"http://{admin}")
    monkeypatch.setenv("PORT", str(port))
    options = ("--admin", admin, "--admin-token-file", str(tmp_path / "tokens"))
    async with edge(f"http://127.0.0.1:{port}", tmp_path / "cache", *options) as node:
        (secret,) = tmp_path.glob("*.secret")
        monkeypatch.setenv("EDGE_TOKEN", secret.read_text().strip())
        async with running("run_it") as application, client() as session:
            pages = [f"{node.url}{path}" for path in ("/", "/articles/1", "/articles/2")]
            for page in pages:
                await get(session, page)
            before = [await get(session, page) for page in pages]
            assert [content for content, _ in before] == [b"One, Two", b"One", b"Two"]
            assert [is_hit(status) for _, status in before] == [True] * 3
            async with session.put(f"{application.url}/articles/1", json={"title": "Changed"}) as response:
                assert response.status == 204
            after = [await get(session, page) for page in pages]
            assert [content for content, _ in after] == [b"Changed, Two", b"Changed", b"Two"]
            assert [is_hit(status) for _, status in after] == [False, False, True]
            async with session.get(pages[0]) as response:
                assert "Surrogate-Key" not in response.headers


async def test_a_node_that_did_not_purge_is_told(recipes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_NODES", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("EDGE_TOKEN", "none")
    monkeypatch.setenv("PORT", "0")
    (recipes / "run_it.py").write_text(RUNS["flask"])
    async with running("run_it") as application, aiohttp.ClientSession() as session:
        async with session.put(f"{application.url}/articles/1", json={"title": "Changed"}) as response:
            assert response.status == 500
        async with session.get(application.url) as response:
            assert await response.text() == "Changed, Two"
