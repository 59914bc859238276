"""Languages: which one a page has, and how it says texts, numbers, sizes and times.

Layer: ``apps``; pure. Source: RFC 9110 section 12.5.4 for the header by which a browser asks.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Final, Literal

from candado.apps.html_build import Html, Part, joined, tag

__all__ = ["LANGUAGES", "Language", "Speech", "Text", "choose_language", "language_of"]

Language = Literal["en", "es", "de"]
LANGUAGES: Final[dict[Language, str]] = {"en": "English", "es": "Español", "de": "Deutsch"}
"""Each with its own name for itself; the first is for those who ask for none of them."""

_ORDER: Final[dict[Language, int]] = {"en": 0, "es": 1, "de": 2}
_HEADER_CHARS_MAX: Final = 512
_WISH: Final = re.compile(
    r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9]{1,8})*\s*(?:;\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?\Z"
)
_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_MONTHS: Final[dict[Language, str]] = {
    "en": "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    "es": "ene feb mar abr may jun jul ago sept oct nov dic",
    "de": "Jan. Feb. März Apr. Mai Juni Juli Aug. Sept. Okt. Nov. Dez.",
}
_DAY: Final[dict[Language, str]] = {"en": "{0} {1} {2}", "es": "{0} {1} {2}", "de": "{0}. {1} {2}"}
_SIGNS: Final[dict[Language, dict[int, str]]] = {
    "en": {},
    "es": str.maketrans({",": "\N{NO-BREAK SPACE}", ".": ","}),
    "de": str.maketrans({",": ".", ".": ","}),
}


class Text(Enum):
    """One text: English, Spanish, German. ``{name}`` stands for a value."""

    def plain(self, language: Language) -> str:
        """The text without its values."""
        return str(self.value[_ORDER[language]])


def language_of(name: str | None) -> Language | None:
    """The language of this name, None when we do not speak it."""
    return next((language for language in LANGUAGES if language == name), None)


def choose_language(wishes: str) -> Language:
    """The language a browser likes best of ours, by its ``Accept-Language``; English if it likes none."""
    best, liked = "en", 0.0
    for wish in wishes[:_HEADER_CHARS_MAX].split(","):
        match = _WISH.match(wish)
        found = language_of(match[1].lower()) if match else None
        weight = float(match[2] or 1) if match else 0.0
        if found is not None and weight > liked:
            best, liked = found, weight
    return language_of(best) or "en"


@dataclass(frozen=True, slots=True)
class Speech:
    """One language at work."""

    language: Language

    def __call__(self, text: Text, **values: Part) -> Html:
        """A text for a page; what is put in is escaped unless it is HTML."""
        return Html(joined(text.plain(self.language)).format(**{name: joined(v) for name, v in values.items()}))

    def plain(self, text: Text, **values: str | int) -> str:
        """A text for where there is no markup: a title, a name for a screen reader, a script."""
        return text.plain(self.language).format(**values)

    def count(self, one: Text, many: Text, number: int) -> Html:
        """A text about a number of things: all three languages tell one from many, and no more."""
        return self(one if number == 1 else many, count=self.number(number))

    def number(self, number: int) -> str:
        """A whole number with its thousands apart."""
        return f"{number:,}".translate(_SIGNS[self.language])

    def size(self, count: int) -> str:
        """A number of bytes for people, by thousands."""
        value, unit = float(count), 0
        while value >= 999.5 and unit < len(_UNITS) - 1:
            value, unit = value / 1000, unit + 1
        shown = f"{value:.1f}" if unit and value < 9.95 else f"{value:.0f}"
        return f"{shown.translate(_SIGNS[self.language])}\N{NO-BREAK SPACE}{_UNITS[unit]}"

    def day(self, seconds: float) -> Html:
        """The day of a time since the epoch, in UTC; empty for one that no calendar has."""
        return self._time(seconds, with_clock=False)

    def time(self, seconds: float) -> Html:
        """Day and minute of a time since the epoch, in UTC; empty for one that no calendar has."""
        return self._time(seconds, with_clock=True)

    def _time(self, seconds: float, *, with_clock: bool) -> Html:
        try:
            at = datetime.fromtimestamp(seconds, UTC)
        except (ValueError, OverflowError, OSError):
            return Html()
        month = _MONTHS[self.language].split()[at.month - 1]
        shown = _DAY[self.language].format(at.day, month, at.year)
        clock = f", {at:%H:%M} UTC" if with_clock else ""
        return tag("time", shown + clock, datetime=at.strftime("%Y-%m-%dT%H:%MZ" if with_clock else "%Y-%m-%d"))
