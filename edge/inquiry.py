"""A worker answers questions about requests: what would happen to one, and what happened to the last ones."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice, takewhile

from edge.control.inquiries import (
    FIELDS,
    PAST,
    AboutLog,
    AboutPushed,
    AboutRequest,
    AboutTop,
    Answer,
    Explained,
    Held,
    Leader,
    Leaders,
    Lines,
    Refused,
    Step,
    Told,
    encode,
    question_of,
    row_of,
)
from edge.errors import ParseError
from edge.exchange.explaining import Explaining
from edge.exchange.pushing import Pushing
from edge.ports import Record
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request
from edge.semantics.target import Target, parse_authority, parse_uri
from edge.telemetry.lines import Line, name_of, printable
from edge.telemetry.query import Accepts, QueryError, parse
from edge.telemetry.recorder import Recorder


class Inquiry:
    """Answers for one worker."""

    def __init__(
        self, explaining: Explaining, pushing: Pushing, recorder: Recorder, line_of: Callable[[Record], Line]
    ) -> None:  # fmt: skip
        """Explain with `explaining`; of what `recorder` remembers, tell what `line_of` makes of it."""
        self._explaining, self._pushing, self._recorder, self._line_of = explaining, pushing, recorder, line_of

    async def answer(self, raw: bytes) -> bytes:
        """Return the answer to a question."""
        match question_of(raw):
            case AboutLog() as question:
                return encode(self._log(question))
            case AboutRequest() as question:
                return encode(await self._explain(question))
            case AboutTop() as question:
                return encode(self._top(question))
            case AboutPushed(objects=objects):
                return encode(Held([place for place, each in enumerate(objects) if await self._pushing.holds(*each)]))

    def _log(self, question: AboutLog) -> Answer:
        try:
            accepts = parse(question.query, FIELDS)
        except QueryError as error:
            return Refused(f"{error}")
        self._recorder.settle()
        ring = self._recorder.ring
        if question.known is not None:
            return self._since(question, set(question.known), accepts)
        lines = filter(lambda line: accepts(row_of(line)), map(self._line_of, ring))
        return Lines(list(islice(lines, question.count)))

    def _since(self, question: AboutLog, known: set[str], accepts: Accepts) -> Lines:
        """Return what has come since one of the exchanges that are `known` was the newest."""
        ring = self._recorder.ring
        fresh = list(takewhile(lambda record: name_of(record) not in known, ring))
        lines = filter(lambda line: accepts(row_of(line)), map(self._line_of, fresh))
        newest = [name_of(record) for record in islice(ring, 1)]
        # A worker that is new has not known any of these; one that has forgotten the last one is full.
        return Lines(list(islice(lines, question.count)), newest, bool(known) and len(fresh) == ring.capacity)

    def _top(self, question: AboutTop) -> Leaders:
        self._recorder.settle()
        return Leaders([
            Leader(printable(host), printable(path), weight, excess)
            for (host, path), weight, excess in self._recorder.top.heaviest(question.by, question.count)
        ])  # fmt: skip

    async def _explain(self, question: AboutRequest) -> Answer:
        try:
            request = request_of(question)
        except (ParseError, UnicodeEncodeError):
            return Refused("this is not a URL with fields that a client could send")
        told = await self._explaining.explain(request)
        self._recorder.settle()
        past = self._recorder.ring.select(PAST, lambda record: _is_like(record, request.target))
        return Explained(
            Told(
                outcome=told.outcome,
                fwd=told.fwd,
                detail=told.detail,
                sentence=told.sentence,
                steps=[Step(step.name, step.finding, step.rule) for step in told.steps],
                remedies=told.remedies,
                past=[self._line_of(record) for record in past],
                is_owner=told.is_owner,
                site=told.site,
            )
        )


def request_of(question: AboutRequest) -> Request:
    """Return the request that is asked about.

    Raises:
        ParseError: no client could send it.
    """
    target = parse_uri(question.url.encode("ascii"))
    fields = FieldSection.checked((name.encode("ascii"), value.encode("latin-1")) for name, value in question.fields)
    host = fields.get(b"host")
    if host is not None:
        target = replace(target, authority=parse_authority(host, target.scheme))
    return Request(question.method.encode("ascii"), target, fields)


def _is_like(record: Record, target: Target) -> bool:
    return record.request is not None and record.request.target == target
