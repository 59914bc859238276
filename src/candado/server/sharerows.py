"""Shares as values, and the statements that read them.

Layer: ``server``. Every statement reads a share ``s`` by a row ``m``: the share itself, or the row of one member of the
group it is with (see ``mounts``), whose target is the name in that member's home. All but ``BY_TOKEN`` take the time
as their last value and leave out what is over.
"""

from dataclasses import dataclass
from typing import Final

from candado.ports.server import SqlValue
from candado.types import FileId, UserId

__all__ = [
    "BY_INITIATOR",
    "BY_MAKER",
    "BY_NODE",
    "BY_PARENT",
    "BY_RECIPIENT",
    "BY_TOKEN",
    "RECEIVED",
    "SHARE_TYPE_GROUP",
    "SHARE_TYPE_LINK",
    "SHARE_TYPE_USER",
    "Share",
    "share_of",
]

SHARE_TYPE_USER: Final = 0
SHARE_TYPE_GROUP: Final = 1
SHARE_TYPE_LINK: Final = 3

_SELECT: Final = """SELECT s.id, s.share_type, s.owner_id, s.initiator_id, s.share_with, s.permissions, m.target,
    s.node_id, s.created, s.note, s.label, s.token, s.password_hash, s.expires, s.hide_download, n.is_folder,
    n.encrypted, n.name, o.display_name, i.display_name, COALESCE(w.display_name, g.display_name)
    FROM shares m JOIN shares s ON s.id = COALESCE(m.parent_share, m.id) JOIN nodes n ON n.id = s.node_id
    LEFT JOIN users o ON o.id = s.owner_id LEFT JOIN users i ON i.id = s.initiator_id
    LEFT JOIN users w ON w.id = s.share_with AND s.share_type = 0
    LEFT JOIN groups g ON g.id = s.share_with AND s.share_type = 1 WHERE """
_LIVE: Final = "(s.expires IS NULL OR s.expires > {})"
_ITSELF: Final = f"m.parent_share IS NULL AND {_LIVE}"
_TO_ME: Final = f"m.share_with = {{}} AND m.share_type IN (0, 2) AND m.permissions > 0 AND {_LIVE}"
BY_NODE: Final = _SELECT + "m.node_id = $1 AND " + _ITSELF.format("$2") + " ORDER BY s.id"
_BELOW: Final = "m.node_id IN (SELECT c.id FROM nodes c WHERE c.parent_id = $1) AND "
BY_PARENT: Final = _SELECT + _BELOW + _ITSELF.format("$2") + " ORDER BY s.id"
BY_INITIATOR: Final = (
    _SELECT + "(m.initiator_id = $1 OR m.owner_id = $1) AND " + _ITSELF.format("$2") + " ORDER BY s.id"
)
BY_RECIPIENT: Final = _SELECT + _TO_ME.format("$1", "$2") + " ORDER BY s.id"
BY_TOKEN: Final = _SELECT + "m.token = $1 AND m.share_type = 3"
BY_MAKER: Final = _SELECT + "m.id = $1 AND (m.initiator_id = $2 OR m.owner_id = $2) AND " + _ITSELF.format("$3")
RECEIVED: Final = _SELECT + "s.id = $1 AND " + _TO_ME.format("$2", "$3")


@dataclass(frozen=True, slots=True)
class Share:
    """One share as one of its parties sees it; ``path`` is in that party's home, with a leading slash.

    ``share_with`` is a user or a group, empty for a link; only a link has a token. Times are seconds since the epoch.
    """

    share_id: int
    share_type: int
    owner_id: UserId
    owner_name: str
    initiator_id: UserId
    initiator_name: str
    share_with: str
    share_with_name: str
    permissions: int
    target: str
    node_id: FileId
    node_name: str
    is_folder: bool
    is_encrypted: bool
    created_at: float
    note: str
    label: str
    token: str | None
    password_hash: str | None
    expires_at: float | None
    hide_download: bool
    path: str = ""


def share_of(row: tuple[SqlValue, ...], path: str = "") -> Share:
    """A row of the statements above."""
    share_id, kind, owner, initiator, recipient, bits, target, node_id, created, note, label, *rest = row
    token, hashed, expires, hidden, folder, encrypted, name, owner_name, initiator_name, recipient_name = rest
    assert isinstance(share_id, int)
    assert isinstance(kind, int)
    assert isinstance(bits, int)
    assert isinstance(node_id, int)
    assert isinstance(created, int | float)
    assert expires is None or isinstance(expires, int | float)
    return Share(
        share_id=share_id,
        share_type=kind,
        owner_id=UserId(str(owner)),
        owner_name=str(owner_name or owner),
        initiator_id=UserId(str(initiator)),
        initiator_name=str(initiator_name or initiator),
        share_with=str(recipient or ""),
        share_with_name=str(recipient_name or recipient or ""),
        permissions=bits,
        target=str(target),
        node_id=FileId(node_id),
        node_name=str(name),
        is_folder=bool(folder),
        is_encrypted=bool(encrypted),
        created_at=float(created),
        note=str(note),
        label=str(label),
        token=None if token is None else str(token),
        password_hash=None if hashed is None else str(hashed),
        expires_at=None if expires is None else float(expires),
        hide_download=bool(hidden),
        path=path,
    )
