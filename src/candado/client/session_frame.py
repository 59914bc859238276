"""The frame of a write session: lock, read under the lock, commit or undo, read back.

Layer: ``client``; the base of ``session.WriteSession``, which adds what can be changed.
"""

from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from candado.client import commit
from candado.client.covering import owed_member
from candado.client.draft import Draft
from candado.client.drafts import Drafts
from candado.client.ends import whose_share_ended
from candado.client.lock import Lock, recover_locked
from candado.client.orgrules import OrgRules, refresh_rules
from candado.client.pins import Row
from candado.client.reader import FolderReader
from candado.client.recovery import refresh_quietly, wrapped_for
from candado.client.revocation import warn_of_revoked
from candado.client.transfer import Progress
from candado.client.transparency import watch_own
from candado.client.view import FolderView, clear_path
from candado.errors import (
    MisuseError,
    TamperError,
)
from candado.folder.members import MembershipChange, remove_members, rotate_key, set_recovery
from candado.folder.model import Member, OpenFolder
from candado.protocol import edit
from candado.types import Counter, FileId, LockToken, MetadataKey, SealedName, UserId, check_sealed_name

if TYPE_CHECKING:
    from candado.ports.client import RemoteNode

__all__ = ["TRANSFERS", "SessionFrame"]

_PATIENCE_SECONDS: Final = 120.0
TRANSFERS: Final = 16


