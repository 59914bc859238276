"""File drop: what visitors of a drop link left, taken over by a member.

Layer: ``folder``; pure. Nobody signs a drop and the server can add, replace or remove entries, so a drop is a
quarantine: one bad entry never blocks the others or the folder, an existing file is never touched, and the clear name
of what is taken over says where it came from. The marker is part of the name because a document gets no member that
other apps do not know.

Source: crypto.md 16; threats.md A16, A71 to A75.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from candado.crypto.keywrap import key_checksum, unwrap_text_key
from candado.crypto.sealing import SealedParts, open_text
from candado.errors import CandadoError, ContextError, CryptoError, FormatError, MalformedError, NotAMemberError
from candado.folder.model import Identity, OpenFolder
from candado.folder.names import collision_key, unique_name
from candado.folder.sealing import kept_drops
from candado.formats.canonjson import JsonObject, dump_canonical
from candado.formats.metadata import (
    Entry,
    FolderContent,
    SealedDrop,
    parse_drop_content,
)
from candado.types import MetadataKey, SealedName

__all__ = ["DROP_LABEL", "DropMerge", "drop_digest", "merge_drops", "open_drop"]

DROP_LABEL = "dropped"


@dataclass(frozen=True, slots=True)
class DropMerge:
    """The result of taking over drops.

    ``content`` has the new files (the counter is unchanged), ``migrated`` are only those, ``kept`` is what has to
    stay in the document (unreadable or refused entries, untouched), ``refused`` tells why by identifier, ``digests``
    are the receipts of the migrated entries, to be remembered so that a replay is recognised.
    """

    content: FolderContent
    migrated: Mapping[SealedName, Entry]
    kept: JsonObject
    refused: Mapping[str, CandadoError]
    digests: frozenset[str]


def drop_digest(drop: SealedDrop) -> str:
    """Receipt of one entry: hex SHA-256 of its canonical JSON."""
    return hashlib.sha256(dump_canonical(drop.raw)).hexdigest()


def open_drop(drop: SealedDrop, identity: Identity, *, checksums: Collection[str] = ()) -> Entry:
    """Return what one drop describes; its content comes from an unknown person.

    ``checksums`` are those of the metadata keys of the folder, none of which may seal a drop.

    Raises:
        NotAMemberError: the drop has no wrapped key for us.
        MalformedError: there are two for us.
        ContextError: ``key.context``: it is sealed under a metadata key (A16).
        OpenFailedError, FormatError: it does not open, or its content breaks the grammar of an entry.
    """
    wrapped = [key for user_id, key in drop.users if user_id == identity.user_id]
    if not wrapped:
        raise NotAMemberError("The dropped file was not sealed for this account.")
    if len(wrapped) > 1:
        raise MalformedError("a dropped file lists this account twice")
    key = MetadataKey(unwrap_text_key(identity.key, wrapped[0]))
    if key_checksum(key) in checksums:
        raise ContextError("key.context", "A dropped file is sealed under the key of the folder.")
    block = drop.block
    return parse_drop_content(open_text(key, SealedParts(block.ciphertext, block.nonce, block.tag)))


def merge_drops(
    folder: OpenFolder, identity: Identity, taken: Collection[str] = (), *, imported: Collection[str] = ()
) -> DropMerge:
    """Return the content with every readable drop taken over under a marked, unique name.

    Args:
        folder: the accepted root that carries the drops.
        identity: our own certificate and key.
        taken: clear names that must not be used besides those of the folder.
        imported: receipts of drops that were taken over before; a replay of one is removed silently.
    """
    content = folder.content
    clear = [entry.filename for entry in content.files.values()]
    names = {collision_key(name) for name in [*clear, *content.folders.values(), *taken]}
    kept = dict(kept_drops(folder))
    migrated: dict[SealedName, Entry] = {}
    refused: dict[str, CandadoError] = {}
    digests: set[str] = set()
    for drop in folder.drops:
        digest = drop_digest(drop)
        if digest in imported:
            del kept[drop.sealed_name]
            continue
        try:
            entry = _admit(drop, folder, identity)
        except (CryptoError, FormatError, ContextError) as exc:
            refused[drop.sealed_name] = exc
            continue
        name = unique_name(entry.filename, names, label=DROP_LABEL)
        names.add(collision_key(name))
        migrated[drop.sealed_name] = replace(entry, filename=name)
        digests.add(digest)
        del kept[drop.sealed_name]
    return DropMerge(
        content=replace(content, files={**content.files, **migrated}),
        migrated=migrated,
        kept=kept,
        refused=refused,
        digests=frozenset(digests),
    )


def _admit(drop: SealedDrop, folder: OpenFolder, identity: Identity) -> Entry:
    content = folder.content
    skipped = {entry.identifier for entry in content.skipped}
    if drop.sealed_name in content.files or drop.sealed_name in content.folders or drop.sealed_name in skipped:
        raise ContextError("drop.clash", "A dropped file has the identifier of something that is in the folder.")
    return open_drop(drop, identity, checksums=content.key_checksums or ())
