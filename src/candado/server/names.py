"""What may be a name, and paths as their parts.

Layer: ``server``; pure.
"""

from typing import Final

from candado.errors import BadRequestError, ForbiddenError, LimitExceededError

__all__ = ["check_name", "numbered_name", "split_path"]

_NAME_BYTES_MAX: Final = 250
_DEPTH_MAX: Final = 100
_ENDINGS_RESERVED: Final = (".e2e-to-save", ".e2e-to-delete")


def split_path(path: str) -> list[str]:
    """The parts of a decoded path relative to the home.

    Raises:
        BadRequestError: a part is ``.`` or ``..``, has a control character or is not encodable.
        LimitExceededError: too deep or a part is too long.
    """
    parts = [part for part in path.split("/") if part]
    if len(parts) > _DEPTH_MAX:
        raise LimitExceededError(f"a path has at most {_DEPTH_MAX} parts")
    for part in parts:
        if part in {".", ".."} or not part.isprintable():
            _check_characters(part)
        if len(part) * 4 > _NAME_BYTES_MAX and len(part.encode("utf-8", "surrogatepass")) > _NAME_BYTES_MAX:
            raise LimitExceededError(f"a name has at most {_NAME_BYTES_MAX} bytes")
    return parts


def _check_characters(part: str) -> None:
    if part in {".", ".."} or any(ord(c) < 32 or c == "\x7f" or 0xD800 <= ord(c) <= 0xDFFF for c in part):
        raise BadRequestError("a name must not be '.' or '..' or contain control characters")


def check_name(name: str) -> None:
    """Check the name of something new.

    Raises:
        BadRequestError: a backslash, which some clients cannot store. ForbiddenError: an ending kept for stock servers.
    """
    if "\\" in name:
        raise BadRequestError("a name must not contain a backslash")
    if name.endswith(_ENDINGS_RESERVED):
        raise ForbiddenError("a name must not end in .e2e-to-save or .e2e-to-delete")


def numbered_name(name: str, number: int) -> str:
    """The name for the ``number``-th thing that wants this one: ``a.txt``, ``a (2).txt``, ``a (3).txt``."""
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    return name if number == 1 else f"{stem} ({number}){dot}{suffix}"
