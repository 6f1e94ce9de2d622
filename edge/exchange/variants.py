"""The form in which each client gets a response: as it came, in a coding that was made here, or without the origin's.

`caching.coding` decides; here the content is found, or made by `making`.  Only the owner of a key makes what is
stored.  A client never waits for what it can do without: it gets a content as it is when too many are being made, or
when this one is long.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from edge.caching import derived
from edge.caching.coding import (
    IDENTITY,
    AsItIs,
    CompressionRules,
    Form,
    Turned,
    form,
    form_of_passed,
    shown_fields,
    varying,
)
from edge.caching.stored import StoredResponse
from edge.exchange.deliver import Body
from edge.exchange.exchange import Exchange
from edge.exchange.fill import Fill
from edge.exchange.making import Making, Material, filled_material, stored_material
from edge.exchange.plan import Whole, plan
from edge.policy.learned import remember
from edge.ports import Incoming, Ring, Store, UpstreamResponse
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request, Response

# So many contents are made at a time while they come in from the origin, and for hits; and, as they come in, for those who
# could read no other, who beyond that get one for each of them alone, at its own pace: a decoder may take 16 MiB.
_AT_ONCE, _AT_ONCE_FOR_HITS, _AT_ONCE_FOR_NEED = 32, 4, 8
# A stored content of more octets is coded for the next client, not for this one.
_WAITED_FOR = 1 << 20
# So many contents are remembered as asked of the owner of their key.
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Shown:
    """What a client is shown.

    Attributes:
        stored: the head as it goes out, and what of its content is stored in this form.
        body: the content.
        request: the request that decides what of it goes out.
        is_settled: whether the next client with such a request will be shown the same.
        used: called when it is shown again without being asked for here.
    """

    stored: StoredResponse
    body: Body
    request: Request
    is_settled: bool = True
    used: Callable[[], None] = lambda: None


class Variants:
    """The forms of the responses of a node."""

    def __init__(self, store: Store, making: Making | None, ring: Ring | None) -> None:
        self._store, self._making, self._ring = store, making, ring
        self._relayed = OrderedDict[tuple[bytes, bytes], None]()

    def as_it_is(self, ex: Exchange, stored: StoredResponse) -> Shown | None:
        """Return what a client is shown of a stored response that goes out as it is, None when it gets another form."""
        means, body = self._means(ex), self._body(stored)
        if means is None:
            return Shown(stored, body, ex.request)
        wanted = form(ex.request, stored.response, stored.complete_length, means[1])
        if not isinstance(wanted, AsItIs):
            return None
        return Shown(stored.with_fields(_as_it_is(stored, wanted)), body, ex.request)

    async def of_stored(self, ex: Exchange, stored: StoredResponse, now: float) -> Shown:
        """Return what a client is shown of a stored response."""
        body, means, length = self._body(stored), self._means(ex), stored.complete_length
        if means is None:
            return Shown(stored, body, ex.request)
        making, rules = means
        wanted = form(ex.request, stored.response, length, rules)
        as_it_is = Shown(stored.with_fields(_as_it_is(stored, wanted)), body, ex.request)
        if isinstance(wanted, AsItIs) or not stored.is_complete:
            return as_it_is
        material = stored_material(self._store, stored)
        found = derived.find(await self._store.lookup(stored.key), stored, wanted.to)
        if found is not None:
            return self._found(ex, material, wanted, found, means)
        if not wanted.is_needed and making.find(stored, wanted.to) is None:
            if making.is_useless(stored, wanted.to) or not self._is_ours(stored.key):
                return as_it_is
            if len(making) >= _AT_ONCE_FOR_HITS:
                return replace(as_it_is, is_settled=False)
            if (length or 0) > _WAITED_FOR:
                making.make(material, wanted, rules)
                return as_it_is
        return await self._made(as_it_is, material, wanted, ex, now)

    async def of_fill(
        self, ex: Exchange, fill: Fill, stored: StoredResponse, now: float, *, is_first_hand: bool
    ) -> Shown:
        """Return what a client is shown of a response whose content is coming in; `stored` is its head."""
        # What the store adds in front may turn out to be damaged: it is looked at before the head is sent.
        body = Body(fill.open, fill.end, is_at_hand=fill.start > 0)
        means = self._means(ex)
        if means is None or ex.request.method != b"GET" or not ex.wants_answer:
            return Shown(stored, body, ex.request)
        making, rules = means
        wanted = form(ex.request, stored.response, fill.end, rules, is_first_hand=is_first_hand)
        as_it_is = Shown(stored.with_fields(_as_it_is(stored, wanted)), body, ex.request)
        if isinstance(wanted, AsItIs):
            return as_it_is
        # What is not to be found afterwards is not worth the writing.
        is_worth_it = fill.is_admitted and len(making) < _AT_ONCE and self._is_ours(stored.key)
        if not is_worth_it and not wanted.is_needed and making.find(stored, wanted.to) is None:
            return as_it_is
        return await self._made(as_it_is, filled_material(fill, stored), wanted, ex, now)

    def of_passed(self, ex: Exchange, upstream: UpstreamResponse, head: Response) -> tuple[Response, Incoming | None]:
        """Return the head, and the content where it is another, of a response that is not stored."""
        means = self._means(ex)
        if means is None or ex.request.method != b"GET":
            return head, None
        making, rules = means
        if (wanted := form_of_passed(ex.request, head, rules)) is None:
            return head, None
        ex.did("decode")
        return head.with_fields(shown_fields(head.fields, wanted)), making.turn(upstream, wanted, rules)

    def labelled(self, ex: Exchange, stored: StoredResponse) -> StoredResponse:
        """Return a stored response whose parts go out as they are, with what tells that others get another form."""
        if (means := self._means(ex)) is None:
            return stored
        return stored.with_fields(
            _as_it_is(stored, form(ex.request, stored.response, stored.complete_length, means[1]))
        )

    def of_head(
        self, ex: Exchange, head: Response, length: int | None, *, is_stored: bool
    ) -> tuple[Response, int | None]:
        """Return the origin's answer to HEAD, and the length of the content, as they would be for GET.

        `is_stored` tells whether the response would be stored then.
        """
        if (means := self._means(ex)) is None:
            return head, length
        rules = means[1]
        wanted: Form | None = (
            form(ex.request, head, length, rules, is_first_hand=True)
            if is_stored
            else form_of_passed(ex.request, head, rules)
        )
        if wanted is None:
            return head, length
        shown = head.with_fields(shown_fields(head.fields, wanted))
        return shown, length if isinstance(wanted, AsItIs) else None

    async def is_at_hand(self, ex: Exchange, stored: StoredResponse | None) -> bool:
        """Return whether a stored response that another worker owns can be shown without asking that worker.

        It is asked once for each content that is not there.
        """
        if stored is None or (means := self._means(ex)) is None:
            return True
        wanted = form(ex.request, stored.response, stored.complete_length, means[1])
        if isinstance(wanted, AsItIs):
            return True
        name = (stored.generation, wanted.to)
        if name in self._relayed or derived.find(await self._store.lookup(stored.key), stored, name[1]) is not None:
            return True
        remember(self._relayed, name, None, _REMEMBERED)
        return False

    def _means(self, ex: Exchange) -> tuple[Making, CompressionRules] | None:
        """Return what makes other forms, and the rules for it, None when all goes out as it is."""
        rules = ex.site.compression
        return None if rules is None or self._making is None else (self._making, rules)

    def _body(self, stored: StoredResponse) -> Body:
        length = stored.complete_length
        return Body(
            lambda start, end: self._store.open(stored, start, (length or 0) if end is None else end),
            length,
            is_at_hand=True,
        )

    def _found(
        self,
        ex: Exchange,
        material: Material,
        wanted: Turned,
        found: StoredResponse,
        means: tuple[Making, CompressionRules],
    ) -> Shown:
        """Return what a client is shown of a content that was made before."""
        source, (making, rules) = material.stored, means
        stored = derived.dressed(found, source, shown_fields(source.fields, wanted))
        if not self._is_ours(source.key):
            return Shown(stored, self._body(found), _whole(ex.request))

        def used() -> None:
            making.used(material, wanted, found, rules)

        used()
        return Shown(stored, self._body(found), _whole(ex.request), used=used)

    async def _made(self, as_it_is: Shown, material: Material, wanted: Turned, ex: Exchange, now: float) -> Shown:
        """Return what a client is shown of a content that has to be made."""
        if (means := self._means(ex)) is None:
            return as_it_is
        source, (making, rules) = material.stored, means
        head = replace(source, fields=shown_fields(source.fields, wanted), complete_length=None, ranges=())
        request = _whole(ex.request)

        def made() -> Shown:
            body = Body(lambda *_: making.turn(material.open(), wanted, rules), None, is_at_hand=True, is_passing=True)
            return Shown(head, body, request, is_settled=False)

        if request.method != b"GET" or not isinstance(plan(request, head, None, now), Whole):
            return made()
        fill = making.find(source, wanted.to)
        if fill is None and self._is_ours(source.key):
            if wanted.is_needed and material.is_stored:
                fill = await making.begin_in_turn(material, wanted, rules)
            else:
                most = _AT_ONCE_FOR_NEED if wanted.is_needed else _AT_ONCE
                fill = await making.begin(material, wanted, rules, most=most)
        if fill is None and not wanted.is_needed:
            return as_it_is
        ex.did("decode" if wanted.to == IDENTITY else "code")
        if fill is not None:
            return Shown(head, Body(fill.open, None, is_at_hand=True), request, is_settled=False)
        # What a client cannot read is made for it alone.
        return made()

    def _is_ours(self, key: bytes) -> bool:
        return self._ring is None or self._ring.owner(key) is None


def _as_it_is(stored: StoredResponse, wanted: Form) -> FieldSection:
    return shown_fields(stored.fields, wanted) if isinstance(wanted, AsItIs) else varying(stored.fields)


def _whole(request: Request) -> Request:
    """Return the request for all of a form whose parts cannot be told from those of another."""
    return request.with_fields(request.fields.without(b"range"))
