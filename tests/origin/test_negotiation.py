import zlib
from collections.abc import AsyncIterator

import brotli  # type: ignore[import-untyped]
import pytest
from backports import zstd

from origin.negotiation import CODERS, content_coding, encoded, language, qualities
from origin.pattern import pattern

DECODERS = {"br": brotli.decompress, "zstd": zstd.decompress, "gzip": lambda data: zlib.decompress(data, wbits=31)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(None, None, id="no field, no coding"),
        pytest.param("", None, id="an empty field asks for none"),
        pytest.param("gzip, br, zstd", "br", id="equal weights leave the choice to the server"),
        pytest.param("gzip;q=1, br;q=0.5", "gzip", id="the greater weight wins"),
        pytest.param("br;q=0, *", "zstd", id="zero refuses, a star takes any other"),
        pytest.param("*;q=0", None, id="nothing is acceptable"),
        pytest.param("x-gzip", "gzip", id="x-gzip is gzip"),
        pytest.param("BR", "br", id="names have no case"),
        pytest.param("identity, gzip;q=0.5", None, id="identity is preferred by weight"),
        pytest.param("identity;q=0, gzip;q=0.1", "gzip", id="identity is refused"),
        pytest.param("gzip;q=2, zstd", "zstd", id="a malformed weight drops its member"),
        pytest.param("deflate", None, id="a coding that is not offered"),
    ],
)
def test_content_coding(value: str | None, expected: str | None) -> None:
    assert content_coding(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(None, "en", id="the default"),
        pytest.param("zh-CN", "zh", id="a range is shortened"),
        pytest.param("fr;q=0.2, zh;q=0.7", "zh", id="the greater weight wins"),
        pytest.param("zh;q=0, sw", "en", id="refused and unknown languages fall back"),
    ],
)
def test_language(value: str | None, expected: str) -> None:
    assert language(value, ("en", "zh", "fr")) == expected


def test_empty_members_are_left_out() -> None:
    assert qualities(" , a ; q=0.5,, b") == {"a": 0.5, "b": 1.0}


@pytest.mark.parametrize("coding", CODERS)
async def test_encoded_content_decodes_to_itself(coding: str) -> None:
    data = pattern(0, 200_000) + bytes(200_000)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 7000):
            yield data[start : start + 7000]

    out = b"".join([piece async for piece in encoded(pieces(), coding)])
    assert DECODERS[coding](out) == data
    assert len(out) < 250_000
