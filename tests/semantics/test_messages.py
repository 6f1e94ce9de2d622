import pytest

from edge.semantics.fields import FieldSection
from edge.semantics.messages import (
    IDEMPOTENT_METHODS,
    REASONS,
    SAFE_METHODS,
    Request,
    Response,
    may_have_content,
)
from edge.semantics.target import Target

FIELDS = FieldSection([(b"age", b"1")])


def test_a_request_with_other_fields_is_otherwise_the_same():
    target = Target(b"http", b"a.test", b"/")
    request = Request(b"PUT", target, FieldSection(), version=(1, 0), has_content=True, content_length=3)
    assert request.with_fields(FIELDS) == Request(b"PUT", target, FIELDS, (1, 0), has_content=True, content_length=3)


def test_a_response_with_other_fields_is_otherwise_the_same():
    assert Response(404, FieldSection(), b"Gone fishing").with_fields(FIELDS) == Response(404, FIELDS, b"Gone fishing")


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [
        pytest.param(b"GET", 200, True, id="GET has content"),
        pytest.param(b"GET", 404, True, id="an error has content"),
        pytest.param(b"HEAD", 200, False, id="HEAD never has"),
        pytest.param(b"GET", 103, False, id="interim responses never have"),
        pytest.param(b"GET", 204, False, id="204 never has"),
        pytest.param(b"GET", 304, False, id="304 never has"),
    ],
)
def test_may_have_content(method, status, expected):
    assert may_have_content(method, status) is expected


def test_every_safe_method_is_idempotent():
    assert SAFE_METHODS < IDEMPOTENT_METHODS
    assert b"POST" not in IDEMPOTENT_METHODS


def test_reasons_are_text_of_statuses():
    assert all(100 <= status <= 599 and reason.decode("ascii").isprintable() for status, reason in REASONS.items())
