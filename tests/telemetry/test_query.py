"""What is asked of the log."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.telemetry.query import DEEPEST, LONGEST, QueryError, parse

FIELDS = frozenset({"status", "cache", "path", "dur_ms", "complete", "reason", "origin_ms"})
ROW = {"status": 502, "cache": "MISS", "path": "/api/v1/[x]", "dur_ms": 12.5, "complete": True, "reason": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", True, id="nothing asks for all"),
        pytest.param("status >= 500", True, id="a number"),
        pytest.param("status<502", False, id="without spaces"),
        pytest.param("dur_ms > 12.4 and dur_ms <= 12.5", True, id="fractions"),
        pytest.param("status != 502", False, id="another number"),
        pytest.param('cache == "miss"', True, id="case does not matter"),
        pytest.param("cache == 'HIT' or status == 502", True, id="either"),
        pytest.param("cache == HIT or status == 200 and complete", False, id="and binds before or"),
        pytest.param("(cache == HIT or status == 502) and complete", True, id="parentheses"),
        pytest.param("not reason", True, id="a field without a value"),
        pytest.param("not not complete", None, id="not is said once"),
        pytest.param('path ~ "/api/*"', True, id="a pattern"),
        pytest.param('path ~ "v1"', True, id="a part of the text"),
        pytest.param('path ~ "[x]"', True, id="brackets are themselves"),
        pytest.param('path !~ "/api/*"', False, id="not a pattern"),
        pytest.param("status ~ 50?", True, id="a pattern of digits"),
        pytest.param("origin_ms > 1", False, id="what is not there is not greater"),
        pytest.param("origin_ms != 1", True, id="what is not there is another"),
        pytest.param("cache > 5", True, id="text is compared as text"),
    ],
)
def test_a_query(text, expected) -> None:
    if expected is None:
        with pytest.raises(QueryError):
            parse(text, FIELDS)
    else:
        assert parse(text, FIELDS)(ROW) is expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(
            "statu == 1", "there is no field statu; did you mean status? (at character 1)", id="a misspelt field"
        ),
        pytest.param("xyz == 1", "there is no field xyz (at character 1)", id="another field"),
        pytest.param("status ==", "a value is missing (at character 10)", id="no value"),
        pytest.param("status == )", "a value is missing", id="a parenthesis for a value"),
        pytest.param("(status == 1", "a parenthesis is not closed", id="an open parenthesis"),
        pytest.param("status == 1 cache", "should end here", id="two in a row"),
        pytest.param("and", "there is no field and", id="a word alone"),
        pytest.param("status == 1 and", "a field is missing", id="nothing behind and"),
        pytest.param("== 1", "a field is missing", id="no field"),
        pytest.param('status == "1', "this is not understood", id="an open quote"),
        pytest.param("status = 1", "this is not understood", id="one equals sign"),
        pytest.param("(" * (DEEPEST + 1) + "status" + ")" * (DEEPEST + 1), "too many parentheses", id="too deep"),
        pytest.param("x" * (LONGEST + 1), "longer than", id="too long"),
    ],
)
def test_what_is_no_query_is_told_with_its_place(text, sentence) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text, FIELDS)
    assert sentence in str(caught.value)


@given(st.text(max_size=60), st.lists(st.sampled_from(["status", "==", "(", ")", "and", "or", "not", "~", '"a"', "1"])))
def test_anything_is_a_query_or_told_why_not(text, words) -> None:
    for query in (text, " ".join(words)):
        with suppress(QueryError):
            assert parse(query, FIELDS)(ROW) in {True, False}
