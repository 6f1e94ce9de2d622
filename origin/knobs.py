"""Knobs: query parameters that make one answer slow, wrong or broken on purpose; each begins with an underscore."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from origin.answer import Representation, text
from origin.quantities import parse_duration, parse_size

_is_field_value = re.compile(r"[\x21-\x7e\xa0-\uffff](?:[\t\x20-\x7e\xa0-\uffff]*[\x21-\x7e\xa0-\uffff])?").fullmatch
_is_etag = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"').fullmatch


class BadKnob(ValueError):
    """A knob's value cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """What the query asks to be different; None and False mean: as it is.

    Attributes:
        delay: seconds to wait before the final response.
        status: status code of a short text to send instead.
        bandwidth: octets a second of content at most.
        etag: "off", "weak", or an entity tag in its quotes.
        last_modified: False to leave Last-Modified out.
        cache_control: value of Cache-Control; "" leaves the field out.
        vary: further members of Vary.
        set_cookie: value of a Set-Cookie field.
        chunked: send the content without its length.
        truncate: octets of content after which the connection is reset.
        size: octets of generated content, under /bytes.
        early_hints: send a 103 first.
    """

    delay: float | None = None
    status: int | None = None
    bandwidth: int | None = None
    etag: str | None = None
    last_modified: bool = True
    cache_control: str | None = None
    vary: str | None = None
    set_cookie: str | None = None
    chunked: bool = False
    truncate: int | None = None
    size: int | None = None
    early_hints: bool = False


NO_KNOBS = Knobs()


def parse(query: Mapping[str, str]) -> Knobs:
    """Return the knobs of `query`, whose other parameters are left alone; BadKnob if a value cannot be used."""
    if not any(name.startswith("_") for name in query):
        return NO_KNOBS
    try:
        return Knobs(
            delay=parse_duration(query["_delay"]) if "_delay" in query else None,
            status=_status(query["_status"]) if "_status" in query else None,
            bandwidth=_bandwidth(query["_bandwidth"]) if "_bandwidth" in query else None,
            etag=_etag(query["_etag"]) if "_etag" in query else None,
            last_modified=query.get("_last_modified") != "off",
            cache_control=_field_value(query, "_cache_control"),
            vary=_field_value(query, "_vary"),
            set_cookie=_field_value(query, "_set_cookie"),
            chunked=query.get("_chunked") == "1",
            truncate=parse_size(query["_truncate"]) if "_truncate" in query else None,
            size=parse_size(query["_size"]) if "_size" in query else None,
            early_hints=query.get("_early_hints") == "1",
        )
    except ValueError as error:
        raise BadKnob(str(error)) from error


def turned(representation: Representation, knobs: Knobs) -> Representation:
    """Return `representation` as `knobs` want it to be."""
    if knobs.status is not None and knobs.status != representation.status:
        representation = text(knobs.status, "asked for by _status")
    fields, validators = representation.fields, representation.validators
    if knobs.cache_control is not None:
        fields = tuple(line for line in fields if line[0] != "Cache-Control")
        fields += (("Cache-Control", knobs.cache_control),) if knobs.cache_control else ()
    if knobs.vary:
        fields += (("Vary", knobs.vary),)
    if knobs.set_cookie:
        fields += (("Set-Cookie", knobs.set_cookie),)
    if not knobs.last_modified:
        validators = replace(validators, last_modified=None)
    match knobs.etag:
        case None:
            pass
        case "off":
            validators = replace(validators, etag=None)
        case "weak":
            validators = replace(validators, etag=f"W/{validators.etag}" if validators.etag else None)
        case etag:
            validators = replace(validators, etag=etag)
    return replace(representation, fields=fields, validators=validators)


def _status(value: str) -> int:
    if not re.fullmatch("[2-5][0-9][0-9]", value):
        raise ValueError(f"_status={value!r} is not between 200 and 599")
    return int(value)


def _bandwidth(value: str) -> int:
    octets = parse_size(value)
    if octets < 1:
        raise ValueError("_bandwidth must be at least 1")
    return octets


def _etag(value: str) -> str:
    if value in {"off", "weak"}:
        return value
    etag = value if value.endswith('"') else f'"{value}"'
    if not _is_etag(etag):
        raise ValueError(f"_etag={value!r} is not off, weak or an entity tag")
    return etag


def _field_value(query: Mapping[str, str], name: str) -> str | None:
    value = query.get(name)
    if value and not _is_field_value(value):
        raise ValueError(f"{name}={value!r} is not a field value")
    return value
