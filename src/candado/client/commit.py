"""The end of a write session: seal every touched folder, send the metadata, read it all back.

Layer: ``client``. Called by ``session`` between the last payload and the unlock, and after the unlock. Nested
folders are sent before the root, so that at no moment a root names a key that its folders cannot be opened with
(threats.md A82).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from candado.client.account import Account
from candado.client.bounded import bounded
from candado.client.draft import Draft
from candado.client.pins import Row
from candado.client.reader import FolderReader
from candado.client.view import FolderView
from candado.crypto.filebody import sealed_size
from candado.errors import (
    CandadoError,
    CryptoError,
    FormatError,
    LockLostError,
    MisuseError,
    NotFoundError,
    StoreLieError,
    TamperError,
)
from candado.folder.filedrop import DropMerge, merge_drops
from candado.folder.members import MembershipChange
from candado.folder.model import OpenFolder
from candado.folder.sealing import SealedWrite, kept_drops, seal_nested, seal_root
from candado.formats.canonjson import JsonObject, document_digest
from candado.formats.metadata import FolderContent, parse_sealed
from candado.ports.client import RemoteNode
from candado.types import LockToken, Nonce

__all__ = ["Outcome", "PendingWrite", "Shown", "has_arrivals", "read_back", "rows_of", "seal_all", "send_all"]

_DROPS = "drop/taken"


@dataclass(frozen=True, slots=True)
class PendingWrite:
    """One folder's next document and where it goes; ``receipts`` are digests of file drops it takes over."""

    draft: Draft
    sealed: SealedWrite
    receipts: frozenset[str] = frozenset()

    @property
    def bodies_unchanged(self) -> bool:
        """True when the folder was only sealed anew: nothing in it was sent, moved or removed."""
        return not self.draft.changed and not self.draft.is_new


class Shown(Enum):
    """What the server shows after the unlock."""

    NEW = auto()
    OLD = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The folders as read back: what they show together, their views, and the fault when it is neither new nor old."""

    shown: Shown
    views: dict[str, FolderView]
    error: CandadoError | None = None


# --- before the unlock ------------------------------------------------------------------------------------


def seal_all(
    account: Account, drafts: Sequence[Draft], root: OpenFolder | None, change: MembershipChange | None
) -> list[PendingWrite]:
    """Documents of all changed folders, nested ones first and deepest first, the root last.

    Args:
        account: who signs.
        drafts: every folder the session has opened; with a ``change`` that must be all folders of the root.
        root: the root's accepted state; None when the session makes the root.
        change: new members and metadata key, or None.
    """
    writes: list[PendingWrite] = []
    top = next((draft for draft in drafts if draft.kind == "root"), None)
    if top is not None and (top.changed or change is not None):
        write = _seal_root(account, top, change)
        root = write.sealed.folder
        writes.append(write)
    if root is None:
        raise MisuseError("a session needs the state of its root")
    writes.extend(
        PendingWrite(draft, _seal_nested(account, draft, root))
        for draft in sorted(drafts, key=lambda item: item.depth)
        if draft.kind == "nested" and (draft.changed or change is not None)
    )
    writes.reverse()
    return writes


def _seal_root(account: Account, draft: Draft, change: MembershipChange | None) -> PendingWrite:
    content = draft.content()
    before = draft.before
    identity = account.require_identity()
    if before is None:
        assert change is not None
    drops: JsonObject = {}
    receipts: frozenset[str] = frozenset()
    if before is not None and not draft.deleted:
        content, drops, receipts = _take_drops(account, draft, content, before)
    if change is not None:
        content = replace(content, key_checksums=change.key_checksums)
    members = change.members if change is not None else before.members if before is not None else ()
    key = change.metadata_key if change is not None else before.metadata_key if before is not None else None
    assert key is not None
    sealed = seal_root(
        content=content,
        members=members,
        metadata_key=key,
        version="2.0" if before is None else before.version,
        file_id=draft.file_id,
        identity=identity,
        drops_raw=drops,
        nonce=Nonce(account.random.token(12)),
        now=account.clock.now(),
        previous=draft.pin,
        path_hint=draft.path,
    )
    return PendingWrite(draft, sealed, receipts)


def _take_drops(
    account: Account, draft: Draft, content: FolderContent, before: OpenFolder
) -> tuple[FolderContent, JsonObject, frozenset[str]]:
    """Take over readable file drops whose body is on the server; the others stay in the document as they are."""
    if draft.view is None or not before.drops:
        return content, kept_drops(before), frozenset()
    merge = _merge(account, draft.view, replace(before, content=content))
    for identifier, error in merge.refused.items():
        account.record_refusal(error, path=f"{draft.path}/{identifier}", file_id=draft.file_id)
    return merge.content, merge.kept, merge.digests


def _merge(account: Account, view: FolderView, folder: OpenFolder) -> DropMerge:
    """The drops of ``folder`` taken over whose bodies the listing in ``view`` shows; the others are not looked at."""
    listed = {problem.path.rpartition("/")[2] for problem in view.problems}
    arrived = tuple(drop for drop in folder.drops if drop.sealed_name in listed)
    return merge_drops(
        replace(folder, drops=arrived), account.require_identity(), imported=account.store.load_all(_DROPS).keys()
    )


def has_arrivals(account: Account, view: FolderView) -> bool:
    """Whether a write would take something over from the folder's file drop, or clear away what was taken before."""
    folder = view.folder
    if folder is None or folder.kind != "root" or not folder.drops:
        return False
    merge = _merge(account, view, folder)
    return len(merge.kept) < len(kept_drops(folder))


