"""A change that makes a request dearer is seen in the change that makes it."""

import pytest

from benchmarks.cost import CASES, COMMITTED, MARGIN, calls_of


@pytest.mark.slow
@pytest.mark.parametrize("case", sorted(COMMITTED))
def test_a_request_takes_no_more_calls_than_it_did(case: str) -> None:
    assert calls_of(CASES[case], 2048) <= COMMITTED[case] * MARGIN
