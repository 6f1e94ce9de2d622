"""The state of one exchange: what was asked, by whom, what was done about it so far."""

from dataclasses import replace

from edge.caching.coding import offering
from edge.caching.groups import TAG_FIELDS
from edge.caching.reuse import Fwd
from edge.caching.status import CacheStatus
from edge.caching.validation import PRECONDITIONS
from edge.exchange.site import Site
from edge.ports import Piece, Record, Responder, Source, UpstreamResponse
from edge.semantics.fields import FieldSection, Line
from edge.semantics.messages import Request, Response, may_have_content
from edge.semantics.target import Target

#: The field in which workers tell each other about an exchange; heeded from nobody else.
RING = b"foreland-ring"
# What one client wants for this once, and nobody else.
_OF_ONE_REQUEST = (b"range", b"cache-control", b"pragma")
# Whose content this node can take the coding off again.
_OFFERING = frozenset({b"GET", b"HEAD"})
# RFC 9213 §2.2: a field targeted at this cache alone is of no use behind it.  Tags tell how a site is made; who else is
# to purge by them is told by Cache-Groups.
_FOR_THIS_CACHE = frozenset({b"foreland-cache-control", *TAG_FIELDS})


class Exchange:
    """One request and its answer in the making.

    Attributes:
        request: the request as it came.
        selecting: the request with the fields by which a stored response is selected, and asked of the origin.
        target: its target with the query that counts, which is also the one sent to the origin.
        key: the cache key, b"" as long as the cache was not asked.
        epoch: the purge epoch at which the exchange began.
        trace: the tokens of what was done, in order.
        fwd: why it went forward, None while it did not.
        detail: the reason token behind the outcome.
        outcome: nginx's word for it.
        status: of the answer, 0 as long as its head has not been sent.
        is_relayed: whether another worker asks, for a client of its own.
        relayed_status: what the Cache-Status member said of an answer that another worker has made.
        wants_answer: False for a validation in the background, which has no client.
    """

    __slots__ = (
        "began", "client", "collapsed", "content", "debug", "detail", "epoch", "first_byte", "fwd", "is_complete", "is_relayed",
        "is_stored", "key", "left", "node", "origin_seconds", "origin_status", "outcome", "relayed_status", "request",
        "responder", "selecting", "sent", "site", "status", "target", "trace", "ttl", "wants_answer",
    )  # fmt: skip

    def __init__(
        self,
        request: Request,
        content: Source | None,
        responder: Responder,
        *,
        client: str,
        node: bytes,
        site: Site,
        target: Target,
        now: float,
    ) -> None:
        self.request = request
        is_offering = site.compression is not None and site.compression.origin and request.method in _OFFERING
        self.selecting = request.with_fields(offering(request.fields)) if is_offering else request
        self.content = content
        self.responder = responder
        self.client = client
        self.node = node
        self.site = site
        self.target = target
        self.began = now
        self.epoch = 0
        self.key = b""
        self.trace: list[str] = []
        self.fwd: Fwd | None = None
        self.detail = ""
        self.outcome = "-"
        self.ttl: int | None = None
        self.is_stored = False
        self.collapsed = False
        self.origin_status: int | None = None
        self.origin_seconds: float | None = None
        self.status = 0
        self.sent = 0
        self.left: int | None = None
        self.first_byte: float | None = None
        self.is_complete = False
        self.wants_answer = True
        self.is_relayed = False
        self.relayed_status = b""
        self.debug: list[Line] = []

    def in_background(self, now: float) -> "Exchange":
        """Return an exchange that asks the origin the same for nobody in particular."""
        fields = self.request.fields.without(*PRECONDITIONS, *_OF_ONE_REQUEST)
        # A HEAD would not bring the content, should there be a new one.
        request = replace(self.request, method=b"GET", fields=fields)
        shadow = Exchange(
            request,
            None,
            self.responder,
            client=self.client,
            node=self.node,
            site=self.site,
            target=self.target,
            now=now,
        )
        shadow.key = self.key
        shadow.epoch = self.epoch
        shadow.wants_answer = False
        return shadow

    def did(self, token: str) -> None:
        """Note a step."""
        self.trace.append(token)

    def forwards(self, fwd: Fwd, detail: str = "", *, outcome: str = "MISS") -> None:
        """Note that, and why, the request goes to the origin."""
        self.fwd, self.detail, self.outcome = fwd, detail, outcome
        self.ttl = None

    def heard(self, response: UpstreamResponse) -> None:
        """Note what the origin answered."""
        self.origin_status = response.head.status
        self.origin_seconds = response.response_time - response.request_time

    def cache_status(self) -> bytes:
        """Return this node's Cache-Status member (RFC 9211)."""
        return CacheStatus(
            self.fwd,
            fwd_status=self.origin_status if self.fwd is not None else None,
            ttl=self.ttl,
            stored=self.is_stored,
            collapsed=self.collapsed,
            detail=self.detail,
        ).encoded(self.node)

    def start(self, response: Response, length: int | None, now: float) -> None:
        """Begin the answer, with what this hop adds to it."""
        self.start_as_it_is(self.dressed(response), length, now)

    def dressed(self, response: Response) -> Response:
        """Return a response with what this hop adds to it."""
        scheme = self.target.scheme
        own = with_own_fields(response.fields, self.site, scheme, self.node, self.cache_status(), self.outcome)
        if self.debug:
            # Nobody on the way may keep what is told here, nor give it to others.
            own = own.without(*self.site.freshness.targets).with_lines((b"cache-control", b"no-store"), *self.debug)
        if self.is_relayed:
            own = own.with_lines((RING, b"%s %s" % (self.outcome.encode("ascii"), self.detail.encode("ascii"))))
        return response.with_fields(own)

    def start_as_it_is(self, response: Response, length: int | None, now: float) -> None:
        """Begin an answer to which nothing is added."""
        self.responder.start(response, length)
        self.status = response.status
        self.first_byte = now
        self.left = length if may_have_content(self.request.method, response.status) else 0

    async def send(self, data: Piece) -> None:
        """Send a piece of the answer's content."""
        size, sending = len(data), self.responder.send(data)
        del data
        await sending
        self.sent += size
        if self.left is not None:
            self.left -= size

    def finish(self) -> None:
        """End the answer; when less was sent than announced, the responder breaks it off instead."""
        self.responder.finish()
        self.is_complete = not self.left

    def record(self, now: float) -> Record:
        """Return what telemetry is told."""
        return Record(
            request=self.request,
            status=self.status or 499,
            trace=tuple(self.trace),
            cache_status=self.relayed_status or (self.cache_status() if self.key else b""),
            outcome=self.outcome,
            detail=self.detail,
            client=self.client,
            site=self.site.name,
            bytes_out=self.sent,
            began=self.began,
            seconds=max(0.0, now - self.began),
            first_byte_seconds=max(0.0, (self.first_byte or now) - self.began),
            origin_seconds=self.origin_seconds,
            origin_status=self.origin_status,
            complete=self.is_complete,
        )


def with_own_fields(
    fields: FieldSection, site: Site, scheme: bytes, node: bytes, cache_status: bytes, outcome: str
) -> FieldSection:
    """Return response fields with what this hop takes out and adds."""
    lines = [line for line in fields if line[0] not in _FOR_THIS_CACHE]
    if site.strip_cookies:
        lines = [line for line in lines if line[0] != b"set-cookie"]
    if site.hsts and scheme == b"https":
        # RFC 6797 §6.1: one of them, and §7.2: never over plain HTTP.
        lines = [line for line in lines if line[0] != b"strict-transport-security"]
        lines.append((b"strict-transport-security", site.hsts))
    vias = fields.values(b"via")
    if vias:
        lines = [line for line in lines if line[0] != b"via"]
    lines.append((b"via", b", ".join([*vias, b"1.1 " + node])))
    lines.append((b"cache-status", cache_status))
    if site.x_cache and outcome != "-":
        lines.append((b"x-cache", outcome.encode("ascii")))
    return FieldSection(lines)
