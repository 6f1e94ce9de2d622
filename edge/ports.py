"""What the exchange needs of the world: each port is implemented by one shell package and known only here."""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol, TypeAlias

from edge.caching.stored import StoredResponse
from edge.errors import EdgeError
from edge.policy.purging import Labels, Mode, Purge, Selector, Verdict
from edge.semantics.immutable import immutable
from edge.semantics.messages import Request, Response

#: Octets of content; whoever holds them may rely on them for as long as they like.
Piece: TypeAlias = bytes | memoryview

#: Told how many octets wait to be read and passed on, it returns how many more may be received; none if that is not positive.
Allowance: TypeAlias = Callable[[int], int]


class Source(Protocol):
    """Content that arrives piece by piece."""

    async def read(self) -> bytes:
        """Return the next piece, never longer than 1 MiB, or b"" at the clean end.

        Raises:
            EdgeError: of the branch at fault when the content ends early; what was read before is then incomplete.
        """
        ...


class Closable(Protocol):
    """A source that holds something and must be closed; closing twice, or after the end, does nothing."""

    async def read(self) -> Piece:
        """Return the next piece, as a `Source` does."""
        ...

    def close(self) -> None:
        """Let go of what is held; whatever was not read is lost."""
        ...


class Incoming(Source, Protocol):
    """A source of octets on their way here, which can be let go of."""

    def close(self) -> None:
        """Let go of what it holds; whatever was not read is lost."""
        ...


class Codecs(Protocol):
    """The content codings (RFC 9110 §8.4.1) that this node makes and takes off, beside the event loop."""

    def coded(self, source: Closable, coding: bytes, *, small: bool, is_dry: Callable[[], bool]) -> Incoming:
        """Return what `source` gives, in `coding`; it is closed with what is returned.

        `small` takes the time to make it as small as it gets; `is_dry` tells whether the source has nothing to give at
        present, so that what was coded so far must not wait for it.
        """
        ...

    def decoded(self, source: Closable, coding: bytes, limit: int) -> Incoming:
        """Return what `source` gives in `coding`, without it; it is closed with what is returned.

        Reading raises UpstreamUndecodable where it is not in that coding, and once it is more than `limit` octets or
        out of all proportion to what came in.
        """
        ...


class Responder(Protocol):
    """The answer to one request, on its way to the client.  Every method raises DownstreamClosed once it is gone."""

    @property
    def room(self) -> int:
        """How many octets `send` is to be given at present, of what can be read again; the rest is to be let go of."""
        ...

    async def wait_room(self) -> None:
        """Wait until there is some; after `send`, there is."""
        ...

    @property
    def allowance(self) -> Allowance | None:
        """What paces the receiving of content that cannot be read again; None where `send` alone does."""
        ...

    def interim(self, response: Response) -> None:
        """Send a 1xx response; silently dropped for a client that cannot take it (HTTP/1.0)."""
        ...

    def switch(self, response: Response) -> Source:
        """Send a 101 to a request that asks for another protocol, and return what the client sends from then on.

        What is sent from here on is of that protocol, until `finish`.
        """
        ...

    def start(self, response: Response, length: int | None) -> None:
        """Send the final head; `length` is that of the content in octets, or None when it is not known beforehand.

        `response` carries no framing fields and no Connection field: the responder makes its own.
        """
        ...

    async def send(self, data: Piece) -> None:
        """Send a piece of content and wait while the client is slow to take it."""
        ...

    def finish(self) -> None:
        """End the content cleanly; a content shorter than the announced length aborts instead."""
        ...

    def abort(self) -> None:
        """Break the transfer so that the client cannot take what it got for the whole."""
        ...


class PromptResponder(Responder, Protocol):
    """A responder that also takes a whole answer without making anybody wait."""

    def answer(self, response: Response, content: bytes) -> None:
        """Send head and content and end the response; nothing may have been started."""
        ...


