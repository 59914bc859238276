"""Keys of other people: trust on first use, comparison of fingerprints, forgetting.

Layer: ``client``. A person's key is pinned when it is first met and shown as *unverified* until somebody compared the
fingerprint on another channel. A changed key stops sharing with that person until a human forgot the old one
(threats.md A01, A02). The authority's key is that of the enrolment and is never fetched again (A04).
"""

from dataclasses import dataclass, replace
from typing import Final

from candado.client.account import Account
from candado.client.handover import follow_authority
from candado.client.reader import FolderReader
from candado.client.sync_state import rows_meet_anew
from candado.client.view import clear_path
from candado.crypto.x509 import (
    Certificate,
    check_certificate,
    fingerprint_grouped,
    fingerprint_words,
    parse_certificate,
)
from candado.errors import (
    CryptoError,
    FormatError,
    KeyChangedError,
    KeyHistoryError,
    NotFoundError,
    PeerWithoutKeysError,
    UntrustedCertificateError,
    UsageError,
)
from candado.folder.model import PeerPin
from candado.types import UserId

__all__ = [
    "Fingerprint",
    "ShortHistory",
    "accept_history",
    "fingerprint",
    "forget",
    "forget_folder",
    "known_peers",
    "peer_certificate",
    "short_history",
    "verify",
]

