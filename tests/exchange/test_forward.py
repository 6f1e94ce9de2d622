import pytest

from edge.exchange.exchange import Exchange
from edge.exchange.forward import forwarded_fields, forwarded_request, hops_left, received_head
from edge.exchange.site import Site
from edge.semantics.fields import FieldSection
from edge.semantics.forwarding import UNTRUSTED
from edge.semantics.messages import Request, Response
from edge.semantics.target import Target
from edge.testing.responder import RecordingResponder

TARGET = Target(b"http", b"a.test", b"/p", b"a=1&b=2")


def exchange(*fields, method: bytes = b"GET", target: Target = TARGET, **values) -> Exchange:
    site = Site("a.test", (b"a.test",), "main", **values)
    request = Request(method, TARGET, FieldSection(fields), has_content=True, content_length=3)
    return Exchange(
        request, None, RecordingResponder(), client="192.0.2.1", node=b"edge", site=site, target=target, now=0.0
    )


def test_what_this_hop_adds() -> None:
    assert list(forwarded_fields(exchange())) == [
        (b"via", b"1.1 edge"),
        (b"cdn-loop", b"edge"),
        (b"x-forwarded-for", b"192.0.2.1"),
        (b"x-forwarded-proto", b"http"),
        (b"x-forwarded-host", b"a.test"),
    ]


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        pytest.param([(b"host", b"x")], b"host", None, id="Host is the upstream's to make"),
        pytest.param([(b"connection", b"x-a"), (b"x-a", b"1")], b"x-a", None, id="a connection option"),
        pytest.param([(b"x-forwarded-for", b"10.0.0.1")], b"x-forwarded-for", b"192.0.2.1", id="nobody is believed"),
        pytest.param([(b"accept-encoding", b"BR, gzip;q=0")], b"accept-encoding", b"br", id="codings are normalised"),
        pytest.param([(b"accept-encoding", b"compress")], b"accept-encoding", None, id="no coding that is known here"),
        pytest.param([(b"cookie", b"a=b")], b"cookie", b"a=b", id="cookies go on"),
        pytest.param([(b"max-forwards", b"3")], b"max-forwards", b"3", id="Max-Forwards means nothing for GET"),
    ],
)
def test_fields(fields: list, name: bytes, value: bytes | None) -> None:
    assert forwarded_fields(exchange(*fields)).get(name) == value


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        *(pytest.param(name, False, id=f"{name.decode()} is not a client's to say") for name in sorted(UNTRUSTED)),
        pytest.param(b"x_real-ip", False, id="an underscore reaches some origins as a hyphen"),
        pytest.param(b"x-requested-with", True, id="any other field goes on"),
        pytest.param(b"early-data", True, id="early data must be told (RFC 8470)"),
    ],
)
def test_what_a_client_says_goes_on(name: bytes, *, kept: bool) -> None:
    assert (b"theirs" in forwarded_fields(exchange((name, b"theirs"))).values(name)) is kept


def test_a_hop_is_added_behind_the_others() -> None:
    fields = forwarded_fields(exchange((b"via", b"1.0 a"), (b"cdn-loop", b"b"), (b"x", b"1"), (b"via", b"2 c")))
    assert fields.values(b"via") == [b"1.0 a, 2 c, 1.1 edge"]
    assert fields.values(b"cdn-loop") == [b"b, edge"]


def test_cookies_can_be_stripped() -> None:
    assert b"cookie" not in forwarded_fields(exchange((b"cookie", b"a=b"), strip_cookies=True))


@pytest.mark.parametrize(
    ("value", "hops"),
    [(b"3", 3), (b"0", 0), (b"00", 0), (b"", None), (b"x", None), (b"-1", None), (b"9" * 5000, None)],
)
def test_hops_left(value: bytes, hops: int | None) -> None:
    assert hops_left(exchange((b"max-forwards", value)).request) == hops


@pytest.mark.parametrize(("method", "kept"), [(b"GET", False), (b"HEAD", False), (b"POST", True), (b"DELETE", True)])
def test_content_goes_on_where_it_means_something(method: bytes, *, kept: bool) -> None:
    target = Target(b"http", b"a.test", b"/p", b"a=1")
    request = forwarded_request(exchange(method=method, target=target), FieldSection())
    assert (request.has_content, request.content_length) == ((True, 3) if kept else (False, None))
    assert request.target is target, "what is not in the key is not sent either"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param([(b"keep-alive", b"x"), (b"x-a", b"1")], [(b"x-a", b"1")], id="hop-by-hop fields end here"),
        pytest.param([(b"content-length", b"0")], [], id="framing is the responder's to make"),
    ],
)
def test_received_head(fields: list, expected: list) -> None:
    head = received_head(Response(200, FieldSection(fields)), 0.0)
    assert list(head.fields) == [*expected, (b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")]
