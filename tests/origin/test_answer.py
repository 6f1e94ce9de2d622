import pytest
from multidict import CIMultiDict

from origin.answer import Answer, Literal, Representation, plan, text
from origin.conditional import Validators

PAGE = Representation(
    Literal(b"x" * 2000), "text/html; charset=utf-8", Validators('"e"', 1000), (("Cache-Control", "c"),)
)
IMAGE = Representation(Literal(b"x" * 2000), "image/png", Validators('"e"', 1000))


def answer(representation: Representation, method: str = "GET", **fields: str) -> Answer:
    section = CIMultiDict({name.replace("_", "-"): value for name, value in fields.items()})
    return plan(method, section, representation, now=5000)


def test_whole_representation() -> None:
    assert answer(IMAGE) == Answer(
        200,
        (
            ("ETag", '"e"'),
            ("Last-Modified", "Thu, 01 Jan 1970 00:16:40 GMT"),
            ("Content-Type", "image/png"),
            ("Accept-Ranges", "bytes"),
        ),
        IMAGE.content,
        ((0, 2000),),
    )


def test_encoded_variant_has_its_own_entity_tag_and_no_length() -> None:
    made = answer(PAGE, Accept_Encoding="zstd")
    assert made.length is None
    assert {("ETag", '"e-zstd"'), ("Content-Encoding", "zstd"), ("Vary", "Accept-Encoding")} <= set(made.fields)
    assert ("Accept-Ranges", "bytes") not in made.fields


def test_unencoded_variant_varies_too() -> None:
    assert ("Vary", "Accept-Encoding") in answer(PAGE).fields


def test_not_modified_carries_the_metadata_and_no_content() -> None:
    made = answer(PAGE, Accept_Encoding="br", If_None_Match='"e-br"')
    assert (made.status, made.pieces) == (304, ())
    assert [name for name, _ in made.fields] == ["Cache-Control", "Vary", "ETag", "Last-Modified"]


@pytest.mark.parametrize(
    ("representation", "method", "fields", "status", "length"),
    [
        pytest.param(PAGE, "GET", {"If_None_Match": '"e"', "Accept_Encoding": "br"}, 200, None, id="another variant"),
        pytest.param(PAGE, "GET", {"Range": "bytes=0-9", "Accept_Encoding": "br"}, 206, 10, id="a range is identity"),
        pytest.param(IMAGE, "HEAD", {"Range": "bytes=0-9"}, 200, 2000, id="HEAD has no ranges"),
        pytest.param(IMAGE, "GET", {"Range": "bytes=0-9", "If_Range": '"f"'}, 200, 2000, id="If-Range fails"),
        pytest.param(IMAGE, "GET", {"Range": "bytes=9-0"}, 200, 2000, id="a malformed range is ignored"),
        pytest.param(IMAGE, "GET", {"Range": "bytes=0-9", "If_None_Match": '"e"'}, 304, 0, id="304 goes before 206"),
        pytest.param(IMAGE, "HEAD", {"If_None_Match": '"e"'}, 304, 0, id="HEAD is conditional too"),
        pytest.param(text(503), "GET", {"Range": "bytes=0-1"}, 503, 24, id="an error has no ranges"),
        pytest.param(text(404), "GET", {"If_Match": '"x"'}, 404, 14, id="an error has no preconditions"),
        pytest.param(text(204), "GET", {}, 204, 0, id="no content"),
    ],
)
def test_status_and_length(
    representation: Representation, method: str, fields: dict[str, str], status: int, length: int | None
) -> None:
    made = answer(representation, method, **fields)
    assert (made.status, made.length) == (status, length)


def test_precondition_failed() -> None:
    assert answer(IMAGE, If_Match='"other"').status == 412


def test_unsatisfied_range_tells_the_length() -> None:
    made = answer(IMAGE, Range="bytes=2000-")
    assert made.status == 416
    assert ("Content-Range", "bytes */2000") in made.fields


def test_unassigned_status_has_a_text() -> None:
    assert text(599).content == Literal(b"599 Unassigned\n")
