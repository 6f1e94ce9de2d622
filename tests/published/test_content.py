"""What is published, as a worker serves it."""

import pytest

from edge.errors import StoreDamaged
from edge.published.blobs import blob_path
from edge.published.content import PublishedContent
from edge.published.manifest import Manifest
from edge.published.versions import active_path, version_folder
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request
from edge.semantics.target import Target
from tests.published.making import NOW, SITE, entry, named, publish, put, versions

LONG = b"long" * 200_000


def request(path: bytes, accepted: bytes = b"") -> Request:
    fields = [(b"accept-encoding", accepted)] if accepted else []
    return Request(b"GET", Target(b"http", SITE.encode(), path, None), FieldSection(fields))


@pytest.fixture
def kept(tmp_path):
    return versions(tmp_path, 16 << 20)


async def octets(content: PublishedContent, path: bytes, start: int = 0, end: int | None = None) -> bytes:
    stored = content.find(SITE, request(path))
    reading = content.open(stored, start, stored.complete_length if end is None else end)
    pieces = []
    try:
        while piece := await reading.read():
            pieces.append(bytes(piece))
    finally:
        reading.close()
    return b"".join(pieces)


def test_without_a_directory_nothing_is_published():
    content = PublishedContent(None)
    content.refresh()
    assert (content.covers(SITE, b"/a"), content.find(SITE, request(b"/a"))) == (False, None)


def test_only_what_is_active_is_found(kept, tmp_path):
    publish(kept, a=b"one")
    content = PublishedContent(tmp_path)
    publish(kept, b=b"two")
    assert (content.covers(SITE, b"/a"), content.covers(SITE, b"/b"), content.covers("x", b"/a")) == (
        True,
        False,
        False,
    )
    content.refresh()
    assert (content.covers(SITE, b"/a"), content.covers(SITE, b"/%62")) == (False, True)
    kept.withdraw(SITE, expected=None)
    content.refresh()
    assert content.find(SITE, request(b"/b")) is None


def test_a_response_says_what_the_manifest_says(kept, tmp_path):
    put(kept.blobs, b"plain", b"coded")
    whole = Manifest(
        SITE, [entry("/a", b"plain", {"br": b"coded"}, type="text/css", fields={"Cache-Control": "no-cache"})]
    )
    kept.activate(kept.add(whole, "ann", NOW), "ann", NOW, expected=None)
    content = PublishedContent(tmp_path)
    plain, coded = (content.find(SITE, request(b"/a", accepted)) for accepted in (b"identity", b"br"))
    assert plain.fields.get(b"content-type") == b"text/css"
    assert plain.fields.get(b"cache-control") == b"no-cache"
    assert (plain.fields.get(b"content-encoding"), coded.fields.get(b"content-encoding")) == (None, b"br")
    assert (plain.complete_length, coded.key) == (5, named(b"coded").encode())
    assert plain.fields.get(b"etag") != coded.fields.get(b"etag")
    assert plain.fields.get(b"vary") == b"accept-encoding"


@pytest.mark.parametrize("damage", ["", "[]", '{"id": "000009-00000000", "by": "x", "time": 1}'])
def test_what_cannot_be_read_leaves_what_was_there_before(kept, tmp_path, damage, caplog):
    publish(kept, a=b"one")
    content = PublishedContent(tmp_path)
    path = active_path(tmp_path, SITE)
    path.unlink()
    path.write_text(damage)
    content.refresh()
    assert content.covers(SITE, b"/a")
    assert "cannot be read" in caplog.text


def test_a_version_that_is_damaged_does_not_keep_others_away(kept, tmp_path):
    version = publish(kept, a=b"one")
    (version_folder(tmp_path, SITE) / f"{version.id}.json").write_text("")
    assert not PublishedContent(tmp_path).covers(SITE, b"/a")


@pytest.mark.parametrize("whole", [b"short", b"", LONG], ids=["short", "empty", "long"])
async def test_octets_are_those_that_were_published(kept, tmp_path, whole):
    publish(kept, a=whole)
    content = PublishedContent(tmp_path)
    assert await octets(content, b"/a") == whole
    assert await octets(content, b"/a", 1, len(whole) - 1) == whole[1:-1]


async def test_what_is_short_is_read_once_as_long_as_there_is_memory(kept, tmp_path):
    many = {f"n{number}": b"%03d" % number * 80_000 for number in range(100)}
    kept.blobs = versions(tmp_path, 64 << 20).blobs
    publish(kept, **many)
    content = PublishedContent(tmp_path)
    for name in many:
        await octets(content, f"/{name}".encode())
    held = sum(len(content.in_memory(named(whole)) or b"") for whole in many.values())
    assert 15 << 20 < held <= 16 << 20
    last = content.find(SITE, request(b"/n99"))
    assert content.at_hand(last) == many["n99"]
    blob_path(tmp_path, named(many["n99"])).unlink()
    assert await octets(content, b"/n99") == many["n99"]


@pytest.mark.parametrize("whole", [b"short", LONG], ids=["short", "long"])
@pytest.mark.parametrize(
    "damage", [lambda raw: b"X" + raw[1:], lambda raw: raw[:-1], None], ids=["other", "cut", "gone"]
)
async def test_what_is_damaged_is_not_served_as_if_it_were_whole(kept, tmp_path, whole, damage):
    publish(kept, a=whole)
    content = PublishedContent(tmp_path)
    path = blob_path(tmp_path, named(whole))
    raw = path.read_bytes()
    path.unlink()
    if damage is not None:
        path.write_bytes(damage(raw))
    with pytest.raises(StoreDamaged):
        await octets(content, b"/a")
