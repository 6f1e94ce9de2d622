"""Structured field values (RFC 9651): items, lists and dictionaries, parsed and serialised.

A bare item is a Python value: Integer `int`, Decimal `decimal.Decimal`, String `str`, Token `Token`, Byte Sequence
`bytes`, Boolean `bool`, Date `Date`, Display String `DisplayString`.  Keys are bytes.  The lines of a field are to be
combined before they are parsed.
"""

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import assert_never

from edge.errors import InternalError, ParseError

_TOKEN = rb"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*"
_is_token = re.compile(_TOKEN).fullmatch
_key = re.compile(rb"[a-z*][a-z0-9_\-.*]*")
_is_text = re.compile(r"[\x20-\x7e]*").fullmatch
# A number that goes on after its digits are used up is refused by what must follow an item.
_bare_item = re.compile(
    rb"(?P<decimal>-?[0-9]{1,12}\.[0-9]{1,3})"
    rb"|(?P<integer>-?[0-9]{1,15})"
    rb'|"(?P<string>[ !#-\[\]-~]*(?:\\["\\][ !#-\[\]-~]*)*)"'
    rb"|(?P<token>%s)"
    rb"|:(?P<bytes>[A-Za-z0-9+/]+={0,2}|):"
    rb"|\?(?P<boolean>[01])"
    rb"|@(?P<date>-?[0-9]{1,15})"
    rb'|%%"(?P<display>[ !#$&-~]*(?:%%[0-9a-f]{2}[ !#$&-~]*)*)"' % _TOKEN
)
_escape = re.compile(rb'\\(["\\])')
_percent = re.compile(rb"%([0-9a-f]{2})")
_not_plain = re.compile(rb"[^ !#$&-~]")
_semicolon = re.compile(rb"; *")
_comma = re.compile(rb"[ \t]*,[ \t]*")
_spaces = re.compile(rb" *")
_white_space = re.compile(rb"[ \t]*")

_MAX_INTEGER = 999_999_999_999_999
# RFC 9651 §3.3.7: the years 1 to 9999.
_FIRST_DATE, _LAST_DATE = -62_135_596_800, 253_402_300_799
_decimals = Context(prec=28, rounding=ROUND_HALF_EVEN)


class Token(bytes):
    """A Token, as in `hit` or `text/html`."""

    __slots__ = ()


class Date(int):
    """A Date in seconds since 1970-01-01T00:00Z."""

    __slots__ = ()


class DisplayString(str):
    """A Display String: any Unicode text."""

    __slots__ = ()


BareItem = int | Decimal | str | bytes | bool | Token | Date | DisplayString
Parameters = Mapping[bytes, BareItem]


@dataclass(frozen=True, slots=True)
class Item:
    """A bare item and its parameters."""

    value: BareItem
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InnerList:
    """Items in brackets, and the parameters of the whole."""

    items: tuple[Item, ...]
    parameters: Parameters = field(default_factory=dict)


Member = Item | InnerList


def parse_item(value: bytes) -> Item:
    """Return the Item that `value` is; ParseError if it is none."""
    parser = _Parser(value)
    item = parser.item()
    parser.end()
    return item


def parse_list(value: bytes) -> list[Member]:
    """Return the members of the List that `value` is, none for an empty value; ParseError if it is no List."""
    parser = _Parser(value)
    members: list[Member] = []
    while parser.has_member(first=not members):
        members.append(parser.member())
    return members


def parse_dictionary(value: bytes) -> dict[bytes, Member]:
    """Return the members of the Dictionary that `value` is, the last of one key kept; ParseError if it is none."""
    parser = _Parser(value)
    members: dict[bytes, Member] = {}
    while parser.has_member(first=not members):
        key = parser.key()
        members[key] = parser.member() if parser.skip(b"=") else Item(value=True, parameters=parser.parameters())
    return members


def serialize_item(item: Item) -> bytes:
    """Return `item` as a field value; InternalError if it has none, which is a bug of the caller."""
    return _serialized(item.value) + _serialized_parameters(item.parameters)


def serialize_list(members: Sequence[Member]) -> bytes:
    """Return `members` as a field value, empty when the field is to be left out; InternalError as `serialize_item`."""
    return b", ".join([_serialized_member(member) for member in members])


def serialize_dictionary(members: Mapping[bytes, Member]) -> bytes:
    """Return `members` as a field value, empty when the field is to be left out; InternalError as `serialize_item`."""
    parts = []
    for key, member in members.items():
        if isinstance(member, Item) and member.value is True:
            parts.append(_serialized_key(key) + _serialized_parameters(member.parameters))
        else:
            parts.append(b"%s=%s" % (_serialized_key(key), _serialized_member(member)))
    return b", ".join(parts)


