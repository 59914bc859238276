"""The names of one folder while it is filled, and what a new one would meet there.

Layer: ``client``.
"""

import unicodedata

from candado.errors import LocalNameError
from candado.folder.names import collision_key, windows_fault
from candado.protocol.plan_model import Problem

__all__ = ["TakenNames"]


class TakenNames:
    """Clear names of a folder.

    Args:
        names: as they stand; True for folders.
    """

    def __init__(self, names: dict[str, bool]) -> None:
        self.names = names
        self._near: dict[str, list[str]] = {}
        for name in names:
            self._near.setdefault(collision_key(name), []).append(name)

    @property
    def keys(self) -> dict[str, list[str]]:
        """Names by collision key."""
        return self._near

    def add(self, name: str, *, is_folder: bool) -> None:
        """Enter a name that is there from now on."""
        if name not in self.names:
            self._near.setdefault(collision_key(name), []).append(name)
        self.names[name] = is_folder

    def look_at(self, path: str) -> list[Problem]:
        """Warnings for a name that is new here; the same words as in a sync.

        Raises:
            LocalNameError: a name is here that differs only in the composition of its letters.
        """
        name = path.rpartition("/")[2]
        if name in self.names:
            return []
        near = self._near.get(collision_key(name), [])
        for other in near:
            if unicodedata.normalize("NFC", other) == unicodedata.normalize("NFC", name):
                raise LocalNameError(f"The name falls together with {other!r}.", path=path)
        warnings = [Problem.name_case(path)] if near else []
        fault = windows_fault(name)
        return [*warnings, Problem.name_windows(path, fault)] if fault else warnings
