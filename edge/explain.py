"""What a Cache-Status field says, in a sentence."""

import re

from edge import reasons

_parameter = re.compile(r"([a-z-]+)(?:=([^;]*))?")


def sentence(status: int, cache_status: str | None, age: str | None) -> str:
    """Return what the last cache in a Cache-Status field did, and why (RFC 9211)."""
    if not cache_status:
        return "no cache says that it had a part in this"
    member = cache_status.rsplit(",", 1)[-1]
    said = {match[1]: match[2] for match in map(_parameter.fullmatch, map(str.strip, member.split(";")[1:])) if match}
    reason = said.get("detail") or ""
    detail = reasons.DETAILS[reason].sentence if reason in reasons.DETAILS else reason
    if "hit" in said:
        return f"HIT: stored {age or 0} s ago, fresh for {said.get('ttl')} s" + (f"; {detail}" if detail else "")
    fwd = said.get("fwd") or ""
    # What the origin said is no fault of the exchange; a status that it did not say is.
    if status >= 500 and said.get("fwd-status") != str(status):
        return f"ERROR: {detail or 'the request failed'}"
    parts = [f"MISS: {reasons.FORWARD[fwd].sentence if fwd in reasons.FORWARD else fwd}"]
    if reason == "soft-purged":
        parts = [f"MISS: {detail}"]
    if said.get("fwd-status") == "304":
        parts = ["REVALIDATED: it had gone stale, and the origin says that it still holds"]
    if "collapsed" in said:
        parts.append("answered together with another request")
    if "stored" in said:
        parts.append(f"stored, fresh for {said.get('ttl', '0')} s")
    elif detail and fwd != "method":
        parts.append(f"not stored: {detail}")
    return "; ".join(parts)
