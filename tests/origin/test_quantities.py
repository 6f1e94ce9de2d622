import pytest

from origin.quantities import parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("300ms", 0.3, id="milliseconds"),
        pytest.param("1.5s", 1.5, id="a fraction of seconds"),
        pytest.param("2m", 120, id="minutes"),
        pytest.param("1h", 3600, id="hours"),
        pytest.param("0", 0, id="zero needs no unit"),
    ],
)
def test_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "3", "ms", "-1s", "1d", "1 s", "1e3s", "٣s", "nan", "s1"])
def test_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        pytest.param("512", 512, id="octets need no unit"),
        pytest.param("100KiB", 102400, id="binary units"),
        pytest.param("0.5MiB", 524288, id="a fraction"),
        pytest.param("5MB", 5_000_000, id="decimal units"),
    ],
)
def test_size(text: str, octets: int) -> None:
    assert parse_size(text) == octets


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1kib", "1 KiB", "1TiB", "٣"])
def test_not_a_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)
