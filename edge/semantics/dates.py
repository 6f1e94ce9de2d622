"""HTTP dates: the three formats of RFC 9110 §5.6.7 read, the first of them written."""

import re
from datetime import UTC, date, datetime
from functools import lru_cache

from edge.errors import ParseError

_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_DAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTH_NUMBERS = {name.lower(): number for number, name in enumerate(_MONTHS, 1)}

_DAY = b"(?:%s)" % b"|".join(_DAYS)
_LONG_DAY = rb"(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"
_MONTH = b"(%s)" % b"|".join(_MONTHS)
_TIME = rb"([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9]|60)"
_imf_fixdate = re.compile(rb"(?i)%s, ([0-9]{2}) %s ([0-9]{4}) %s GMT" % (_DAY, _MONTH, _TIME)).fullmatch
_rfc850_date = re.compile(rb"(?i)%s, ([0-9]{2})-%s-([0-9]{2}) %s GMT" % (_LONG_DAY, _MONTH, _TIME)).fullmatch
_asctime_date = re.compile(rb"(?i)%s %s ([0-9]{2}| [0-9]) %s ([0-9]{4})" % (_DAY, _MONTH, _TIME)).fullmatch

_IMF_LENGTH = len("Sun, 06 Nov 1994 08:49:37 GMT")

_EPOCH = date(1970, 1, 1).toordinal()
_FIRST = (1 - _EPOCH) * 86400
_LAST = (date(9999, 12, 31).toordinal() - _EPOCH + 1) * 86400 - 1


def parse_date(value: bytes, now: float) -> int:
    """Return the seconds since 1970-01-01T00:00Z of an HTTP-date; `now` places a two-digit year.

    Names are read in any case (RFC 9111 §4.2), a day name that is not that of the date is tolerated, and a leap second
    is taken as the second before it.

    Raises:
        ParseError: for anything but one of the three formats of RFC 9110 §5.6.7, and for a day no calendar has.
    """
    if len(value) == _IMF_LENGTH and (seconds := _from_imf_fixdate(value)) is not None:
        return seconds
    if (match := _rfc850_date(value)) is not None:
        day, month, year, hour, minute, second = match.groups()
        time = (int(hour), int(minute), int(second))
        return _seconds_in_century(int(year), _MONTH_NUMBERS[month.lower()], int(day), time, now)
    if (match := _asctime_date(value)) is not None:
        month, day, hour, minute, second, year = match.groups()
        return _seconds(int(year), _MONTH_NUMBERS[month.lower()], int(day), (int(hour), int(minute), int(second)))
    raise ParseError("malformed date")


def format_date(seconds: float) -> bytes:
    """Return the IMF-fixdate of `seconds` since 1970-01-01T00:00Z, kept within the years 1 to 9999."""
    days, rest = divmod(int(min(max(seconds, _FIRST), _LAST) // 1), 86400)
    day = date.fromordinal(_EPOCH + days)
    return b"%s, %02d %s %04d %02d:%02d:%02d GMT" % (
        _DAYS[day.weekday()], day.day, _MONTHS[day.month - 1], day.year,
        rest // 3600, rest // 60 % 60, rest % 60,
    )  # fmt: skip


# The same few dates are read again and again: of what is stored, and of the present second.
@lru_cache(maxsize=4096)
def _from_imf_fixdate(value: bytes) -> int | None:
    if (match := _imf_fixdate(value)) is None:
        return None
    day, month, year, hour, minute, second = match.groups()
    return _seconds(int(year), _MONTH_NUMBERS[month.lower()], int(day), (int(hour), int(minute), int(second)))


def _seconds(year: int, month: int, day: int, time: tuple[int, int, int]) -> int:
    try:
        days = date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        raise ParseError("no such day") from None
    hour, minute, second = time
    return days * 86400 + hour * 3600 + minute * 60 + min(second, 59)


def _seconds_in_century(year: int, month: int, day: int, time: tuple[int, int, int], now: float) -> int:
    # RFC 9110 §5.6.7: a date more than 50 years ahead stands for the last year in the past with these two digits.
    today = datetime.fromtimestamp(now, UTC)
    limit = today.year + 50
    year = limit - (limit - year) % 100
    if year == limit and (month, day, *time) > (today.month, today.day, today.hour, today.minute, today.second):
        year -= 100
    return _seconds(year, month, day, time)
