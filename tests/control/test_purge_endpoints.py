"""Purges over HTTP."""

import asyncio
import io
import json
import re

import pytest

from edge.caching.stored import StoredResponse
from edge.policy.key import KeyPolicy, cache_key
from edge.policy.purging import EVERYTHING, Kind, Mode, Selector
from edge.semantics.fields import FieldSection
from edge.semantics.target import Target
from tests.control.plane import PURGER, READ, plane
from tests.purges.test_log import files_of_at_most


async def store(node, path: bytes, *lines: tuple[bytes, bytes], epoch: int = 0) -> None:
    key = cache_key(Target(b"http", b"a.example", path), KeyPolicy())
    writer = await node.disk.writer(key, length=2)
    await writer.write(b"ok")
    fields = FieldSection([(b"cache-control", b"max-age=60"), *lines])
    stored = StoredResponse(key, writer.generation, b"GET", (), 200, b"OK", fields, 1.7e9, 1.7e9, 2, ((0, 2),), epoch)
    await writer.commit(stored)


async def test_a_purge_is_in_force_and_has_a_receipt(node):
    status, receipt = await node.purge(urls=["http://A.example/x"], tags=["t"], mode="hard")
    named = [{"kind": "url", "value": "http://a.example/x"}, {"kind": "tag", "value": "t"}]
    assert status == 200
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", receipt.pop("time"))
    assert receipt == {"id": 1, "mode": "hard", "selectors": named, "node": "n1", "effect": "absent", "preload": ""}
    key = cache_key(Target(b"http", b"a.example", b"/x"), KeyPolicy())
    assert node.purges.verdict(key, 0, tuple).mode is Mode.HARD
    assert node.purges.verdict(b"k", 0, lambda: [Selector(Kind.TAG, b"t")]).mode is Mode.HARD
    assert node.events == ["purge-hard"]


async def test_a_purge_is_soft_unless_it_says_hard(node):
    status, receipt = await node.purge(everything=True)
    assert (status, receipt["mode"], receipt["effect"]) == (200, "soft", "stale")


@pytest.mark.parametrize(
    ("members", "pointers"),
    [
        pytest.param({}, [""], id="nothing named"),
        pytest.param({"urls": ["http://a.example/", "/x"]}, ["/urls/1"], id="a URL that is none"),
        pytest.param({"hosts": ["b.example"], "tags": [""]}, ["/hosts/0", "/tags/0"], id="every fault is told"),
        pytest.param({"prefixes": ["a.example/x*"]}, ["/prefixes/0"], id="a wildcard"),
        pytest.param({"everything": True, "tags": ["t"]}, ["/everything"], id="everything and more"),
        pytest.param({"tags": ["t"] * 600, "hosts": ["a.example"] * 600}, [""], id="too many names together"),
    ],
)
async def test_what_is_not_understood_purges_nothing(node, members, pointers):
    status, problem = await node.purge(**members)
    assert (status, [fault["pointer"] for fault in problem["errors"]]) == (422, pointers)
    assert node.purges.current() == 0


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        pytest.param(b"{", "application/json", 400, id="no JSON"),
        pytest.param(b'{"tags": ["\xff"]}', "application/json", 400, id="no UTF-8"),
        pytest.param(b"[]", "application/json", 422, id="no object"),
        pytest.param(b'{"url": ["http://a.example/"]}', "application/json", 422, id="an unknown member"),
        pytest.param(b'{"tags": "t"}', "application/json", 422, id="a string for a list"),
        pytest.param(b'{"everything": 1}', "application/json", 422, id="a number for a boolean"),
        pytest.param(b'{"everything": true, "mode": "firm"}', "application/json", 422, id="an unknown mode"),
        pytest.param(b'{"tags": %s}' % json.dumps(["t"] * 1001).encode(), "application/json", 422, id="a long list"),
        pytest.param(b'{"tags": ["%s"]}' % (b"t" * 8193), "application/json", 422, id="a long name"),
        pytest.param(b'{"everything": true}', "text/plain", 415, id="another media type"),
        pytest.param(b" " * (1 << 20) + b"{}", "application/json", 413, id="too much"),
    ],
)
async def test_what_is_no_purge_request(node, content, media_type, status):
    headers = {**PURGER, "Content-Type": media_type}
    async with node.session.post("/v1/purge", data=io.BytesIO(content), headers=headers) as response:
        assert (response.status, response.content_type) == (status, "application/problem+json")
        assert (await response.json(content_type=None))["status"] == status
    assert node.purges.current() == 0


@pytest.mark.parametrize("path", ["/v1/purge", "/service/s/purge", "/service/s/purge_all", "/purge/a.example/"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 401, id="no token"),
        pytest.param({"Authorization": "Bearer wrong", "Fastly-Key": "wrong"}, 401, id="an unknown token"),
        pytest.param({"Authorization": "Basic all-scopes", "Fastly-Key": ""}, 401, id="another scheme"),
        pytest.param({"Authorization": f"Bearer {READ}", "Fastly-Key": READ}, 403, id="a token without the scope"),
    ],
)
async def test_nothing_is_purged_without_a_token_that_may(tmp_path, path, headers, status):
    async with plane(tmp_path, shapes=("fastly",)) as node:
        refused, problem = await node.purge(path=path, headers=headers, everything=True)
        assert (refused, problem["status"]) == (status, status)
        assert node.purges.current() == 0


async def test_nothing_is_purged_without_a_token_file(tmp_path):
    async with plane(tmp_path, has_tokens=False) as node:
        status, problem = await node.purge(everything=True)
        assert (status, "--admin-token-file" in problem["detail"]) == (403, True)


