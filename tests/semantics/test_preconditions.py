import pytest

from edge.semantics.dates import format_date
from edge.semantics.entity_tags import EntityTag
from edge.semantics.fields import FieldSection
from edge.semantics.preconditions import Outcome, evaluate, range_applies

NOW = 1_800_000_000
MODIFIED = NOW - 1000
PROCEED, NOT_MODIFIED, FAILED = Outcome.PROCEED, Outcome.NOT_MODIFIED, Outcome.FAILED
STRONG, WEAK = EntityTag(b"a"), EntityTag(b"a", weak=True)

AT, BEFORE, AFTER = format_date(MODIFIED), format_date(MODIFIED - 1), format_date(MODIFIED + 1)
FUTURE = format_date(NOW + 1)


def fields(**lines: bytes | list[bytes]) -> FieldSection:
    return FieldSection(
        (name.replace("_", "-").encode(), value)
        for name, values in lines.items()
        for value in (values if isinstance(values, list) else [values])
    )


def outcome(method: bytes, section: FieldSection, entity_tag: EntityTag | None = STRONG) -> Outcome:
    return evaluate(method, section, entity_tag=entity_tag, modified=MODIFIED, exists=True, now=NOW)


@pytest.mark.parametrize(
    ("section", "get", "put"),
    [
        pytest.param(fields(), PROCEED, PROCEED, id="no precondition"),
        pytest.param(fields(if_match=b'"a"'), PROCEED, PROCEED, id="If-Match that matches"),
        pytest.param(fields(if_match=[b'"b"', b'"a"']), PROCEED, PROCEED, id="If-Match that matches on another line"),
        pytest.param(fields(if_match=b'"b"'), FAILED, FAILED, id="If-Match that does not match"),
        pytest.param(fields(if_match=b'W/"a"'), FAILED, FAILED, id="If-Match compares strongly"),
        pytest.param(fields(if_match=b"*"), PROCEED, PROCEED, id="If-Match with anything"),
        pytest.param(fields(if_match=b"a"), FAILED, FAILED, id="a malformed If-Match never matches"),
        pytest.param(fields(if_unmodified_since=AT), PROCEED, PROCEED, id="not modified since the date"),
        pytest.param(fields(if_unmodified_since=AFTER), PROCEED, PROCEED, id="modified before the date"),
        pytest.param(fields(if_unmodified_since=BEFORE), FAILED, FAILED, id="modified after the date"),
        pytest.param(fields(if_unmodified_since=b"0"), PROCEED, PROCEED, id="a malformed If-Unmodified-Since"),
        pytest.param(fields(if_unmodified_since=[BEFORE, BEFORE]), PROCEED, PROCEED, id="two If-Unmodified-Since"),
        pytest.param(
            fields(if_match=b'"a"', if_unmodified_since=BEFORE), PROCEED, PROCEED, id="If-Match beats If-Unmodified-Since"
        ),
        pytest.param(fields(if_none_match=b'"a"'), NOT_MODIFIED, FAILED, id="If-None-Match that matches"),
        pytest.param(fields(if_none_match=b'"b", W/"a"'), NOT_MODIFIED, FAILED, id="If-None-Match compares weakly"),
        pytest.param(fields(if_none_match=b'"b"'), PROCEED, PROCEED, id="If-None-Match that does not match"),
        pytest.param(fields(if_none_match=b"*"), NOT_MODIFIED, FAILED, id="If-None-Match with anything"),
        pytest.param(fields(if_none_match=b""), PROCEED, PROCEED, id="an empty If-None-Match"),
        pytest.param(fields(if_none_match=b'a, "a"'), PROCEED, PROCEED, id="a malformed If-None-Match never matches"),
        pytest.param(fields(if_modified_since=AT), NOT_MODIFIED, PROCEED, id="the date it was modified"),
        pytest.param(fields(if_modified_since=AFTER), NOT_MODIFIED, PROCEED, id="a date after that"),
        pytest.param(fields(if_modified_since=BEFORE), PROCEED, PROCEED, id="a date before that"),
        pytest.param(fields(if_modified_since=FUTURE), PROCEED, PROCEED, id="a date in the future"),
        pytest.param(fields(if_modified_since=b"garbage"), PROCEED, PROCEED, id="a malformed If-Modified-Since"),
        pytest.param(fields(if_modified_since=[AFTER, AFTER]), PROCEED, PROCEED, id="two If-Modified-Since"),
        pytest.param(
            fields(if_none_match=b'"b"', if_modified_since=AFTER), PROCEED, PROCEED, id="If-None-Match beats the date"
        ),
        pytest.param(
            fields(if_none_match=b"b", if_modified_since=AFTER), PROCEED, PROCEED, id="also when it is malformed"
        ),
        pytest.param(
            fields(if_match=b'"a"', if_none_match=b'"a"'), NOT_MODIFIED, FAILED, id="If-None-Match follows If-Match"
        ),
        pytest.param(
            fields(if_match=b'"b"', if_none_match=b'"a"'), FAILED, FAILED, id="If-Match that fails is the end"
        ),
        pytest.param(
            fields(if_unmodified_since=AT, if_modified_since=AT), NOT_MODIFIED, PROCEED, id="both dates hold"
        ),
    ],
)  # fmt: skip
def test_preconditions(section, get, put):
    assert outcome(b"GET", section) is get
    assert outcome(b"HEAD", section) is get
    assert outcome(b"PUT", section) is put
    assert outcome(b"OPTIONS", section) is PROCEED


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        pytest.param(fields(if_match=b'W/"a"'), FAILED, id="If-Match never matches a weak tag"),
        pytest.param(fields(if_match=b"*"), PROCEED, id="except with anything"),
        pytest.param(fields(if_none_match=b'"a"'), NOT_MODIFIED, id="If-None-Match does"),
    ],
)
def test_a_weak_representation(section, expected):
    assert outcome(b"GET", section, WEAK) is expected


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        pytest.param(fields(if_match=b'"a"'), FAILED, id="If-Match"),
        pytest.param(fields(if_match=b"*"), PROCEED, id="If-Match with anything"),
        pytest.param(fields(if_none_match=b'"a"'), PROCEED, id="If-None-Match"),
        pytest.param(fields(if_none_match=b"*"), NOT_MODIFIED, id="If-None-Match with anything"),
        pytest.param(fields(if_modified_since=FUTURE), PROCEED, id="If-Modified-Since is ignored"),
        pytest.param(fields(if_unmodified_since=BEFORE), PROCEED, id="If-Unmodified-Since is ignored"),
    ],
)
def test_a_representation_without_validators(section, expected):
    assert evaluate(b"GET", section, entity_tag=None, modified=None, exists=True, now=NOW) is expected


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        pytest.param(fields(if_match=b"*"), FAILED, id="If-Match with anything"),
        pytest.param(fields(if_none_match=b"*"), PROCEED, id="If-None-Match with anything"),
    ],
)
def test_no_representation(section, expected):
    assert evaluate(b"PUT", section, entity_tag=None, modified=None, exists=False, now=NOW) is expected


