"""A change that makes a request dearer is seen in the change that makes it."""

import pytest

from benchmarks.cost import CASES, COMMITTED, MARGIN, calls_of


# With the machine for itself: what is read from disk at once, or not, depends on what else is read meanwhile.
@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("case", sorted(COMMITTED))
def test_a_request_takes_no_more_calls_than_it_did(case: str) -> None:
    most = COMMITTED[case] * MARGIN
    # Whatever else the machine does only adds calls.
    assert any(calls_of(CASES[case], 2048) <= most for _ in range(3))
