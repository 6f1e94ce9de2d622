import pytest

from edge.errors import DownstreamClosed, EdgeError, MethodRefused, StoreDamaged, UpstreamClosed
from edge.exchange.deliver import error_response, pass_through, refuse
from edge.exchange.exchange import Exchange
from edge.exchange.site import Site
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request, Response
from edge.semantics.target import Target
from edge.testing.clock import ManualClock
from edge.testing.responder import RecordingResponder
from edge.testing.upstream import Answer, ScriptedUpstream

TARGET = Target(b"http", b"a.test", b"/")


def exchange(*fields, method: bytes = b"GET", leaves_after: int | None = None) -> Exchange:
    request = Request(method, TARGET, FieldSection(fields))
    responder = RecordingResponder(leaves_after=leaves_after)
    site = Site("a.test", (b"a.test",), "main")
    return Exchange(request, None, responder, client="192.0.2.1", node=b"edge", site=site, target=TARGET, now=0.0)


def subclasses(error: type[EdgeError]) -> list[type[EdgeError]]:
    return [error, *[each for direct in error.__subclasses__() for each in subclasses(direct)]]


@pytest.mark.parametrize("error", subclasses(EdgeError), ids=lambda error: error.__name__)
def test_every_error_has_a_response_that_is_not_stored(error: type[EdgeError]) -> None:
    # Some are made with arguments, which say nothing to a client.
    response, content = error_response(error.__new__(error))
    assert response.status == error.status
    assert response.fields.get(b"cache-control") == b"no-store"
    assert (b"allow" in response.fields) is (error.status == 405)
    assert content.startswith(b"%d " % error.status)


class TestRefuse:
    async def test_before_the_head_it_answers(self) -> None:
        ex = exchange()
        await refuse(ex, MethodRefused(), 0.0)
        assert (ex.status, ex.is_complete, ex.trace) == (405, True, ["method-refused"])

    async def test_after_the_head_it_breaks_off(self) -> None:
        ex = exchange()
        ex.start(Response(200, FieldSection()), None, 0.0)
        await refuse(ex, UpstreamClosed(), 0.0)
        assert isinstance(ex.responder, RecordingResponder)
        assert (ex.status, ex.is_complete, ex.responder.is_aborted) == (200, False, True)

    async def test_a_client_that_is_gone_is_not_answered(self) -> None:
        ex = exchange(leaves_after=0)
        await refuse(ex, DownstreamClosed(), 0.0)
        assert (ex.status, ex.record(0.0).status) == (0, 499)

    async def test_a_client_that_goes_before_the_answer_got_none(self) -> None:
        ex = exchange(leaves_after=0)
        with pytest.raises(DownstreamClosed):
            await refuse(ex, MethodRefused(), 0.0)
        assert ex.record(0.0).status == 499


class TestPassThrough:
    @pytest.mark.parametrize(
        ("answer", "is_complete"),
        [
            pytest.param(Answer(content=[b"ab"]), True, id="the whole"),
            pytest.param(Answer(content=[b"ab", UpstreamClosed()], is_chunked=True), False, id="an origin that fails"),
            pytest.param(Answer(content=[b"ab", StoreDamaged()], is_chunked=True), False, id="any error at all"),
            pytest.param(Answer(content=[b"ab"], length=3), False, id="less than announced"),
        ],
    )
    async def test_only_the_whole_ends_cleanly(self, answer: Answer, *, is_complete: bool) -> None:
        ex = exchange()
        upstream = ScriptedUpstream(ManualClock(), lambda _: answer)
        response = await upstream.send(ex.request, None, None)
        await pass_through(ex, response, response.head, 0.0)
        assert isinstance(ex.responder, RecordingResponder)
        assert (ex.is_complete, ex.responder.is_finished) == (is_complete, is_complete)
        assert ex.responder.is_aborted is not is_complete
        assert not upstream.open

    async def test_a_client_that_leaves_costs_the_origin_no_more(self) -> None:
        ex = exchange(leaves_after=1)
        upstream = ScriptedUpstream(ManualClock(), lambda _: Answer(content=[b"ab", b"cd", b"ef"]))
        response = await upstream.send(ex.request, None, None)
        with pytest.raises(DownstreamClosed):
            await pass_through(ex, response, response.head, 0.0)
        assert not upstream.open
        assert (ex.sent, ex.is_complete) == (2, False)
