"""Metadata keys that the recovery key gave this account, until it is a member under its new key.

Layer: ``client``. Space of the state: ``key/handed``, one row a root: SHA-256 of the lost key, then the metadata key.
"""

from typing import TYPE_CHECKING, Final

from candado.errors import CorruptStateError
from candado.folder.model import HandedKey
from candado.types import FileId, MetadataKey

if TYPE_CHECKING:
    from candado.client.pins import Row
    from candado.ports.client import StateStore

__all__ = ["handed_key", "rows_handed"]

_SPACE: Final = "key/handed"
_DIGEST_BYTES: Final = 32


def handed_key(store: "StateStore", root_id: FileId) -> HandedKey | None:
    """The key that was given for a root, if this account is not a member again yet."""
    stored = store.load(_SPACE, str(root_id))
    if stored is None:
        return None
    if len(stored) != _DIGEST_BYTES + MetadataKey.SIZE:
        raise CorruptStateError("a stored key of a recovery cannot be read")
    return HandedKey(MetadataKey(stored[_DIGEST_BYTES:]), stored[:_DIGEST_BYTES].hex())


def rows_handed(root_id: FileId, handed: HandedKey | None) -> "list[Row]":
    """Keep the key given for a root, or forget it."""
    value = None if handed is None else bytes.fromhex(handed.former_key) + handed.metadata_key.reveal()
    return [(_SPACE, str(root_id), value)]
