"""What of http-cache-tests 0.4.5 does not pass, and why: the list is true, so a test that is on it and passes fails."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """Tests that do not pass, and the sentence that says why."""

    sentence: str
    tests: tuple[str, ...]


BOTH = (
    Reason(
        "An Age that is not a number of seconds is ignored, as RFC 9111 §5.1 recommends; the test follows a draft that"
        " had the response taken for stale.",
        ("age-parse-nonnumeric", "age-parse-negative", "age-parse-float", "age-parse-parameter",
         "age-parse-numeric-parameter"),
    ),
    Reason(
        "Of an Age with several members the first is used, as RFC 9111 §5.1 recommends; here it leaves the response"
        " fresh.",
        ("age-parse-dup-0", "age-parse-dup-0-twoline", "age-parse-dup-old", "age-parse-prefix-twoline"),
    ),
    Reason(
        "The stored response has no Last-Modified, so its Date stands in for it (RFC 9111 §4.3.2); that is later than"
        " If-Modified-Since, so the condition is true (RFC 9110 §13.1.3) and 304 would be wrong.",
        ("conditional-lm-fresh-no-lm",),
    ),
    Reason(
        "The origin closes without an answer and the response may not be used stale (RFC 9111 §4.2.4, §5.2.2), so the"
        " answer is 502 or 504; the test wants status 200 with a count that only the origin could have sent.",
        ("stale-close-must-revalidate", "stale-close-proxy-revalidate", "stale-close-no-cache",
         "stale-close-s-maxage=2"),
    ),
)  # fmt: skip

SAFE = (
    Reason(
        "The origin sends a transfer coding that was never offered in TE (RFC 9110 §10.1.4) and that nobody knows: what"
        " the content is cannot be said, so the answer is 502.",
        ("headers-store-Transfer-Encoding",),
    ),
    Reason(
        "A response with Set-Cookie is not stored: one user's cookie must not reach another (RFC 9111 §7.3 leaves that"
        " to Cache-Control, which many origins forget).",
        ("headers-store-Set-Cookie", "304-etag-update-response-Set-Cookie", "other-set-cookie"),
    ),
    Reason(
        "A 304 that answers our one entity tag with another is not believed: the stored response cannot be told to be"
        " the one it means (RFC 9111 §4.3.4), so the origin is asked again without conditions.",
        ("304-etag-update-response-ETag",),
    ),
    Reason(
        "No lifetime is made up where the origin states none; RFC 9111 §4.2.2 allows it and asks nobody to do it.",
        ("heuristic-200-cached", "heuristic-203-cached", "heuristic-204-cached", "heuristic-404-cached",
         "heuristic-405-cached", "heuristic-410-cached", "heuristic-414-cached", "heuristic-501-cached",
         "heuristic-599-cached"),
    ),
    Reason(
        "A 5xx response is not stored, even with a stated lifetime: an outage must not outlast its cause.  The tests"
        " of what becomes of a stored one depend on it.",
        ("status-500-fresh", "status-502-fresh", "status-503-fresh", "status-504-fresh", "status-599-fresh",
         "status-500-stale", "status-502-stale", "status-503-stale", "status-504-stale", "status-599-stale",
         "status-599-must-understand"),
    ),
    Reason(
        "The response to a POST is not stored; RFC 9110 §9.3.3 allows it on conditions that few origins know of.",
        ("method-POST",),
    ),
    Reason(
        "A 206 of which fewer octets came than its Content-Range says is incomplete (RFC 9111 §3.3) and not used; the"
        " tests send five octets as bytes 4-9.",
        ("partial-store-partial-reuse-partial", "partial-store-partial-reuse-partial-absent",
         "partial-store-partial-reuse-partial-byterange", "partial-store-partial-reuse-partial-suffix"),
    ),
    Reason(
        "Parts are combined only when they share a strong validator (RFC 9111 §3.4), and the test's response has none;"
        " so the whole is asked for.",
        ("partial-store-partial-complete",),
    ),
)  # fmt: skip

#: By profile.  Where the tests of BOTH depend on a `check` test that `safe` answers with no, they are not judged there.
EXPECTED = {"strict-rfc": BOTH, "safe": BOTH + SAFE}
