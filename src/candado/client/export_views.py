"""What an export makes of accepted folders: files that a listing hides, what is missing, keys that are still needed.

Layer: ``client``; pure; used by ``export``.
"""

from collections.abc import Container, Iterable, Iterator

from candado.client.fill import ItemFailure
from candado.client.view import FolderView, RemoteEntry, Tree, join
from candado.crypto.filebody import BODY_OVERHEAD_BYTES
from candado.crypto.keywrap import wrap_key
from candado.errors import AlreadyExistsError, LocalNameError
from candado.folder.model import OpenFolder
from candado.formats.metadata import Entry
from candado.ports.client import RemoteNode
from candado.types import SealedName, UserId

__all__ = ["missing_paths", "older_keys", "remote_entry", "unusable"]


def remote_entry(path: str, name: SealedName, entry: Entry, node: RemoteNode) -> RemoteEntry:
    """A file of an encrypted folder, put together from its entry and its line of a listing."""
    return RemoteEntry(
        path=path,
        remote_path=node.path,
        is_folder=False,
        size_bytes=max(0, node.size_bytes - BODY_OVERHEAD_BYTES),
        mtime_seconds=node.mtime_seconds,
        file_id=node.file_id,
        etag=node.etag,
        is_encrypted=True,
        permissions=node.permissions,
        owner_id=node.owner_id,
        sealed_name=name,
        entry=entry,
    )


def missing_paths(view: FolderView, there: Container[tuple[str, SealedName | None]]) -> list[str]:
    """Clear paths of what a folder lists and the server does not show."""
    assert view.folder is not None
    files = [entry.filename for name, entry in view.folder.files.items() if (view.path, name) not in there]
    folders = view.missing & set(view.folder.folders.values())
    return [join(view.path, name) for name in [*sorted(files), *sorted(folders)]]


def unusable(view: FolderView) -> list[ItemFailure]:
    """What a folder lists and nobody can get: names that cannot be used, and the second of two folders of one name."""
    folder = view.folder
    assert folder is not None
    shown = {entry.sealed_name for entry in view.entries.values()}
    twin = AlreadyExistsError(
        "Two folders have this name, and one of them is not in the bundle.",
        safe="Both are unchanged on the server.",
        advice="Rename the one that is shown, then export again into another place.",
    )
    failures = [
        ItemFailure(join(view.path, name), twin)
        for sealed, name in folder.folders.items()
        if sealed not in shown and name in view.entries
    ]
    for skipped in folder.content.skipped:
        error = LocalNameError(
            f"An entry cannot be used and is not in the bundle: {skipped.reason}.",
            safe="It is unchanged on the server.",
            advice="Ask the person who wrote it to rename it.",
        )
        failures.append(ItemFailure(join(view.path, skipped.identifier), error))
    return failures


def older_keys(root: OpenFolder, tree: Tree) -> Iterator[tuple[UserId, bytes]]:
    """Keys that nested folders are still sealed under, wrapped for every member."""
    keys = {view.folder.metadata_key for view in _opened(tree) if view.folder is not None}
    for key in sorted(keys - {root.metadata_key}, key=lambda one: one.reveal()):
        for member in root.members:
            yield member.user_id, wrap_key(member.certificate.public_key, key.reveal())


def _opened(tree: Tree) -> Iterable[FolderView]:
    return [view for view in tree.folders.values() if view.old_key]