def _seal_nested(account: Account, draft: Draft, root: OpenFolder) -> SealedWrite:
    assert draft.parent is not None or draft.view is not None
    parent_id = draft.parent.file_id if draft.parent is not None else draft.view.parent_id if draft.view else None
    assert parent_id is not None
    assert draft.sealed_name is not None
    return seal_nested(
        content=draft.content(),
        root=root,
        file_id=draft.file_id,
        parent_id=parent_id,
        sealed_name=draft.sealed_name,
        identity=account.require_identity(),
        nonce=Nonce(account.random.token(12)),
        now=account.clock.now(),
        previous=draft.pin,
        path_hint=draft.path,
    )


async def send_all(account: Account, writes: Sequence[PendingWrite], token: LockToken) -> None:
    """Send the documents under the token: nested folders in parallel, then the root."""

    async def send(write: PendingWrite) -> None:
        remote, sealed = account.remote, write.sealed
        method = remote.create_metadata if write.draft.is_new else remote.update_metadata
        await method(write.draft.file_id, token, sealed.text, sealed.signature_b64)

    await bounded(send, [write for write in writes if write.draft.kind == "nested"])
    for write in writes:
        if write.draft.kind == "root":
            await send(write)


# --- after the unlock ---------------------------------------------------------------------------------------


async def read_back(
    account: Account, reader: FolderReader, writes: Sequence[PendingWrite], *, root: OpenFolder, acknowledged: bool
) -> Outcome:
    """Ask what the server shows for every folder of the session (A83): one listing each, sizes of new bodies included.

    Args:
        account: whose.
        reader: accepts what is neither ours nor the old state.
        writes: what was sent.
        root: the root as it stands after the session.
        acknowledged: the server said that the unlock was carried out.

    Raises:
        TransportError: no answer; nothing is known.
    """

    async def one(write: PendingWrite) -> tuple[Shown, FolderView | None, CandadoError | None]:
        try:
            depth = 0 if write.bodies_unchanged else 1
            nodes = await account.remote.list_folder(write.draft.remote_path, depth=depth, with_metadata=True)
        except NotFoundError as error:
            if write.draft.removed:
                return Shown.NEW, None, None
            return (Shown.OLD if write.draft.is_new else Shown.OTHER), None, error
        found = _compare(reader, write, nodes, root)
        return await _later(account, reader, writes, write, acknowledged) if found is None else found

    results = await bounded(one, writes)
    views = {view.path: view for _, view, _ in results if view is not None}
    kinds = {shown for shown, _, _ in results}
    if kinds <= {Shown.NEW}:
        return Outcome(Shown.NEW, views)
    if kinds == {Shown.OLD}:
        return Outcome(Shown.OLD, views)
    cause = next((error for shown, _, error in results if shown is Shown.OTHER and error is not None), None)
    if isinstance(cause, NotFoundError) and not acknowledged and Shown.NEW not in kinds:
        # A share that ended under the session looks like this: what was written through it is undone.
        cause = LockLostError(
            "The session was undone, and the folder cannot be reached any more.", path=writes[-1].draft.path
        )
    elif cause is None or isinstance(cause, NotFoundError):
        shown_by = zip(writes, results, strict=True)
        bad = [write.draft.path for write, (shown, _, _) in shown_by if shown is not Shown.NEW]
        cause = _lie("The server shows only a part of what it acknowledged.", ", ".join(bad))
    return Outcome(Shown.OTHER, views, cause)