class SessionFrame:
    """Opens and closes a write session; see ``session.WriteSession`` for its arguments."""

    def __init__(
        self,
        reader: FolderReader,
        scope: str,
        *,
        transfers: int = TRANSFERS,
        progress: Progress | None = None,
        patience_seconds: float = _PATIENCE_SECONDS,
        deletes: bool = False,
    ) -> None:
        self.account = reader.account
        self.reader = reader
        self.scope = clear_path(scope)
        self.rows: list[Row] = []
        """Rows that are committed together with the pins of this session, once it is confirmed."""
        self.views: dict[str, FolderView] = {}
        """After the session: the folders it changed, by clear path, as the server shows them now.

        Folders that were only sealed under another key are not among them.
        """
        self.one_session = True
        self._transfers = transfers
        self._progress = progress
        self._patience_seconds = patience_seconds
        self._drafts = Drafts(reader, deletes=deletes)
        self._create: tuple[RemoteNode, Member] | None = None
        self._locked: Lock | None = None
        self._change: MembershipChange | None = None
        self._stages_chunks = True
        self._rules = OrgRules(reader.account)
        self._made: list[FileId] = []
        self._forgotten: set[FileId] = set()
        self._relocated: dict[FileId, FileId] = {}
        self._writes: list[commit.PendingWrite] = []

    # --- the context manager --------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.account.write_lock.acquire()
        try:
            await recover_locked(self.account)
            capabilities = await self.account.capabilities()
            await refresh_rules(self.account)
            self._rules = OrgRules(self.account)
            self.one_session = capabilities.nested_in_one_session
            self._stages_chunks = capabilities.staged_chunks
            await self._open()
        except BaseException:
            self.account.write_lock.release()
            raise
        return self

    async def _open(self) -> None:
        """Lock, then read what was locked: nothing that was read before the lock is written back."""
        if self._create is not None:
            node, _ = self._create
            file_id, counter = node.file_id, Counter(1)
        else:
            self.scope, file_id, counter = await self._drafts.locate(self.scope)
        self._locked = Lock(self.account, file_id, self.scope, self, patience_seconds=self._patience_seconds)
        await self._locked.acquire(counter)
        try:
            if self._create is not None:
                await refresh_quietly(self.account, fresh=True)
                self._drafts.create(self._create[0])
                self._change = self._first_members(self._create[1])
            else:
                await self._drafts.open(self.scope, file_id)
                await warn_of_revoked(self.account, self._drafts.root)
                await refresh_quietly(self.account)
                await watch_own(self.account)
        except BaseException as error:
            await self._locked.abort(error)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lock = self._lock
        try:
            if error is not None:
                await lock.abort(error)
                return
            if self._drafts.refused is not None:
                await lock.abort(self._drafts.refused)
                raise self._drafts.refused
            try:
                await self._rotate_if_owed()
            except BaseException as fault:
                await lock.abort(fault)
                raise
            if self._change is None and not any(draft.changed for draft in self._drafts.all()):
                # Nothing to write: the lock is given back without a new state.
                await lock.abort(MisuseError("nothing to write"))
                return
            await lock.commit()
        finally:
            self.account.write_lock.release()

    # --- the root ---------------------------------------------------------------------------------------------

    async def rekey(self, change: Callable[[OpenFolder, MetadataKey], MembershipChange]) -> None:
        """Give the root new members and a new metadata key; every nested folder is sealed anew in this session.

        ``change`` gets the root's state and a fresh key. The session's scope must be the root. Old keys stay in the
        state of this device, for folders that an interrupted rekey of somebody else left behind (A82).
        """
        top = self._drafts.top
        if top.kind != "root" or top.before is None:
            raise MisuseError("A new metadata key is made for a root.", path=self.scope)
        self._change = change(top.before, MetadataKey(self.account.random.token(MetadataKey.SIZE)))
        await self._drafts.open_all()

    def take_arrivals(self) -> None:
        """Write the root although nothing else changes, so that what arrived in its file drop is taken over."""
        self._drafts.top.changed = True

    def delete_root(self, *, remove: bool) -> None:
        """Sign the deletion of the root: empty, marked as deleted; with ``remove`` the folder itself goes too.

        A deletion that is signed in one session and carried out in the next can be told from a theft by every device
        that looks in between.
        """
        top = self._drafts.top
        if top.kind != "root":
            raise MisuseError("Only a root is deleted this way.", path=self.scope)
        top.deleted = True
        top.removed = remove
        top.changed = True

    async def _rotate_if_owed(self) -> None:
        """Make a new key when a member was removed under the old one (A33), or when the share of one has ended."""
        top = self._drafts.top
        owed = top.view is not None and top.view.must_rotate and top.kind == "root"
        if self._change is not None or top.kind != "root":
            return
        ended: list[UserId] = []
        if top.before is not None and not top.deleted:
            members = [member.user_id for member in top.before.members]
            ended = await whose_share_ended(self.account, top.path, top.file_id, members)
        if ended:
            await self.rekey(lambda root, key: remove_members(root, ended, key))
        await self.cover_if_owed()
        if owed and not self._is_rekeyed():
            await self.rekey(rotate_key)

    def _is_rekeyed(self) -> bool:
        return self._change is not None

    async def cover_if_owed(self) -> None:
        """Let the recovery key in when the owner of the root agreed to that before (``client.covering``)."""
        top = self._drafts.top
        if self._change is not None or top.kind != "root" or top.before is None or top.deleted:
            return
        member = owed_member(self.account, top.file_id)
        if member is not None:
            await self.rekey(lambda root, key: set_recovery(root, member, key))

    def _first_members(self, member: Member) -> MembershipChange:
        """We, and the recovery key while the organisation has one that this device verified."""
        recovery = wrapped_for(self.account)
        members = (member,) if recovery is None else (member, recovery)
        return MembershipChange(members, MetadataKey(self.account.random.token(MetadataKey.SIZE)), ())

    # --- steps of the lock (LockSteps) --------------------------------------------------------------------------

    async def reread(self) -> Counter:
        """Read the folder again after a conflict or a wait; the next counter."""
        if self._create is not None:
            return Counter(1)
        return await self._drafts.reread(self.scope)

    async def send(self, token: LockToken) -> None:
        """Seal and send every touched folder."""
        self._writes = commit.seal_all(self.account, self._drafts.all(), self._drafts.root, self._change)
        await commit.send_all(self.account, self._writes, token)
        if self._drafts.top.removed:
            await self.account.remote.delete(self._drafts.top.remote_path, token=token)

    async def check(self, *, acknowledged: bool) -> object:
        """Read every touched folder back; pins are committed here, with the end of the journal."""
        if acknowledged:
            for file_id in self._made:
                await self.account.remote.mark_encrypted(file_id)
        root = next((write.sealed.folder for write in self._writes if write.draft.kind == "root"), self._drafts.root)
        assert root is not None
        outcome = await commit.read_back(self.account, self.reader, self._writes, root=root, acknowledged=acknowledged)
        if outcome.shown is commit.Shown.OLD:
            return edit.StillOld()
        if outcome.error is not None:
            if isinstance(outcome.error, TamperError):
                self.account.record_refusal(outcome.error, path=outcome.error.path or self.scope)
            return edit.ShowsOther(outcome.error)
        self.views = outcome.views
        rows = [*commit.rows_of(self.account, self._writes), *self._moved_rows(), *self.rows]
        self.account.store.commit([*rows, self._lock.end_row])
        return edit.Confirmed()

    def _moved_rows(self) -> list[Row]:
        rows = self.account.book.rows_forget_folders(self._forgotten)
        written = {write.draft.file_id for write in self._writes}
        for file_id, parent_id in self._relocated.items():
            pin = self.account.book.folder(file_id)
            if pin is not None and file_id not in written:
                rows += self.account.book.rows_folder(replace(pin, parent_id=parent_id))
        return rows

    # --- small things -----------------------------------------------------------------------------------------

    @property
    def _lock(self) -> Lock:
        if self._locked is None:
            raise MisuseError("The session is not open.", path=self.scope)
        return self._locked

    def _check_fillable(self, draft: Draft) -> None:
        """On a server without our extensions a folder made or moved in this session has no path yet."""
        if not self.one_session and draft.has_no_path_yet():
            raise MisuseError("This server lets a new folder be filled in the next session only.", path=draft.path)

    @property
    def token(self) -> LockToken:
        """The token of the lock."""
        return self._lock.token

    def new_name(self) -> SealedName:
        """A fresh sealed name: 32 random hex digits."""
        return check_sealed_name(self.account.random.token(16).hex())
