import pytest

from edge.downstream.http2.priority import DEFAULT, Priority, parse_priority


@pytest.mark.parametrize(
    ("value", "priority"),
    [
        pytest.param(b"u=0", Priority(0), id="an urgency"),
        pytest.param(b"i", Priority(is_incremental=True), id="incremental"),
        pytest.param(b"u=7, i, x=1", Priority(7, is_incremental=True), id="what is not known is ignored"),
        pytest.param(b"u=5;x, i=?0", Priority(5), id="parameters are ignored"),
        pytest.param(b"", DEFAULT, id="nothing"),
        pytest.param(b"u=8", DEFAULT, id="an urgency out of range"),
        pytest.param(b"u=-1", DEFAULT, id="a negative urgency"),
        pytest.param(b"u=?1, i=1", DEFAULT, id="other types"),
        pytest.param(b"u=1.0", DEFAULT, id="a decimal"),
        pytest.param(b"u=(1), i=(?1)", DEFAULT, id="inner lists"),
        pytest.param(b"u=1,", DEFAULT, id="what cannot be read"),
    ],
)
def test_a_priority_field(value, priority):
    assert parse_priority(value) == priority


def test_what_is_not_said_stays():
    assert parse_priority(b"i", Priority(1)) == Priority(1, is_incremental=True)
