from io import BytesIO

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from origin.server import MAX_CONTENT, application
from origin.settings import Settings

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(application(Settings()))


async def test_time_goes_on(client: Client) -> None:
    first, second = [await (await client.get("/api/time")).json() for _ in range(2)]
    assert first["now"] <= second["now"]
    assert first["text"].endswith("+00:00")


async def test_whoami_shows_fields_but_no_secrets(client: Client) -> None:
    fields = {"Cookie": "b=secret; a=secret", "Authorization": "Bearer secret", "X-One": "1"}
    response = await client.get("/api/whoami?q=1", headers=fields)
    assert response.headers["Cache-Control"] == "private, no-store"
    assert "secret" not in await response.text()
    shown = await response.json()
    assert (shown["method"], shown["target"], shown["version"]) == ("GET", "/api/whoami?q=1", "1.1")
    assert (shown["cookies"], shown["authorized"]) == (["a", "b"], True)
    assert ["X-One", "1"] in shown["fields"]


@pytest.mark.parametrize(
    ("query", "accepted", "greeting", "spoken"),
    [
        pytest.param("", "", "Hello, world!", "en", id="the default"),
        pytest.param("?name=Ann", "fr-CA, en;q=0.5", "Bonjour, Ann !", "fr", id="by Accept-Language"),
        pytest.param("?name=%E5%AE%89", "zh", "你好,安!", "zh", id="beyond ASCII"),
        pytest.param("?name=" + "a" * 200, "", f"Hello, {'a' * 100}!", "en", id="a long name is cut"),
        pytest.param("?name={0.__class__}", "", "Hello, {0.__class__}!", "en", id="a name is not a format"),
    ],
)
async def test_hello(client: Client, query: str, accepted: str, greeting: str, spoken: str) -> None:
    response = await client.get(f"/api/hello{query}", headers={"Accept-Language": accepted})
    assert await response.json() == {"greeting": greeting, "language": spoken}
    assert (response.headers["Vary"], response.headers["Content-Language"]) == ("Accept-Language", spoken)


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_echo(client: Client, method: str) -> None:
    response = await client.request(method, "/api/echo", data=b"\0content", headers={"Content-Type": "x/y"})
    assert (await response.read(), response.headers["Content-Type"]) == (b"\0content", "x/y")
    assert response.headers["Content-Length"] == "8"


async def test_echo_takes_so_much_and_no_more(client: Client) -> None:
    response = await client.post("/api/echo", data=BytesIO(bytes(MAX_CONTENT + 1)))
    assert response.status == 413


@pytest.mark.parametrize(
    ("path", "length"),
    [
        pytest.param("/bytes", 1 << 20, id="a MiB by default"),
        pytest.param("/bytes?_size=0", 0, id="nothing"),
        pytest.param("/bytes/a?_size=5000", 5000, id="a name and a size"),
    ],
)
async def test_generated_length(client: Client, path: str, length: int) -> None:
    assert len(await (await client.get(path)).read()) == length


async def test_generated_content_goes_by_its_name(client: Client) -> None:
    one, two = [await client.get(f"/bytes/{name}?_size=100") for name in "ab"]
    assert await one.read() != await two.read()
    assert one.headers["ETag"] != two.headers["ETag"]
