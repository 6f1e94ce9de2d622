"""Cache-Control by rule: the first pattern that matches the path decides.

In a pattern `*` stands for any characters but "/", `**` for any characters.  A pattern without "/" is matched against
the last segment alone.  A final `?name` asks for that parameter in the query: `*?v` is every versioned target.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache

_YEAR = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Rule:
    """Targets that match the pattern `match` are sent with `cache_control`."""

    match: str
    cache_control: str


API_RULES = (
    Rule("/api/time", "public, max-age=5"),
    Rule("/api/hello", "public, max-age=60"),
    Rule("/hello", "public, max-age=60"),
    Rule("/api/**", "private, no-store"),
    Rule("/large.bin", "public, max-age=3600"),
    Rule("/bytes", "public, max-age=60"),
    Rule("/bytes/**", "public, max-age=60"),
)
SITE_RULES = (
    Rule("*.html", "public, max-age=60, stale-while-revalidate=30"),
    Rule("/assets/**", _YEAR),
    Rule("*?v", _YEAR),
    Rule("/images/**", "public, max-age=86400"),
    Rule("*.svg", "public, max-age=86400"),
    Rule("**", "public, max-age=300"),
)


def cache_control(rules: Iterable[Rule], path: str, parameters: Collection[str]) -> str | None:
    """Return the Cache-Control value of the first rule that matches, or None.

    Args:
        rules: in order of precedence.
        path: the decoded path; one that ends in "/" is taken as its index.html.
        parameters: the names of the query's parameters.
    """
    if path.endswith("/"):
        path += "index.html"
    for rule in rules:
        pattern, _, parameter = rule.match.partition("?")
        subject = path if "/" in pattern else path.rpartition("/")[2]
        if _compiled(pattern).fullmatch(subject) and (not parameter or parameter in parameters):
            return rule.cache_control
    return None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    pieces = re.split(r"(\*+)", pattern)
    wild = {"*": "[^/]*"}
    return re.compile("".join(wild.get(p, ".*") if p.startswith("*") else re.escape(p) for p in pieces), re.DOTALL)
