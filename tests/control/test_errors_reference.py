"""The reference of errors is complete and true."""

import re
from pathlib import Path

import pytest

from edge.control.endpoint import statuses
from edge.control.errors_reference import markdown, raised
from edge.control.problems import MEANINGS
from edge.control.reference import every_endpoint

ROOT = Path(__file__).parents[2]


def test_the_reference_is_up_to_date():
    page = (ROOT / "docs/reference/errors.md").read_text()
    assert page == markdown(), "run: python -m edge.control.errors_reference > docs/reference/errors.md"


def test_every_error_has_a_row_in_its_branch():
    rows = re.findall(r"^\| (?:\d{3})? \| \[`([a-z-]+)`\]\(reasons\.md#\1\) \|", markdown(), re.MULTILINE)
    assert sorted(rows) == sorted(error.detail for error in raised())


@pytest.mark.parametrize("endpoint", [*every_endpoint()], ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_every_status_of_an_endpoint_is_explained(endpoint):
    assert {status for status in statuses(endpoint) if status >= 400} <= MEANINGS.keys()


def test_no_status_is_explained_that_nobody_answers_with():
    answered = {status for endpoint in every_endpoint() for status in statuses(endpoint)}
    assert MEANINGS.keys() - answered <= {405}


def test_every_problem_that_the_code_answers_with_is_explained():
    found = {
        int(status)
        for path in (ROOT / "edge").rglob("*.py")
        for status in re.findall(r"\b(?:problem|PushRefused)\(\s*(\d{3})\b", path.read_text())
    }
    assert found
    assert found <= MEANINGS.keys()
