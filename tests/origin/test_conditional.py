import pytest
from multidict import CIMultiDict

from origin.conditional import Validators, Verdict, evaluate, parse_date, range_applies

STRONG = Validators('"a"', 784111777)
WEAK = Validators('W/"a"', 784111777)
NONE = Validators()
THEN, BEFORE, AFTER = (f"Sun, 06 Nov 1994 08:49:{second} GMT" for second in (37, 36, 38))
PROCEED, NOT_MODIFIED, FAILED = Verdict.PROCEED, Verdict.NOT_MODIFIED, Verdict.PRECONDITION_FAILED


@pytest.mark.parametrize(
    ("lines", "validators", "expected"),
    [
        pytest.param([], STRONG, PROCEED, id="no precondition"),
        pytest.param([("If-None-Match", '"a"')], STRONG, NOT_MODIFIED, id="the entity tag matches"),
        pytest.param([("If-None-Match", '"b"')], STRONG, PROCEED, id="the entity tag does not match"),
        pytest.param([("If-None-Match", '"b, c" , W/"a"')], STRONG, NOT_MODIFIED, id="a list, compared weakly"),
        pytest.param([("If-None-Match", '"b"'), ("If-None-Match", '"a"')], STRONG, NOT_MODIFIED, id="two lines"),
        pytest.param([("If-None-Match", "*")], NONE, NOT_MODIFIED, id="a star matches whatever there is"),
        pytest.param([("If-None-Match", '"a"')], NONE, PROCEED, id="without an entity tag nothing matches"),
        pytest.param(
            [("If-None-Match", '"b"'), ("If-Modified-Since", AFTER)], STRONG, PROCEED, id="If-None-Match goes first"
        ),
        pytest.param([("If-Modified-Since", THEN)], STRONG, NOT_MODIFIED, id="not modified since"),
        pytest.param([("If-Modified-Since", BEFORE)], STRONG, PROCEED, id="modified since"),
        pytest.param([("If-Modified-Since", "yesterday")], STRONG, PROCEED, id="a date that is none is ignored"),
        pytest.param([("If-Modified-Since", THEN)], NONE, PROCEED, id="without a time nothing is compared"),
        pytest.param([("If-Match", '"a"')], STRONG, PROCEED, id="If-Match holds"),
        pytest.param([("If-Match", '"b"')], STRONG, FAILED, id="If-Match fails"),
        pytest.param([("If-Match", 'W/"a"')], WEAK, FAILED, id="If-Match compares strongly"),
        pytest.param([("If-Match", "*")], NONE, PROCEED, id="If-Match of a star holds"),
        pytest.param([("If-Unmodified-Since", BEFORE)], STRONG, FAILED, id="modified since the date"),
        pytest.param([("If-Unmodified-Since", THEN)], STRONG, PROCEED, id="unmodified since the date"),
        pytest.param([("If-Match", '"a"'), ("If-Unmodified-Since", BEFORE)], STRONG, PROCEED, id="If-Match goes first"),
        pytest.param(
            [("If-Match", '"a"'), ("If-None-Match", '"a"')], STRONG, NOT_MODIFIED, id="both are looked at in order"
        ),
    ],
)
def test_evaluate(lines: list[tuple[str, str]], validators: Validators, expected: Verdict) -> None:
    assert evaluate(CIMultiDict(lines), validators) is expected


@pytest.mark.parametrize(
    ("if_range", "validators", "now", "expected"),
    [
        pytest.param(None, NONE, 0, True, id="without If-Range the range is taken"),
        pytest.param('"a"', STRONG, 0, True, id="the same entity tag"),
        pytest.param('"b"', STRONG, 0, False, id="another entity tag"),
        pytest.param('W/"a"', WEAK, 0, False, id="a weak entity tag never matches"),
        pytest.param(THEN, STRONG, 784111779, True, id="the same time"),
        pytest.param(AFTER, STRONG, 784111779, False, id="a later time is another one"),
        pytest.param(THEN, STRONG, 784111777.9, False, id="a time in the second of the answer is weak"),
        pytest.param(THEN, NONE, 784111779, False, id="without a time nothing matches"),
    ],
)
def test_range_applies(if_range: str | None, validators: Validators, now: float, expected: bool) -> None:
    fields = CIMultiDict({"If-Range": if_range} if if_range else {})
    assert range_applies(fields, validators, now=now) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("Sun, 06 Nov 1994 08:49:37 GMT", 784111777, id="IMF-fixdate"),
        pytest.param("Sunday, 06-Nov-94 08:49:37 GMT", 784111777, id="RFC 850"),
        pytest.param("Sun Nov  6 08:49:37 1994", 784111777, id="asctime"),
        pytest.param("0", None, id="a zero is not a date"),
        pytest.param("", None, id="nothing is not a date"),
        pytest.param("Sun, 99 Nov 1994 08:49:37 GMT", None, id="an impossible day"),
    ],
)
def test_parse_date(value: str, expected: int | None) -> None:
    assert parse_date(value) == expected
