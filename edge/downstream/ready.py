"""Answers that need no deciding: a request seen before, octet by octet, gets the bytes made for it.

One parsed head stands for all requests with the same octets, so a look-up of what arrived replaces parsing; in HTTP/2,
the octets are those that `http2.request` makes of a header block.  What the
answer is, and how long, is the exchange's to say; this puts it on the wire, made anew once for each second of its age.
"""

from collections.abc import Callable

from edge.clock import Clock
from edge.downstream.head import Head
from edge.downstream.http2.encoding import final_block
from edge.downstream.response import final_head
from edge.ports import ReadyAnswer, Second
from edge.semantics.messages import Request, Response

#: Returns the ready answer to a request, None when there is none.
Find = Callable[[Request], ReadyAnswer | None]
#: Told of each answer given: the answer, the request, the client, and the time.
Told = Callable[[ReadyAnswer, Request, str, float], None]

#: Returns an answer as it goes out: its head, its content, and where the time is to be had.
Render = Callable[[Response, bytes, Callable[[], bytes]], tuple[bytes, ...]]

# Longer heads are rarely repeated, and so many of them are remembered.
_LONGEST, _HEADS = 2048, 4096
# Head and content up to this together are written as one piece.
_JOIN = 16 << 10


def http1_pieces(head: Response, body: bytes, date: Callable[[], bytes]) -> tuple[bytes, ...]:
    """Return an answer in HTTP/1.1."""
    written = final_head(head, len(body), date)
    return (written + body,) if len(body) <= _JOIN else (written, body)


def http2_pieces(head: Response, body: bytes, date: Callable[[], bytes]) -> tuple[bytes, ...]:
    """Return the header block and the content of an answer in HTTP/2."""
    return final_block(head, len(body), date), body


class _Rendered:
    """An answer as it goes out in one second of its age."""

    __slots__ = ("answer", "pieces", "render", "second")

    def __init__(self, answer: ReadyAnswer, render: Render) -> None:
        self.render = render
        self.answer = answer
        self.second: Second | None = None
        self.pieces: tuple[bytes, ...] = ()

    def at(self, now: float, date: Callable[[], bytes]) -> tuple[bytes, ...] | None:
        second = self.answer.second(now)
        if second is None:
            return None
        if second != self.second:
            self.pieces = self.render(self.answer.head(second), self.answer.body, date)
            self.second = second
        return self.pieces


class ReadyTable:
    """The ready answers that this listener's clients have had."""

    def __init__(self, find: Find, told: Told, clock: Clock, *, swept: Callable[[], None] = lambda: None) -> None:
        """Look answers up with `find`; `swept` is called whenever this forgets what is no longer an answer."""
        self._find = find
        self._swept = swept
        self._told = told
        self._clock = clock
        self._by_head: dict[bytes, tuple[_Rendered, Request]] = {}
        self._rendered: dict[tuple[ReadyAnswer, Render], _Rendered] = {}

    @property
    def heads(self) -> int:
        """How many request heads are remembered."""
        return len(self._by_head)

    def by_octets(self, raw: bytes, client: str, date: Callable[[], bytes]) -> tuple[bytes, ...] | None:
        """Return what to write for a head that was answered before, None when it must be parsed."""
        entry = self._by_head.get(raw)
        if entry is None:
            return None
        rendered, request = entry
        now = self._clock.now()
        pieces = rendered.at(now, date)
        if pieces is None:
            del self._by_head[raw]
            self._rendered.pop((rendered.answer, rendered.render), None)
        else:
            self._told(rendered.answer, request, client, now)
        return pieces

    def by_request(self, raw: bytes, head: Head, client: str, date: Callable[[], bytes]) -> tuple[bytes, ...] | None:
        """Return what to write for a parsed head, None when the full path must answer; remembers its octets."""
        if head.wants_close or (answer := self._find(head.request)) is None:
            return None
        render = http1_pieces if head.request.version < (2, 0) else http2_pieces
        rendered = self._rendered.get((answer, render))
        if rendered is None:
            rendered = self._rendered[answer, render] = _Rendered(answer, render)
        now = self._clock.now()
        pieces = rendered.at(now, date)
        if pieces is None:
            del self._rendered[answer, render]
            return None
        if len(raw) <= _LONGEST:
            if len(self._by_head) >= _HEADS:
                del self._by_head[next(iter(self._by_head))]
            self._by_head[raw] = (rendered, head.request)
        self._told(answer, head.request, client, now)
        return pieces

    def sweep(self) -> None:
        """Forget what is no longer the answer, so that its content is not kept in memory for it."""
        now = self._clock.now()
        gone = {answer for answer, _ in self._rendered if not answer.is_held or answer.second(now) is None}
        self._rendered = {key: rendered for key, rendered in self._rendered.items() if key[0] not in gone}
        if gone:
            self._by_head = {raw: entry for raw, entry in self._by_head.items() if entry[0].answer not in gone}
        self._swept()
