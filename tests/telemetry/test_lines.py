import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.ports import Record
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request
from edge.semantics.target import Target
from edge.telemetry.lines import formatter, make_line, name_of, printable, shown_query

SECRETS = [(b"authorization", b"Bearer hunter2"), (b"cookie", b"sid=hunter2"), (b"proxy-authorization", b"hunter2")]
REQUEST = Request(
    b"GET",
    Target(b"http", b"a.example", b"/p", b"token=hunter2&flag"),
    FieldSection(
        [*SECRETS, (b"user-agent", b'curl "8" \\'), (b"referer", b"http://ann:hunter2@b.example/?k=hunter2#hunter2")]
    ),
)
RECORD = Record(
    request=REQUEST, status=200, trace=("lookup",), cache_status=b"e; fwd=uri-miss; stored", outcome="MISS",
    detail="no-store", client="192.0.2.1", site="a.example", bytes_out=1234, began=1_700_000_000.25, seconds=0.0125,
    first_byte_seconds=0.011, origin_seconds=0.01, origin_status=200, complete=False,
)  # fmt: skip


def test_the_json_form_tells_everything_that_may_be_told():
    assert json.loads(formatter("json", "redact", node="n", zone="z")(RECORD)) == {
        "ts": "2023-11-14T22:13:20.250Z", "id": name_of(RECORD), "node": "n", "zone": "z", "site": "a.example", "client_ip": "192.0.2.1",
        "method": "GET", "host": "a.example", "path": "/p", "query": "token=*&*", "proto": "HTTP/1.1", "status": 200,
        "bytes_out": 1234, "dur_ms": 12.5, "ttfb_ms": 11.0, "cache": "MISS", "reason": "no-store",
        "cache_status": "e; fwd=uri-miss; stored", "origin_status": 200, "origin_ms": 10.0,
        "referer": "http://b.example/?k=*", "ua": 'curl "8" \\', "complete": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        pytest.param(b"4711-a", "4711-a", id="what a client calls its request is told"),
        pytest.param(b"\x1b[31m\n", "\\x1b[31m\\x0a", id="so that it can be printed"),
        pytest.param(b"x" * 300, "x" * 200, id="and is not long"),
    ],
)
def test_the_id_of_a_request_is_told(sent, told):
    request = Request(b"GET", REQUEST.target, FieldSection([(b"x-request-id", sent)]))
    assert make_line(replace(RECORD, request=request), "keep", node="n", zone="").req_id == told


def test_the_combined_form_is_apaches():
    assert formatter("combined", "drop", node="n", zone="")(RECORD) == (
        b'192.0.2.1 - - [14/Nov/2023:22:13:20 +0000] "GET /p HTTP/1.1" 200 1234 "http://b.example/" '
        b'"curl \\x228\\x22 \\x5C"\n'
    )


def test_the_text_form_is_one_line_to_read():
    assert formatter("text", "redact", node="n", zone="")(RECORD) == (
        b"2023-11-14T22:13:20.250Z 192.0.2.1 GET a.example/p?token=*&* 200 MISS no-store 1234B 12.5ms incomplete\n"
    )


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        pytest.param("combined", b'[14/Nov/2023:22:13:20 +0000] "-" 400 1234 "-" "-"\n', id="combined"),
        pytest.param("text", b"192.0.2.1 -  400 MISS no-store 1234B 12.5ms incomplete\n", id="text"),
        pytest.param("json", b'"complete":false}\n', id="json"),
    ],
)
def test_a_request_that_could_not_be_parsed_has_a_line(form, expected):
    assert formatter(form, "keep", node="n", zone="")(replace(RECORD, request=None, status=400)).endswith(expected)


@pytest.mark.parametrize("form", ["json", "text", "combined"])
@pytest.mark.parametrize("query", ["redact", "drop"])
def test_no_form_tells_a_secret(form, query):
    assert b"hunter2" not in formatter(form, query, node="n", zone="")(RECORD)


@pytest.mark.parametrize("form", ["json", "text", "combined"])
@given(raw=st.binary(max_size=40))
def test_nothing_a_client_sends_breaks_a_line_or_reaches_a_terminal(form, raw):
    fields = FieldSection([(b"user-agent", raw), (b"referer", raw)])
    request = Request(raw, Target(b"http", raw, raw, raw), fields)
    hostile = replace(RECORD, request=request, cache_status=raw)
    text = formatter(form, "keep", node="n", zone="")(hostile).decode()
    assert text.endswith("\n")
    assert text[:-1].isprintable()
    if form == "json":
        json.loads(text)
    if form == "combined":
        assert text.count('"') == 6


@pytest.mark.parametrize(
    ("query", "policy", "expected"),
    [
        pytest.param(b"a=1&b=2", "keep", "a=1&b=2", id="keep tells everything"),
        pytest.param(b"a=1&b=2=3&c=", "redact", "a=*&b=*&c=*", id="redact tells names"),
        pytest.param(b"secret", "redact", "*", id="a parameter without a value is redacted whole"),
        pytest.param(b"", "redact", "", id="an empty query stays empty"),
        pytest.param(b"a=1", "drop", None, id="drop tells nothing"),
        pytest.param(None, "keep", None, id="no query is none"),
        pytest.param(b"a=%0d\r\n", "keep", "a=%0d\\x0d\\x0a", id="line ends are escaped"),
    ],
)
def test_a_query_is_told_as_the_policy_says(query, policy, expected):
    assert shown_query(query, policy) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"caf\xc3\xa9", "café", id="UTF-8 is text"),
        pytest.param(b"\xff", "\\xff", id="other octets are escaped"),
        pytest.param(b"\x1b[31m\x7f", "\\x1b[31m\\x7f", id="control characters are escaped"),
        pytest.param("\x85\u2028\u202e", "\\x85\\u2028\\u202e", id="line and direction marks are escaped"),
        pytest.param("\U000e0001", "\\U000e0001", id="astral marks are escaped"),
    ],
)
def test_what_cannot_be_printed_is_escaped(value, expected):
    assert printable(value) == expected
