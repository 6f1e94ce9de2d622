"""After a purge has returned, no request that starts is answered by what it purged."""

import os

import pytest

from tests.scenarios.purging import Purging

REQUESTS = int(os.environ.get("FORELAND_PURGE_REQUESTS", "4000"))


@pytest.mark.timeout(60 + REQUESTS / 50)
async def test_nothing_that_was_purged_is_an_answer(tmp_path):
    purging = Purging(tmp_path, seed=int(os.environ.get("FORELAND_SEED", "1")))
    tally = await purging.run(REQUESTS, lives=4)
    assert tally.wrong == []
    assert tally.checked >= REQUESTS
    # It is only worth something if all of these took place.
    assert (
        min(tally.hits, tally.ready, tally.coded, tally.collapsed, tally.purges, purging.validated, purging.parts) > 10
    )
