"""Keys that the authority revoked: fetched, verified, remembered.

Layer: ``client``. The list is signed by the authority that was pinned at enrolment and has a number that only grows.
What was revoked once stays revoked for this device, so a list that is withheld, or restored from a backup, takes
nothing back; one with a smaller number than was seen, or another list under the same number, is refused (threats.md
A111).

Spaces of the state: ``pin/revoked`` (one row a key), ``pin/revocations`` (number, digest and times of the newest list).
"""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from candado.client.account import Account
from candado.client.handover import follow_authority
from candado.crypto.crl import RevocationList, check_revocation_list, parse_revocation_list
from candado.errors import (
    CandadoError,
    CorruptStateError,
    CounterRollbackError,
    CryptoError,
    ForkError,
    FormatError,
    KeyRevokedError,
    NotFoundError,
    TamperError,
    UntrustedCertificateError,
)
from candado.folder.model import Member, OpenFolder

__all__ = ["known_revoked", "require_unrevoked", "revoked_keys", "warn_of_revoked"]

_KEYS: Final = "pin/revoked"
_LISTS: Final = "pin/revocations"
_NEWEST: Final = "newest"
_ASKED_SECONDS: Final = 3600.0
_ADVICE: Final = (
    "Ask the administrator on another channel whether an older backup was restored; if so, the administrator runs "
    "`candado-server ca crl --after {number}`. What this device saw revoked stays revoked."
)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The newest list this device accepted; times in seconds since the epoch."""

    number: int
    digest: str
    next_update: float
    asked_at: float


async def revoked_keys(account: Account) -> frozenset[str]:
    """Fingerprints of all keys known to be revoked, after a look at the list of today.

    A list that is missing where there was one, or overdue, is noted among the issues and does not hinder.

    Raises:
        CounterRollbackError, ForkError: ``crl.rollback``, ``crl.fork``: the server shows an older list, or another one.
        UntrustedCertificateError, FormatError: what it shows is not a list of the pinned authority.
        RemoteError, TransportError: it cannot be asked.
    """
    seen = _seen(account)
    if (await account.capabilities()).revocation_list:
        try:
            pem = await account.remote.revocation_list()
        except NotFoundError:
            _note_missing(account, seen)
        else:
            await _accept(account, pem, seen)
    else:
        _note_missing(account, seen)
    return known_revoked(account)


def require_unrevoked(members: Iterable[Member], revoked: frozenset[str], path: str) -> None:
    """KeyRevokedError that names the members whose keys were revoked."""
    bad = sorted(member.user_id for member in members if member.key_fingerprint in revoked)
    if bad:
        raise KeyRevokedError(f"The folder has members whose keys were revoked: {', '.join(bad)}.", path=path)


async def warn_of_revoked(account: Account, root: OpenFolder | None) -> None:
    """Keep an issue for each member of a shared root whose key was revoked; the server is asked once an hour.

    It hinders no write: a fault of the list is kept among the issues, and without the server nothing is written anyhow.
    """
    if root is None or len(root.members) < 2:
        return
    seen, now = _seen(account), account.clock.now()
    if seen is None or not 0 <= now - seen.asked_at < _ASKED_SECONDS:
        # What the list lacks is an issue by now, and what the connection lacks shows with the next request.
        with suppress(CandadoError):
            await revoked_keys(account)
    revoked = known_revoked(account)
    for member in root.members:
        if member.key_fingerprint in revoked:
            account.issue_book.add(
                "problem",
                "member.revoked",
                f"The key of {member.user_id} was revoked, and it opens this folder",
                path=account.book.root_path(root.file_id) or "/",
                advice="Take the person out: `candado unshare FOLDER USER`. Ask the administrator why it was revoked.",
                pair=member.user_id,
            )


async def _accept(account: Account, pem: str, seen: _Seen | None) -> None:
    """Verify a list, compare it with the newest one, remember it."""
    try:
        found = parse_revocation_list(pem)
        try:
            check_revocation_list(found, account.pins().authority)
        except UntrustedCertificateError:
            if not await follow_authority(account):
                raise
            check_revocation_list(found, account.pins().authority)
        digest = hashlib.sha256(found.signed_part).hexdigest()
        if seen is not None:
            _compare(found, digest, seen)
    except (CryptoError, FormatError, TamperError) as error:
        account.record_refusal(error, path="/")
        raise
    now = account.clock.now()
    is_new = seen is None or seen.digest != digest
    rows = [(_KEYS, entry.key_fingerprint_hex, b"1") for entry in found.entries if is_new]
    state = {"number": found.number, "digest": digest, "next_update": found.next_update, "asked_at": now}
    account.store.commit([*rows, (_LISTS, _NEWEST, json.dumps(state).encode())])
    if found.next_update < now:
        account.issue_book.add(
            "notice",
            "crl.stale",
            "The server's list of revoked keys is overdue; somebody may hold back a newer one",
            path="/",
        )


def _compare(found: RevocationList, digest: str, seen: _Seen) -> None:
    advice = _ADVICE.format(number=seen.number)
    if found.number < seen.number:
        raise CounterRollbackError(
            "crl.rollback",
            "The server shows an older list of revoked keys than before.",
            safe="Nothing was shared and nothing was sent.",
            advice=advice,
            expected=f"{seen.number} or more",
            got=str(found.number),
        )
    if found.number == seen.number and digest != seen.digest:
        raise ForkError(
            "crl.fork",
            "The server shows another list of revoked keys under the same number.",
            safe="Nothing was shared and nothing was sent.",
            advice=advice,
        )


def _note_missing(account: Account, seen: _Seen | None) -> None:
    if seen is not None:
        account.issue_book.add(
            "notice",
            "crl.missing",
            "The server no longer publishes which keys were revoked, as it did before",
            path="/",
        )


def known_revoked(account: Account) -> frozenset[str]:
    """Fingerprints of the keys that this device saw revoked; asks nobody."""
    return frozenset(account.store.load_all(_KEYS))


def _seen(account: Account) -> _Seen | None:
    stored = account.store.load(_LISTS, _NEWEST)
    if stored is None:
        return None
    try:
        return _Seen(**json.loads(stored))
    except (ValueError, TypeError) as exc:
        raise CorruptStateError("the stored number of the list of revoked keys cannot be read") from exc
