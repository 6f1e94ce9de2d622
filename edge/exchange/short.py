"""The short way of a plain request: answered from the store, or from the origin and back, without a task.

It begins where `Driver.handle` would, and does what that does when nobody has to wait for anything but the origin: what is stored can be read at once, or a
connection is at hand, the response comes in one piece, and the store takes it at once.  Whatever is otherwise goes on in a
task, with the functions of the full path, from where it is.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import partial

from edge.caching import reuse
from edge.caching.reuse import Fwd, Validate
from edge.caching.stored import StoredResponse
from edge.caching.validation import conditional_fields, has_validator
from edge.errors import DownstreamClosed, EdgeError, StoreError
from edge.exchange.asking import Question, teaches
from edge.exchange.collapsing import Collapsing
from edge.exchange.context import Context
from edge.exchange.exchange import Exchange
from edge.exchange.fence import Fence
from edge.exchange.flight import Flight
from edge.exchange.forward import Forwarded, received_head
from edge.exchange.prepared import NOT_PLAIN, PreparedAnswers
from edge.exchange.prompt import PromptHits
from edge.exchange.purged import is_unpurged
from edge.exchange.revalidating import Revalidating
from edge.exchange.shapes import RequestShape, ResponseShape, Shapes
from edge.exchange.site import Site, Sites
from edge.policy.learned import Learned
from edge.ports import PromptResponder, Record, UpstreamResponse
from edge.semantics.messages import Request, Response
from edge.semantics.target import Target

log = logging.getLogger("edge.exchange")

#: Runs an exchange on to its end in a task of its own.
GoOn = Callable[[Exchange, Callable[[Exchange], Awaitable[None]], Callable[[], None]], None]

#: The stored response that is asked about, and why.
Validates = tuple[StoredResponse, Validate]
_VALIDATED = ("not-modified", "freshen", "deliver")


class Asked:
    """A request that is on its way to the origin."""

    __slots__ = (
        "began", "client", "epoch", "fields", "flight", "has_left", "is_alone", "key", "mark", "over", "request",
        "responder", "shape", "target", "validates",
    )  # fmt: skip

    def __init__(
        self,
        shape: RequestShape,
        request: Request,
        target: Target,
        responder: PromptResponder,
        client: str,
        began: float,
        over: Callable[[], None],
        key: bytes,
    ) -> None:
        self.shape, self.request, self.target, self.key = shape, request, target, key
        self.responder, self.client, self.began, self.over = responder, client, began, over
        self.fields = shape.fields
        self.flight: Flight | None = None
        self.is_alone = self.has_left = False
        self.mark = self.epoch = 0
        self.validates: Validates | None = None

    @property
    def trace(self) -> tuple[str, ...]:
        """What was done so far."""
        if self.validates is not None:
            return ("lookup", "stale", "validate", *(("alone",) if self.is_alone else ()), "forward")
        return ("lookup", "miss", "alone", "forward") if self.is_alone else ("lookup", "miss", "forward")

    def exchange(self, node: bytes) -> Exchange:
        """Return the exchange as the full path would have it by now."""
        ex = Exchange(
            self.request,
            None,
            self.responder,
            client=self.client,
            node=node,
            site=self.shape.site,
            target=self.target,
            now=self.began,
        )
        ex.key, ex.epoch = self.key, self.epoch
        ex.trace += self.trace
        if self.has_left:
            ex.did(DownstreamClosed.detail)
        if self.validates is None:
            ex.forwards(Fwd.URI_MISS)
        else:
            _, why = self.validates
            ex.forwards(why.fwd, why.detail.value, outcome="EXPIRED")
        return ex


class ShortWay:
    """Begins the short way of requests, and ends it."""

    def __init__(  # noqa: PLR0913 - what the full path uses, by name
        self,
        sites: Sites,
        context: Context,
        collapsing: Collapsing,
        learned: Learned,
        fence: Fence,
        *,
        prepared: PreparedAnswers,
        revalidating: Revalidating,
        go_on: GoOn,
        ended: Callable[[Record], None],
    ) -> None:
        """Go the short way between what the full path uses; `ended` is told of each exchange that stayed on it."""
        self._prompt = PromptHits(context, prepared, ended)
        self._sites, self._context, self._collapsing = sites, context, collapsing
        self._learned, self._fence = learned, fence
        self._revalidating, self._go_on, self._ended = revalidating, go_on, ended
        self._shapes = Shapes()

    def begin(self, request: Request, responder: PromptResponder, client: str, over: Callable[[], None]) -> bool:
        """Answer a request from the store, or send it to the origin, if it may go the short way; return whether it does."""
        if request.method != b"GET" or request.has_content or request.version != (1, 1):
            return False
        context, placed = self._context, self._sites.place(request.target)
        if placed is None or request.fields.has_any(NOT_PLAIN):
            return False
        site, target, key = placed
        if site.client_ca or (site.https_port is not None and target.scheme == b"http"):
            return False
        if context.ring is not None and context.ring.owner(key) is not None:
            return False
        epoch, published = context.purges.current(), context.published
        if site.name in published.sites and published.covers(site.name, request.target.path):
            return False
        found = context.store.lookup_nowait(key)
        if found is None:
            return False
        if not found:
            return self._ask(request, target, key, site, responder, client, over, epoch)
        stored = self._prompt.selected(request, site, found, epoch)
        if stored is None:
            return False
        if self._prompt.answer(request, responder, client, site, target, key, stored, found, epoch):
            over()
            return True
        decision = reuse.decide(request, stored, now=context.clock.now(), rules=site.reuse_rules)
        if not isinstance(decision, Validate) or not has_validator(stored):
            return False
        return self._ask(request, target, key, site, responder, client, over, epoch, (stored, decision))

    def _ask(  # noqa: PLR0913, PLR0917 - called for each request, where a record of these would cost
        self,
        request: Request,
        target: Target,
        key: bytes,
        site: Site,
        responder: PromptResponder,
        client: str,
        over: Callable[[], None],
        epoch: int,
        validates: Validates | None = None,
    ) -> bool:
        context, now = self._context, self._context.clock.now()
        shape = self._shapes.of_request(request, client) or self._learn_request(request, responder, client, site)
        asked = Asked(shape, request, target, responder, client, now, over, key)
        is_uncacheable = self._learned.is_uncacheable(key, now)
        asked.is_alone = is_uncacheable or not site.collapse
        if not asked.is_alone and self._collapsing.is_asked(key):
            return False
        asked.mark, asked.epoch = self._fence.mark, epoch
        if validates is not None:
            asked.validates = validates
            asked.fields = conditional_fields(shape.fields, validates[0])
        elif is_uncacheable:
            asked.fields = shape.own_fields
        sent = Request(b"GET", target, asked.fields)
        if not context.origins[site.origin].send_nowait(
            sent, partial(self._interim, asked), partial(self._answered, asked)
        ):
            return False
        if not asked.is_alone:
            names = (
                self._learned.nominated(key)
                if validates is None
                else tuple([name for name, _ in validates[0].nominated])
            )
            asked.flight = self._collapsing.lead(key, shape.nominated(names), asked.epoch)
        return True

    def _learn_request(
        self, request: Request, responder: PromptResponder, client: str, site: Site
    ) -> RequestShape:  # fmt: skip
        node, now = self._context.node, self._context.clock.now()
        ex = Exchange(
            request, None, responder, client=client, node=node, site=site, target=request.target, now=now
        )  # fmt: skip
        return self._shapes.learn_request(ex)

    def _interim(self, asked: Asked, response: Response) -> None:
        try:
            asked.responder.interim(response)
        except DownstreamClosed:
            asked.has_left = True

    def _answered(self, asked: Asked, outcome: UpstreamResponse | EdgeError) -> None:
        """Answer at once, or in a task where that may take time."""
        try:
            if not isinstance(outcome, EdgeError) and self._take(asked, outcome):
                return
        except Exception:
            log.exception("a request failed by a fault of the edge")
            if asked.flight is not None:
                asked.flight.lost()
            if not isinstance(outcome, EdgeError):
                outcome.close()
            asked.responder.abort()
            self._ended(asked.exchange(self._context.node).record(self._context.clock.now()))
            asked.over()
            return
        flight = asked.flight or Flight()
        validated = None if asked.validates is None else asked.validates[0]
        question = Question(asked.fields, stale=validated, validated=validated)
        self._go_on(
            asked.exchange(self._context.node),
            lambda ex: self._collapsing.go_on(ex, question, flight, outcome, asked.mark),
            asked.over,
        )

    def _take(self, asked: Asked, upstream: UpstreamResponse) -> bool:
        """Do what the full path would with a response that is whole and of a settled shape; False for any other."""
        if asked.has_left or (asked.flight is not None and asked.flight.has_followers):
            return False
        if asked.validates is not None:
            return self._take_validated(asked, asked.validates, upstream)
        content = upstream.whole()
        if content is None or upstream.content_length != len(content):
            return False
        shape = self._shapes.of_response(asked.shape, upstream.head) or self._learn_response(asked, upstream)
        if not shape.is_settled or (shape.as_is_below is not None and len(content) >= shape.as_is_below):
            return False
        now, ttl = upstream.response_time, None
        if shape.refusal is not None:
            if teaches(shape.refusal, upstream.head.status):
                self._learned.not_stored(asked.key, now)
        elif self._store(asked, shape, upstream, content):
            ttl = shape.ttl(upstream.head, upstream.request_time, now)
        else:
            return False
        if asked.flight is not None:
            asked.flight.land()
        shown, said = shape.shown(upstream.head, ttl), shape.cache_status(ttl)
        done = ("store", "deliver") if shape.refusal is None else (shape.detail, "pass")
        self._answer(asked, upstream, shown, content, done, said, "MISS", shape.detail)
        return True

    def _take_validated(self, asked: Asked, validates: Validates, upstream: UpstreamResponse) -> bool:
        at_once = self._revalidating.at_once(asked.shape, validates, upstream, asked.flight, asked.mark, asked.epoch)
        if at_once is not None:
            shown, content, said = at_once
            self._answer(
                asked, upstream, shown, content, _VALIDATED, said, "REVALIDATED", validates[1].detail.value
            )  # fmt: skip
            return True
        ex = asked.exchange(self._context.node)
        if not self._revalidating.answer(
            ex, asked.responder, asked.shape, validates, upstream, asked.flight, asked.mark
        ):  # fmt: skip
            return False
        self._ended(ex.record(self._context.clock.now()))
        asked.over()
        return True

    def _learn_response(self, asked: Asked, upstream: UpstreamResponse) -> ResponseShape:
        forwarded = Forwarded(upstream, received_head(upstream.head, upstream.response_time), asked.mark, asked.epoch)
        return self._shapes.learn_response(asked.shape, asked.exchange(self._context.node), forwarded)

    def _store(self, asked: Asked, shape: ResponseShape, upstream: UpstreamResponse, content: bytes) -> bool:
        """Store the response, unless it was purged meanwhile; False when the store takes it only from a writer, or not."""
        head, length = upstream.head, len(content)
        stored = StoredResponse(
            asked.key,
            self._context.store.generation(),
            b"GET",
            shape.nominated,
            head.status,
            head.reason,
            shape.kept(head),
            upstream.request_time,
            upstream.response_time,
            length,
            ((0, length),) if length else (),
            asked.epoch,
        )
        purges = self._context.purges
        if self._fence.lets_through(asked.key, asked.mark) and (
            asked.epoch == purges.shared.epoch or is_unpurged(purges, stored)
        ):
            try:
                if not self._context.store.keep(stored, content):
                    return False
            except StoreError:
                # The writer that is tried next fails as well, and is counted.
                return False
        self._learned.varies(asked.key, shape.names)
        return True

    def _answer(
        self,
        asked: Asked,
        upstream: UpstreamResponse,
        shown: Response,
        content: bytes,
        done: tuple[str, ...],
        said: bytes,
        outcome: str,
        detail: str,
    ) -> None:
        """Answer with what came of the origin's response, and Cache-Status has `said`, and tell what happened."""
        status, sent, is_complete = shown.status, len(content), True
        try:
            asked.responder.answer(shown, content)
        except DownstreamClosed as gone:
            status, sent, is_complete = 499, 0, False
            done = (*done, gone.detail)
        # The response has just arrived.
        seconds = max(0.0, upstream.response_time - asked.began)
        record = Record(
            asked.request,
            status,
            asked.trace + done,
            said,
            outcome,
            detail,
            asked.client,
            asked.shape.site.name,
            sent,
            asked.began,
            seconds,
            seconds,
            upstream.response_time - upstream.request_time,
            upstream.head.status,
            is_complete,
        )
        self._ended(record)
        asked.over()
