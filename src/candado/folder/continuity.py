"""Steps 10 to 14 of acceptance: does the offered state continue the one that was accepted before?

Layer: ``folder``; pure. Every check compares decrypted, signed content with pins; nothing here trusts the document
itself.

Source: threats.md section 3 and A16, A33 to A37, A43 to A47, A54, A64, A94; crypto.md 11 and 12.
"""

from typing import Final

from candado.crypto.keywrap import key_checksum
from candado.errors import ContextError, CounterRollbackError, ForkError, KeyHistoryError, MalformedError, TamperError
from candado.folder.model import (
    AccountPins,
    FolderPin,
    Member,
    NestedPosition,
    Position,
    RootPosition,
    Transition,
)
from candado.folder.trust import Notice
from candado.formats.metadata import FolderContent, SkippedEntry, clear_name_fault
from candado.types import COUNTER_MAX, MetadataKey, UserId, check_sealed_name

__all__ = [
    "COUNTER_JUMP_MAX",
    "check_context",
    "check_counter",
    "check_key_continuity",
    "check_names",
    "compare",
    "former_members",
]

COUNTER_JUMP_MAX: Final = 2**20
_NO_RESTORE: Final = TamperError.default_advice
"""No backup that is restored makes a counter jump ahead."""


def check_key_continuity(
    position: RootPosition, content: FolderContent, metadata_key: MetadataKey, digest: str, pins: AccountPins
) -> None:
    """Return when the metadata key of a root continues its pinned history (step 10).

    A nested folder has no history of its own: its keys come from its root's in step 8.

    Raises:
        KeyHistoryError: ``meta.key-mismatch``: the key is not in the document's own history; ``mk.history``: a checksum
            that was seen is missing; ``mk.reuse``: an older key is used again.
        ContextError: ``ctx.root``: the history has nothing in common with the pinned one: another folder is shown.
    """
    checksum = key_checksum(metadata_key)
    history = set(content.key_checksums or ())
    if checksum not in history:
        raise KeyHistoryError("meta.key-mismatch", "The folder's key is not in the history of its keys.")
    pin = position.pin
    if pin is None:
        return
    known = set(pin.key_checksums)
    if known.isdisjoint(history):
        raise ContextError("ctx.root", "Another folder is shown in the place of this one.")
    if not known <= history and digest not in pins.history_overrides:
        raise KeyHistoryError(
            "mk.history",
            f"{len(known - history)} of the {len(known)} keys that this folder had are missing from the history of "
            "its keys.",
            got=digest,
            advice="Ask the members whether one of their apps wrote this; only then run "
            "`candado trust accept-history FOLDER`. Or ask the administrator on another channel whether an older "
            "backup was restored; only then run `candado trust forget --folder FOLDER`.",
        )
    if checksum != pin.current_checksum and checksum in known:
        raise KeyHistoryError("mk.reuse", "An older key of this folder is used again.")


def check_counter(position: Position, content: FolderContent, digest: str) -> None:
    """Return when the counter is higher than the pinned one, or equal with the same digest (step 11).

    Raises:
        CounterRollbackError: ``fresh.rollback`` (root), ``fresh.partial`` (nested): an older state;
            ``counter.range``: more than 2^20 ahead, or so high that nobody could count on.
        ForkError: ``fresh.fork``: another state under the same counter.
    """
    pin, counter = position.pin, content.counter
    if pin is None:
        if counter > COUNTER_MAX - COUNTER_JUMP_MAX:
            raise CounterRollbackError(
                "counter.range", "The folder's counter is out of range.", got=str(counter), advice=_NO_RESTORE
            )
        return
    seen = str(pin.counter)
    if counter < pin.counter:
        code = "fresh.rollback" if isinstance(position, RootPosition) else "fresh.partial"
        raise CounterRollbackError(
            code, "The server shows an older state of the folder.", expected=seen, got=str(counter)
        )
    if counter == pin.counter and digest != pin.digest:
        raise ForkError(
            "fresh.fork", "Two different states of the folder have one counter.", expected=pin.digest, got=digest
        )
    if counter - pin.counter > COUNTER_JUMP_MAX:
        raise CounterRollbackError(
            "counter.range", "The folder's counter jumped.", expected=seen, got=str(counter), advice=_NO_RESTORE
        )


