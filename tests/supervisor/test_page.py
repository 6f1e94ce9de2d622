import pytest

from edge.supervisor.page import SLOTS, Page


@pytest.fixture
def page():
    page = Page.create(8)
    yield page
    page.close()


def test_who_accepts_is_counted_and_who_does_not_is_not(page):
    assert page.fewest() == 0
    page.count(0, 7)
    page.count(SLOTS - 1, 3)
    assert page.fewest() == 3
    page.count(1, 0)
    assert page.fewest() == 0
    page.count(1, None)
    page.clear(SLOTS - 1)
    assert page.fewest() == 7


def test_cells_do_not_touch_each_other(page):
    for slot in (0, SLOTS - 1):
        page.beat(slot, 12.5)
        page.count(slot, 5)
    page.epoch = 9
    page.rest[0] = 1
    assert (page.epoch, page.last_beat(0), page.last_beat(SLOTS - 1), page.fewest()) == (9, 12.5, 12.5, 5)