_SHORTENED: Final = "mk.history"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The key of one person in the forms people compare.

    ``hex`` is the SHA-256 of the public key, ``grouped`` the same in groups of four, ``words`` its first 132 bits as
    twelve words. ``first_seen`` is in seconds since the epoch, None for ourselves.
    """

    user_id: UserId
    hex: str
    grouped: str
    words: str
    verified: bool
    own: bool
    first_seen: float | None = None


@dataclass(frozen=True, slots=True)
class ShortHistory:
    """A state of a root, signed by a member, that leaves out keys the root had; ``digest`` names that one state."""

    path: str
    digest: str
    message: str


async def fingerprint(account: Account, user_id: UserId | None = None) -> Fingerprint:
    """Our own fingerprint, or that of a person, whose key is pinned when it is met for the first time.

    Raises:
        PeerWithoutKeysError: the person has no keys yet.
        KeyChangedError: the server shows another key than the pinned one.
    """
    if user_id is None or user_id == account.user_id:
        own = account.require_identity().key.public.fingerprint_hex
        return _fingerprint(account.user_id, own, verified=True, own=True)
    await peer_certificate(account, user_id)
    pin = account.book.peers()[user_id]
    return _fingerprint(user_id, pin.key_fingerprint, verified=pin.verified, first_seen=pin.first_seen)


def known_peers(account: Account) -> list[Fingerprint]:
    """Everybody whose key this device has met, by user id."""
    return [
        _fingerprint(user, pin.key_fingerprint, verified=pin.verified, first_seen=pin.first_seen)
        for user, pin in sorted(account.book.peers().items())
    ]


async def verify(account: Account, user_id: UserId, text: str) -> Fingerprint:
    """Mark a person's key as compared; ``text`` is the fingerprint from another channel, as hex or as words.

    Raises:
        UntrustedCertificateError: it is not the fingerprint of the key that this device knows; nothing was changed.
        KeyChangedError, PeerWithoutKeysError: as ``fingerprint``.
    """
    if user_id == account.user_id:
        raise UsageError("your own key needs no verification")
    known = await fingerprint(account, user_id)
    if _hex_of(text) != known.hex and _words_of(text) != known.words:
        raise UntrustedCertificateError(
            f"The fingerprint is not that of the key known for {user_id}.",
            path=user_id,
            safe="The key is not marked as verified; nothing was changed.",
        )
    pin = account.book.peers()[user_id]
    account.store.commit(account.book.rows_peer(user_id, replace(pin, verified=True)))
    return replace(known, verified=True)


def forget(account: Account, user_id: UserId) -> None:
    """Drop the pinned key of a person: the next one met is trusted on first use again. NotFoundError."""
    if user_id not in account.book.peers():
        raise NotFoundError(f"No key is known for {user_id}.", advice="See `candado trust list`.")
    account.store.commit(account.book.rows_peer(user_id, None))


def forget_folder(account: Account, path: str) -> None:
    """Drop what this device knows of a root that a person says was removed or replaced on purpose.

    The next sync begins as at first, so nothing here is taken for deleted there. Refusals and problems of the root
    among the issues are settled by that. NotFoundError when no root is known at the path.
    """
    path = clear_path(path)
    pins = account.book.roots_at(path)
    if not pins:
        raise NotFoundError(
            "This device knows no encrypted folder at this path.", path=path, advice="See `candado status`."
        )
    ids = [file_id for pin in pins for file_id in (pin.file_id, *account.book.below(pin.file_id))]
    account.store.commit([*account.book.rows_forget_folders(ids), *rows_meet_anew(account.store, path)])
    for issue in account.issues():
        if issue.severity != "notice" and (issue.path == path or issue.path.startswith(f"{path}/")):
            account.issue_book.dismiss(issue.issue_id)


async def short_history(account: Account, path: str) -> ShortHistory | None:
    """What the server shows for a root when its history of keys was shortened; None when it was not.

    One of the stock apps writes such a history. It can also hide that a key was given up, so a person decides.

    Raises:
        NotEncryptedError, NotFoundError: no root. TamperError, FormatError, CryptoError: refused for another reason.
    """
    try:
        await FolderReader(account).open_root(path)
    except KeyHistoryError as error:
        if error.event != _SHORTENED:
            raise
        return ShortHistory(clear_path(path), error.got, error.message)
    return None


async def accept_history(account: Account, short: ShortHistory) -> None:
    """Let this one state pass in spite of its history, and read it; all other checks stay.

    Raises:
        TamperError, FormatError, CryptoError: the state breaks another rule too, or the server shows another one now.
    """
    account.store.commit(account.book.rows_history_override(short.digest))
    await FolderReader(account).open_root(short.path)
    for issue in account.issues():
        if issue.code == _SHORTENED and issue.path == short.path:
            account.issue_book.dismiss(issue.issue_id)


async def peer_certificate(account: Account, user_id: UserId) -> Certificate:
    """The certificate of another person, checked against the pinned authority and the pinned key.

    A key that is met for the first time is pinned as unverified before this returns.

    Raises:
        PeerWithoutKeysError: the person has none.
        UntrustedCertificateError: name, dates or the authority's signature are not acceptable.
        KeyChangedError: it carries another key than the pinned one; recorded as ``key.changed``.
    """
    found = await account.remote.certificates([user_id])
    pem = found.get(user_id)
    if not pem:
        raise PeerWithoutKeysError(f"{user_id} has not set up end-to-end encryption yet.")
    now = account.clock.now()
    try:
        certificate = parse_certificate(pem)
        try:
            warnings = check_certificate(certificate, user_id=user_id, authority=account.pins().authority, now=now)
        except UntrustedCertificateError:
            if not await follow_authority(account):
                raise
            warnings = check_certificate(certificate, user_id=user_id, authority=account.pins().authority, now=now)
    except (CryptoError, FormatError) as error:
        account.record_refusal(error, path=user_id)
        raise
    for warning in warnings:
        account.issue_book.add("notice", "cert.warning", f"{user_id}: {warning}", path="/")
    pin = account.book.peers().get(user_id)
    current = certificate.public_key.fingerprint_hex
    if pin is None:
        account.store.commit(account.book.rows_peer(user_id, PeerPin(current, now, verified=False)))
    elif pin.key_fingerprint != current:
        changed = KeyChangedError(
            f"The key of {user_id} was replaced: known {fingerprint_words(pin.key_fingerprint)}, "
            f"now {fingerprint_words(current)}.",
            safe="Nothing was shared and nothing was sent.",
        )
        account.issue_book.add(
            "refused", "key.changed", changed.message, path=user_id, safe=changed.safe, advice=changed.advice
        )
        raise changed
    return certificate


def _fingerprint(
    user_id: UserId, value: str, *, verified: bool, own: bool = False, first_seen: float | None = None
) -> Fingerprint:
    return Fingerprint(user_id, value, fingerprint_grouped(value), fingerprint_words(value), verified, own, first_seen)


def _hex_of(text: str) -> str:
    return "".join(text.lower().replace(":", " ").replace("-", " ").split())


def _words_of(text: str) -> str:
    return "-".join(text.lower().replace("-", " ").split())
