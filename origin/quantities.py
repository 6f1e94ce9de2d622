"""Durations and sizes as people write them: a number with its unit."""

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_OCTETS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "kB": 10**3, "MB": 10**6, "GB": 10**9}
_quantity = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)([A-Za-z]{0,3})", re.ASCII).fullmatch


def parse_duration(text: str) -> float:
    """Return the seconds in "300ms", "1.5s", "2m" or "1h"; ValueError otherwise.  Only zero needs no unit."""
    match = _quantity(text)
    if match is not None and match[2] in _SECONDS:
        return float(match[1]) * _SECONDS[match[2]]
    if match is not None and not match[2] and float(match[1]) == 0:
        return 0.0
    raise ValueError(f"{text!r} is not a duration such as 300ms, 2s or 1m")


def parse_size(text: str) -> int:
    """Return the octets in "512", "100KiB", "10MiB" or "5MB"; ValueError otherwise."""
    match = _quantity(text)
    if match is None or (match[2] or "B") not in _OCTETS:
        raise ValueError(f"{text!r} is not a size such as 512, 100KiB or 10MiB")
    return int(float(match[1]) * _OCTETS[match[2] or "B"])
