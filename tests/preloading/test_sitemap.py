"""Sitemaps, good and bad."""

import gzip
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.preloading.sitemap import LONGEST, MOST, BadSitemap, Sitemap, read_sitemap

NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
ONE = f"""<?xml version="1.0" encoding="UTF-8"?>
<urlset {NAMESPACE} xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
  <url><loc> http://a.example/?a=1&amp;b=2
  </loc><lastmod>2026-11-28</lastmod><image:image><image:loc>http://a.example/i.png</image:loc></image:image></url>
  <url><loc><![CDATA[http://a.example/<2>]]></loc></url>
</urlset>""".encode()
URLS = ["http://a.example/?a=1&b=2", "http://a.example/<2>"]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        pytest.param(ONE, Sitemap(URLS, []), id="a sitemap"),
        pytest.param(b"\xef\xbb\xbf" + ONE, Sitemap(URLS, []), id="with a byte order mark"),
        pytest.param(gzip.compress(ONE), Sitemap(URLS, []), id="compressed"),
        pytest.param(b"<urlset/>", Sitemap([], []), id="without URLs, and without the namespace"),
        pytest.param(
            f"<sitemapindex {NAMESPACE}><sitemap><loc>http://a.example/1.xml</loc></sitemap></sitemapindex>".encode(),
            Sitemap([], ["http://a.example/1.xml"]),
            id="an index",
        ),
        pytest.param(b"http://a.example/1\r\n\n http://a.example/2 ", Sitemap(["http://a.example/1", "http://a.example/2"], []), id="text"),
        pytest.param(b"", Sitemap([], []), id="nothing"),
        pytest.param(ONE.decode().replace("UTF-8", "UTF-16").encode("utf-16"), None, id="UTF-16 is not the protocol's"),
        pytest.param(b"<html><body/></html>", None, id="a page"),
        pytest.param(b"<urlset><url>", None, id="one that ends in the middle"),
        pytest.param(b"<urlset>\xff</urlset>", None, id="one in another encoding than it says"),
        pytest.param(b"\xff\xfe", None, id="octets"),
        pytest.param(gzip.compress(ONE)[:-9], None, id="compressed, and cut"),
        pytest.param(b"\x1f\x8bnot gzip", None, id="what only begins as gzip"),
        pytest.param(b'<!DOCTYPE urlset [<!ENTITY a "b">]><urlset/>', None, id="one that defines entities"),
        pytest.param(b'<!DOCTYPE urlset SYSTEM "file:///etc/passwd"><urlset/>', None, id="one that names a file"),
        pytest.param(b"\n".join([b"http://a.example/"] * (MOST + 1)), None, id="one with too many URLs"),
    ],
)  # fmt: skip
def test_a_sitemap_is_read_or_refused(content, found):
    if found is None:
        with pytest.raises(BadSitemap):
            read_sitemap(content)
    else:
        assert read_sitemap(content) == found


def test_a_bomb_takes_no_more_than_a_sitemap_may_have():
    bomb = gzip.compress(bytes(LONGEST * 4))
    tracemalloc.start()
    try:
        with pytest.raises(BadSitemap, match="longer"):
            read_sitemap(bomb)
        assert tracemalloc.get_traced_memory()[1] < 3 * LONGEST
    finally:
        tracemalloc.stop()


@given(
    st.binary(max_size=200)
    | st.text(alphabet="<>/ul&;\"'!-[]", max_size=60).map(lambda text: f"<urlset>{text}".encode())
)
def test_whatever_comes_is_a_sitemap_or_none(content):
    with suppress(BadSitemap):
        assert isinstance(read_sitemap(content), Sitemap)