def _compare(
    reader: FolderReader, write: PendingWrite, nodes: list[RemoteNode], root: OpenFolder
) -> tuple[Shown, FolderView | None, CandadoError | None] | None:
    """New, old, or a wrong body; None when the document is another one."""
    draft, sealed = write.draft, write.sealed
    text = nodes[0].metadata_text
    digest = sealed.digest if text == sealed.text else _digest(text)
    if digest != sealed.digest:
        before = "" if draft.before is None else draft.before.digest
        return (Shown.OLD, None, None) if digest == before else None
    if draft.removed:
        return Shown.OTHER, None, _lie("A folder whose removal was acknowledged is still there.", draft.path)
    if write.bodies_unchanged:
        return Shown.NEW, None, None
    sizes = {child.path.rpartition("/")[2]: child.size_bytes for child in nodes[1:]}
    for name, size in draft.stored.items():
        if sizes.get(name) != sealed_size(size):
            lie = _lie("A body that was acknowledged is not there, or has another size.", draft.path)
            return Shown.OTHER, None, lie
    return Shown.NEW, reader.view_of(sealed, draft.path, nodes[0], nodes[1:], root), None


async def _later(
    account: Account, reader: FolderReader, writes: Sequence[PendingWrite], write: PendingWrite, acknowledged: bool
) -> tuple[Shown, FolderView | None, CandadoError | None]:
    """Neither our state nor the old one: an edit of somebody else, or a lie.

    After an acknowledged unlock the state must follow from ours, so ours is pinned first and the whole way down from
    the root is accepted again. Without an acknowledgement the session may have been undone before somebody else wrote.
    """
    path = write.draft.path
    if acknowledged:
        account.store.commit(rows_of(account, writes))
    try:
        found = await reader.open_path(path)
    except (TamperError, FormatError, CryptoError) as error:
        if not acknowledged:
            return Shown.OTHER, None, error
        return Shown.OTHER, None, _lie("The folder shows a state that does not follow from what was written.", path)
    except NotFoundError as error:
        return Shown.OTHER, None, error
    if acknowledged:
        return Shown.NEW, found.view, None
    return Shown.OTHER, None, LockLostError("The session was undone and somebody else wrote the folder.", path=path)


def _digest(text: str | None) -> str:
    try:
        return "" if text is None else document_digest(parse_sealed(text).document)
    except FormatError:
        return ""


def _lie(message: str, path: str) -> StoreLieError:
    return StoreLieError("store.lie", message, path=path)


def rows_of(account: Account, writes: Sequence[PendingWrite]) -> list[Row]:
    """Pins, metadata keys and receipts of a confirmed session."""
    rows: list[Row] = []
    for write in writes:
        pin = account.book.folder(write.draft.file_id)
        # A later state of somebody else may have been accepted already while this session was read back.
        if pin is None or pin.counter < write.sealed.pin.counter:
            rows += account.book.rows_folder(write.sealed.pin)
        if write.draft.kind == "root":
            rows += account.book.rows_metadata_key(write.sealed.folder)
            if write.draft.is_new:
                rows += account.book.rows_owned(write.draft.file_id)
            if write.draft.deleted:
                rows += account.book.rows_deleted(write.draft.file_id)
        rows += [(_DROPS, receipt, b"1") for receipt in write.receipts]
    return rows
