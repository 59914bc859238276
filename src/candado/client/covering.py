"""Which folders carry the recovery key, and how an owner lets it in or takes it out.

Layer: ``client``. A folder that exists gets the key only after its owner agreed on one of the own devices; then, and
for folders that apps of others made, the next use of this client lets it in when the owner agreed to that before. Each
change is one write session with a new metadata key, as for any member.

Spaces of the state: ``recovery/consent`` (root to the fingerprint its owner agreed to), ``recovery/withdrawn`` (roots
from which the owner took it), and in ``recovery`` the row ``future`` (fingerprint agreed to for all own folders).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from candado.client.account import Account
from candado.client.recovery import current_key, refresh, require_key, wrapped_for
from candado.errors import CandadoError, ForbiddenError
from candado.folder.escrow import is_recovery_id
from candado.folder.members import set_recovery
from candado.types import FileId

if TYPE_CHECKING:
    from candado.client.pins import Row
    from candado.client.reader import FolderReader
    from candado.client.transfer import Progress
    from candado.client.view import FolderView
    from candado.folder.model import FolderPin, Member

__all__ = [
    "Coverage",
    "Covered",
    "accept",
    "agree_to_future",
    "cover_owed",
    "coverage",
    "drop",
    "owed_member",
    "own_roots",
]

_CONSENT: Final = "recovery/consent"
_WITHDRAWN: Final = "recovery/withdrawn"
_SPACE: Final = "recovery"

Coverage = Literal["covered", "former", "agreed", "waiting", "withdrawn", "other-owner", "none", "not-opened"]
"""What of the recovery key there is in a root.

