"""Answers that need no deciding: a request seen before, octet by octet, gets the bytes made for it.

One parsed head stands for all requests with the same octets, so a look-up of what arrived replaces parsing; in HTTP/2,
the octets are those that `http2.request` makes of a header block.  What the
answer is, and how long, is the exchange's to say; this puts it on the wire, made anew once for each second of its age.
"""

from collections import OrderedDict
from collections.abc import Callable

from edge.clock import Clock
from edge.downstream.head import Head
from edge.downstream.http2.encoding import final_block
from edge.downstream.response import final_head, last_head
from edge.ports import Piece, ReadyAnswer, Second
from edge.rounds import Rounds
from edge.semantics.messages import Request, Response

#: Returns the ready answer to a request, None when there is none.
Find = Callable[[Request], ReadyAnswer | None]
#: Told of each answer given: the answer, the request, the client, and the time.
Told = Callable[[ReadyAnswer, Request, str, float], None]

#: Returns a head as it goes out, with the length of the content and where the time is to be had.
Render = Callable[[Response, int, Callable[[], bytes]], bytes]

# Longer heads are rarely repeated; so many of them are remembered, with so many octets.
_LONGEST, _HEADS, _OCTETS = 2048, 16384, 8 << 20
# Head and content up to this together are written as one piece, in HTTP/1.1.
_JOIN = 16 << 10


class Last(tuple[Piece, ...]):
    """What is written of an answer that ends its connection."""

    __slots__ = ()


class _Rendered:
    """An answer as it goes out in one second of its age.

    Attributes:
        answer: what it is.
        render: how its head is made.
        heads: the request heads that get it.
    """

    __slots__ = ("_head", "_joins", "_pieces", "_second", "answer", "heads", "render")

    def __init__(self, answer: ReadyAnswer, render: Render) -> None:
        self.render = render
        self.answer = answer
        self.heads: set[bytes] = set()
        self._second: Second | None = None
        self._joins = render is not final_block and answer.length <= _JOIN
        # With the content, unless that has to be read.
        self._pieces: tuple[Piece, ...] | None = ()
        self._head = b""

    def at(self, now: float, date: Callable[[], bytes]) -> tuple[Piece, ...] | None:
        """Return what to write at `now`; None when the full path must answer."""
        answer = self.answer
        second = answer.second(now)
        if second is None:
            return None
        if second != self._second:
            head = self.render(answer.head(second), answer.length, date)
            self._pieces, self._head = None if answer.body is None else self._with(head, answer.body), head
            self._second = second
        if self._pieces is not None:
            return self._pieces
        body = answer.read()
        return None if body is None else self._with(self._head, body)

    def _with(self, head: bytes, body: Piece) -> tuple[Piece, ...]:
        pieces = (b"".join((head, body)),) if self._joins else (head, body)
        return Last(pieces) if self.render is last_head else pieces

    def keeps(self) -> bool:
        """Let go of a content that the store has let go of; return whether there is an answer still."""
        answer = self.answer
        if not answer.keeps():
            return False
        if self._pieces is not None and answer.body is None:
            self._pieces = None
        return True


class ReadyTable:
    """The ready answers that this listener's clients have had."""

    def __init__(
        self,
        find: Find,
        told: Told,
        clock: Clock,
        *,
        named: Told | None = None,
        swept: Callable[[], None] = lambda: None,
    ) -> None:
        """Look answers up with `find`.

        `named` is told instead of `told` when a client gives a request an id that it has not given before; `swept` is
        called whenever this forgets what is no longer an answer.
        """
        self._find = find
        self._swept = swept
        self._told = told
        self._named = named or told
        self._clock = clock
        self._by_head = OrderedDict[bytes, tuple[_Rendered, Request]]()
        self._octets = 0
        self._rounds = Rounds[tuple[tuple[ReadyAnswer, Render], _Rendered]]()
        self._rendered: dict[tuple[ReadyAnswer, Render], _Rendered] = {}

    @property
    def heads(self) -> int:
        """How many request heads are remembered."""
        return len(self._by_head)

    def by_octets(self, raw: bytes, client: str, date: Callable[[], bytes]) -> tuple[Piece, ...] | None:
        """Return what to write for a head that was answered before, None when it must be parsed."""
        entry = self._by_head.get(raw)
        if entry is None:
            return None
        rendered, request = entry
        now = self._clock.now()
        pieces = rendered.at(now, date)
        if pieces is not None:
            self._told(rendered.answer, request, client, now)
        elif rendered.answer.second(now) is None:
            self._drop((rendered.answer, rendered.render))
        return pieces

    def by_request(self, raw: bytes, head: Head, client: str, date: Callable[[], bytes]) -> tuple[Piece, ...] | None:
        """Return what to write for a parsed head, None when the full path must answer; remembers its octets."""
        if (answer := self._find(head.request)) is None:
            return None
        render = final_block if head.request.version >= (2, 0) else last_head if head.wants_close else final_head
        rendered = self._rendered.get((answer, render))
        if rendered is None:
            rendered = self._rendered[answer, render] = _Rendered(answer, render)
        now = self._clock.now()
        pieces = rendered.at(now, date)
        if pieces is None:
            if answer.second(now) is None:
                self._drop((answer, render))
            return None
        if len(raw) <= _LONGEST and raw not in self._by_head:
            while len(self._by_head) >= _HEADS or self._octets > _OCTETS:
                self._forget_oldest()
            self._by_head[raw] = (rendered, head.request)
            rendered.heads.add(raw)
            self._octets += len(raw)
        told = self._named if b"x-request-id" in head.request.fields else self._told
        told(answer, head.request, client, now)
        return pieces

    def sweep(self) -> None:
        """Forget what is no longer the answer, some at a time, so that its content is not kept in memory for it."""
        now = self._clock.now()
        for key, rendered in self._rounds.next(self._rendered.items()):
            if rendered.answer.second(now) is None or not rendered.keeps():
                self._drop(key)
        self._swept()

    def _drop(self, key: tuple[ReadyAnswer, Render]) -> None:
        rendered = self._rendered.pop(key, None)
        if rendered is not None:
            for raw in rendered.heads:
                del self._by_head[raw]
                self._octets -= len(raw)
            rendered.heads.clear()

    def _forget_oldest(self) -> None:
        raw, (rendered, _) = self._by_head.popitem(last=False)
        rendered.heads.discard(raw)
        self._octets -= len(raw)
