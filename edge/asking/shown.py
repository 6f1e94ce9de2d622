"""What the commands that ask a node print for people."""

from collections.abc import Iterator
from typing import Any

from edge.control.inquiries import Told
from edge.telemetry.lines import Line

_OUTCOMES = {
    "hit": "HIT: it would be answered from what is stored",
    "stale-hit": "STALE HIT: it would be answered from what is stored, though that is stale",
    "forward": "MISS: it would go to the origin",
    "refused": "REFUSED: neither the cache nor the origin would be asked",
}
_PAGE = "docs/reference/reasons.md"


def explanation(told: Told, url: str) -> str:
    """Return an explanation of a request for `url` as text."""
    return "".join(f"{line}\n" for line in _explanation(told, url))


def _explanation(told: Told, url: str) -> Iterator[str]:
    sentence = f"; {told.sentence}" if told.sentence else ""
    yield f"{url}\n{_OUTCOMES.get(told.outcome, told.outcome)}{sentence}\n"
    width = max((len(step.name) for step in told.steps), default=0)
    for step in told.steps:
        yield f"  {step.name:<{width}}  {step.finding}" + (f"  [{step.rule}]" if step.rule else "")
    if told.remedies:
        yield "\nFor a hit:"
        yield from (f"  - {remedy}" for remedy in told.remedies)
    if told.past:
        yield "\nThe last requests for this URL, the newest first:"
        yield from (f"  {line(each)}" for each in told.past)
    tokens = [token for token in (told.detail, told.fwd) if token]
    if tokens:
        yield "\nMore: " + ", ".join(f"{_PAGE}#{token}" for token in tokens)


def line(told: Line) -> str:
    """Return an exchange on one line."""
    query = "" if told.query is None else f"?{told.query}"
    reason = f" {told.reason}" if told.reason else ""
    origin = f", origin {told.origin_status} in {told.origin_ms:g} ms" if told.origin_ms is not None else ""
    called = f" [{told.req_id}]" if told.req_id else ""
    cut = ", incomplete" if not told.complete else ""
    return (
        f"{told.ts} {told.id} {told.client_ip} {told.method} {told.host}{told.path}{query} {told.status} {told.cache}"
        f"{reason} {told.bytes_out} B in {told.dur_ms:g} ms{origin}{cut}{called}"
    )


def purge(told: dict[str, Any], seconds: float) -> str:
    """Return what a purge that took so long has done, or would have, as text."""
    names = ", ".join(f"{one['kind']} {one['value']}".rstrip() for one in told["selectors"])
    if "count" in told:
        count = f"{told['count']}{'' if told['is_complete'] else ' or more'}"
        return "".join(
            [f"nothing was purged; stored and named by {names}: {count}\n", *(f"  {url}\n" for url in told["samples"])]
        )
    return f"done on {told['node']} in {seconds * 1000:.1f} ms: {names} is now {told['effect']} (purge {told['id']})\n"


def numbers(stats: dict[str, Any]) -> str:
    """Return the numbers of a node as text."""
    return "".join(f"{name:<32} {_number(value)}\n" for name, value in _numbers(stats, ""))


def _number(value: object) -> str:
    if value is None:
        return "-"
    return str(round(value, 4) if isinstance(value, float) else value)


def _numbers(stats: dict[str, Any], prefix: str) -> Iterator[tuple[str, object]]:
    for name, value in stats.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            for each in value:
                if isinstance(each, dict):
                    yield from _numbers(each, f"{prefix}{name}.{each.get('name', '')}.")
        else:
            yield f"{prefix}{name}", value
