"""A worker answers questions about requests: what would happen to one, and what happened to the last ones."""

from collections.abc import Callable

from edge.control.inquiries import (
    FIELDS,
    PAST,
    AboutLog,
    AboutRequest,
    Answer,
    Explained,
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
from edge.ports import Record
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request
from edge.semantics.target import DEFAULT_PORTS, Target, parse_target
from edge.telemetry.lines import Line
from edge.telemetry.query import QueryError, parse
from edge.telemetry.recorder import Recorder


class Inquiry:
    """Answers for one worker."""

    def __init__(self, explaining: Explaining, recorder: Recorder, line_of: Callable[[Record], Line]) -> None:
        """Explain with `explaining`; of what `recorder` remembers, tell what `line_of` makes of it."""
        self._explaining, self._recorder, self._line_of = explaining, recorder, line_of

    async def answer(self, raw: bytes) -> bytes:
        """Return the answer to a question."""
        match question_of(raw):
            case AboutLog() as question:
                return encode(self._log(question))
            case AboutRequest() as question:
                return encode(await self._explain(question))

    def _log(self, question: AboutLog) -> Answer:
        try:
            accepts = parse(question.query, FIELDS)
        except QueryError as error:
            return Refused(f"{error}")
        self._recorder.settle()
        found = []
        for record in self._recorder.ring:
            line = self._line_of(record)
            if accepts(row_of(line)):
                found.append(line)
                if len(found) == question.count:
                    break
        return Lines(found)

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
            )
        )


def request_of(question: AboutRequest) -> Request:
    """Return the request that is asked about.

    Raises:
        ParseError: no client could send it.
    """
    scheme, separator, rest = question.url.encode("ascii").partition(b"://")
    if not separator or scheme not in DEFAULT_PORTS:
        raise ParseError("a URL begins with http:// or https://")
    authority, slash, path = rest.partition(b"/")
    method = question.method.encode("ascii")
    target = parse_target(method, (slash + path).partition(b"#")[0] or b"/", authority, scheme=scheme)
    fields = FieldSection.checked((name.encode("ascii"), value.encode("latin-1")) for name, value in question.fields)
    host = fields.get(b"host")
    if host is not None:
        target = parse_target(method, (slash + path).partition(b"#")[0] or b"/", host, scheme=scheme)
    return Request(method, target, fields)


def _is_like(record: Record, target: Target) -> bool:
    return record.request is not None and record.request.target == target
