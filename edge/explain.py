"""What a Cache-Status field says, in a sentence."""

import re

_REASONS = {
    "uri-miss": "nothing was stored for this URL",
    "vary-miss": "what is stored does not match this request's fields",
    "miss": "nothing stored could be used",
    "stale": "what was stored had gone stale",
    "partial": "only a part was stored",
    "request": "the request asked for a new answer",
    "method": "the method is never answered from a cache",
    "bypass": "the cache was told to stay out of it",
}
_DETAILS = {
    "no-store": "the origin says no-store",
    "request-no-store": "the request says no-store",
    "private": "the origin says private",
    "authorization": "the request carries Authorization and the response does not say public, s-maxage or must-revalidate",
    "set-cookie": "the response sets a cookie, and the safe profile never stores that",
    "cookie": "the request carries a cookie and the response states no lifetime",
    "server-error": "it is a server error",
    "vary-star": "the response says Vary: *",
    "vary-too-long": "the response varies on too many fields",
    "no-lifetime": "it states no lifetime, or no-cache, and has no validator",
    "status": "its status may not be stored without a stated lifetime",
    "method": "only answers to GET are stored",
    "partial-unclear": "it is unclear which part of the content it is",
    "store-unavailable": "the store takes nothing at present",
    "not-admitted": "nothing was known to ask for it twice, and what is stored is pushed out too soon already",
    "usable-stored": "a stored response is kept for when the origin is well again",
    "connection-option": "its Connection field takes away a field that caching stands on",
    "tags-too-long": "its list of tags is longer than is looked at, so that it could not be purged",
    "fresh": "it is fresh",
    "stale-while-revalidate": "it is stale, but may be used while it is validated",
    "stale-if-error": "it is stale, but the origin failed",
    "stale-disconnected": "it is stale, but the origin cannot be reached",
    "max-stale": "it is stale, but the request takes it",
    "response-no-cache": "the origin says no-cache",
    "request-no-cache": "the request says no-cache",
    "request-max-age": "it is older than the request wants it",
    "request-min-fresh": "it would not stay fresh for as long as the request wants",
    "lifetime-over": "its lifetime was over",
    "soft-purged": "it was purged softly",
    "only-if-cached": "the request wants a stored answer or none",
    "internal": "the edge failed by a fault of its own",
    "parse": "something could not be parsed",
    "bad-request": "the request is malformed or ambiguous",
    "method-refused": "the method is never served here",
    "request-timeout": "the request did not come in time",
    "content-too-large": "the request content is over the limit",
    "target-too-long": "the URL is over the limit",
    "expectation-failed": "the request expects what nobody here can do",
    "unknown-authority": "no site answers for this host",
    "fields-too-large": "the request fields are over a limit",
    "method-unknown": "the method is unknown",
    "version-refused": "the protocol version is neither HTTP/1.0 nor HTTP/1.1",
    "loop-detected": "the request has been here before",
    "client-closed": "the client was gone",
    "origin-error": "the origin failed",
    "origin-protocol": "the origin's answer is not valid HTTP, or over a limit",
    "origin-connect": "the origin cannot be reached",
    "origin-closed": "the origin closed the connection before its answer was whole",
    "origin-changed": "what the origin has changed while parts of it were fetched",
    "origin-undecodable": "what the origin sent is not in the coding that it states, or is a decompression bomb",
    "origin-busy": "no connection to the origin was free in time",
    "origin-timeout": "the origin did not answer in time",
    "store": "the store failed",
    "store-damaged": "what was stored is damaged",
    "store-full": "the store has no room",
    "purge-not-written": "the purge could not be written down, so it did not happen",
}
_parameter = re.compile(r"([a-z-]+)(?:=([^;]*))?")


def sentence(status: int, cache_status: str | None, age: str | None) -> str:
    """Return what the last cache in a Cache-Status field did, and why (RFC 9211)."""
    if not cache_status:
        return "no cache says that it had a part in this"
    member = cache_status.rsplit(",", 1)[-1]
    said = {match[1]: match[2] for match in map(_parameter.fullmatch, map(str.strip, member.split(";")[1:])) if match}
    detail = _DETAILS.get(said.get("detail") or "", said.get("detail") or "")
    if "hit" in said:
        return f"HIT: stored {age or 0} s ago, fresh for {said.get('ttl')} s" + (f"; {detail}" if detail else "")
    fwd = said.get("fwd") or ""
    if status >= 500 and "fwd-status" not in said:
        return f"ERROR: {detail or 'the request failed'}"
    parts = [f"MISS: {_REASONS.get(fwd, fwd)}"]
    if said.get("fwd-status") == "304":
        parts = ["REVALIDATED: it had gone stale, and the origin says that it still holds"]
    if "collapsed" in said:
        parts.append("answered together with another request")
    if "stored" in said:
        parts.append(f"stored, fresh for {said.get('ttl', '0')} s")
    elif detail and fwd != "method":
        parts.append(f"not stored: {detail}")
    return "; ".join(parts)
