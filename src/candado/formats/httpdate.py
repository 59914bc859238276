"""Times as HTTP dates, fast enough for every entry of a listing.

Layer: ``formats``. Source: RFC 9110, section 5.6.7.
"""

from email.utils import formatdate
from functools import lru_cache
from typing import Final

__all__ = ["http_date"]

_DAY_SECONDS: Final = 86_400
_LAST_SECOND: Final = 253_402_300_799
_MINUTES: Final = tuple(f"{number // 60:02d}:{number % 60:02d}" for number in range(24 * 60))
_SECONDS: Final = tuple(f"{number:02d}" for number in range(60))
"""The end of the year 9999, the last that the format can write."""


def http_date(seconds: float) -> str:
    """Return a time in seconds since the epoch as ``Sun, 06 Nov 1994 08:49:37 GMT``; what is beyond is cut to fit."""
    whole = int(seconds)
    if not 0 <= whole <= _LAST_SECOND:
        whole = 0 if whole < 0 else _LAST_SECOND
    day, rest = divmod(whole, _DAY_SECONDS)
    minute, second = divmod(rest, 60)
    return f"{_day(day)} {_MINUTES[minute]}:{_SECONDS[second]} GMT"


@lru_cache(maxsize=1024)
def _day(number: int) -> str:
    return formatdate(number * _DAY_SECONDS, usegmt=True)[:16]
