"""Links into a root of ours: made, listed, taken back.

Layer: ``client``. A link for reading is a member of the folder with keys of its own, which twelve words open; whoever
has the address and the words reads. It is made on the server first, because its name is the server's; the member
follows with a new metadata key, and a failure takes the link back. Taking back goes the other way: first nothing new
can be read, then the link ends. A link for uploads is no member: it opens nothing.

Source: client-flows.md 14; crypto.md 17; threats.md A76 to A78.
"""

import asyncio
from dataclasses import dataclass

from candado.client.account import Account
from candado.client.ends import remember_ends
from candado.client.reader import FolderReader
from candado.client.session import WriteSession
from candado.client.transfer import Progress
from candado.client.view import FolderView, root_deleted
from candado.crypto.mnemonic import make_mnemonic, seal_private_key
from candado.crypto.rsa import PrivateKey
from candado.crypto.x509 import check_certificate, make_csr, parse_certificate
from candado.errors import CandadoError, NotFoundError, UntrustedCertificateError
from candado.folder.members import add_member, remove_member
from candado.formats.linkaddress import LINK_PREFIX, LinkAddress, parse_link
from candado.ports.client import RemoteShare
from candado.types import SecretText, UserId

__all__ = ["LinkReport", "MadeLink", "RevokedLink", "create_link", "list_links", "revoke_link"]

_READ = 1
_CREATE = 4
_ENTROPY_BYTES = 17


@dataclass(frozen=True, slots=True)
class MadeLink:
    """A new link; ``words`` open it and are None for one that only takes uploads. They are not in ``address``."""

    path: str
    address: LinkAddress
    words: SecretText | None
    last_day: str
    rekeyed_folders: int


@dataclass(frozen=True, slots=True)
class LinkReport:
    """One link: what the server says (None without a share), and whether it is a member of the folder."""

    path: str
    token: str
    share: RemoteShare | None
    member: bool

    @property
    def is_drop(self) -> bool:
        """Whether it only takes uploads."""
        return self.share is not None and not self.share.permissions & _READ


@dataclass(frozen=True, slots=True)
class RevokedLink:
    """What taking a link back did."""

    path: str
    token: str
    was_member: bool
    had_share: bool
    rekeyed_folders: int


async def create_link(
    account: Account,
    path: str,
    *,
    drop: bool = False,
    password: SecretText | None = None,
    last_day: str = "",
    label: str = "",
    progress: Progress | None = None,
) -> MadeLink:
    """Make a link for reading a root, or with ``drop`` for uploads into it.

    Raises:
        NotEncryptedError: not the top of an encrypted folder.
        RemoteError: the server refused; nothing is left of the link.
        UntrustedCertificateError: the server's certificate for the link is not for its key; nothing is left of it.
    """
    reader = FolderReader(account)
    root = await _root(reader, path)
    made = await account.remote.create_link(
        root.path, permissions=_CREATE if drop else _READ, password=password, last_day=last_day, label=label
    )
    by = account.require_identity().certificate.public_key.fingerprint_hex
    address = LinkAddress(account.server_url.rstrip("/"), made.token, by=by)
    if drop:
        return MadeLink(root.path, address, None, made.last_day, 0)
    try:
        key = await asyncio.to_thread(PrivateKey.generate)
        words = make_mnemonic(account.random.token(_ENTROPY_BYTES))
        folders = await _add_member(account, reader, root.path, made.token, key, words, progress)
        if last_day:
            remember_ends(account, root.file_id, await account.remote.list_shares(root.path))
    except BaseException:
        await account.remote.delete_share(made.share_id)
        raise
    address = LinkAddress(address.base_url, made.token, by=by, key=key.public.fingerprint_hex)
    return MadeLink(root.path, address, words, made.last_day, folders)


async def _add_member(
    account: Account,
    reader: FolderReader,
    path: str,
    token: str,
    key: PrivateKey,
    words: SecretText,
    progress: Progress | None,
) -> int:
    member_id = UserId(f"{LINK_PREFIX}{token}")
    certificate = parse_certificate(await account.remote.register_certificate(make_csr(key, member_id), link=token))
    authority = account.pins().authority
    check_certificate(certificate, user_id=member_id, authority=authority, now=account.clock.now())
    if certificate.public_key != key.public:
        raise UntrustedCertificateError("The server's certificate for the link is for another key.", path=path)
    salt, nonce = account.random.token(40), account.random.token(12)
    wrapped = await asyncio.to_thread(seal_private_key, key, words, salt=salt, nonce=nonce)
    await account.remote.store_private_key(wrapped, link=token)
    async with WriteSession(reader, path, progress=progress) as session:
        await session.rekey(lambda state, new_key: add_member(state, certificate, new_key))
    return len(session.written)


async def list_links(account: Account, path: str | None = None) -> list[LinkReport]:
    """Links of one root, or of every root in the home folder that this account owns; members and shares compared."""
    reader = FolderReader(account)
    paths = [path]
    if path is None:
        owned = [entry for entry in await reader.roots() if entry.owner_id == account.user_id]
        paths = [entry.path for entry in owned if not account.book.is_deleted(entry.file_id)]
    found: list[LinkReport] = []
    for one in paths:
        found += await _links_of(account, await _root(reader, one or "/"))
    return found


async def revoke_link(account: Account, link: str, *, progress: Progress | None = None) -> RevokedLink:
    """End a link, named by its address or its token: a new key without it for everything, then the end of the share.

    NotFoundError when no root of this account has it. May be repeated after an interruption.
    """
    token = parse_link(link).token if "/" in link else link
    found = next((one for one in await list_links(account) if one.token == token), None)
    if found is None:
        raise NotFoundError("No encrypted folder of yours has this link.", advice="See `candado link list`.")
    folders = 0
    if found.member:
        member_id = UserId(f"{LINK_PREFIX}{token}")
        async with WriteSession(FolderReader(account), found.path, progress=progress) as session:
            await session.rekey(lambda state, key: remove_member(state, member_id, key))
        folders = len(session.written)
    if found.share is not None:
        await account.remote.delete_share(found.share.share_id)
    return RevokedLink(found.path, token, found.member, found.share is not None, folders)


async def _links_of(account: Account, root: FolderView) -> list[LinkReport]:
    assert root.folder is not None
    listed = await account.remote.list_shares(root.path)
    remember_ends(account, root.file_id, listed)
    shares = {item.token: item for item in listed if item.token}
    names = [member.user_id for member in root.folder.members if member.user_id.startswith(LINK_PREFIX)]
    members = {name.removeprefix(LINK_PREFIX) for name in names}
    return [
        LinkReport(root.path, token, shares.get(token), token in members) for token in sorted(members | shares.keys())
    ]


async def _root(reader: FolderReader, path: str) -> FolderView:
    try:
        root = await reader.open_root(path)
    except CandadoError as error:
        error.path = error.path or path
        raise
    if root.deleted:
        raise root_deleted(root, reader.account.user_id)
    return root
