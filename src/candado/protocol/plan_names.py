"""Names in a sync: conflict copies, names that cannot travel, names that fall together.

Layer: ``protocol``; pure text work on paths ("/" separated) and names (one component).
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable
from typing import Final

from candado.errors import LocalNameError
from candado.folder.names import NAME_BYTES_MAX, check_clear_name, collision_key
from candado.protocol.plan_model import Problem

__all__ = ["clashes", "conflict_name", "join", "name_of", "name_problem", "parent_of"]

_CONFLICT = re.compile(r" \(conflicted copy [^()/]{0,80}\d{4}-\d{2}-\d{2} \d{6}(?: \d+)?\)")
_UNFIT = re.compile(r"[\x00-\x1f\x7f/()]")
_PLAIN = re.compile(r"[\w -][\w .-]{0,60}", re.ASCII)
"""Names that need no closer look: most, and looking is what planning a big tree would spend its time on."""

_SUFFIX_LENGTH_MAX: Final = 16
_DEVICE_LENGTH_MAX: Final = 40


def parent_of(path: str) -> str:
    """The folder a path lies in; empty for the top level."""
    return path.rpartition("/")[0]


def name_of(path: str) -> str:
    """The last component of a path."""
    return path.rpartition("/")[2]


def join(folder: str, name: str) -> str:
    """The path of ``name`` in ``folder`` (empty: the top level)."""
    return f"{folder}/{name}" if folder else name


def conflict_name(name: str, *, device: str, stamp: str, is_taken: Callable[[str], bool]) -> str:
    """Return ``stem (conflicted copy DEVICE STAMP).suffix``, free and at most 255 bytes long.

    A conflict copy of a conflict copy gets the name that a copy of the original would get, so that marks never pile
    up. A number follows the stamp when the name is taken.
    """
    original = _CONFLICT.sub("", name) or name
    stem, dot, suffix = original.rpartition(".")
    if not stem or len(suffix) > _SUFFIX_LENGTH_MAX:
        stem, dot, suffix = original, "", ""
    who = _UNFIT.sub("", device)[:_DEVICE_LENGTH_MAX].strip() or "device"
    number = 1
    while True:
        mark = f" (conflicted copy {who} {stamp}{f' {number}' if number > 1 else ''}){dot}{suffix}"
        room = NAME_BYTES_MAX - len(mark.encode("utf-8", "surrogatepass"))
        candidate = _cut(stem, room) + mark
        if not is_taken(candidate):
            return candidate
        number += 1


def _cut(text: str, bytes_max: int) -> str:
    """The longest beginning of ``text`` that is at most ``bytes_max`` bytes of UTF-8."""
    return text.encode("utf-8", "surrogatepass")[:bytes_max].decode("utf-8", "ignore")


def name_problem(name: str) -> str | None:
    """Why a local name cannot be stored remotely, or None."""
    if _PLAIN.fullmatch(name):
        return None
    try:
        check_clear_name(name)
    except LocalNameError as error:
        return error.message
    return None


def clashes(
    paths: Iterable[str], *, agreed: Collection[str], shared: Collection[str], fold_case: bool
) -> list[Problem]:
    """Return a problem for each path that falls together with another one.

    Two paths fall together when they differ only in the Unicode composition of characters or, with ``fold_case``, in
    upper and lower case. One of each group keeps its place: one that was agreed upon, else one that is on both sides,
    else the first in order. Without ``fold_case``, paths that differ only in case give a warning, unless all are
    agreed upon.
    """
    listed = list(paths)
    keys = [path.lower() if path.isascii() else collision_key(path) for path in listed]
    if len(set(keys)) == len(listed):
        return []
    exact: dict[str, list[str]] = {}
    folded: dict[str, list[str]] = {}
    for path, key in sorted(zip(listed, keys, strict=True)):
        exact.setdefault(unicodedata.normalize("NFC", path), []).append(path)
        folded.setdefault(key, []).append(path)
    problems: list[Problem] = []
    for group in (folded if fold_case else exact).values():
        if len(group) > 1:
            keeper = min(group, key=lambda p: (p not in agreed, p not in shared, p))
            problems += [
                Problem(path, "NAME_UNSAFE", f"the name falls together with {keeper!r}")
                for path in sorted(group)
                if path != keeper
            ]
    if not fold_case:
        told = {problem.path for problem in problems}
        problems += [
            Problem.name_case(path)
            for group in folded.values()
            if len(set(group) - told) > 1
            for path in group
            if path not in agreed and path not in told
        ]
    return problems
