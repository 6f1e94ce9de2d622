"""The public cache tests, through a real edge: what does not pass is known, and why."""

from functools import cache
from pathlib import Path

import pytest

from tests.conformance import report
from tests.conformance.expected import EXPECTED
from tests.conformance.run import PROFILES, MissingNode, find_node, run
from tests.real.programs import find, missing

pytestmark = pytest.mark.conformance
each = pytest.mark.parametrize("profile", PROFILES)

DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance.md"
LISTED = {profile: [test for reason in reasons for test in reason.tests] for profile, reasons in EXPECTED.items()}


@cache
def results_of(profile: str, over: str = "plain") -> report.Results:
    try:
        find_node()
    except MissingNode as error:
        missing(str(error))
    return run(profile, over=over)


@each
def test_what_does_not_pass_is_what_is_listed(profile: str) -> None:
    results = results_of(profile)
    failed = report.not_passed(results)
    unlisted = {test: results[test]["said"] for test in failed - set(LISTED[profile])}
    assert (unlisted, set(LISTED[profile]) - failed) == ({}, set()), "(not listed, listed but passed)"


@each
def test_the_document_has_the_numbers(profile: str) -> None:
    results = results_of(profile)
    assert report.summary({profile: results})[-1] in DOCUMENT.read_text()


@each
def test_the_document_has_every_reason_and_test(profile: str) -> None:
    text = DOCUMENT.read_text()
    assert [reason.sentence for reason in EXPECTED[profile] if reason.sentence not in text] == []
    assert [test for test in LISTED[profile] if f"`{test}`" not in text] == []


@each
def test_no_test_is_listed_twice(profile: str) -> None:
    assert len(LISTED[profile]) == len(set(LISTED[profile]))


@pytest.mark.parametrize("over", ["tls", "http2"])
def test_the_way_to_the_edge_changes_nothing(over: str) -> None:
    if over == "http2":
        find("nghttpx", "nghttp2-proxy")
    plain, other = results_of("strict-rfc"), results_of("strict-rfc", over)
    verdicts = {
        test: (result["verdict"], other[test]["verdict"], other[test]["said"]) for test, result in plain.items()
    }
    assert {test: said for test, said in verdicts.items() if said[0] != said[1]} == {}
