"""Results of http-cache-tests in words: the counts, the lists, and docs/conformance.md."""

from collections.abc import Iterator, Mapping
from typing import TypedDict

from tests.conformance.expected import EXPECTED

KINDS = ("required", "optimal", "check")
PASSED = frozenset({"pass", "yes"})

_HEAD = """\
# Conformance

Made by `make conformance` from a run of http-cache-tests 0.4.5, the public test suite for HTTP caches, with the suite's
own server as the origin and its own client in front.  Results are judged by the suite's own rules.  The suite
`surrogate-control` is left out: it follows a draft, not an RFC, and this cache does not claim it.  `make test` runs both
profiles again and fails when a test that is not listed here does not pass, when a listed one passes, or when the
numbers below have changed.  It also runs `strict-rfc` over TLS, and over HTTP/2 with Debian's nghttpx making a stream of
each request of the suite's client; there it fails when anything at all is answered otherwise than over plain HTTP/1.1.
"""
_CHECKS = """\
## What the cache does where it may choose

The suite's `check` tests have no right answer; they say what a cache does.  "-" is a test that depends on another one
which was answered with no.
"""


class Result(TypedDict):
    """What became of one test: its kind, its name, the suite's verdict, and what its client said."""

    kind: str
    name: str
    verdict: str
    said: str


Results = Mapping[str, Result]


def of_kind(results: Results, kind: str) -> dict[str, Result]:
    """Return the results of one kind, by test."""
    return {test: result for test, result in sorted(results.items()) if result["kind"] == kind}


def not_passed(results: Results) -> set[str]:
    """Return the required and optimal tests that did not pass."""
    return {test for test, result in results.items() if result["kind"] != "check" and result["verdict"] not in PASSED}


def count(results: Results, kind: str) -> str:
    """Return how many tests of one kind passed, as in "143 of 157"."""
    chosen = of_kind(results, kind)
    return f"{sum(result['verdict'] in PASSED for result in chosen.values())} of {len(chosen)}"


def summary(by_profile: Mapping[str, Results]) -> list[str]:
    """Return the rows that count what passed, as they stand in the document."""
    rows = [
        f"| {profile} | {count(results, 'required')} | {count(results, 'optimal')} |"
        for profile, results in by_profile.items()
    ]
    return ["| profile | required | optimal |", "|---|---|---|", *rows]


def document(by_profile: Mapping[str, Results]) -> str:
    """Return docs/conformance.md."""
    return "\n".join((_HEAD, *summary(by_profile), "", *_lists(by_profile), _CHECKS, *_checks(by_profile), ""))


def _lists(by_profile: Mapping[str, Results]) -> Iterator[str]:
    seen: set[str] = set()
    for profile, results in by_profile.items():
        yield f"## What does not pass: {profile}\n"
        if seen:
            yield "Everything above, and:\n"
        for reason in EXPECTED[profile]:
            if reason.sentence not in seen:
                tests = (f"`{test}` ({results[test]['kind']})" for test in reason.tests)
                yield f"- {reason.sentence}\n  {', '.join(tests)}"
                seen.add(reason.sentence)
        yield ""


def _checks(by_profile: Mapping[str, Results]) -> Iterator[str]:
    yield f"| test | {' | '.join(by_profile)} | question |"
    yield f"|---|{'---|' * len(by_profile)}---|"
    first = next(iter(by_profile.values()))
    for test, result in of_kind(first, "check").items():
        verdicts = (_word(results[test]["verdict"]) for results in by_profile.values())
        yield f"| `{test}` | {' | '.join(verdicts)} | {_cell(result['name'])} |"


def _word(verdict: str) -> str:
    return verdict if verdict in {"yes", "no"} else "-"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")
