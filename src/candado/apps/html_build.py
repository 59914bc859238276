"""HTML that is put together from parts, of which every one that is not HTML yet is escaped.

Layer: ``apps``; pure. ``Html`` is text that may go into a page as it is; nothing but this module and ``texts`` makes it
from other text.
"""

from collections.abc import Iterable
from html import escape
from typing import Final

__all__ = ["NOTHING", "Html", "Part", "joined", "tag"]

_VOID: Final = frozenset({"br", "input", "meta", "path"})


class Html(str):
    """Markup of our own making, in which everything from outside is escaped."""

    __slots__ = ()


Part = str | int | None
"""Something to show: ``Html`` as it is, other text escaped, None not at all."""

NOTHING: Final = Html()


def joined(*parts: Part, between: Part = "") -> Html:
    """All parts in a row."""
    return Html(_html(between).join(_html(part) for part in parts if part is not None))


def tag(name: str, /, *parts: Part, **attributes: str | int | bool | None) -> Html:
    """One element; an attribute is written ``aria_label`` or ``for_``, and left out when it is None or False."""
    opened = f"<{name}{''.join(_attributes(attributes.items()))}>"
    return Html(opened if name in _VOID else f"{opened}{joined(*parts)}</{name}>")


def _html(part: Part) -> str:
    return part if isinstance(part, Html) else "" if part is None else escape(str(part))


def _attributes(named: Iterable[tuple[str, str | int | bool | None]]) -> Iterable[str]:
    for name, value in named:
        spelled = name.rstrip("_").replace("_", "-")
        if value is True:
            yield f" {spelled}"
        elif value is not None and value is not False:
            yield f' {spelled}="{escape(str(value))}"'
