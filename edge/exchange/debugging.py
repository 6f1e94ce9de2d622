"""The field Edge-Debug: a request that carries a token which may read gets the decisions about it as fields of its answer."""

from edge.exchange.explaining import Explanation, Step
from edge.semantics.fields import Line

#: What asks in a request and tells in a response; it goes no further than this node.
DEBUG = b"edge-debug"
# So many decisions are told, each in so many octets at most.
_MOST, _LONGEST = 32, 512


def debug_lines(told: Explanation) -> list[Line]:
    """Return an explanation as a structured list (RFC 9651 §3.1), one member a line: its name, what was found, the rule."""
    steps = [*told.steps, *(Step("for-a-hit", remedy) for remedy in told.remedies)]
    if len(steps) > _MOST:
        # What is many are variants: the first steps say what was asked for, the last what came of it.
        half = _MOST // 2
        steps = [*steps[: half - 1], Step("omitted", f"{len(steps) - _MOST + 1} steps"), *steps[-half:]]
    return [(DEBUG, _member(step)) for step in steps]


def _member(step: Step) -> bytes:
    rule = f"; rule={_string(step.rule)}" if step.rule else ""
    return f"{step.name}; finding={_string(step.finding)}{rule}".encode("ascii")


def _string(text: str) -> str:
    r"""Return `text` as a String (RFC 9651 §3.3.3), which has printable ASCII only; other characters are spelt \xNN."""
    printable = text.replace("§", "section ").encode("ascii", "backslashreplace").decode("ascii")
    shown = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in printable)[:_LONGEST]
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'
