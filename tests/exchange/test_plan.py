"""What of a stored response a request gets."""

import pytest

from edge.caching.stored import StoredResponse
from edge.exchange.plan import MAX_RANGES, Failed, NotModified, Parts, Unsatisfied, Whole, condition, is_held, plan
from edge.semantics.dates import format_date
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request, Response
from edge.semantics.target import Target

T = 1_700_000_000
ETAG = (b"etag", b'"a"')
DATE = (b"date", format_date(T - 10))
MODIFIED = (b"last-modified", format_date(T - 100))


def at(seconds):
    return format_date(T + seconds)


def stored(*lines, status=200, length=100, ranges=((0, 100),)):
    return StoredResponse(b"k", b"g", b"GET", (), status, b"", FieldSection(lines), T, T, length, ranges)


def asking(*lines, method=b"GET"):
    return Request(method, Target(b"http", b"h", b"/"), FieldSection(lines))


@pytest.mark.parametrize(
    ("status", "lines", "conditions", "expected"),
    [
        pytest.param(200, [ETAG], [], None, id="no condition"),
        pytest.param(200, [ETAG], [(b"if-none-match", b'"a"')], NotModified(), id="the client has it"),
        pytest.param(200, [ETAG], [(b"if-none-match", b'"b", W/"a"')], NotModified(), id="compared weakly, in a list"),
        pytest.param(200, [], [(b"if-none-match", b"*")], NotModified(), id="a star is anything"),
        pytest.param(200, [ETAG], [(b"if-none-match", b'"b"')], None, id="the client has another"),
        pytest.param(
            200,
            [ETAG, MODIFIED],
            [(b"if-none-match", b'"b"'), (b"if-modified-since", at(-100))],
            None,
            id="If-None-Match outranks If-Modified-Since",
        ),
        pytest.param(200, [MODIFIED], [(b"if-modified-since", at(-100))], NotModified(), id="unmodified since"),
        pytest.param(200, [MODIFIED], [(b"if-modified-since", at(-101))], None, id="modified since"),
        pytest.param(200, [DATE], [(b"if-modified-since", at(-10))], NotModified(), id="Date stands in for it"),
        pytest.param(200, [], [(b"if-modified-since", at(0))], NotModified(), id="or the time of receipt"),
        pytest.param(200, [], [(b"if-modified-since", at(-1))], None, id="which may be too late"),
        pytest.param(200, [(b"last-modified", b"x")], [(b"if-modified-since", at(-1))], None, id="a malformed date"),
        pytest.param(200, [ETAG], [(b"if-match", b'"a"')], None, id="If-Match holds"),
        pytest.param(200, [ETAG], [(b"if-match", b'"b"')], Failed(), id="If-Match fails"),
        pytest.param(200, [MODIFIED], [(b"if-unmodified-since", at(-101))], Failed(), id="If-Unmodified-Since fails"),
        pytest.param(404, [ETAG], [(b"if-none-match", b'"a"')], None, id="only a successful response has conditions"),
    ],
)
def test_condition(status, lines, conditions, expected):
    response = Response(status, FieldSection(lines))
    assert condition(asking(*conditions), response, T, T) == expected


@pytest.mark.parametrize(
    ("held", "lines", "expected"),
    [
        pytest.param(stored(), [], Whole(), id="no Range"),
        pytest.param(stored(), [(b"range", b"bytes=0-9")], Parts(((0, 10),)), id="one range"),
        pytest.param(stored(), [(b"range", b"bytes=90-")], Parts(((90, 100),)), id="to the end"),
        pytest.param(stored(), [(b"range", b"bytes=-5")], Parts(((95, 100),)), id="the last octets"),
        pytest.param(stored(), [(b"range", b"bytes=0-999")], Parts(((0, 100),)), id="more than there is"),
        pytest.param(
            stored(), [(b"range", b"bytes=50-59,0-9")], Parts(((50, 60), (0, 10))), id="several in the client's order"
        ),
        pytest.param(stored(), [(b"range", b"bytes=0-9,5-20")], Parts(((0, 21),)), id="those that overlap are merged"),
        pytest.param(
            stored(),
            [(b"range", b"bytes=" + b",".join(b"%d-%d" % (2 * i, 2 * i) for i in range(MAX_RANGES + 1)))],
            Whole(),
            id="too many ranges",
        ),
        pytest.param(stored(), [(b"range", b"bytes=100-")], Unsatisfied(), id="behind the end"),
        pytest.param(stored(length=0), [(b"range", b"bytes=0-")], Unsatisfied(), id="any range of nothing"),
        pytest.param(stored(), [(b"range", b"bytes=9-0")], Whole(), id="an invalid range is ignored"),
        pytest.param(stored(), [(b"range", b"lines=0-9")], Whole(), id="so is another unit"),
        pytest.param(stored(), [(b"range", b"bytes=0-9"), (b"range", b"bytes=5-9")], Whole(), id="and a second Range"),
        pytest.param(stored(length=None), [(b"range", b"bytes=0-9")], Whole(), id="of an unknown length"),
        pytest.param(stored(status=404), [(b"range", b"bytes=0-9")], Whole(), id="only a 200 has ranges"),
        pytest.param(
            stored(ETAG), [(b"range", b"bytes=0-9"), (b"if-range", b'"a"')], Parts(((0, 10),)), id="If-Range holds"
        ),
        pytest.param(stored(ETAG), [(b"range", b"bytes=0-9"), (b"if-range", b'"b"')], Whole(), id="If-Range fails"),
        pytest.param(
            stored(MODIFIED, DATE),
            [(b"range", b"bytes=0-9"), (b"if-range", MODIFIED[1])],
            Parts(((0, 10),)),
            id="If-Range with a date",
        ),
        pytest.param(
            stored(ETAG),
            [(b"range", b"bytes=0-9"), (b"if-none-match", b'"a"')],
            NotModified(),
            id="conditions come before ranges",
        ),
    ],
)
def test_plan(held, lines, expected):
    assert plan(asking(*lines), held, held.complete_length, T) == expected


def test_a_range_of_a_head_request_is_ignored():
    assert plan(asking((b"range", b"bytes=0-9"), method=b"HEAD"), stored(), 100, T) == Whole()


PARTIAL = stored(ranges=((0, 10), (20, 30)))


@pytest.mark.parametrize(
    ("method", "held", "what", "expected"),
    [
        pytest.param(b"GET", stored(), Whole(), True, id="all of what is complete"),
        pytest.param(b"GET", PARTIAL, Whole(), False, id="all of what is not"),
        pytest.param(b"GET", PARTIAL, Parts(((0, 5), (20, 30))), True, id="parts that are held"),
        pytest.param(b"GET", PARTIAL, Parts(((0, 5), (9, 11))), False, id="parts of which one is not"),
        pytest.param(b"GET", PARTIAL, NotModified(), True, id="a 304 needs no content"),
        pytest.param(b"GET", PARTIAL, Unsatisfied(), True, id="nor does a 416"),
        pytest.param(b"HEAD", PARTIAL, Whole(), True, id="nor does a HEAD"),
        pytest.param(b"HEAD", stored(length=None), Whole(), False, id="but its length must be known"),
        pytest.param(b"GET", stored(), Failed(), False, id="a 412 is the origin's to say"),
        pytest.param(b"HEAD", stored(), Failed(), False, id="to a HEAD as well"),
    ],
)
def test_is_held(method, held, what, expected):
    assert is_held(asking(method=method), held, what) is expected
