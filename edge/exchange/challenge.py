"""An authority that looks whether this node is at the host it certifies (RFC 8555 §8.3)."""

from edge.exchange.context import Context
from edge.exchange.exchange import Exchange
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request, Response

_PREFIX = b"/.well-known/acme-challenge/"
_FIELDS = FieldSection([(b"content-type", b"application/octet-stream"), (b"cache-control", b"no-store")])


def may_be_challenge(request: Request) -> bool:
    """Return whether a request is for a place where challenges are answered."""
    return request.target.path.startswith(_PREFIX) and request.method in {b"GET", b"HEAD"}


async def answers_challenge(context: Context, ex: Exchange) -> bool:
    """Answer a challenge that is open; False, with nothing sent, for anything else, which may be the origin's."""
    if context.challenges is None or not may_be_challenge(ex.request):
        return False
    answer = context.challenges.key_authorization(ex.request.target.path.removeprefix(_PREFIX))
    if answer is None:
        return False
    ex.did("challenge")
    ex.start_as_it_is(Response(200, _FIELDS), len(answer), ex.began)
    await ex.send(answer)
    ex.finish()
    return True
