import os
from contextlib import closing
from pathlib import Path

import pytest

from origin.files import OpenFile, Redirect, Refused, look_up


@pytest.fixture
def root(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "dir" / "empty").mkdir(parents=True)
    (site / ".well-known").mkdir()
    (site / "dir" / "index.html").write_text("index")
    (site / "page.html").write_text("page")
    (site / "with space.txt").write_text("space")
    (site / ".hidden").write_text("hidden")
    (site / ".well-known" / "security.txt").write_text("contact")
    (tmp_path / "secret.txt").write_text("secret")
    (site / "out.txt").symlink_to(tmp_path / "secret.txt")
    (site / "up").symlink_to(tmp_path)
    (site / "in.html").symlink_to("page.html")
    os.mkfifo(site / "pipe.txt")
    return site.resolve()


async def content(root: Path, path: str) -> bytes | Redirect | Refused:
    found = await look_up(root, path)
    if not isinstance(found, OpenFile):
        return found
    with closing(found):
        return b"".join([data async for data in found.read(0, found.length)])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/page.html", b"page", id="a file"),
        pytest.param("/dir/", b"index", id="a directory is its index"),
        pytest.param("/dir", Redirect("/dir/"), id="a directory without its slash"),
        pytest.param("/with%20space.txt", b"space", id="a percent-encoded name"),
        pytest.param("/in.html", b"page", id="a link that stays inside"),
        pytest.param("/.well-known/security.txt", b"contact", id="the one visible dot"),
        pytest.param("/none", Refused(404), id="nothing there"),
        pytest.param("/dir/empty/", Refused(404), id="a directory without an index"),
        pytest.param("/page.html/", Refused(404), id="a file is no directory"),
        pytest.param("/page.html/x", Refused(404), id="nothing is under a file"),
        pytest.param("/.hidden", Refused(404), id="a dot file"),
        pytest.param("/../secret.txt", Refused(404), id="dot segments"),
        pytest.param("/dir/%2e%2e/%2E%2e/secret.txt", Refused(404), id="encoded dot segments"),
        pytest.param("/..%2fsecret.txt", Refused(404), id="an encoded slash"),
        pytest.param("//page.html", Refused(404), id="an empty segment"),
        pytest.param("/out.txt", Refused(404), id="a link to a file outside"),
        pytest.param("/up/secret.txt", Refused(404), id="a link to a directory outside"),
        pytest.param("/pipe.txt", Refused(404), id="a pipe is not waited for"),
        pytest.param("/a%00b", Refused(400), id="a NUL"),
        pytest.param("/%ff", Refused(400), id="not UTF-8"),
        pytest.param("page.html", Refused(400), id="no leading slash"),
        pytest.param("/" + "a" * 5000, Refused(404), id="a name too long for the system"),
    ],
)
async def test_look_up(root: Path, path: str, expected: bytes | Redirect | Refused) -> None:
    assert await content(root, path) == expected


async def test_parts_of_a_file(root: Path) -> None:
    found = await look_up(root, "/page.html")
    assert isinstance(found, OpenFile)
    with closing(found):
        assert [data async for data in found.read(1, 3)] == [b"ag"]


async def test_file_that_became_shorter_is_an_error(root: Path) -> None:
    found = await look_up(root, "/page.html")
    assert isinstance(found, OpenFile)
    os.truncate(root / "page.html", 1)
    with closing(found), pytest.raises(EOFError):
        [data async for data in found.read(0, 4)]


async def test_validators_change_with_the_file(root: Path) -> None:
    seen = set()
    for time in (1_000_000_000_000_000_000, 1_000_000_000_000_000_001):
        os.utime(root / "page.html", ns=(time, time))
        found = await look_up(root, "/page.html")
        assert isinstance(found, OpenFile)
        with closing(found):
            validators = found.representation().validators
        assert validators.last_modified == 1_000_000_000
        seen.add(validators.etag)
    assert len(seen) == 2