class UpstreamResponse(Incoming, Protocol):
    """A response head from the origin, and its content to read."""

    head: Response
    content_length: int | None
    request_time: float
    response_time: float

    async def write(self, data: Piece) -> None:
        """Send octets of the protocol that a 101 has switched to; UpstreamError once the origin is gone."""
        ...

    def end_writing(self) -> None:
        """Send no more of them."""
        ...

    def hasten(self) -> None:
        """Receive as fast as it is read from here on, whatever the allowance: it is not for one client alone."""
        ...

    def whole(self) -> bytes | None:
        """Return all of the content if it has arrived, none of which may have been read; None if it has not."""
        ...


class Upstream(Protocol):
    """The way to one origin."""

    async def send(
        self,
        request: Request,
        content: Source | None,
        interim: Callable[[Response], None] | None,
        allowance: Allowance | None = None,
    ) -> UpstreamResponse:
        """Send `request` (whose fields are those to send, without framing) and return the final response's head.

        Args:
            request: the request; `content_length` and `has_content` say how its content is framed.
            content: the request content, read as the origin takes it; None when there is none.
            interim: called with each 1xx response in order; None to drop them.
            allowance: asked whenever something of the response is received or read; None to receive as fast as is read.

        Raises:
            UpstreamError: no connection, no valid response, or no response in time.
            DownstreamError: reading `content` failed.
        """
        ...

    async def switch(self, request: Request, interim: Callable[[Response], None] | None) -> UpstreamResponse:
        """Send a request that asks for another protocol, on a connection of its own, as `send` does.

        Where the response is a 101, its content is what the origin sends in that protocol.
        """
        ...

    def send_nowait(
        self,
        request: Request,
        interim: Callable[[Response], None] | None,
        answered: Callable[[UpstreamResponse | EdgeError], None],
    ) -> bool:
        """Send a request without content if a connection is at hand; return whether it was sent.

        `answered` is told once, and not before this returns, what `send` would return or raise.
        """
        ...


class Writer(Protocol):
    """Content being stored under a generation that no lookup finds before `commit`."""

    generation: bytes
    #: Whether the content is kept after the fill; if not, it is there for those who follow, and `commit` fails.
    is_admitted: bool

    async def write(self, data: Piece) -> None:
        """Append `data`; waits while too much is unwritten.  StoreError: the content can no longer be stored."""
        ...

    def open(self, start: int, end: int) -> Closable:
        """Return the octets [start, end) of what has been written so far, for those who follow the fill."""
        ...

    async def commit(self, stored: StoredResponse) -> None:
        """Make the content findable under `stored` (whose generation is this writer's), replacing the variant.

        StoreError: it was not stored.
        """
        ...

    def abort(self) -> None:
        """Forget what was written; sources opened on it stay readable.  Does nothing after `commit`."""
        ...


class Token(Protocol):
    """What is known of a key: once it is not current, it never is again."""

    @property
    def is_current(self) -> bool:
        """Whether a lookup of the key finds the same as when this was given."""
        ...


class Again(Protocol):
    """A small content, wherever it lies when it is read."""

    def read(self) -> Piece | None:
        """Return the whole of it; None when it would have to be waited for, is damaged, or gone."""
        ...


