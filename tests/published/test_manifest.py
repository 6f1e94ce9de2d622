"""Manifests: which are right, and what is told of those that are not."""

import msgspec
import pytest

from edge.errors import ParseError
from edge.published.manifest import Entry, Manifest, Version, checked_path, faults, plain
from tests.published.making import SITE, entry, manifest, named


def told(*entries: Entry) -> list[str]:
    return [pointer for pointer, _ in faults(Manifest(SITE, list(entries)))]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param(b"/a", b"/a", id="a plain one is itself"),
        pytest.param(b"/a%20b", b"/a b", id="triples are decoded"),
        pytest.param(b"/%c3%A4", "/ä".encode(), id="whatever the case of their digits"),
        pytest.param(b"/a%2fb", None, id="a coded slash is no file's"),
        pytest.param(b"/a%00", None, id="nor is a coded NUL"),
        pytest.param(b"/%zz", b"/%zz", id="what is no triple is left"),
    ],
)
def test_a_path_is_looked_up_decoded(path, expected):
    assert plain(path) == expected


@pytest.mark.parametrize("text", ["/", "/a/b.txt", "/a%20b", "/...", "/~a/;b=1", "/a//b"])
def test_a_path_that_is_written_as_in_a_url_is_right(text):
    assert checked_path(text) == plain(text.encode())


@pytest.mark.parametrize(
    "text", ["", "a", "/a b", "/ä", "/a?b", "/a#b", "/a%2Fb", "/../a", "/a/%2e%2e/b", "/.", "/a/./b", "/a\n"]
)
def test_another_path_is_refused(text):
    with pytest.raises(ParseError):
        checked_path(text)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        pytest.param([entry("/a", b"x", {"br": b"y"}, fields={"X-A": "b c", "X-E": ""})], [], id="nothing is wrong"),
        pytest.param([entry("a", b"x")], ["/entries/0/path"], id="no path"),
        pytest.param([entry("/a%20", b"x"), entry("/a%20", b"y")], ["/entries/1/path"], id="one path twice"),
        pytest.param([entry("/%41", b"x"), entry("/A", b"y")], ["/entries/1/path"], id="one path, spelt differently"),
        pytest.param([entry("/a", b"x"), Entry("/b", named(b"x"), 2)], ["/entries/1/size"], id="two sizes"),
        pytest.param([entry("/a", b"x", {"rot13": b"k"})], ["/entries/0/codings"], id="a coding nobody knows"),
        pytest.param([entry("/a", b"x", type="text/html\r\nX: y")], ["/entries/0/type"], id="a type with a line end"),
        pytest.param([entry("/a", b"x", type="")], ["/entries/0/type"], id="no type"),
        pytest.param([entry("/a", b"x", fields={"Content-Length": "1"})], ["/entries/0/fields"], id="framing"),
        pytest.param([entry("/a", b"x", fields={"ETAG": "1"})], ["/entries/0/fields"], id="what the edge itself says"),
        pytest.param([entry("/a", b"x", fields={"a b": "1"})], ["/entries/0/fields"], id="no name"),
        pytest.param(
            [entry("/a", b"x", fields={"X-A": "a\nb"})], ["/entries/0/fields/X-A"], id="a value with a line end"
        ),
        pytest.param([entry("/a", b"x", fields={"X-A": "ä"})], ["/entries/0/fields/X-A"], id="a value not in ASCII"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(entries, expected):
    assert told(*entries) == expected


def test_everything_that_is_wrong_is_told():
    assert told(entry("x", b"x"), entry("/b", b"y", {"x": b"z"}, type="\n")) == [
        "/entries/0/path", "/entries/1/codings", "/entries/1/type",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param({"site": SITE, "entries": [{"path": "/", "sha256": "x", "size": 1}]}, id="no hash"),
        pytest.param({"site": SITE, "entries": [{"path": "/", "sha256": named(b""), "size": -1}]}, id="no size"),
        pytest.param({"site": SITE, "entries": [], "more": 1}, id="a member that there is not"),
        pytest.param({"entries": []}, id="no site"),
    ],
)
def test_what_is_no_manifest_is_not_read_as_one(raw):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(raw), type=Manifest)


def test_the_contents_of_a_version_are_those_of_its_codings_too():
    version = Version("", "", 0.0, Manifest(SITE, [entry("/a", b"xx", {"br": b"y"}), entry("/b", b"xx")]))
    assert version.contents() == {named(b"xx"): 2, named(b"y"): 1}
    assert Version("", "", 0.0, manifest()).contents() == {}