``covered``: it carries the key; ``former``: it carries an earlier key, or one that is off; ``agreed``: the next use of
this client lets it in; ``waiting``: the owner was not asked yet; ``withdrawn``: the owner took it out; ``other-owner``:
it does not carry it, and its owner is somebody else; ``none``: no key is on, and it carries none; ``not-opened``: this
device has not opened the root yet.
"""


@dataclass(frozen=True, slots=True)
class Covered:
    """One root and what of the recovery key is in it; ``keys`` are the recovery members it has."""

    path: str
    owner_id: str
    state: Coverage
    keys: tuple[str, ...] = ()


def _is_own(account: Account, pin: "FolderPin") -> bool:
    return account.book.owns(pin.file_id) or account.book.owner(pin.file_id) == account.user_id


def _agreed(account: Account, root_id: FileId, fingerprint: str) -> bool:
    wanted = fingerprint.encode()
    if account.store.load(_WITHDRAWN, str(root_id)) is not None:
        return False
    return wanted in (account.store.load(_CONSENT, str(root_id)), account.store.load(_SPACE, "future"))


def owed_member(account: Account, root_id: FileId) -> "Member | None":
    """The recovery member that the next session on an own root lets in, as its owner agreed; None when it owes none."""
    pin, member = account.book.folder(root_id), wrapped_for(account)
    if pin is None or pin.kind != "root" or member is None or not _is_own(account, pin):
        return None
    if pin.members.get(member.user_id) == member.key_fingerprint:
        return None
    return member if _agreed(account, root_id, member.key_fingerprint) else None


async def cover_owed(reader: "FolderReader", root_id: FileId) -> bool:
    """Let the key into an own root whose owner agreed, when there is nothing else to write; True when it was done."""
    account = reader.account
    pin = account.book.folder(root_id)
    if pin is None or not pin.path_hint or owed_member(account, root_id) is None:
        return False
    from candado.client.session import WriteSession  # noqa: PLC0415 -- most runs write nothing

    async with WriteSession(reader, pin.path_hint) as session:
        await session.cover_if_owed()
    return True


async def own_roots(account: Account) -> list[str]:
    """Paths of all encrypted folders at the top of the home that this account owns and that are not deleted."""
    from candado.client.reader import FolderReader  # noqa: PLC0415 -- it asks the server, which most of this does not

    entries = await FolderReader(account).roots()
    return [
        entry.path
        for entry in entries
        if entry.owner_id == account.user_id and not account.book.is_deleted(entry.file_id)
    ]


async def accept(account: Account, path: str, *, progress: "Progress | None" = None) -> Covered:
    """As its owner, let the recovery key into a root, under a new key of the folder; done twice is done once.

    Raises:
        UsageError: no recovery key is on, or it was not agreed to. ForbiddenError: somebody else owns the root.
        PolicyRefusedError, EscrowError: what the server says of the recovery key is refused.
    """
    from candado.client.session import WriteSession  # noqa: PLC0415 -- most of this module only reads

    await refresh(account, fresh=True)
    key, member = require_key(account)
    reader, root = await _own_root(account, path)
    assert root.folder is not None
    consent: Row = (_CONSENT, str(root.file_id), key.fingerprint.encode())
    again: Row = (_WITHDRAWN, str(root.file_id), None)
    present = root.folder.member(member.user_id)
    if present is None or present.key_fingerprint != member.key_fingerprint:
        async with WriteSession(reader, root.path, progress=progress) as session:
            session.rows += [consent, again]
            await session.rekey(lambda state, new_key: set_recovery(state, member, new_key))
    else:
        account.store.commit([consent, again])
    return Covered(root.path, account.user_id, "covered", (member.user_id,))


async def agree_to_future(account: Account) -> None:
    """Agree that every own folder, of whatever app, gets the key with its next use here; errors as ``accept``."""
    await refresh(account, fresh=True)
    key, _ = require_key(account)
    account.store.commit([(_SPACE, "future", key.fingerprint.encode())])


async def drop(account: Account, path: str, *, progress: "Progress | None" = None) -> bool:
    """As its owner, take every recovery key out of a root, under a new key; False when it had none.

    What was agreed for this root, and for all to come, does not let it in again. ForbiddenError: not the owner.
    """
    from candado.client.session import WriteSession  # noqa: PLC0415 -- most of this module only reads

    reader, root = await _own_root(account, path)
    assert root.folder is not None
    gone: list[Row] = [(_CONSENT, str(root.file_id), None), (_WITHDRAWN, str(root.file_id), b"1")]
    if not any(is_recovery_id(member.user_id) for member in root.folder.members):
        account.store.commit(gone)
        return False
    async with WriteSession(reader, root.path, progress=progress) as session:
        session.rows += gone
        await session.rekey(lambda state, new_key: set_recovery(state, None, new_key))
    return True


async def coverage(account: Account) -> list[Covered]:
    """Every encrypted folder at the top of the home, own and received, by path."""
    from candado.client.reader import FolderReader  # noqa: PLC0415 -- it asks the server, which most of this does not

    found: list[Covered] = []
    for entry in await FolderReader(account).roots():
        pin = account.book.folder(entry.file_id)
        if account.book.is_deleted(entry.file_id):
            continue
        if pin is None:
            found.append(Covered(entry.path, entry.owner_id, "not-opened"))
            continue
        keys = tuple(str(user) for user in pin.members if is_recovery_id(user))
        found.append(Covered(entry.path, entry.owner_id, _state(account, pin, keys), keys))
    return sorted(found, key=lambda one: one.path)


def _state(account: Account, pin: "FolderPin", keys: tuple[str, ...]) -> Coverage:
    key = current_key(account)
    if key is not None and key.state == "on" and pin.members.get(key.member_id) == key.fingerprint:
        return "covered"
    if keys:
        return "former"
    if key is None or key.state != "on":
        return "none"
    if not _is_own(account, pin):
        return "other-owner"
    if account.store.load(_WITHDRAWN, str(pin.file_id)) is not None:
        return "withdrawn"
    if _agreed(account, pin.file_id, key.fingerprint):
        return "agreed"
    return "waiting"


async def _own_root(account: Account, path: str) -> "tuple[FolderReader, FolderView]":
    from candado.client.reader import FolderReader  # noqa: PLC0415 -- it asks the server, which most of this does not
    from candado.client.view import root_deleted  # noqa: PLC0415 -- the same

    reader = FolderReader(account)
    try:
        root = await reader.open_root(path)
    except CandadoError as error:
        error.path = error.path or path
        raise
    if root.deleted:
        raise root_deleted(root, account.user_id)
    pin = account.book.folder(root.file_id)
    if pin is None or not _is_own(account, pin):
        raise ForbiddenError("Only the owner of a folder decides about the recovery key.", path=root.path)
    return reader, root
