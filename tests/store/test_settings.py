"""Settings of a store."""

from edge.store.settings import Settings


def test_a_part_has_as_much_of_all():
    whole = Settings(quota=1000, memory=100, min_age=5.0, pinned=500, scrub_rate=10)
    assert whole.part(200) == Settings(quota=200, memory=20, min_age=5.0, pinned=100, scrub_rate=2)
    assert Settings(quota=1000, memory=100).part(500).pinned is None
