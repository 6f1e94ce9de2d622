"""How a quota is divided."""

import pytest

from edge.errors import StoreError
from edge.store.layout import MIB, SMALLEST_QUOTA, Layout
from edge.store.record import CHUNK_SIZE

QUOTAS = [SMALLEST_QUOTA, 20 * MIB, 100 * MIB, 1 << 30, (1 << 34) + 12345, 1 << 40]


@pytest.mark.parametrize("quota", QUOTAS)
def test_the_shares_fit_the_quota(quota):
    layout = Layout.of(quota)
    assert layout.index + layout.segments <= quota
    assert layout.segment_size <= min(quota // 4, 256 * MIB)
    # One to move things to while another is freed, and two whose content stays.
    assert layout.segments // layout.segment_size >= 4
    assert layout.segment_size > 3 * CHUNK_SIZE


def test_a_quota_too_small_is_refused():
    with pytest.raises(StoreError):
        Layout.of(SMALLEST_QUOTA - 1)