class Store(Protocol):
    """Where stored responses are kept."""

    async def lookup(self, key: bytes) -> Sequence[StoredResponse]:
        """Return the stored responses of `key`, the newest response first; a damaged one is left out, never raised."""
        ...

    def lookup_nowait(self, key: bytes) -> Sequence[StoredResponse] | None:
        """Return what `lookup` would, if it would not wait and nothing is damaged; None otherwise."""
        ...

    def read_nowait(self, stored: StoredResponse) -> bytes | None:
        """Return the whole of a small content if it can be had without waiting, and is not damaged; None otherwise."""
        ...

    def generation(self) -> bytes:
        """Return a generation that was never used before."""
        ...

    def keep(self, stored: StoredResponse, content: bytes) -> bool:
        """Store a whole response of a new generation without waiting, as a writer would; False when only one can.

        StoreError: it was not stored.
        """
        ...

    def open(self, stored: StoredResponse, start: int, end: int) -> Closable:
        """Return the octets [start, end), which `stored.ranges` holds.

        Reading raises StoreDamaged when they are gone or fail their checksum; the response is then quarantined.
        """
        ...

    async def writer(
        self,
        key: bytes,
        *,
        length: int | None,
        extends: StoredResponse | None = None,
        start: int = 0,
        pinned: bool = False,
    ) -> Writer:
        """Begin to store content of `length` octets (None: not known) from offset `start` on.

        With `extends`, the content is added to that response's generation; its own octets stay readable.  What is
        `pinned` is never reclaimed.

        Raises:
            StoreFull: it does not fit, or the disk does not take anything at present.
        """
        ...

    def put(self, stored: StoredResponse) -> None:
        """Replace the head of a stored response, its content unchanged.  StoreError: the old head stays."""
        ...

    async def pin(self, key: bytes, generation: bytes, *, pinned: bool = True) -> bool:
        """Let a stored response never be reclaimed, or be as any other again; return whether it is there.

        StoreFull: there is no room for more pinned content, or nothing is stored at present.
        """
        ...

    async def flush(self) -> None:
        """Return once all that was stored so far survives the end of the process; StoreError when it does not."""
        ...

    def token(self, key: bytes) -> Token | None:
        """Return what says for how long `lookup` of `key` finds the same; None when that is not in memory."""
        ...

    def watch(self, key: bytes, found: Sequence[StoredResponse]) -> Token | None:
        """Return what says for how long `lookup` of `key` finds what `lookup_nowait` has just `found`.

        Unlike `token`, it outlasts the room for them in memory.  None when nobody can say.
        """
        ...

    def again(self, stored: StoredResponse) -> "Again | None":
        """Return what reads the whole of a small content again and again; None when it is not small."""
        ...

    def at_hand(self, stored: StoredResponse) -> bytes | None:
        """Return the whole content when it is in memory, None otherwise."""
        ...

    def visit(self, stored: StoredResponse) -> None:
        """Note that `stored` was used without being looked up."""
        ...

    async def remove(self, key: bytes, generation: bytes | None = None) -> int:
        """Make one generation, or all stored responses of `key`, unfindable; return how many heads there were."""
        ...


class Published(Protocol):
    """What was published on the node: it is served without a look into the store, or at the origin."""

    @property
    def sites(self) -> Collection[str]:
        """The names of the sites of which something is published."""
        ...

    def covers(self, site: str, path: bytes) -> bool:
        """Return whether something is published at a path of a site."""
        ...

    def find(self, site: str, request: Request) -> StoredResponse | None:
        """Return what is published for a request."""
        ...

    def at_hand(self, stored: StoredResponse) -> bytes | None:
        """Return the whole content when it is in memory, None otherwise."""
        ...

    def open(self, stored: StoredResponse, start: int, end: int) -> Closable:
        """Return the octets [start, end); reading raises StoreDamaged when they are gone, or not what was pushed."""
        ...


class SharedEpoch(Protocol):
    """The id of the newest purge that any process of the node has acknowledged."""

    epoch: int


class Purges(Protocol):
    """What was purged on this node.

    Attributes:
        shared: read on every hit; once it differs from the epoch at hand, `current` is to be asked.
    """

    shared: SharedEpoch

    def current(self) -> int:
        """Take in every purge acknowledged so far and return the id of the newest, the epoch."""
        ...

    def verdict(self, key: bytes, epoch: int, labels: Labels) -> Verdict | None:
        """Return whether a response for `key`, whose fetch began at `epoch`, was purged since; hard beats soft."""
        ...

    def may_hit(self, key: bytes, epoch: int) -> bool:
        """Return whether a response for `key` whose tags are not known yet may have been purged since `epoch`."""
        ...

    async def purge(self, mode: Mode, selectors: tuple[Selector, ...], now: float) -> Purge:
        """Purge, at `now` in seconds, for every request that starts once this has returned.

        PurgeNotWritten: it did not happen.
        """
        ...