async def test_a_dry_run_tells_what_it_would_hit_and_purges_nothing(node):
    await store(node, b"/a/1", (b"surrogate-key", b"t"))
    await store(node, b"/a/2", (b"cache-groups", b'"t"'))
    await store(node, b"/b")
    for members, expected in [
        ({"urls": ["http://a.example/b", "http://a.example/none"]}, ["http://a.example/b"]),
        ({"prefixes": ["a.example/a"]}, ["http://a.example/a/1", "http://a.example/a/2"]),
        ({"tags": ["t"]}, ["http://a.example/a/1", "http://a.example/a/2"]),
        ({"hosts": ["a.example"]}, ["http://a.example/a/1", "http://a.example/a/2", "http://a.example/b"]),
        ({"tags": ["u"]}, []),
    ]:
        status, told = await node.purge(dry_run=True, **members)
        assert (status, told["count"], sorted(told["samples"])) == (200, len(expected), expected)
        assert (told["is_complete"], told["dry_run"]) == (True, True)
    assert node.purges.current() == 0


async def test_a_dry_run_does_not_count_what_was_purged_already(node):
    await store(node, b"/a")
    await node.purge(everything=True, mode="hard")
    await store(node, b"/b", epoch=1)
    _, told = await node.purge(everything=True, dry_run=True)
    assert told["samples"] == ["http://a.example/b"]


async def test_a_dry_run_does_not_count_what_a_worker_has_purged(node):
    await store(node, b"/a")
    node.purges.log.append(Mode.HARD, [EVERYTHING], 0.0)
    _, told = await node.purge(everything=True, dry_run=True)
    assert told["count"] == 0


async def test_the_same_request_with_its_key_purges_once(node):
    headers = {**PURGER, "Idempotency-Key": "k1"}
    first = await node.purge(headers=headers, tags=["t"])
    assert await node.purge(headers=headers, tags=["t"]) == first
    assert node.purges.current() == 1
    assert (await node.purge(headers=headers, tags=["u"]))[0] == 422
    assert (await node.purge(headers={**PURGER, "Idempotency-Key": "k2"}, tags=["t"]))[1]["id"] == 2


async def test_a_key_is_remembered_across_restarts(tmp_path):
    headers = {**PURGER, "Idempotency-Key": "k1"}
    async with plane(tmp_path) as node:
        first = await node.purge(headers=headers, tags=["t"])
    async with plane(tmp_path) as node:
        assert await node.purge(headers=headers, tags=["t"]) == first
        assert node.purges.current() == 1


async def test_a_key_that_is_none_is_refused(node):
    assert (await node.purge(headers={**PURGER, "Idempotency-Key": "k" * 256}, tags=["t"]))[0] == 400


async def test_requests_with_one_key_at_a_time_purge_once(node):
    headers = {**PURGER, "Idempotency-Key": "k1"}
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(node.purge(headers=headers, tags=["t"])) for _ in range(5)]
    assert {task.result()[0] for task in asked} <= {200, 409}
    assert node.purges.current() == 1


async def test_purges_are_listed_the_newest_first(node):
    for tag in range(103):
        await node.purge(tags=[str(tag)])
    async with node.session.get("/v1/purges", headers=PURGER) as response:
        listed = await response.json()
    assert [purge["id"] for purge in listed["purges"]] == list(range(103, 3, -1))
    async with node.session.get(f"/v1/purges?before={listed['before']}", headers=PURGER) as response:
        listed = await response.json()
    assert ([purge["id"] for purge in listed["purges"]], listed["before"]) == ([3, 2, 1], None)
    async with node.session.get("/v1/purges/7", headers=PURGER) as response:
        assert (await response.json())["selectors"] == [{"kind": "tag", "value": "6"}]
    for path, status in [("/v1/purges/0", 404), ("/v1/purges/x", 404), ("/v1/purges?before=x", 400)]:
        async with node.session.get(path, headers=PURGER) as response:
            assert response.status == status
    async with node.session.get("/v1/purges") as response:
        assert response.status == 401


async def test_a_full_disk_is_told_and_nothing_is_purged(node):
    log = node.purges.log.path
    # The limit is one of the whole process: nothing else may be writing.
    with files_of_at_most(log.stat().st_size + 10):
        status, problem = await node.purge(tags=["t"])
    assert (status, "did not happen" in problem["detail"]) == (507, True)
    assert node.purges.current() == 0
    assert (await node.purge(tags=["t"]))[1]["id"] == 1


async def test_what_was_purged_is_written_to_the_audit_log(node, caplog):
    caplog.set_level("INFO", "edge.audit")
    await node.purge(tags=["a\x7fb"])
    await node.purge(tags=["t"], headers={})
    await node.purge(tags=["t"])
    assert [record.getMessage() for record in caplog.records if record.name == "edge.audit"] == [
        "refused POST /v1/purge from 127.0.0.1: 401",
        'purge 1 soft by all from 127.0.0.1: ["tag:t"]',
    ]


async def test_a_log_that_is_gone_is_told(node):
    node.purges.log.path.unlink()
    assert (await node.purge(tags=["t"]))[0] == 507
    for path in ("/v1/purges", "/v1/purges/1"):
        async with node.session.get(path, headers=PURGER) as response:
            assert response.status == 503


async def test_a_key_that_cannot_be_remembered_is_told_and_nothing_is_purged(node):
    (node.path / "kept").write_text("a file where a directory should be")
    status, problem = await node.purge(headers={**PURGER, "Idempotency-Key": "k1"}, tags=["t"])
    assert (status, "nothing was done" in problem["detail"]) == (507, True)
    assert node.purges.current() == 0
