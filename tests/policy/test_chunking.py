import pytest

from edge.policy import chunking
from edge.policy.chunking import ChunkRules, Runs
from edge.semantics.ranges import parse_range

RULES = ChunkRules(unit=10, parallel=3, read_ahead=40)


@pytest.mark.parametrize(
    ("asked", "chunk"),
    [
        pytest.param(b"bytes=0-0", (0, 10), id="the first octet is in the first chunk"),
        pytest.param(b"bytes=9-12", (0, 10), id="a range begins in one chunk and ends in another"),
        pytest.param(b"bytes=10-", (10, 20), id="a range without an end"),
        pytest.param(b"bytes=35-36,12-13", (10, 20), id="of several ranges, the one that begins first"),
        pytest.param(b"bytes=-5", None, id="nobody knows where a suffix begins"),
        pytest.param(b"bytes=0-1,-5", None, id="a suffix among others may be satisfiable alone"),
    ],
)
def test_the_first_chunk(asked, chunk):
    assert chunking.first_chunk(parse_range(asked), 10) == chunk


@pytest.mark.parametrize(
    ("held", "wanted", "missing"),
    [
        pytest.param([], (3, 5), 3, id="nothing is held"),
        pytest.param([(0, 10)], (3, 5), None, id="all is held"),
        pytest.param([(0, 4)], (3, 5), 4, id="the beginning is held"),
        pytest.param([(4, 9)], (3, 5), 3, id="the end is held"),
        pytest.param([(0, 4), (5, 9)], (3, 9), 4, id="there is a gap"),
        pytest.param([(0, 4), (4, 9)], (3, 9), None, id="ranges that touch"),
        pytest.param([(0, 2), (20, 30)], (3, 5), 3, id="only other octets are held"),
        pytest.param([], (5, 5), None, id="nothing is wanted"),
    ],
)
def test_the_first_missing_octet(held, wanted, missing):
    assert chunking.first_missing(held, *wanted) == missing


@pytest.mark.parametrize(
    ("held", "position", "stretch"),
    [
        pytest.param([], 25, (20, 30), id="a whole chunk"),
        pytest.param([], 93, (90, 95), id="the last chunk is shorter"),
        pytest.param([(0, 22)], 25, (22, 30), id="octets in front are held"),
        pytest.param([(28, 50)], 25, (20, 28), id="octets behind are held"),
        pytest.param([(0, 3), (20, 22), (27, 29), (40, 50)], 25, (22, 27), id="octets on both sides are held"),
        pytest.param([(0, 20), (30, 40)], 25, (20, 30), id="the chunks around are held"),
    ],
)
def test_the_piece_around_an_octet(held, position, stretch):
    assert chunking.stretch_at(held, 95, position, 10) == stretch


@pytest.mark.parametrize(
    ("held", "wanted", "stretches"),
    [
        pytest.param([], (5, 25), [(0, 10), (10, 20), (20, 30)], id="chunks that cover the range"),
        pytest.param([(0, 12), (17, 20)], (5, 25), [(12, 17), (20, 30)], id="octets that are held are left out"),
        pytest.param([(0, 95)], (5, 25), [], id="all is held"),
        pytest.param([], (85, 95), [(80, 90), (90, 95)], id="up to the end"),
    ],
)
def test_the_pieces_of_a_range(held, wanted, stretches):
    assert list(chunking.stretches(held, 95, wanted, 10)) == stretches


@pytest.mark.parametrize(
    ("asked", "position", "before", "stop"),
    [
        pytest.param((0, 10), 0, 0, 10, id="nothing behind a range by itself"),
        pytest.param((0, 80), 0, 0, 30, id="as many chunks of a stated range as are fetched at a time"),
        pytest.param((0, 80), 60, 0, 80, id="the end of a stated range"),
        pytest.param((20, 30), 20, 20, 50, id="as much behind a range as it continues"),
        pytest.param((60, 70), 60, 60, 90, id="no more at a time all the same"),
        pytest.param((40, 50), 50, 40, 80, id="once it was read, what is behind it"),
        pytest.param((90, 100), 90, 90, 100, id="nothing behind the end"),
        pytest.param((30, 100), 30, 0, 31, id="one octet of all there is from a seek on"),
        pytest.param((30, 100), 45, 0, 60, id="of all there is, as much ahead as was read"),
        pytest.param((30, 100), 30, 15, 45, id="or as it continues"),
        pytest.param((0, 100), 50, 0, 90, id="never more than the limit"),
    ],
)
def test_how_far_to_fetch(asked, position, before, stop):
    assert chunking.stop(RULES, asked, position, 100, before) == stop


def test_how_far_to_fetch_behind_a_range():
    assert [chunking.reach(RULES, (50, 60), 100, before) for before in (0, 15, 50)] == [60, 75, 100]
    assert chunking.reach(RULES, (10, 20), 100, 50) == 60


def test_a_run_grows_with_each_range_that_begins_where_it_ended():
    runs = Runs()
    assert [runs.continued(b"a", (start, start + 10)) for start in (30, 40, 50)] == [0, 10, 20]


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        pytest.param(b"a", (45, 55), id="a seek"),
        pytest.param(b"a", (30, 40), id="the same once more"),
        pytest.param(b"b", (40, 50), id="another key"),
    ],
)
def test_a_run_begins_anew(key, asked):
    runs = Runs()
    runs.continued(b"a", (30, 40))
    assert runs.continued(key, asked) == 0


def test_runs_of_several_clients_do_not_disturb_each_other():
    runs = Runs()
    assert [runs.continued(b"a", asked) for asked in ((0, 5), (50, 60), (5, 10), (60, 70))] == [0, 0, 5, 10]


def test_only_so_many_runs_are_remembered():
    runs = Runs(limit=2)
    for start in (0, 20, 40):
        runs.continued(b"a", (start, start + 10))
    assert [runs.continued(b"a", (start, start + 1)) for start in (50, 10)] == [10, 0]