class _Parser:
    """A place in a field value, and the productions that can be read from there on (RFC 9651 §4.2)."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self._take(_spaces)

    def end(self) -> None:
        self._take(_spaces)
        if self.at < len(self.data):
            raise ParseError("a structured field value goes on after its end")

    def has_member(self, *, first: bool) -> bool:
        """Return whether another member follows, the place moved to it."""
        if first:
            return self.at < len(self.data)
        if self._take(_comma) is not None:
            return True
        self._take(_white_space)
        self.end()
        return False

    def member(self) -> Member:
        return self.inner_list() if self.skip(b"(") else self.item()

    def inner_list(self) -> InnerList:
        items: list[Item] = []
        while True:
            spaces = self._take(_spaces)
            if self.skip(b")"):
                return InnerList(tuple(items), self.parameters())
            if items and not spaces:
                raise ParseError("malformed inner list")
            items.append(self.item())

    def item(self) -> Item:
        return Item(self.bare_item(), self.parameters())

    def parameters(self) -> dict[bytes, BareItem]:
        parameters: dict[bytes, BareItem] = {}
        while self._take(_semicolon):
            key = self.key()
            parameters[key] = self.bare_item() if self.skip(b"=") else True
        return parameters

    def key(self) -> bytes:
        if (key := self._take(_key)) is None:
            raise ParseError("malformed key of a structured field")
        return key

    def bare_item(self) -> BareItem:
        if (match := _bare_item.match(self.data, self.at)) is None or match.lastgroup is None:
            raise ParseError("malformed structured field item")
        self.at = match.end()
        return _value(match.lastgroup, match[match.lastgroup])

    def skip(self, octet: bytes) -> bool:
        found = self.data.startswith(octet, self.at)
        self.at += found
        return found

    def _take(self, pattern: re.Pattern[bytes]) -> bytes | None:
        if (match := pattern.match(self.data, self.at)) is None:
            return None
        self.at = match.end()
        return match[0]


def _value(kind: str, text: bytes) -> BareItem:
    match kind:
        case "integer":
            return int(text)
        case "decimal":
            return Decimal(text.decode())
        case "string":
            return _escape.sub(rb"\1", text).decode()
        case "token":
            return Token(text)
        case "bytes":
            return _decoded(text)
        case "boolean":
            return text == b"1"
        case "date":
            return _checked_date(int(text))
        case _:
            return _display_string(text)


def _decoded(text: bytes) -> bytes:
    # RFC 9651 §4.2.7: missing padding and padding bits that are not zero are no failure.
    text = text.rstrip(b"=")
    try:
        return a2b_base64(text + b"=" * (-len(text) % 4))
    except Base64Error:
        raise ParseError("malformed byte sequence") from None


def _checked_date(seconds: int) -> Date:
    if not _FIRST_DATE <= seconds <= _LAST_DATE:
        raise ParseError("a date beyond the years 1 to 9999")
    return Date(seconds)


def _display_string(text: bytes) -> DisplayString:
    octets = _percent.sub(lambda match: bytes((int(match[1], 16),)), text)
    try:
        return DisplayString(octets, "utf-8")
    except UnicodeDecodeError:
        raise ParseError("malformed display string") from None


def _serialized_member(member: Member) -> bytes:
    if isinstance(member, Item):
        return serialize_item(member)
    items = b" ".join([serialize_item(item) for item in member.items])
    return b"(%s)%s" % (items, _serialized_parameters(member.parameters))


def _serialized_parameters(parameters: Parameters) -> bytes:
    return b"".join(
        [
            b";%s" % _serialized_key(key) if value is True else b";%s=%s" % (_serialized_key(key), _serialized(value))
            for key, value in parameters.items()
        ]
    )


def _serialized_key(key: bytes) -> bytes:
    if _key.fullmatch(key) is None:
        raise InternalError("not a key of a structured field")
    return key


def _serialized(value: BareItem) -> bytes:
    match value:
        case bool():
            return b"?1" if value else b"?0"
        case Date() if _FIRST_DATE <= value <= _LAST_DATE:
            return b"@%d" % value
        case Token() if _is_token(value):
            return bytes(value)
        case DisplayString():
            return _serialized_display_string(value)
        case Decimal():
            return _serialized_decimal(value)
        case str() if _is_text(value):
            return b'"%s"' % value.replace("\\", r"\\").replace('"', r"\"").encode()
        case Date() | Token() | str():
            raise InternalError("not a value of a structured field")
        case int() if -_MAX_INTEGER <= value <= _MAX_INTEGER:
            return b"%d" % value
        case int():
            raise InternalError("an integer of more than 15 digits")
        case bytes():
            return b":%s:" % b2a_base64(value, newline=False)
        case _ as never:
            assert_never(never)


def _serialized_decimal(value: Decimal) -> bytes:
    if not value.is_finite() or value.adjusted() > 11:
        raise InternalError("not a decimal of a structured field")
    rounded = value.quantize(Decimal("0.001"), context=_decimals)
    if rounded.adjusted() > 11:
        raise InternalError("a decimal of more than 12 digits before its point")
    whole, _, fraction = f"{rounded.copy_abs():f}".partition(".")
    sign = "-" if rounded < 0 else ""
    return f"{sign}{whole}.{fraction.rstrip('0') or '0'}".encode()


def _serialized_display_string(value: DisplayString) -> bytes:
    try:
        octets = value.encode()
    except UnicodeEncodeError:
        raise InternalError("a display string with a lone surrogate") from None
    return b'%%"%s"' % _not_plain.sub(lambda match: b"%%%02x" % match[0][0], octets)
