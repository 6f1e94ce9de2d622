"""What is asked of the workers, and what they answer."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from edge import reasons
from edge.caching.reuse import Fwd
from edge.supervisor.faults import Unanswered
from edge.telemetry.lines import Line
from edge.telemetry.top import CAPACITY, By

#: Asks every worker that serves, and returns what each answers.
AskWorkers = Callable[[bytes], Awaitable[Sequence[bytes]]]
#: Returns a rule with the place of the setting that it names, for a site.
Placed = Callable[[str, str], str]


class AboutRequest(msgspec.Struct, frozen=True, tag="request"):
    """What would happen to a request now; the URL is absolute."""

    url: str
    method: str
    fields: list[tuple[str, str]]


class AboutLog(msgspec.Struct, frozen=True, tag="log"):
    """Which of the last exchanges a query accepts, the newest `count` of them; see `telemetry.query`.

    Attributes:
        known: who follows gives what `newest` was the last time, and is told only what has come since; None otherwise.
    """

    query: str
    count: int
    known: list[str] | None = None


class AboutPushed(msgspec.Struct, frozen=True, tag="pushed"):
    """Which of these keys are there with that entity tag, as they were pushed."""

    objects: list[tuple[bytes, bytes]]


class AboutTop(msgspec.Struct, frozen=True, tag="top"):
    """Which `count` URLs lead by a measure."""

    by: By
    count: int


Question = AboutRequest | AboutLog | AboutPushed | AboutTop


class Step(msgspec.Struct, frozen=True):
    """One decision: what it is called, what was found, and the rule behind it."""

    name: str
    finding: str
    rule: str


class Told(msgspec.Struct):
    """What would happen to a request, and what happened to those like it.

    Attributes:
        outcome: "hit", "stale-hit", "forward" or "refused".
        fwd: why it would go forward (RFC 9211 §2.2).
        detail: the token behind that.
        sentence: the same in words.
        steps: the decisions in their order.
        remedies: what would have to change for a hit.
        past: the last requests for the same URL, the newest first.
        is_owner: whether the worker that says so fills and validates the key.
        site: the name of the site that answers, empty without one.
    """

    outcome: str
    fwd: str
    detail: str
    sentence: str
    steps: list[Step]
    remedies: list[str]
    past: list[Line]
    is_owner: bool
    site: str


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The question cannot be answered, for a reason that is a sentence."""

    reason: str


class Lines(msgspec.Struct, frozen=True, tag="lines", omit_defaults=True):
    """Exchanges, the newest first.

    Attributes:
        newest: for who follows, the last exchange of each worker, whether the query accepts it or not.
        has_gap: whether more came since than a worker remembers.
    """

    lines: list[Line]
    newest: list[str] = []
    has_gap: bool = False


class Explained(msgspec.Struct, frozen=True, tag="explained"):
    """An explanation."""

    told: Told


class Held(msgspec.Struct, frozen=True, tag="held"):
    """The places of those that are there."""

    places: list[int]


class Leader(msgspec.Struct, frozen=True):
    """A URL without its query and its weight, which is too high by `excess` at most."""

    host: str
    path: str
    weight: int
    excess: int


class Leaders(msgspec.Struct, frozen=True, tag="leaders"):
    """The URLs that lead, the first first."""

    leaders: list[Leader]


Answer = Refused | Lines | Explained | Held | Leaders

encode = msgspec.msgpack.Encoder().encode
_decode_question: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)
_decode_answer: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)
#: So many of the requests before are told with an explanation; so many URLs of those that lead, at most.
PAST, MOST_LEADERS = 5, CAPACITY


def question_of(raw: bytes) -> Question:
    """Return what is asked."""
    return _decode_question.decode(raw)


class Inquiries:
    """Asks the workers, and makes one answer of theirs."""

    def __init__(self, ask: AskWorkers, placed: Placed = lambda rule, _site: rule) -> None:
        self._ask, self._placed = ask, placed

    async def explain(self, question: AboutRequest) -> Told:
        """Return what would happen to a request; Unanswered when that cannot be said."""
        answers = [answer.told for answer in await self._answers(question) if isinstance(answer, Explained)]
        told = next((answer for answer in answers if answer.is_owner), answers[0])
        told.past = _newest([line for answer in answers for line in answer.past], PAST)
        if told.fwd == Fwd.URI_MISS and told.past and (last := told.past[0].reason) in reasons.DETAILS:
            # Why nothing is stored.
            reason = reasons.DETAILS[last]
            told.steps.append(Step("last answer", f"{last}: {reason.sentence}", reason.rule))
            told.remedies = [reason.remedy] if reason.remedy else []
        told.steps = [Step(step.name, step.finding, self._placed(step.rule, told.site)) for step in told.steps]
        return told

    async def log(self, question: AboutLog) -> Lines:
        """Return exchanges; Unanswered when the query cannot be understood."""
        answers = [answer for answer in await self._answers(question) if isinstance(answer, Lines)]
        return Lines(
            _newest([line for answer in answers for line in answer.lines], question.count),
            [name for answer in answers for name in answer.newest],
            any(answer.has_gap for answer in answers),
        )

    async def top(self, question: AboutTop) -> Leaders:
        """Return which URLs lead on the node; Unanswered when nobody says."""
        # What leads on the node need not lead on every worker.
        asked = AboutTop(question.by, MOST_LEADERS)
        answers = [answer for answer in await self._answers(asked) if isinstance(answer, Leaders)]
        sums: dict[tuple[str, str], tuple[int, int]] = {}
        for each in (each for answer in answers for each in answer.leaders):
            weight, excess = sums.get((each.host, each.path), (0, 0))
            sums[each.host, each.path] = weight + each.weight, excess + each.excess
        leaders = [Leader(*url, *weighed) for url, weighed in sums.items()]
        return Leaders(sorted(leaders, key=lambda leader: leader.weight, reverse=True)[: question.count])

    async def held(self, objects: list[tuple[bytes, bytes]]) -> set[int]:
        """Return which of some keys and entity tags were pushed and are there; Unanswered when nobody says."""
        answers = await self._answers(AboutPushed(objects))
        return {place for answer in answers if isinstance(answer, Held) for place in answer.places}

    async def _answers(self, question: Question) -> list[Answer]:
        answers = [_decode_answer.decode(raw) for raw in await self._ask(encode(question))]
        for answer in answers:
            if isinstance(answer, Refused):
                raise Unanswered(answer.reason)
        if not answers:
            raise Unanswered("no worker answers at present")
        return answers


def row_of(line: Line) -> dict[str, Any]:
    """Return a line as the query language sees it."""
    return {name: getattr(line, name) for name in line.__struct_fields__}


#: What a query may ask about.
FIELDS = frozenset(Line.__struct_fields__)


def _newest(lines: list[Line], count: int) -> list[Line]:
    return sorted(lines, key=lambda line: line.ts, reverse=True)[:count]