def test_a_future_date_is_heeded_when_it_is_the_one_the_client_was_given():
    section = fields(if_modified_since=FUTURE)
    assert evaluate(b"GET", section, entity_tag=None, modified=NOW + 1, exists=True, now=NOW) is NOT_MODIFIED
    assert evaluate(b"GET", section, entity_tag=None, modified=NOW + 2, exists=True, now=NOW) is PROCEED


@pytest.mark.parametrize(
    ("section", "entity_tag", "date", "expected"),
    [
        pytest.param(fields(), None, None, True, id="no If-Range"),
        pytest.param(fields(if_range=b'"a"'), STRONG, None, True, id="the same strong tag"),
        pytest.param(fields(if_range=b'"b"'), STRONG, None, False, id="another tag"),
        pytest.param(fields(if_range=b'"a"'), WEAK, None, False, id="a weak representation"),
        pytest.param(fields(if_range=b'W/"a"'), STRONG, None, False, id="a weak tag"),
        pytest.param(fields(if_range=b'W/"a"'), WEAK, None, False, id="both weak"),
        pytest.param(fields(if_range=b'"a"'), None, None, False, id="no tag to compare with"),
        pytest.param(fields(if_range=b'"a'), STRONG, None, False, id="a malformed tag"),
        pytest.param(fields(if_range=b'"a", "b"'), STRONG, None, False, id="a list of tags"),
        pytest.param(fields(if_range=[b'"a"', b'"a"']), STRONG, None, False, id="two If-Range"),
        pytest.param(fields(if_range=AT), STRONG, MODIFIED + 1, True, id="the same date, a second old"),
        pytest.param(fields(if_range=AT), STRONG, MODIFIED, False, id="the same date, not a second old"),
        pytest.param(fields(if_range=AT), STRONG, None, False, id="a date of unknown strength"),
        pytest.param(fields(if_range=AFTER), STRONG, NOW, False, id="a later date is not the same"),
        pytest.param(fields(if_range=BEFORE), STRONG, NOW, False, id="an earlier date"),
        pytest.param(fields(if_range=b"*"), STRONG, NOW, False, id="garbage"),
    ],
)
def test_range_applies(section, entity_tag, date, expected):
    assert range_applies(section, entity_tag=entity_tag, modified=MODIFIED, date=date, now=NOW) is expected


def test_a_date_matches_no_unknown_date():
    assert not range_applies(fields(if_range=AT), entity_tag=None, modified=None, date=NOW, now=NOW)
