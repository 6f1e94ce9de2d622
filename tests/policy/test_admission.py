"""Which contents are worth writing while the disk is written over too fast."""

from hashlib import blake2b

import pytest

from edge.policy.admission import ALWAYS, Admission, Doorkeeper

LARGE = 100_000
CAPACITY = 10 * LARGE
DAY = 86_400.0


def name_of(number: int) -> bytes:
    return blake2b(b"%d" % number, digest_size=16).digest()


def offered(
    admission: Admission, numbers, now: float, length: int | None = LARGE, *, known: bool = False, room: bool = False
) -> list[int]:
    """Offer contents and return which of them were admitted."""
    return [n for n in numbers if admission.admits(name_of(n), length, is_known=known, has_room=room, now=now)]


def pressed(**changes) -> Admission:
    """One whose capacity was just offered in an hour."""
    admission = Admission(**{"capacity": CAPACITY, "min_age": DAY, "now": 0.0} | changes)
    assert offered(admission, range(1000, 1010), 3600.0) == list(range(1000, 1010))
    return admission


def test_everything_is_admitted_until_the_capacity_was_offered_once():
    admission = Admission(CAPACITY, min_age=DAY, now=0.0)
    assert offered(admission, range(9), 1.0) == list(range(9))
    assert not admission.is_pressed(1.0)


@pytest.mark.parametrize(
    ("seconds", "changes", "is_pressed"),
    [
        pytest.param(0.0, {}, True, id="the capacity was written over within less than the age"),
        pytest.param(DAY - 1, {}, True, id="and not much time has passed since"),
        pytest.param(DAY, {}, False, id="a quiet time ends the pressure, whatever came before it"),
        pytest.param(0.0, {"min_age": 3600.0}, False, id="the capacity lasted long enough"),
        pytest.param(0.0, {"min_age": 0.0}, False, id="no age is asked for"),
    ],
)
def test_pressure(seconds, changes, is_pressed):
    assert pressed(**changes).is_pressed(3600.0 + seconds) is is_pressed


@pytest.mark.parametrize(
    ("arguments", "is_admitted"),
    [
        pytest.param({}, False, id="a large content that comes for the first time is refused under pressure"),
        pytest.param({"length": ALWAYS + 1}, False, id="large is what is longer than the limit"),
        pytest.param({"length": ALWAYS}, True, id="a small one is always admitted"),
        pytest.param({"length": None}, True, id="and one of unknown length"),
        pytest.param({"known": True}, True, id="and one that replaces another"),
        pytest.param({"room": True}, True, id="and any for which nothing must go"),
        pytest.param({"now": 3600.0 + DAY}, True, id="and any when the pressure is over"),
    ],
)
def test_admission(arguments, is_admitted):
    admission = pressed()
    assert offered(admission, [1], **{"now": 3601.0} | arguments) == [1] * is_admitted
    assert admission.refused == (not is_admitted)


def test_what_comes_again_is_admitted():
    admission = pressed()
    assert offered(admission, [1, 1, 1], 3601.0) == [1, 1]


def test_what_came_before_the_pressure_is_remembered():
    assert offered(pressed(), [1005], 3601.0) == [1005]


def test_what_comes_again_too_late_to_be_still_held_is_not_admitted():
    admission = pressed()
    assert offered(admission, [1], 3601.0) == []
    offered(admission, range(100, 119), 3602.0)
    assert offered(admission, [1], 3603.0) == []


def test_small_contents_count_towards_the_pressure():
    admission = Admission(CAPACITY, min_age=DAY, now=0.0)
    offered(admission, range(30), 1.0, ALWAYS)
    assert not admission.is_pressed(1.0)
    offered(admission, range(30, 32), 1.0, None)
    assert admission.is_pressed(1.0)


def test_what_is_refused_still_counts_so_that_refusing_does_not_end_the_pressure():
    admission = pressed()
    for hour in range(1, 50):
        offered(admission, range(hour * 100, hour * 100 + 10), 3600.0 * (hour + 1))
        assert admission.is_pressed(3600.0 * (hour + 1))


def test_the_doorkeeper_rarely_takes_a_new_name_for_an_old_one():
    doorkeeper = Doorkeeper(10_000)
    for number in range(2_000):
        doorkeeper.note(name_of(number))
    assert all(doorkeeper.remembers(name_of(number)) for number in range(2_000))
    assert sum(doorkeeper.remembers(name_of(number)) for number in range(2_000, 12_000)) < 100


def test_the_doorkeeper_forgets_after_two_turns():
    doorkeeper = Doorkeeper(100)
    doorkeeper.note(name_of(1))
    doorkeeper.turn()
    assert doorkeeper.remembers(name_of(1))
    doorkeeper.turn()
    assert not doorkeeper.remembers(name_of(1))
