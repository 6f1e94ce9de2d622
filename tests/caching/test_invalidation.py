"""What an unsafe request makes invalid."""

import pytest

from edge.caching.invalidation import invalidated_targets
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request, Response
from edge.semantics.target import Target

HERE = Target(b"http", b"example.org", b"/a/b", b"q")


def other(path, query=None, *, authority=b"example.org", scheme=b"http"):
    return Target(scheme, authority, path, query)


@pytest.mark.parametrize(
    ("method", "status", "lines", "expected"),
    [
        pytest.param(b"POST", 200, [], [HERE], id="a successful POST invalidates its own target"),
        pytest.param(b"DELETE", 204, [], [HERE], id="a DELETE too"),
        pytest.param(b"FROBNICATE", 200, [], [HERE], id="a method of unknown safety counts as unsafe"),
        pytest.param(b"PUT", 303, [], [HERE], id="a redirection is no error"),
        pytest.param(b"GET", 200, [], [], id="a safe method invalidates nothing"),
        pytest.param(b"QUERY", 200, [], [], id="QUERY is safe"),
        pytest.param(b"POST", 404, [], [], id="a client error invalidates nothing"),
        pytest.param(b"POST", 500, [], [], id="a server error invalidates nothing"),
        pytest.param(b"POST", 201, [(b"location", b"/new")], [HERE, other(b"/new")], id="Location"),
        pytest.param(
            b"POST", 200, [(b"content-location", b"c?x")], [HERE, other(b"/a/c", b"x")], id="Content-Location"
        ),
        pytest.param(
            b"POST",
            200,
            [(b"content-location", b"/one"), (b"location", b"/two")],
            [HERE, other(b"/two"), other(b"/one")],
            id="both",
        ),
        pytest.param(b"POST", 200, [(b"location", b"?q")], [HERE], id="what names the target itself counts once"),
        pytest.param(b"POST", 201, [(b"location", b"http://example.net/")], [HERE], id="never another authority"),
        pytest.param(b"POST", 201, [(b"location", b"https://example.org/")], [HERE], id="never another scheme"),
        pytest.param(b"POST", 201, [(b"location", b"http://example.org:8080/")], [HERE], id="never another port"),
        pytest.param(
            b"POST",
            201,
            [(b"location", b"HTTP://EXAMPLE.org:80/x")],
            [HERE, other(b"/x")],
            id="the same authority in another spelling",
        ),
        pytest.param(b"POST", 201, [(b"location", b"http://[")], [HERE], id="a malformed reference is ignored"),
    ],
)
def test_invalidated_targets(method, status, lines, expected):
    request = Request(method, HERE, FieldSection())
    assert invalidated_targets(request, Response(status, FieldSection(lines))) == expected
