"""What is said when the server shows less than it did of a known folder, or another one in its place.

Layer: ``client``; used by ``reader``.
"""

import shlex

from candado.errors import ContextError, DowngradeError, TamperError, UnsignedDeletionError
from candado.folder.model import FolderPin

__all__ = ["flag_dropped", "replaced", "unsigned_deletion"]


def unsigned_deletion(event: str, what: str, root_path: str) -> UnsignedDeletionError:
    """A known folder is gone, or all that made it one; ``root_path`` is what a person may have this device forget.

    A deletion that another device signed and carried out between two looks of this one leaves nothing to be seen, so
    nothing is said about what was signed, only about what was seen.
    """
    return UnsignedDeletionError(
        event,
        f"{what}, and this device has seen no signed deletion.",
        advice="If a person removed it on purpose, perhaps on another device, run "
        f"`candado trust forget --folder {shlex.quote(root_path)}`; else ask the administrator to bring it back.",
    )


def replaced(pin: FolderPin | None, path: str) -> TamperError:
    """What is put into one root must not become readable for the members of another one (A43)."""
    if pin is None or pin.kind != "root":
        return unsigned_deletion("root.replaced", "Another folder stands in the place of a known one", path)
    advice = "If you renamed them yourself, open the moved folder under its new name first; see `candado ls /`."
    return ContextError("ctx.root", "Another of your encrypted folders is shown in this place.", advice=advice)


def flag_dropped(path: str) -> DowngradeError:
    """What was once seen encrypted is never taken for plain (A68)."""
    return DowngradeError("flag.dropped", "The server no longer calls this folder encrypted.", path=path)
