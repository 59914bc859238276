"""Clear names: what may be written into a folder, and what cannot live side by side.

Layer: ``folder``; pure. A clear name is one path component. Names that arrive in metadata are checked when it is
parsed and are then left out and kept; here are the rules for names that we write or import.

Source: crypto.md 9 and 19.10; threats.md A59 to A61, A73.
"""

import re
import unicodedata
from collections.abc import Container
from typing import Final

from candado.errors import LocalNameError
from candado.formats.metadata import clear_name_fault

__all__ = ["NAME_BYTES_MAX", "check_clear_name", "collision_key", "unique_name", "windows_fault"]

NAME_BYTES_MAX: Final = 255
_DEVICES: Final = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3]) *(?:\..*)?", re.IGNORECASE | re.DOTALL
)
_NOT_ON_WINDOWS: Final = re.compile(r"[<>:\"|?*]")
_UNPRINTABLE: Final = frozenset({"Cc", "Cs"})


def check_clear_name(name: str) -> None:
    """Return when ``name`` may stand in a folder's metadata.

    Raises:
        LocalNameError: it is empty, ``.`` or ``..``, longer than 255 bytes of UTF-8, or has a slash, a backslash, a
            control character or half of a surrogate pair. Other apps refuse a whole folder because of one such name.
    """
    shown = name.encode("unicode_escape").decode("ascii")
    fault = clear_name_fault(name)
    if fault is not None:
        raise LocalNameError(f"This cannot be a name in an encrypted folder: {fault}.", path=shown)
    if any(unicodedata.category(char) in _UNPRINTABLE for char in name):
        raise LocalNameError("A name must not contain control characters or broken text.", path=shown)
    if len(name.encode("utf-8")) > NAME_BYTES_MAX:
        raise LocalNameError(f"A name must not be longer than {NAME_BYTES_MAX} bytes.", path=name)


def windows_fault(name: str) -> str | None:
    """Why Windows cannot have a file of this clear name, or None.

    Source: "Naming Files, Paths, and Namespaces" of its documentation.
    """
    if name.endswith((".", " ")):
        return "it ends with a dot or a blank"
    found = _NOT_ON_WINDOWS.search(name)
    if found is not None:
        return f"it has a {found[0]!r} in it"
    return "it is that of a device" if _DEVICES.fullmatch(name) else None


def collision_key(name: str) -> str:
    """The text under which names are the same on a file system that ignores case and Unicode form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def unique_name(name: str, taken: Container[str], *, label: str = "") -> str:
    """``name``, or the first of ``stem (label).ext``, ``stem (label 2).ext``, ... that is free.

    ``taken`` holds collision keys. With a ``label`` the plain name is never returned. The stem is cut so that the
    result stays within 255 bytes.
    """
    if not label and collision_key(name) not in taken:
        return name
    stem, dot, extension = name.rpartition(".")
    if not stem:
        stem, dot, extension = name, "", ""
    number = 1 if label else 2
    while True:
        words = " ".join([*([label] if label else []), *([str(number)] if number > 1 else [])])
        tail = f" ({words}){dot}{extension}"
        candidate = _cut(stem, NAME_BYTES_MAX - len(tail.encode("utf-8"))) + tail
        if collision_key(candidate) not in taken:
            return candidate
        number += 1


def _cut(text: str, bytes_max: int) -> str:
    return text.encode("utf-8")[: max(bytes_max, 0)].decode("utf-8", "ignore")
