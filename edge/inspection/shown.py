"""How what is stored looks on a terminal and as JSON: text that holds nothing a terminal would obey."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from edge.errors import ParseError
from edge.policy.key import parse_key

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def text(value: bytes) -> str:
    """Return `value` with everything but printable ASCII as an escape."""
    return "".join(chr(octet) if 0x20 <= octet < 0x7F else f"\\x{octet:02x}" for octet in value)


def url(key: bytes) -> str:
    """Return the URL of a key, or the key itself if it was not made of one."""
    try:
        return text(parse_key(key).uri)
    except ParseError:
        return text(key)


def size(octets: int) -> str:
    """Return a number of octets in the unit that suits it: "512 B", "1.5 MiB"."""
    value, unit = float(octets), _UNITS[0]
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{octets} B" if unit == "B" else f"{value:.1f} {unit}"


def duration(seconds: float) -> str:
    """Return seconds in the two largest units that suit: "42s", "5m07s", "3h20m", "12d4h"."""
    sign, whole = ("-", int(-seconds)) if seconds < 0 else ("", int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if days:
        return f"{sign}{days}d{hours % 24}h"
    if hours:
        return f"{sign}{hours}h{minutes % 60:02}m"
    return f"{sign}{minutes}m{whole % 60:02}s" if minutes else f"{sign}{whole}s"


def instant(seconds: float) -> str:
    """Return a time as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def nominated(fields: Sequence[tuple[bytes, bytes | None]]) -> dict[str, str | None]:
    """Return nominated fields by name; None for one that the request lacked."""
    return {text(name): None if value is None else text(value) for name, value in fields}


def line(record: Mapping[str, object]) -> str:
    """Return `record` as one line of JSON."""
    return json.dumps(record, separators=(",", ":"))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: int) -> list[str]:
    """Return the lines of a table whose first `right` columns are aligned to the right and whose last one is free."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = []
    for row in (heads, *rows):
        cells = [
            cell.rjust(width) if at < right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
