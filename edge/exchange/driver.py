"""The story of one request: look up, reuse, forward, collapse, fill, deliver.

Read `Driver.handle` first, then `_from_cache`.  Every branch names its reason; the decisions themselves are made by
the pure functions of `caching`, and only carried out here and in the modules beside it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace

from edge.caching import invalidation, partial, reuse, validation, vary
from edge.caching.coding import without_dated_range
from edge.caching.reuse import Detail, Fwd, Reuse, Validate
from edge.caching.stored import StoredResponse
from edge.caching.storing import Store
from edge.errors import (
    BadRequest,
    CertificateWanted,
    ContentTooLarge,
    DownstreamClosed,
    EdgeError,
    InternalError,
    LoopDetected,
    MethodRefused,
    Misdirected,
    ParseError,
    StoreError,
    UpstreamError,
)
from edge.exchange.asking import Asking, Question
from edge.exchange.challenge import answers_challenge, may_be_challenge
from edge.exchange.collapsing import Collapsing
from edge.exchange.context import Context
from edge.exchange.debugging import DEBUG, debug_lines
from edge.exchange.deliver import error_response, pass_through, refuse
from edge.exchange.exchange import Exchange
from edge.exchange.explaining import FROM_CACHE, MAX_LOOPS, REFUSED_METHODS, Explaining
from edge.exchange.fence import Fence
from edge.exchange.filling import Filling
from edge.exchange.flight import Flight
from edge.exchange.forward import Forwarded, forwarded_fields, hops_left
from edge.exchange.limited import Limited
from edge.exchange.plan import Failed, is_held, plan
from edge.exchange.prepared import PreparedAnswers
from edge.exchange.published import serve_published
from edge.exchange.purged import invalidate_groups, lookup, may_purge, purge_target
from edge.exchange.pushing import Pushing
from edge.exchange.ranging import Ranging
from edge.exchange.relay import arrived, is_passed, may_relay, relay
from edge.exchange.reusing import may_serve_stale, reuse_stored, stale_or_raise
from edge.exchange.revalidating import Revalidating
from edge.exchange.short import ShortWay
from edge.exchange.site import Site, Sites
from edge.exchange.tunnel import Tunnels, protocol_of
from edge.policy.key import apply_query, cache_key
from edge.policy.learned import Learned
from edge.ports import PromptResponder, Record, Responder, Source
from edge.semantics.fields import FieldSection
from edge.semantics.forwarding import loop_count
from edge.semantics.messages import Request, Response
from edge.semantics.target import Target, secure_target
from edge.tasks import spawn

#: What is done for an exchange.
Work = Callable[[Exchange], Awaitable[None]]

log = logging.getLogger("edge.exchange")

_ALLOW = FieldSection([(b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")])
_NOBODY = Site(name="", hosts=(), origin="")


class OnlyIfCached(EdgeError):
    """The client wants a stored response or none (RFC 9111 §5.2.1.7)."""

    status = 504
    detail = Detail.ONLY_IF_CACHED.value


class Driver:
    """Answers requests for all sites of a node."""

    def __init__(self, sites: Sites, context: Context) -> None:
        self._sites = sites
        self._context = context
        self._learned = Learned()
        self._fence = Fence()
        self._filling = Filling(context, self._learned, self._fence)
        self._asking = Asking(context, self._learned, self._filling, self._fence)
        self._ranging = Ranging(context, self._asking, self._filling, self._learned, self._fence)
        self._collapsing = Collapsing(context, self._asking, self._filling, self._learned, self._ranging)
        self._tunnels = Tunnels(context)
        self.pushing = Pushing(sites, context, self._fence)
        self.explaining = Explaining(sites, context, self._learned)
        self.prepared = PreparedAnswers(sites, context.store, context.purges, context.node, context.published)
        self._short = ShortWay(
            sites, context, self._collapsing, self._learned, self._fence,
            prepared=self.prepared, revalidating=Revalidating(context, self._asking, self._filling), go_on=self._go_on, ended=self._ended,
        )  # fmt: skip
        self.in_flight = 0

    async def handle(
        self,
        request: Request,
        content: Source,
        responder: Responder,
        client: str,
        *,
        client_ca: str = "",
        is_relayed: bool = False,
    ) -> None:
        """Answer one request; never raises for a fault of client, origin or disk.

        `client_ca` has signed the certificate that the client has shown.  Who relays has seen to that.
        """
        site = self._sites.of(request.target)
        if site is not None and site.compression is not None:
            request = without_dated_range(request, site.compression)
        ex = Exchange(
            request,
            content if request.has_content else None,
            responder,
            client=client,
            node=self._context.node,
            site=site or _NOBODY,
            target=request.target if site is None else apply_query(request.target, site.key),
            now=self._context.clock.now(),
        )
        ex.epoch = self._context.purges.current()
        ex.is_relayed = is_relayed
        is_let_in = is_relayed or ex.site.client_ca in {"", client_ca}
        self.in_flight += 1
        await self._to_its_end(ex, self._answer if is_let_in else self._turn_away)

    def begin(self, request: Request, responder: PromptResponder, client: str, over: Callable[[], None]) -> bool:
        """Answer one request without content as `handle` does, if it may go the short way; return whether it does.

        `over` is called once the answer has ended, which may be before this returns.
        """
        if self._context.challenges is not None and may_be_challenge(request):
            return False
        self.in_flight += 1
        if self._short.begin(request, responder, client, over):
            return True
        self.in_flight -= 1
        return False

    def _go_on(self, ex: Exchange, work: Work, over: Callable[[], None]) -> None:
        """Go on with an exchange in a task of its own."""
        # A callback also comes when the task is cancelled before its first step.
        spawn(self._to_its_end(ex, lambda _: self._or_as_a_miss(ex, work(ex))), name="exchange").add_done_callback(
            lambda _: over()
        )

    def _ended(self, record: Record) -> None:
        self.in_flight -= 1
        self._context.telemetry.exchange_ended(record)

    async def _to_its_end(self, ex: Exchange, work: Work) -> None:
        """Do the work of an exchange; whatever goes wrong is answered, and told."""
        try:
            await work(ex)
        except EdgeError as error:
            await self._refuse(ex, error)
        except asyncio.CancelledError:
            if not ex.is_complete:
                # Were the connection closed in an orderly way, a part could pass for the whole.
                with suppress(DownstreamClosed):
                    ex.responder.abort()
            raise
        except Exception:
            log.exception("a request failed by a fault of the edge")
            await self._refuse(ex, InternalError())
        finally:
            record = ex.record(self._context.clock.now())
            if ex.is_relayed:
                self.in_flight -= 1
                self._context.telemetry.relayed(record)
            else:
                self._ended(record)

    async def handle_relayed(self, request: Request, content: Source, responder: Responder, _client: str) -> None:
        """Answer another worker of the node, which asks for a client of its own or invalidates a key."""
        try:
            asked = arrived(request)
        except BadRequest as error:
            await self.refuse_unparsed(error, responder, _client)
            return
        if isinstance(asked, Request):
            await self._take_pushed(asked, content, responder)
        elif isinstance(asked, bytes):
            await self.invalidate(asked)
            responder.start(Response(204, FieldSection()), 0)
            responder.finish()
        else:
            await self.handle(asked[0], content, responder, asked[1], is_relayed=True)

    async def _take_pushed(self, request: Request, content: Source, responder: Responder) -> None:
        """Store what the admin plane passes on, and say what came of it."""
        status = 204
        try:
            await self.pushing.push(request, content)
        except ParseError:
            status = 422
        except StoreError as error:
            self._context.telemetry.count(error.detail)
            status = 507
        except DownstreamClosed:
            return
        responder.start(Response(status, FieldSection()), 0)
        responder.finish()

    async def invalidate(self, key: bytes) -> None:
        """Let nothing be found any more that was asked of the origin for `key` so far."""
        self._fence.invalidate(key)
        self._collapsing.invalidate(key)
        await self._context.store.remove(key)

    async def refuse_unparsed(self, error: EdgeError, responder: Responder, client: str) -> None:
        """Answer what could not be parsed as a request; DownstreamClosed when the client is gone."""
        now = self._context.clock.now()
        response, content = error_response(error)
        is_complete = False
        try:
            responder.start(response, len(content))
            await responder.send(content)
            responder.finish()
            is_complete = True
        finally:
            record = Record(
                request=None,
                status=error.status,
                trace=(error.detail,),
                cache_status=b"",
                outcome="-",
                detail=error.detail,
                client=client,
                site="",
                bytes_out=len(content) if is_complete else 0,
                began=now,
                seconds=0.0,
                first_byte_seconds=0.0,
                origin_seconds=None,
                origin_status=None,
                complete=is_complete,
            )
            self._context.telemetry.exchange_ended(record)

    async def _refuse(self, ex: Exchange, error: EdgeError) -> None:
        try:
            await refuse(ex, error, self._context.clock.now())
        except DownstreamClosed:
            ex.did(DownstreamClosed.detail)

    async def _answer(self, ex: Exchange) -> None:
        request, site = ex.request, ex.site
        if self._context.challenges is not None and await answers_challenge(self._context, ex):
            return
        if (token := request.fields.get(DEBUG)) is not None and self._context.may_debug(token):
            ex.debug = debug_lines(await self.explaining.explain(request))
        if request.method == b"PURGE" and may_purge(ex):
            ex.key = cache_key(ex.target, site.key)
            await purge_target(self._context, ex)
            return
        if request.method in REFUSED_METHODS:
            raise MethodRefused
        if site is _NOBODY:
            raise Misdirected
        if self._redirects(ex):
            return
        if loop_count(request.fields, ex.node) > MAX_LOOPS:
            raise LoopDetected
        is_about_us = request.target.path == b"*" or hops_left(request) == 0
        if request.method == b"OPTIONS" and is_about_us:
            # RFC 9110 §7.6.2, §9.3.7: about this server, not about the origin.
            ex.start(Response(204, _ALLOW), 0, ex.began)
            ex.finish()
            return
        if (protocol := protocol_of(request, site.upgrade)) is not None:
            await self._tunnels.serve(ex, protocol)
            return
        ex.key = cache_key(ex.target, site.key)
        if request.method in FROM_CACHE:
            if not await serve_published(self._context.published, ex, self._context.clock.now()):
                await self._from_cache(ex)
        else:
            await self._write_through(ex)

    async def _turn_away(self, ex: Exchange) -> None:
        """Answer a client that has not shown the certificate that the site wants."""
        if not (await answers_challenge(self._context, ex) or self._redirects(ex)):
            # RFC 9110 §15.5.20, RFC 9113 §9.1.2: on a connection of its own it may be answered.
            raise CertificateWanted

    @staticmethod
    def _redirects(ex: Exchange) -> bool:
        """Send a client that has come by plain HTTP to https, where the site wants that."""
        port = ex.site.https_port
        if port is None or ex.request.target.scheme != b"http":
            return False
        # RFC 9110 §15.4.9: by the same method.
        ex.did("redirect")
        location = secure_target(ex.request.target, port).uri
        ex.start(Response(308, FieldSection([(b"location", location)])), 0, ex.began)
        ex.finish()
        return True

    async def _write_through(self, ex: Exchange) -> None:
        """Forward what the cache cannot answer, and invalidate what that changes (RFC 9111 §4.4)."""
        limit = ex.site.max_request_content
        if limit is not None and ex.content is not None:
            if (ex.request.content_length or 0) > limit:
                raise ContentTooLarge
            ex.content = Limited(ex.content, limit)
        ex.forwards(Fwd.METHOD, outcome="BYPASS")
        forwarded = await self._asking.forward(ex, forwarded_fields(ex), ex.content)
        with ExitStack() as unless_taken:
            unless_taken.callback(forwarded.upstream.close)
            for target in invalidation.invalidated_targets(ex.request, forwarded.head):
                await self._invalidate(ex, target)
            await invalidate_groups(self._context, ex, forwarded.head)
            unless_taken.pop_all()
        if ex.request.method == b"POST" and ex.site.profile.store_post:
            # What was asked for before is out of date now; this answer is not.
            forwarded = replace(forwarded, mark=self._fence.mark)
            await self._asking.take(ex, forwarded, Question(ex.request.fields), Flight())
        else:
            await pass_through(ex, forwarded.upstream, forwarded.head, self._context.clock.now())

    async def _invalidate(self, ex: Exchange, target: Target) -> None:
        ex.did("invalidate")
        key = cache_key(apply_query(target, ex.site.key), ex.site.key)
        await self.invalidate(key)
        if self._context.ring is not None:
            await self._context.ring.invalidate(key)

    async def _from_cache(self, ex: Exchange) -> None:
        """Answer from a stored response if one may be reused, else through the origin."""
        ex.did("lookup")
        candidates = await lookup(self._context, ex.key)
        await self._or_as_a_miss(ex, self._from_stored(ex, vary.select(ex.selecting, candidates), candidates))

    async def _from_stored(
        self, ex: Exchange, stored: StoredResponse | None, candidates: Sequence[StoredResponse]
    ) -> None:
        if await self._relayed(ex, stored):
            return
        if stored is None:
            await self._miss(ex, Fwd.VARY_MISS if candidates else Fwd.URI_MISS)
        else:
            await self._selected(ex, stored, candidates)

    async def _or_as_a_miss(self, ex: Exchange, work: Awaitable[None]) -> None:
        """Answer from what is stored, or as if nothing were, should that be damaged."""
        try:
            await work
        except StoreError as error:
            if ex.status:
                raise
            # Damaged, as it turned out; by now it is out of the index, or its owner will find out.
            ex.did(error.detail)
            if not await self._relayed(ex, None):
                await self._miss(ex, Fwd.MISS, detail=error.detail)

    def _is_at_hand(self, ex: Exchange, stored: StoredResponse | None) -> bool:
        """Return whether `stored` is the answer, and nobody has to be asked for anything."""
        if stored is None or not stored.is_complete:
            # Of parts, the owner knows who reads on where.
            return False
        now = self._context.clock.now()
        what = plan(ex.request, stored, stored.complete_length, now)
        if isinstance(what, Failed) or not is_held(ex.request, stored, what):
            return False
        decision = reuse.decide(ex.request, stored, now=now, rules=ex.site.reuse_rules)
        return isinstance(decision, Reuse) and not decision.validate_in_background

    async def _relayed(self, ex: Exchange, stored: StoredResponse | None) -> bool:
        """Let the owner of the key answer, if that is another worker, unless `stored` is the answer; return whether."""
        owner = None if self._context.ring is None else self._context.ring.owner(ex.key)
        if owner is None or not may_relay(ex):
            return False
        if self._is_at_hand(ex, stored) and await self._context.variants.is_at_hand(ex, stored):
            return False
        now = self._context.clock.now()
        if self._learned.is_uncacheable(ex.key, now) or not await relay(self._context, ex, owner):
            return False
        if is_passed(ex):
            self._learned.not_stored(ex.key, now)
        return True

    async def _selected(self, ex: Exchange, stored: StoredResponse, candidates: Sequence[StoredResponse]) -> None:
        now = self._context.clock.now()
        decision = reuse.decide(ex.request, stored, now=now, rules=ex.site.reuse_rules)
        what = plan(ex.request, stored, stored.complete_length, now)
        if isinstance(what, Failed):
            await self._miss(ex, Fwd.REQUEST)
            return
        if not is_held(ex.request, stored, what):
            await self._partial(ex, stored)
            return
        match decision:
            case Reuse():
                if decision.validate_in_background:
                    self._collapsing.validate_in_background(ex, stored)
                shown = await reuse_stored(self._context, ex, stored, decision)
                if not stored.is_complete:
                    self._ranging.read_on(ex, stored)
                if decision.detail is Detail.FRESH and shown.is_settled:
                    self.prepared.install(ex, stored, shown, candidates)
            case Validate():
                await self._validate(ex, stored, decision)

    async def _validate(self, ex: Exchange, stored: StoredResponse, decision: Validate) -> None:
        """Ask the origin whether `stored` still holds, or for another if it has no validator (RFC 9111 §4.3)."""
        if ex.request.method == b"HEAD" or not validation.has_validator(stored):
            await self._miss(ex, decision.fwd, detail=decision.detail.value, stale=stored)
            return
        self._forwards(ex, decision.fwd, decision.detail.value, outcome="EXPIRED")
        ex.did("stale")
        ex.did("validate")
        fields = validation.conditional_fields(forwarded_fields(ex), stored)
        await self._collapsing.ask(ex, Question(fields, stale=stored, validated=stored))

    async def _partial(self, ex: Exchange, stored: StoredResponse) -> None:
        """Fetch what is missing of a stored part (RFC 9111 §3.3)."""
        tail = partial.missing_tail(stored)
        etag = validation.entity_tag(stored.fields)
        may_combine = etag is not None and not etag.weak
        whole_wanted = ex.request.method == b"GET" and b"range" not in ex.request.fields
        if tail is None or not whole_wanted or not (may_combine or ex.site.profile.complete_unvalidated):
            self._forwards(ex, Fwd.PARTIAL)
            if not await self._ranging.complete(ex, stored):
                await self._miss(ex, Fwd.PARTIAL)
            return
        self._forwards(ex, Fwd.PARTIAL)
        fields = forwarded_fields(ex).without(*validation.PRECONDITIONS)
        fields = fields.with_lines((b"range", b"bytes=%d-" % tail))
        if etag is not None and not etag.weak:
            fields = fields.with_lines((b"if-range", stored.fields.get(b"etag") or b""))
        await self._collapsing.ask(ex, Question(fields, completed=stored))

    async def _miss(self, ex: Exchange, fwd: Fwd, *, detail: str = "", stale: StoredResponse | None = None) -> None:
        """Forward a request that nothing stored answers; `stale` may still stand in if the origin fails."""
        self._forwards(ex, fwd, detail, outcome="MISS" if stale is None else "EXPIRED")
        ex.did("miss" if stale is None else "stale")
        if ex.request.method == b"HEAD":
            await self._head(ex, forwarded_fields(ex), stale)
            return
        is_uncacheable = self._learned.is_uncacheable(ex.key, self._context.clock.now())
        # Of what is passed on, each client is to have the coding that it likes.
        fields = forwarded_fields(ex, is_own=is_uncacheable)
        if b"range" not in fields and not is_uncacheable:
            # For a response that can be stored whole; the client's own conditions are looked at afterwards.
            fields = fields.without(*validation.PRECONDITIONS)
        await self._collapsing.ask(ex, Question(fields, stale=stale))

    async def _head(self, ex: Exchange, fields: FieldSection, stale: StoredResponse | None) -> None:
        """Write a HEAD through, and let its answer update what is stored for GET (RFC 9111 §4.3.5)."""
        try:
            forwarded = await self._asking.forward(ex, fields)
        except UpstreamError as error:
            await stale_or_raise(self._context, ex, stale, error)
            return
        received, head = forwarded.upstream.head, forwarded.head
        forwarded.upstream.close()
        if stale is not None and head.status >= 500:
            decision = may_serve_stale(self._context, ex, stale, disconnected=False)
            if decision is not None:
                await reuse_stored(self._context, ex, stale, decision)
                return
        if stale is not None and head.status == 200:
            await self._update_by_head(ex, stale, forwarded)
        stated = received.fields.get(b"content-length") or b""
        length = int(stated) if stated.isdigit() else None
        is_stored = isinstance(self._asking.decision(ex, replace(ex.request, method=b"GET"), forwarded, head), Store)
        ex.start(*self._context.variants.of_head(ex, head, length, is_stored=is_stored), self._context.clock.now())
        ex.finish()

    async def _update_by_head(self, ex: Exchange, stored: StoredResponse, forwarded: Forwarded) -> None:
        if validation.is_same_by_head(stored, forwarded.upstream.head):
            ex.did("freshen")
            self._asking.put(self._filling.freshened(ex, stored, forwarded), forwarded.mark)
        else:
            ex.did("invalidate")
            await self._context.store.remove(stored.key, stored.generation)

    @staticmethod
    def _forwards(ex: Exchange, fwd: Fwd, detail: str = "", *, outcome: str = "MISS") -> None:
        if reuse.is_only_if_cached(ex.request):
            raise OnlyIfCached
        ex.forwards(fwd, detail, outcome=outcome)
