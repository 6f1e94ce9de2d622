"""What the reason tokens mean: a sentence, the rule behind it, and what would have to change.

The same tokens stand in `Cache-Status`, in the access log, in metrics and in explanations.
"""

from typing import NamedTuple


class Reason(NamedTuple):
    """What a token means.

    Attributes:
        sentence: a clause that says it.
        rule: where it is written: an RFC, or the setting that decides.
        remedy: what would have to change for a hit; empty where nothing should.
    """

    sentence: str
    rule: str
    remedy: str = ""


#: Why a request went to the origin.
FORWARD = {
    "uri-miss": Reason(
        "nothing was stored for this URL", "RFC 9211 §2.2",
        "Ask once more: a second request is a hit if the first answer was stored. If it never is, see why that was not.",
    ),
    "vary-miss": Reason(
        "what is stored does not match this request's fields", "RFC 9111 §4.1",
        "Let the origin name fewer fields in Vary, or send the same values.",
    ),
    "miss": Reason("nothing stored could be used", "RFC 9211 §2.2", "Ask once more."),
    "stale": Reason(
        "what was stored had gone stale", "RFC 9111 §4.2",
        "Let the origin state a longer max-age, or allow stale-while-revalidate (RFC 5861).",
    ),
    "partial": Reason(
        "only a part was stored", "RFC 9111 §3.3", "Ask once more: what was missing is stored by now if it may be."
    ),
    "request": Reason(
        "the request asked for a new answer", "RFC 9111 §5.2.1", "Leave Cache-Control and Pragma out of the request."
    ),
    "method": Reason("the method is never answered from a cache", "RFC 9110 §9.2.3", "Use GET or HEAD."),
    "bypass": Reason("the cache was told to stay out of it", "RFC 9211 §2.2"),
}  # fmt: skip

