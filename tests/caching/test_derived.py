from dataclasses import replace

import pytest

from edge.caching import derived
from edge.caching.stored import StoredResponse
from edge.caching.vary import select
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request
from edge.semantics.target import Target

ENCODED = (b"content-encoding", b"br")
SOURCE = StoredResponse(
    key=b"k", generation=b"source--", method=b"GET", nominated=((b"foo", b"1"),), status=200, reason=b"OK",
    fields=FieldSection([(b"etag", b'"v1"'), (b"vary", b"foo")]), request_time=1.0, response_time=2.0, complete_length=9,
    ranges=((0, 9),), epoch=7, pinned=True, purged_at=3.0,
)  # fmt: skip


def made(coding: bytes = b"br", generation: bytes = b"made----", source: StoredResponse = SOURCE) -> StoredResponse:
    head = derived.derive(source, coding, generation, effort=b"fast")
    return replace(head, complete_length=5, ranges=((0, 5),))


def test_a_derived_content_is_stored_beside_its_source():
    head = derived.derive(SOURCE, b"br", b"made----", effort=b"fast")
    assert (head.key, head.generation, head.epoch) == (b"k", b"made----", 7)
    assert (head.complete_length, head.ranges, head.pinned, head.purged_at) == (None, (), False, None)
    assert derived.effort(head) == b"fast"
    assert derived.effort(SOURCE) == b""
    assert derived.is_derived(head)
    assert not derived.is_derived(SOURCE)


@pytest.mark.parametrize(
    "nominated",
    [
        pytest.param((), id="no Vary"),
        pytest.param(((b"content-encoding", None),), id="a request without Content-Encoding"),
        pytest.param(((b"content-encoding", b"br"),), id="a request with Content-Encoding"),
        pytest.param(((b"foo", b" br"),), id="another field"),
    ],
)
def test_what_the_origin_sent_is_never_taken_for_derived(nominated):
    assert not derived.is_derived(replace(SOURCE, nominated=nominated))


@pytest.mark.parametrize("fields", [[], [(b"foo", b"1")], [(b"foo", b"1"), ENCODED], [(b"content-encoding", b" br")]])
def test_no_request_selects_a_derived_content(fields):
    request = Request(b"GET", Target(b"http", b"a.test", b"/"), FieldSection(fields))
    assert select(request, [made()]) is None


def test_a_content_is_found_by_its_source_and_coding():
    stored = [
        SOURCE,
        made(b"gzip", b"gzip----"),
        made(b"br", b"br------"),
        derived.derive(SOURCE, b"zstd", b"z", effort=b""),
    ]
    assert derived.find(stored, SOURCE, b"br") is stored[2]
    assert derived.find(stored, SOURCE, b"zstd") is None, "it is not whole"
    assert derived.find(stored, replace(SOURCE, generation=b"another-"), b"br") is None
    assert derived.originals(stored) == [SOURCE]


def test_what_is_left_of_a_source_that_is_gone():
    other = replace(SOURCE, generation=b"another-")
    left = made(source=other)
    assert derived.orphans([SOURCE, made(), left]) == [left]


def test_the_octets_of_one_under_the_head_of_the_other():
    fields = FieldSection([ENCODED])
    dressed = derived.dressed(made(), SOURCE, fields)
    assert dressed == replace(SOURCE, generation=b"made----", fields=fields, complete_length=5, ranges=((0, 5),))