def check_context(position: Position, metadata_key: MetadataKey, digest: str, pins: AccountPins) -> None:
    """Return when the document belongs to this place (step 12).

    Raises:
        ContextError: ``meta.kind``: the pin is of another kind; ``ctx.root``: the key belongs to another root;
            ``ctx.orphan``: the parent does not list this folder, or it is known below another root; ``ctx.fileid``:
            the number or the sealed name is not the known one; ``ctx.nested``: the document was accepted for another
            folder.
    """
    pin, file_id = position.pin, position.file_id
    kind = "root" if isinstance(position, RootPosition) else "nested"
    if pin is not None and pin.kind != kind:
        raise ContextError("meta.kind", "A folder changed between top level and nested.")
    if pin is not None and pin.file_id != file_id:
        raise ContextError("ctx.fileid", "The number of a known folder changed.")
    if isinstance(position, NestedPosition):
        _check_place(position, pins)
    elif pins.root_checksums.get(key_checksum(metadata_key), file_id) != file_id:
        raise ContextError("ctx.root", "The content of another encrypted folder is shown in this place.")
    if pins.documents.get(digest, file_id) != file_id:
        raise ContextError("ctx.nested", "The content of another folder is shown in this place.")


def _check_place(position: NestedPosition, pins: AccountPins) -> None:
    pin, file_id, name = position.pin, position.file_id, position.sealed_name
    if name not in position.parent.content.folders:
        raise ContextError("ctx.orphan", "A folder is shown in a place where its parent does not list it.")
    if file_id in {position.root.file_id, position.parent.file_id}:
        raise ContextError("ctx.fileid", "Two folders have one number.")
    if pins.places.get((position.parent.file_id, name), file_id) != file_id:
        raise ContextError("ctx.fileid", "The number of a known folder changed.")
    if pin is not None and pin.root_id != position.root.file_id:
        raise ContextError("ctx.orphan", "A folder is shown below another encrypted folder than before.")
    if pin is not None and pin.sealed_name != name:
        raise ContextError("ctx.fileid", "The sealed name of a known folder changed.")


def check_names(content: FolderContent, metadata_key: MetadataKey) -> tuple[Notice, ...]:
    """Return notices about entries that are left out or unusual (step 13).

    Entries with bad names, identifiers or parameters were left out when the document was parsed, and are kept for a
    rewrite.

    Raises:
        ContextError: ``id.bad``: one identifier names a file and a folder.
    """
    if not content.files.keys().isdisjoint(content.folders.keys()):
        raise ContextError("id.bad", "One identifier names a file and a folder.")
    notices: list[Notice] = [(_skip_code(skipped), None, skipped.identifier) for skipped in content.skipped]
    pairs = {(entry.key, bytes(entry.nonce)) for entry in content.files.values()}
    own = metadata_key.reveal()
    if len(pairs) < len(content.files) or any(entry.key.reveal() == own for entry in content.files.values()):
        notices.append(("file.key-reuse", None, "two files share a key"))
    return tuple(notices)


def _skip_code(skipped: SkippedEntry) -> str:
    try:
        check_sealed_name(skipped.identifier)
    except MalformedError:
        return "id.bad"
    name = skipped.raw.get("filename") if isinstance(skipped.raw, dict) else skipped.raw
    return "name.unsafe" if isinstance(name, str) and clear_name_fault(name) is not None else "file.params"


def compare(
    position: Position,
    content: FolderContent,
    members: tuple[Member, ...],
    metadata_key: MetadataKey,
    *,
    old_key: bool,
) -> Transition:
    """The difference between the pinned state and the accepted one (step 14)."""
    pin = position.pin
    if pin is None or isinstance(position, NestedPosition):
        return Transition(first_sight=pin is None, deleted=content.deleted, old_key=old_key)
    names = _fingerprints(members)
    added = tuple(user for user, fingerprint in names.items() if pin.members.get(user) != fingerprint)
    removed = tuple(user for user, fingerprint in pin.members.items() if names.get(user) != fingerprint)
    rotated = key_checksum(metadata_key) != pin.current_checksum
    return Transition(
        members_added=added,
        members_removed=removed,
        key_rotated=rotated,
        deleted=content.deleted,
        must_rotate=not rotated and (bool(removed) or pin.must_rotate),
    )


def former_members(pin: FolderPin | None, members: tuple[Member, ...]) -> dict[UserId, str]:
    """Everybody who was a member and is not one now, with the key of that time."""
    if pin is None:
        return {}
    names = _fingerprints(members)
    before = {**pin.former, **pin.members}
    return {user: fingerprint for user, fingerprint in before.items() if names.get(user) != fingerprint}


def _fingerprints(members: tuple[Member, ...]) -> dict[UserId, str]:
    return {member.user_id: member.key_fingerprint for member in members}
