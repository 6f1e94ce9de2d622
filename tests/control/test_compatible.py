"""Purges in other shapes."""

import pytest

from tests.control.plane import ALL, PURGER, plane

KEY = {"Fastly-Key": ALL}
ZONE = "/client/v4/zones/z/purge_cache"


@pytest.fixture
async def node(tmp_path):
    async with plane(tmp_path, shapes=("fastly", "cloudflare")) as running:
        yield running


def purged(node) -> list[tuple[str, list[bytes]]]:
    return [(purge.mode, [selector.value for selector in purge.selectors]) for purge in node.purges.log.everything()]


async def test_fastly(node):
    assert await node.purge(path="/service/s/purge/t1", headers=KEY) == (200, {"status": "ok", "id": "1"})
    soft = {**KEY, "Fastly-Soft-Purge": "1"}
    assert (await node.purge(path="/service/s/purge", headers={**soft, "Surrogate-Key": "a b"}))[1] == {
        "a": "2",
        "b": "2",
    }
    assert (await node.purge(path="/service/s/purge", headers=KEY, surrogate_keys=["c"]))[1] == {"c": "3"}
    assert await node.purge(path="/service/s/purge_all", headers=KEY) == (200, {"status": "ok"})
    assert purged(node) == [("hard", [b"t1"]), ("soft", [b"a", b"b"]), ("hard", [b"c"]), ("hard", [b""])]


async def test_a_url_for_fastly_is_one_of_both_schemes(node):
    assert (await node.purge(path="/purge/a.example/x?y", headers=KEY))[0] == 200
    [(_, values)] = purged(node)
    assert values == [b"4:http9:a.example2:/x2:?y", b"5:https9:a.example2:/x2:?y"]
    assert (await node.purge(path="/purge/b.example/", headers=KEY))[0] == 422


async def test_cloudflare(node):
    status, told = await node.purge(
        path=ZONE, files=["http://a.example/", {"url": "http://a.example/b", "headers": {}}]
    )
    assert (status, told) == (200, {"success": True, "errors": [], "messages": [], "result": {"id": "1"}})
    await node.purge(path=ZONE, prefixes=["a.example/x"], tags=["t"], hosts=["a.example"])
    await node.purge(path=ZONE, purge_everything=True)
    assert [len(values) for _, values in purged(node)] == [2, 3, 1]


@pytest.mark.parametrize("members", [{}, {"tags": "t"}, {"hosts": ["b.example"]}])
async def test_what_cloudflares_clients_are_told_of_a_fault(node, members):
    status, told = await node.purge(path=ZONE, **members)
    assert (status in {400, 422}, told["success"], told["errors"][0]["code"]) == (True, False, status)


@pytest.mark.parametrize("path", [ZONE, "/service/s/purge_all", "/purge/a.example/"])
async def test_off_by_default(tmp_path, path):
    async with plane(tmp_path) as node:
        assert (await node.purge(path=path, headers={**PURGER, **KEY}))[0] == 404
