"""What a request with an unsafe method makes invalid (RFC 9111 §4.4)."""

from edge.semantics.messages import SAFE_METHODS, Request, Response
from edge.semantics.references import resolve
from edge.semantics.target import Target


def invalidated_targets(request: Request, response: Response) -> list[Target]:
    """Return the targets to invalidate: the request's own, and those of its authority that the response names."""
    if request.method in SAFE_METHODS or not 200 <= response.status < 400:
        return []
    targets = [request.target]
    for name in (b"location", b"content-location"):
        reference = response.fields.get(name)
        named = resolve(request.target, reference) if reference is not None else None
        # RFC 9111 §4.4: never across origins, or one site could empty another's cache.
        if named is not None and (named.scheme, named.authority) == (request.target.scheme, request.target.authority):
            targets.append(named)
    return list(dict.fromkeys(targets))
