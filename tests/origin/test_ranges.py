import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.ranges import MAX_RANGES, Range, content_range, multipart, parse_range


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("bytes=0-4", [(0, 5)], id="first and last"),
        pytest.param("bytes=95-", [(95, 100)], id="from an offset on"),
        pytest.param("bytes=-5", [(95, 100)], id="a suffix"),
        pytest.param("bytes=-500", [(0, 100)], id="a suffix longer than the whole"),
        pytest.param("bytes=90-900", [(90, 100)], id="a last position behind the end"),
        pytest.param("BYTES=0-0 , ,-1", [(0, 1), (99, 100)], id="a list with empty members"),
        pytest.param("bytes=0-0,500-600", [(0, 1)], id="what cannot be satisfied is left out"),
        pytest.param("bytes=100-", [], id="behind the end"),
        pytest.param("bytes=-0", [], id="an empty suffix"),
        pytest.param("bytes=5-4", None, id="last before first is malformed"),
        pytest.param("bytes=-", None, id="neither is malformed"),
        pytest.param("bytes=a-b", None, id="not numbers"),
        pytest.param("bytes=", None, id="nothing asked"),
        pytest.param("lines=0-4", None, id="another unit"),
        pytest.param("bytes=0-,0-", None, id="together more than the whole"),
        pytest.param("bytes=" + ",".join(["0-0"] * (MAX_RANGES + 1)), None, id="too many"),
        pytest.param("bytes=" + "9" * 5000 + "-", None, id="a number too long to look at"),
    ],
)
def test_parse_range(value: str, expected: list[Range] | None) -> None:
    assert parse_range(value, 100) == expected


@given(value=st.text(alphabet="bytes=0123456789-, ", max_size=40), length=st.integers(0, 1000))
def test_ranges_lie_inside(value: str, length: int) -> None:
    for start, end in parse_range(value, length) or []:
        assert 0 <= start < end <= length


def test_multipart_frames_each_range() -> None:
    assert multipart([(0, 2), (8, 10)], 10, "text/plain", "B") == [
        b"\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n",
        (0, 2),
        b"\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n",
        (8, 10),
        b"\r\n--B--\r\n",
    ]


def test_content_range() -> None:
    assert content_range((2, 5), 10) == "bytes 2-4/10"