class Challenges(Protocol):
    """What certificate authorities ask this node for by plain HTTP (RFC 8555 §8.3)."""

    def key_authorization(self, token: bytes) -> bytes | None:
        """Return what is to be found under `token`, None when that is no challenge of ours."""
        ...


class Ring(Protocol):
    """The other workers of the node: each key has an owner among them, which fills, validates and writes."""

    def owner(self, key: bytes) -> Upstream | None:
        """Return the way to the owner of `key`, None when that is this worker."""
        ...

    async def invalidate(self, key: bytes) -> None:
        """Have the owner of `key` forget what is stored under it, and return when nobody finds it any more."""
        ...


@immutable(frozen=True, slots=True)
class Record:
    """What telemetry is told of one exchange when it is over.

    Attributes:
        request: the request head, None when it could not be parsed.
        status: the status sent, 499 when the client left before there was one.
        trace: the ordered tokens of the exchange, for example ("lookup", "stale", "validate", "freshen", "deliver").
        cache_status: the Cache-Status member of this node, or b"" when the cache was not asked.
        outcome: nginx's word: HIT MISS BYPASS EXPIRED STALE REVALIDATED, or "-".
        detail: the reason token behind the outcome, or "".
        client: address of the client.
        site: the name of the site that answered, or "".
        bytes_out: octets of content sent to the client.
        began: wall clock at which the request head was complete, seconds.
        seconds: from then to the end of the response.
        first_byte_seconds: from then to the response head.
        origin_seconds: from sending the request upstream to its response head, None without one.
        origin_status: the origin's status, None without one.
        complete: whether the response was sent whole.
    """

    request: Request | None
    status: int
    trace: tuple[str, ...]
    cache_status: bytes
    outcome: str
    detail: str
    client: str
    site: str
    bytes_out: int
    began: float
    seconds: float
    first_byte_seconds: float
    origin_seconds: float | None
    origin_status: int | None
    complete: bool


class Telemetry(Protocol):
    """Who is told what happened; never waits, never raises."""

    def exchange_ended(self, record: Record) -> None:
        """Count and log one exchange."""
        ...

    def relayed(self, record: Record) -> None:
        """Count what an exchange for another worker, which tells of the exchange itself, asked of the origin."""
        ...

    def count(self, counter: str, amount: int = 1) -> None:
        """Add to a named counter."""
        ...

    def coded(self, coding: bytes, octets_in: int, octets_out: int) -> None:
        """Count a content that was made in `coding`, `identity` for one that was decoded, with its octets."""
        ...


#: Age and remaining lifetime in whole seconds: all that changes in a ready answer.
Second = tuple[int, int]


class ReadyAnswer(Protocol):
    """The whole answer to a plain GET request, at hand for as long as it is what the exchange would answer.

    Attributes:
        body: its content, None when that is read whenever it is asked for; it may change whenever the head is made.
        length: octets of the content.
    """

    body: bytes | None
    length: int

    def read(self) -> Piece | None:
        """Return a content that is not at hand; None when the full path must.

        It is a memoryview if it was read for the one who asks, bytes if it is kept for others too.
        """
        ...

    def keeps(self) -> bool:
        """Let go of a content that the store has let go of; return whether there is an answer still."""
        ...

    def second(self, now: float) -> Second | None:
        """Return what the answer says at `now`, None when it is the answer no longer."""
        ...

    def head(self, second: Second) -> Response:
        """Return the head as it is in that second."""
        ...

    def record(self, request: Request, client: str, now: float) -> Record:
        """Return what telemetry is told when `client` was given it."""
        ...
