"""The visitor of a link: opens what it leads to with its words, or drops files without any.

Layer: ``client``. A visitor is an ``Account`` of its own whose name is ``s:TOKEN`` and whose state lives as long as the
command. What can be checked is what the address brings along: the fingerprint of the link's key, and that of the maker.

Source: client-flows.md 14; threats.md A71 to A78; docs/spec/formats.md, Links.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from candado.client.account import Account
from candado.client.bounded import bounded
from candado.client.draft import media_type
from candado.client.items import PER_FILE_ERRORS
from candado.client.reader import FolderReader
from candado.client.transfer import Progress, Source, upload
from candado.crypto.mnemonic import open_private_key, split_words
from candado.crypto.rsa import PublicKey
from candado.crypto.x509 import check_certificate, parse_certificate
from candado.errors import (
    CandadoError,
    ForbiddenError,
    LockedError,
    NoKeysError,
    PreconditionFailedError,
    UntrustedCertificateError,
    WrongMnemonicError,
)
from candado.folder.filedrop import drop_digest
from candado.folder.model import Identity, RawText
from candado.folder.names import check_clear_name
from candado.folder.recipients import Recipients, drop_recipients, seal_drop
from candado.formats.canonjson import JsonObject
from candado.formats.linkaddress import LinkAddress
from candado.formats.metadata import Entry, parse_drop
from candado.ports.client import LinkRemote
from candado.types import MetadataKey, Nonce, SealedName, SecretText, UserId, check_sealed_name

__all__ = ["DropReport", "Dropped", "Visit", "drop", "enter"]

T = TypeVar("T")

_CREATE: Final = 4
_BATCH: Final = 100
_PARALLEL: Final = 8
_PATIENCE_SECONDS: Final = 120.0
_PAUSE_SECONDS: Final = 2.0
_WRONG_LINK: Final = "Ask the person who gave you the link for a new one, on another channel."


# --- reading ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Visit:
    """Whose folder a link opens: who signed its state, and whether the address vouches for that person.

    ``vouched`` is None when the address has no fingerprint of its maker.
    """

    signer: UserId
    vouched: bool | None


async def enter(account: Account, address: LinkAddress, words: SecretText) -> Visit:
    """Open the private key of a link with its words and its folder with that; the account can read afterwards.

    Raises:
        WrongMnemonicError: the words do not open the key.
        UntrustedCertificateError: the key is not the one that the address names, or its maker is not a member.
        NoKeysError: this link opens nothing: it is for uploads, or for a plain folder.
        TamperError, FormatError, CryptoError: the state of the folder is not acceptable.
    """
    remote, member_id = account.remote, account.user_id
    try:
        wrapped = await remote.private_key()
        pem = (await remote.certificates([member_id]))[member_id]
    except NoKeysError as exc:
        raise NoKeysError(
            "This link opens no encrypted folder: it is for uploads, or for a folder that is not encrypted.",
            advice="Open the address in a browser; it says what it is for.",
        ) from exc
    authority = PublicKey.from_pem(await remote.server_key())
    try:
        opened = await asyncio.to_thread(open_private_key, wrapped, words)
    except WrongMnemonicError as exc:
        exc.advice = "Check the twelve words of the link and their order, then open it again."
        raise
    certificate = parse_certificate(pem)
    check_certificate(certificate, user_id=member_id, authority=authority, now=account.clock.now())
    own = opened.key.public
    if certificate.public_key != own or (address.key and own.fingerprint_hex != address.key):
        raise UntrustedCertificateError(
            "The key of this link is not the one that its address names.",
            safe="Nothing was fetched.",
            advice=_WRONG_LINK,
        )
    account.commit_identity(
        Identity(member_id, opened.key, certificate), SecretText(" ".join(split_words(words.reveal()))), authority
    )
    root = (await FolderReader(account).open_root("/")).folder
    assert root is not None
    if not address.by:
        return Visit(root.signer, None)
    maker = [member.user_id for member in root.members if member.key_fingerprint == address.by]
    if not maker:
        raise UntrustedCertificateError(
            "The person who made this link is not a member of the folder that the server shows.",
            safe="Nothing was fetched.",
            advice=_WRONG_LINK,
        )
    return Visit(root.signer, root.signer in (maker[0], member_id))


# --- dropping ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dropped:
    """One file that arrived; ``receipt`` is the digest of its entry, by which its takeover can be recognised."""

    path: str
    sealed_name: SealedName
    size_bytes: int
    receipt: str


@dataclass(slots=True)
class DropReport:
    """What was dropped, for whom, and what was not."""

    recipients: Recipients
    dropped: list[Dropped] = field(default_factory=list[Dropped])
    failures: list[tuple[str, CandadoError]] = field(default_factory=list[tuple[str, CandadoError]])


class _Place:
    """Where one body goes; another name after every attempt of unknown outcome, since nothing can be removed."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.sealed = self._fresh()

    def _fresh(self) -> SealedName:
        return check_sealed_name(self._account.random.token(16).hex())

    @property
    def remote_path(self) -> str:
        """See ``Target``."""
        return f"/{self.sealed}"

    async def abandon(self) -> None:
        """See ``Target``."""
        self.sealed = self._fresh()


