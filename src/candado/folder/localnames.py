"""Clear names to names that a disk can have, when there is nobody to rename anything.

Layer: ``folder``; pure. Used where a whole folder is written out and no name may be lost: what cannot stand as it is
gets the nearest name that can, and the caller lists both. The same names always give the same result.

Source: threats.md A59 to A61.
"""

from collections.abc import Iterable
from typing import Final

from candado.folder.names import NAME_BYTES_MAX, collision_key, unique_name, windows_fault

__all__ = ["local_name", "local_names"]

_OWN_PREFIX: Final = ".candado-"
_NOT_ON_WINDOWS: Final = frozenset('<>:"|?*')


def local_name(name: str, *, windows: bool) -> str:
    """``name``, or what stands for it.

    Characters that the system does not allow become ``_``; a name of a device, or one that our own working folders
    could have, gets ``_`` in front; what is too long is cut before its extension.
    """
    text = name.encode("utf-8", "replace").decode("utf-8")
    if text.startswith(_OWN_PREFIX):
        text = f"_{text}"
    if windows:
        text = "".join("_" if char in _NOT_ON_WINDOWS else char for char in text)
        if text.endswith((".", " ")):
            text = f"{text[:-1]}_"
        if windows_fault(text) is not None:
            text = f"_{text}"
    return _short(text)


def local_names(names: Iterable[str], *, windows: bool) -> list[str]:
    """The names for one folder, in the order of ``names``; each is different from the ones before.

    On Windows also where case does not count.
    """
    taken: set[str] = set()
    keys: set[str] = set()
    found: list[str] = []
    for name in names:
        text = local_name(name, windows=windows)
        if (collision_key(text) in keys) if windows else (text in taken):
            text = unique_name(text, keys)
        taken.add(text)
        keys.add(collision_key(text))
        found.append(text)
    return found


def _short(text: str) -> str:
    excess = len(text.encode("utf-8")) - NAME_BYTES_MAX
    if excess <= 0:
        return text
    stem, dot, extension = text.rpartition(".")
    if not stem or len(extension.encode("utf-8")) > NAME_BYTES_MAX // 2:
        stem, dot, extension = text, "", ""
    room = NAME_BYTES_MAX - len(f"{dot}{extension}".encode())
    return stem.encode("utf-8")[:room].decode("utf-8", "ignore") + dot + extension
