"""What an accepted change of a folder means, in words for people.

Layer: ``client``; plain values. The codes are those of the threat model.
"""

from typing import Final

from candado.folder.model import Event

__all__ = ["EVENT_TEXTS", "text_of"]

EVENT_TEXTS: Final = {
    "cert.untrusted": "A member's certificate is not vouched for; the known key still counts",
    "cert.warning": "A member's certificate is unusual",
    "drop.bad": "Something in the folder's file drop cannot be used",
    "file.key-reuse": "Files in this folder share a key",
    "file.params": "An entry of this folder cannot be used",
    "folder.deleted": "A member deleted this folder and signed it",
    "fresh.unanchored": "This folder of yours was met for the first time on this device",
    "id.bad": "An entry of this folder has an unusable identifier",
    "key.first-seen": "The key of a person was met for the first time",
    "members.added": "A person can read this folder from now on",
    "members.removed": "A person was taken out of this folder",
    "mk.not-rotated": "A person was taken out of this folder, but the key was not changed",
    "mk.rotated": "This folder has a new key",
    "name.unsafe": "An entry of this folder has a name that cannot be used",
    "nested.moved": "This folder was moved",
    "nested.old-key": "This folder is still sealed under an older key",
    "recovery.added": "The owner let the recovery key of the organisation into this folder; its holders can read it",
    "recovery.member": "The recovery key of the organisation is in this folder; its holders can read it",
    "recovery.removed": "The recovery key of the organisation was taken out of this folder",
    "share.new": "This folder was met for the first time on this device, in a state signed by this person",
}


def text_of(event: Event) -> str:
    """The event as one line: what it means, its detail, the person it is about."""
    what = EVENT_TEXTS.get(event.code, event.code)
    detail = f": {event.detail}" if event.detail else ""
    who = f" ({event.user_id})" if event.user_id else ""
    return f"{what}{detail}{who}"