async def drop(
    account: Account,
    remote: LinkRemote,
    address: LinkAddress,
    items: Sequence[tuple[str, Source]],
    *,
    progress: Progress | None = None,
) -> DropReport:
    """Seal files for the members of the folder behind a link for uploads, and leave them there.

    Args:
        account: of the visitor; it needs no keys.
        remote: the same connection.
        address: of the link.
        items: clear name and source of each file.
        progress: told how far each file is.

    Raises:
        NotFoundError: there is no such link, or no encrypted folder behind it.
        ForbiddenError: the link takes no uploads, or is edited under a lock.
        UntrustedCertificateError: the maker that the address names is not a member.
        LockedError: somebody wrote into the folder for two minutes.
    """
    folder = await remote.link_folder()
    if folder.permissions != _CREATE:
        raise ForbiddenError("This link is not one for uploads.", safe="Nothing was sent.", advice=_WRONG_LINK)
    authority = PublicKey.from_pem(await remote.server_key())
    raw = RawText(folder.metadata.text, folder.metadata.signature)
    report = DropReport(drop_recipients(raw, by=address.by, authority=authority, now=account.clock.now()))
    for at in range(0, len(items), _BATCH):
        entries: JsonObject = {}
        arrived: list[Dropped] = []

        async def send(
            item: tuple[str, Source], entries: JsonObject = entries, arrived: list[Dropped] = arrived
        ) -> None:
            try:
                await _drop_one(account, report.recipients, item, entries, arrived, progress)
            except PER_FILE_ERRORS as error:
                report.failures.append((item[0], error))

        await bounded(send, items[at : at + _BATCH], _PARALLEL)
        if entries:
            await _patiently(account, partial(remote.add_drops, folder.file_id, entries))
            report.dropped += arrived
    return report


async def _drop_one(
    account: Account,
    recipients: Recipients,
    item: tuple[str, Source],
    entries: JsonObject,
    arrived: list[Dropped],
    progress: Progress | None,
) -> None:
    name, source = item
    check_clear_name(name)
    place = _Place(account)
    sealed = await _patiently(account, lambda: upload(account, source, place, token=None, path=name, progress=progress))
    entry = Entry(name, media_type(name), sealed.key, sealed.nonce, sealed.tag)
    raw = seal_drop(
        entry,
        recipients.members,
        key=MetadataKey(account.random.token(MetadataKey.SIZE)),
        nonce=Nonce(account.random.token(12)),
    )
    entries[place.sealed] = raw
    arrived.append(Dropped(name, place.sealed, sealed.size_bytes, drop_digest(parse_drop(place.sealed, raw))))


async def _patiently(account: Account, attempt: Callable[[], Awaitable[T]]) -> T:
    """Run ``attempt`` again while somebody writes into the folder, for two minutes."""
    clock = account.clock
    deadline = clock.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return await attempt()
        except (LockedError, PreconditionFailedError) as error:
            if clock.monotonic() >= deadline:
                raise LockedError("Somebody writes into the folder; the files were not handed in.") from error
        await clock.sleep(_PAUSE_SECONDS)
