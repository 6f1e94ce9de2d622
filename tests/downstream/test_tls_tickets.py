"""The key of session tickets: shared, replaced in time, and nobody else's to read."""

import stat

import pytest

from edge.downstream.tls_tickets import LIFETIME, TicketKeys
from edge.testing.clock import ManualClock

NOW = 1_000_000.0


def test_all_who_share_the_file_have_the_same_key(tmp_path):
    clock = ManualClock(NOW)
    keys = [TicketKeys(tmp_path / "tls" / "tickets", clock).key(b"") for _ in range(3)]
    assert len(set(keys)) == 1
    assert len(keys[0]) == 80


def test_listeners_of_another_kind_have_another_key(tmp_path):
    tickets = TicketKeys(tmp_path / "tickets", ManualClock(NOW))
    assert tickets.key(b"") != tickets.key(b"/etc/clients.pem")


@pytest.mark.parametrize(
    ("seconds", "is_replaced"),
    [
        pytest.param(LIFETIME - 1, False, id="young enough"),
        pytest.param(LIFETIME, True, id="too old"),
        pytest.param(-1, True, id="made in the future"),
    ],
)
def test_a_key_is_replaced_in_time(tmp_path, seconds, is_replaced):
    clock = ManualClock(NOW)
    first = TicketKeys(tmp_path / "tickets", clock).key(b"")
    clock.advance(seconds)
    assert (TicketKeys(tmp_path / "tickets", clock).key(b"") != first) == is_replaced


@pytest.mark.parametrize("content", [b"", b"short"], ids=["empty", "cut short"])
def test_a_damaged_file_is_made_anew(tmp_path, content):
    (tmp_path / "tickets").write_bytes(content)
    tickets = TicketKeys(tmp_path / "tickets", ManualClock(NOW))
    assert tickets.key(b"") == tickets.key(b"")


def test_nobody_else_can_read_the_secret(tmp_path):
    TicketKeys(tmp_path / "tls" / "tickets", ManualClock(NOW)).key(b"")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tls", tmp_path / "tls" / "tickets")]
    assert modes == [0o700, 0o600]
