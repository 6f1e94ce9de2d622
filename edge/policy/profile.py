"""The two profiles: what a shared cache may do (`strict-rfc`), and what it had better not do unasked (`safe`)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """One boolean for each difference; the table in docs/profiles.md is made from these sentences.

    Attributes:
        name: the name in configuration.
        store_set_cookie: store responses that carry Set-Cookie.
        cookie_needs_explicit: store answers to requests with a Cookie only on explicit freshness.
        heuristic: give responses without a stated lifetime one from Last-Modified.
        store_server_errors: store 5xx responses that state a lifetime.
        store_post: store the response to a POST that carries Content-Location of the target and a lifetime.
        honour_reload: let request directives (no-cache, max-age, min-fresh, Pragma) send a request to the origin.
        stale_when_disconnected: answer with a stale response when the origin cannot be reached, unless it forbids that.
        s_maxage_forbids_stale: let s-maxage forbid stale answers even beside stale-while-revalidate or stale-if-error.
        complete_unvalidated: ask for the rest of a partial response even without a strong validator.
        trust_partial_framing: take a 206 shorter than its Content-Range for the end of the representation.
        trust_mismatched_304: freshen on a 304 that answers our one entity tag but carries another.
        code: turn content into other codings than the origin sends, and ask it for coded content on its own account.
        trust_unknown_coding: take content in a transfer coding that nobody knows for content that is not coded.
    """

    name: str
    store_set_cookie: bool
    cookie_needs_explicit: bool
    heuristic: bool
    store_server_errors: bool
    store_post: bool
    honour_reload: bool
    stale_when_disconnected: bool
    s_maxage_forbids_stale: bool
    complete_unvalidated: bool
    trust_partial_framing: bool
    trust_mismatched_304: bool
    code: bool
    trust_unknown_coding: bool


SAFE = Profile(
    name="safe",
    store_set_cookie=False,
    cookie_needs_explicit=True,
    heuristic=False,
    store_server_errors=False,
    store_post=False,
    honour_reload=False,
    stale_when_disconnected=False,
    s_maxage_forbids_stale=False,
    complete_unvalidated=False,
    trust_partial_framing=False,
    trust_mismatched_304=False,
    code=True,
    trust_unknown_coding=False,
)
STRICT_RFC = Profile(
    name="strict-rfc",
    store_set_cookie=True,
    cookie_needs_explicit=False,
    heuristic=True,
    store_server_errors=True,
    store_post=True,
    honour_reload=True,
    stale_when_disconnected=True,
    s_maxage_forbids_stale=True,
    complete_unvalidated=True,
    trust_partial_framing=True,
    trust_mismatched_304=True,
    code=False,
    trust_unknown_coding=True,
)
PROFILES = {profile.name: profile for profile in (SAFE, STRICT_RFC)}