#: What stands behind an outcome.
DETAILS = {
    "no-store": Reason(
        "the origin says no-store", "RFC 9111 §5.2.2.5",
        "Let the origin leave no-store out of Cache-Control, or send CDN-Cache-Control, which counts instead of it here.",
    ),
    "request-no-store": Reason(
        "the request says no-store", "RFC 9111 §5.2.1.5", "Leave no-store out of the request's Cache-Control."
    ),
    "private": Reason(
        "the origin says private", "RFC 9111 §5.2.2.7",
        "Let the origin leave private out of Cache-Control where the response is the same for everybody.",
    ),
    "authorization": Reason(
        "the request carries Authorization and the response does not say public, s-maxage or must-revalidate",
        "RFC 9111 §3.5",
        "Leave Authorization out of the request, or let the origin say public where the response is for everybody.",
    ),
    "set-cookie": Reason(
        "the response sets a cookie, and the safe profile never stores that", "setting site[].profile",
        'Let the origin set no cookie here, or drop cookies for the site (cookies = "strip").',
    ),
    "cookie": Reason(
        "the request carries a cookie and the response states no lifetime", "setting site[].profile",
        'Let the origin state a max-age, or drop cookies for the site (cookies = "strip").',
    ),
    "server-error": Reason("it is a server error", "setting site[].profile", "Mend the origin."),
    "vary-star": Reason(
        "the response says Vary: *", "RFC 9110 §12.5.5", "Let the origin name the fields that it varies on."
    ),
    "vary-too-long": Reason(
        "the response varies on too many fields", "RFC 9110 §12.5.5", "Let the origin name at most 32 fields in Vary."
    ),
    "no-lifetime": Reason(
        "it states no lifetime, or no-cache, and has no validator", "RFC 9111 §4.2.1",
        "Let the origin send Cache-Control: max-age, or set ttl.default for the site.",
    ),
    "status": Reason(
        "its status may not be stored without a stated lifetime", "RFC 9110 §15.1",
        "Let the origin state a max-age for it.",
    ),
    "method": Reason("only answers to GET are stored", "RFC 9111 §2"),
    "partial-unclear": Reason(
        "it is unclear which part of the content it is", "RFC 9110 §14.4", "Let the origin send a whole Content-Range."
    ),
    "store-unavailable": Reason(
        "the store takes nothing at present", "setting cache.path", "See /readyz and the log: the disk refuses."
    ),
    "not-admitted": Reason(
        "nothing was known to ask for it twice, and what is stored is pushed out too soon already", "setting cache.min_age",
        "Ask once more, make cache.max_size greater, or cache.min_age smaller.",
    ),
    "usable-stored": Reason("a stored response is kept for when the origin is well again", "RFC 5861 §4"),
    "connection-option": Reason(
        "its Connection field takes away a field that caching stands on", "RFC 9110 §7.6.1",
        "Let the origin not name Cache-Control, Date, Vary and the like in Connection.",
    ),
    "tags-too-long": Reason(
        "its list of tags is longer than is looked at, so that it could not be purged", "limit of 16 KiB",
        "Let the origin send fewer or shorter tags.",
    ),
    "fresh": Reason("it is fresh", "RFC 9111 §4.2"),
    "published": Reason("it was published on this node, which serves it without the origin", "POST /v1/manifests"),
    "stale-while-revalidate": Reason("it is stale, but may be used while it is validated", "RFC 5861 §3"),
    "stale-if-error": Reason("it is stale, but the origin failed", "RFC 5861 §4"),
    "stale-disconnected": Reason("it is stale, but the origin cannot be reached", "RFC 9111 §4.2.4"),
    "max-stale": Reason("it is stale, but the request takes it", "RFC 9111 §5.2.1.2"),
    "response-no-cache": Reason(
        "the origin says no-cache", "RFC 9111 §5.2.2.4",
        "Let the origin state a max-age instead; until then each use is validated, which costs no content.",
    ),
    "request-no-cache": Reason(
        "the request says no-cache", "RFC 9111 §5.2.1.4", "Leave no-cache out of the request (browsers: no hard reload)."
    ),
    "request-max-age": Reason(
        "it is older than the request wants it", "RFC 9111 §5.2.1.1", "Leave max-age out of the request."
    ),
    "request-min-fresh": Reason(
        "it would not stay fresh for as long as the request wants", "RFC 9111 §5.2.1.3",
        "Leave min-fresh out of the request.",
    ),
    "lifetime-over": Reason(
        "its lifetime was over", "RFC 9111 §4.2", "Let the origin state a longer max-age; the origin was asked again."
    ),
    "soft-purged": Reason("it was purged softly", "POST /v1/purge", "Ask once more: it has been validated by now."),
    "only-if-cached": Reason(
        "the request wants a stored answer or none", "RFC 9111 §5.2.1.7", "Leave only-if-cached out of the request."
    ),
    "internal": Reason("the edge failed by a fault of its own", "none", "Report it, with what the log says."),
    "parse": Reason("something could not be parsed", "RFC 9110 §5.5"),
    "bad-request": Reason("the request is malformed or ambiguous", "RFC 9112 §2.2", "Send one that is not."),
    "method-refused": Reason("the method is never served here", "RFC 9110 §15.5.6", "Use another method."),
    "request-timeout": Reason("the request did not come in time", "setting limits.header_timeout"),
    "content-too-large": Reason("the request content is over the limit", "setting site[].max_request_content"),
    "target-too-long": Reason("the URL is over the limit", "setting limits.request_line"),
    "expectation-failed": Reason("the request expects what nobody here can do", "RFC 9110 §10.1.1"),
    "unknown-authority": Reason(
        "no site answers for this host", "setting site[].hosts", "Add the host to a site, or ask for another."
    ),
    "client-certificate": Reason(
        "the site wants a client certificate, and the connection was not made for it with one",
        "setting site[].client_ca",
        "Ask by https on a new connection whose server name is the host, with a certificate that its authorities signed.",
    ),
    "fields-too-large": Reason("the request fields are over a limit", "setting limits.field_section"),
    "method-unknown": Reason("the method is unknown", "RFC 9110 §15.6.2"),
    "version-refused": Reason("the protocol version is neither HTTP/1.0 nor HTTP/1.1", "RFC 9110 §15.6.6"),
    "loop-detected": Reason(
        "the request has been here before", "RFC 8586", "Let the origin's address not lead back to this node."
    ),
    "client-closed": Reason("the client was gone", "RFC 9112 §9.6"),
    "origin-error": Reason("the origin failed", "RFC 9110 §15.6.3", "Mend the origin."),
    "origin-protocol": Reason(
        "the origin's answer is not valid HTTP, or over a limit", "RFC 9112 §8", "Mend what the origin sends."
    ),
    "origin-connect": Reason("the origin cannot be reached", "setting origins.*.urls", "See whether the origin runs."),
    "origin-closed": Reason("the origin closed the connection before its answer was whole", "RFC 9112 §8"),
    "origin-changed": Reason("what the origin has changed while parts of it were fetched", "RFC 9110 §13.1.5"),
    "origin-undecodable": Reason(
        "what the origin sent is not in the coding that it states, or is a decompression bomb", "RFC 9110 §8.4",
        "Mend what the origin sends, or let it send no Content-Encoding.",
    ),
    "origin-busy": Reason(
        "no connection to the origin was free in time", "setting origins.*.max_connections",
        "Allow more connections, or let the origin answer sooner.",
    ),
    "tunnels-full": Reason("there are as many tunnels as there may be", "setting limits.tunnels", "Allow more tunnels."),
    "origin-timeout": Reason("the origin did not answer in time", "setting origins.*.first_byte_timeout"),
    "store": Reason("the store failed", "setting cache.path", "See the log."),
    "store-damaged": Reason("what was stored is damaged", "setting cache.path", "See whether the disk is well."),
    "store-full": Reason("the store has no room", "setting cache.max_size"),
    "purge-not-written": Reason("the purge could not be written down, so it did not happen", "setting cache.path"),
}  # fmt: skip


def of(token: str) -> Reason:
    """Return what a token means; one that is not known means itself."""
    return DETAILS.get(token) or FORWARD.get(token) or Reason(token, "")


def markdown() -> str:
    """Return the page that documents every token, one section each."""
    return _INTRODUCTION + "".join(
        _section(token, reason, kind)
        for kind, reasons in (("why a request goes forward", FORWARD), ("what stands behind an outcome", DETAILS))
        for token, reason in sorted(reasons.items())
        if kind != "what stands behind an outcome" or token not in FORWARD
    )


_INTRODUCTION = """\
# Reason tokens

<!-- Made by `python -m edge.reasons`; do not edit. -->

Every decision has a token. It stands in the `Cache-Status` field of the response (RFC 9211), as `fwd` or as `detail`, in
the access log (`reason`), in the metric `edge_reasons_total`, and in what `edge explain` says.
"""


def _section(token: str, reason: Reason, kind: str) -> str:
    remedy = f"\n{reason.remedy}\n" if reason.remedy else ""
    sentence = reason.sentence[0].upper() + reason.sentence[1:]
    return f"\n## {token}\n\n{sentence} ({reason.rule}; {kind}).\n{remedy}"


if __name__ == "__main__":
    print(markdown(), end="")  # noqa: T201 - what it is run for
