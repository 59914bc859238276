"""The recovery key as people hold it: making it, and putting it together from sheets.

Layer: ``client``; no account, no server and no network. The private key exists in memory only, while it is made and
while a command uses it; what leaves is the sealed key and the shares.

Source: threat model, B14; ``docs/spec/recovery.md``.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from candado.crypto.rsa import PrivateKey
from candado.crypto.sealedkey import SealedKey, open_key, parse_key, seal_key
from candado.crypto.shamir import SHARES_MAX, combine, split
from candado.crypto.sharewords import CEREMONY_BYTES, SECRET_BYTES, Share, parse_share, secret_check
from candado.crypto.x509 import make_csr
from candado.errors import CandadoError, SharesUnfitError, ShareTypoError, UsageError
from candado.folder.recoveryrecords import (
    CeremonyRecord,
    Custodian,
    check_people,
    recovery_user_id,
    sign_ceremony_record,
)
from candado.folder.signedrecord import check_text
from candado.formats.sheettext import find_parts
from candado.ports.ambient import Clock, Random

__all__ = [
    "Ceremony",
    "Sheets",
    "SheetsReport",
    "hold_ceremony",
    "key_of_sheets",
    "prove_sheets",
    "read_sheets",
]


@dataclass(frozen=True, slots=True)
class Ceremony:
    """A new recovery key: what is public, and what goes on the sheets."""

    record: CeremonyRecord
    record_text: str
    sealed: SealedKey
    shares: tuple[Share, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sheets:
    """Shares with where each was read, and the sealed key if one was there."""

    shares: tuple[tuple[str, Share], ...]
    sealed: SealedKey | None


@dataclass(frozen=True, slots=True)
class SheetsReport:
    """What a test has shown; ``combinations`` counts the sets of sheets that each gave the key."""

    ceremony: str
    fingerprint: str
    needed: int
    indices: tuple[int, ...]
    combinations: int


def hold_ceremony(*, purpose: str, custodians: Sequence[str], needed: int, random: Random, clock: Clock) -> Ceremony:
    """Make a recovery key and split it, a share for each custodian; every share was tried when this returns.

    Raises:
        MalformedError: the purpose or a name is blank or too long, or two custodians have one name.
        UsageError: not 2 <= needed <= custodians <= 16.
    """
    names, shares = check_people(tuple(custodians)), len(custodians)
    check_text(purpose, "the purpose")
    if not 2 <= needed <= shares <= SHARES_MAX:
        raise UsageError(f"2 or more sheets are needed, and there are as many or more, {SHARES_MAX} at most")
    key = PrivateKey.generate()
    secret, ceremony = random.token(SECRET_BYTES), random.token(CEREMONY_BYTES)
    values = split(secret, needed=needed, shares=shares, coefficients=random.token((needed - 1) * SECRET_BYTES))
    check = secret_check(ceremony, secret)
    made = tuple(Share(ceremony, needed, shares, index, value, check) for index, value in enumerate(values, 1))
    sealed = seal_key(key, secret, ceremony=ceremony, needed=needed, shares=shares, nonce=random.token(12))
    record = CeremonyRecord(
        ceremony=ceremony.hex(),
        purpose=purpose,
        needed=needed,
        custodians=tuple(Custodian(share.index, name, share.digest) for share, name in zip(made, names, strict=True)),
        created=int(clock.now()),
        public_key=key.public,
        request_pem=make_csr(key, recovery_user_id(key.public)),
    )
    for at in range(shares):
        chosen = tuple(
            (f"sheet {made[(at + more) % shares].index}", made[(at + more) % shares]) for more in range(needed)
        )
        key_of_sheets(Sheets(chosen, sealed), record)
    return Ceremony(record, sign_ceremony_record(record, key), sealed, made)


# --- reading sheets -----------------------------------------------------------------------------------------


def read_sheets(texts: Sequence[tuple[str, str]]) -> Sheets:
    """Return what stands in texts, each given with where it comes from.

    Raises:
        ShareTypoError: with ``path`` as where, and the lines in its message. SharesUnfitError: two sealed keys differ.
        LimitExceededError.
    """
    shares: list[tuple[str, Share]] = []
    keys: list[tuple[str, SealedKey]] = []
    for where, text in texts:
        try:
            parts = find_parts(text)
            for number, words in enumerate(parts.shares, 1):
                place = where if len(parts.shares) == 1 else f"{where}, sheet {number} there"
                try:
                    shares.append((place, parse_share(words)))
                except CandadoError as error:
                    error.path = place
                    raise
            keys += [(where, parse_key(one)) for one in parts.keys]
        except CandadoError as error:
            error.path = error.path or where
            raise
        if not parts.shares and not parts.keys:
            raise ShareTypoError("there are no words of a sheet here", path=where)
    for where, key in keys:
        if key != keys[0][1]:
            raise SharesUnfitError("the sealed keys on two sheets differ", path=f"{keys[0][0]}, {where}")
    return Sheets(tuple(shares), keys[0][1] if keys else None)


def key_of_sheets(sheets: Sheets, record: CeremonyRecord | None) -> PrivateKey:
    """Return the private key that the sheets give, all of them taken together.

    Args:
        sheets: the needed number of shares or more; the sealed key.
        record: of the ceremony; each share and the key are held against it. Without it only against each other.

    Raises:
        SharesUnfitError: too few, one twice, of several ceremonies, forged, of another key than the record names.
    """
    _check_together(sheets.shares)
    if sheets.sealed is None:
        raise SharesUnfitError("the sealed key is missing", advice="Type or scan it too; it is on every sheet.")
    first = sheets.shares[0][1]
    if record is not None:
        _check_record(first, sheets.shares, record)
    if sheets.sealed.ceremony != first.ceremony:
        raise SharesUnfitError(
            f"the sheets are of the ceremony {first.ceremony.hex()}, the sealed key of {sheets.sealed.ceremony.hex()}"
        )
    secret = combine({share.index: share.value for _, share in sheets.shares})
    if secret_check(first.ceremony, secret) != first.check:
        raise SharesUnfitError(
            "the sheets do not give the secret: at least one of them is forged",
            path=", ".join(where for where, _ in sheets.shares),
            advice="Name the record of the ceremony with --public, or test other sheets together, to find which.",
        )
    key = open_key(sheets.sealed, secret)
    if record is not None and key.public != record.public_key:
        raise SharesUnfitError("the sheets give another key than the public half is of")
    return key


def prove_sheets(sheets: Sheets, record: CeremonyRecord, *, every_set: bool) -> SheetsReport:
    """Prove that the sheets give the key of the record, together and (``every_set``) in every set of the needed number.

    Errors as ``key_of_sheets``.
    """
    key_of_sheets(sheets, record)
    count = 1
    if every_set:
        count = 0
        for chosen in itertools.combinations(sheets.shares, record.needed):
            key_of_sheets(Sheets(chosen, sheets.sealed), record)
            count += 1
    indices = tuple(sorted(share.index for _, share in sheets.shares))
    return SheetsReport(record.ceremony, record.public_key.fingerprint_hex, record.needed, indices, count)


def _check_together(shares: Sequence[tuple[str, Share]]) -> None:
    """SharesUnfitError unless the shares are different ones of one ceremony, and enough."""
    if not shares:
        raise SharesUnfitError("no sheet was given")
    ceremonies: dict[bytes, list[str]] = {}
    places: dict[int, str] = {}
    for where, share in shares:
        ceremonies.setdefault(share.ceremony, []).append(where)
    if len(ceremonies) > 1:
        said = "; ".join(f"{name.hex()}: {', '.join(found)}" for name, found in ceremonies.items())
        raise SharesUnfitError(f"the sheets are of {len(ceremonies)} ceremonies", path=said)
    first = shares[0][1]
    for where, share in shares:
        if share.index in places:
            raise SharesUnfitError(
                f"sheet {share.index} was given twice",
                path=f"{places[share.index]}, {where}",
                advice="Every sheet counts once; take another one.",
            )
        places[share.index] = where
        if (share.needed, share.shares, share.check) != (first.needed, first.shares, first.check):
            raise SharesUnfitError(
                "two sheets contradict each other: one of them is forged", path=f"{shares[0][0]}, {where}"
            )
    if len(shares) < first.needed:
        raise SharesUnfitError(
            f"{first.needed} sheets are needed, {len(shares)} {'was' if len(shares) == 1 else 'were'} given",
            advice=f"Bring {first.needed - len(shares)} more.",
        )


def _check_record(first: Share, shares: Sequence[tuple[str, Share]], record: CeremonyRecord) -> None:
    if first.ceremony.hex() != record.ceremony:
        raise SharesUnfitError(
            f"the sheets are of the ceremony {first.ceremony.hex()}, the public half is of {record.ceremony}"
        )
    known = {one.index: one.sha256 for one in record.custodians}
    for where, share in shares:
        if known.get(share.index) != share.digest:
            raise SharesUnfitError(
                f"sheet {share.index} is not the one that the ceremony made", path=where, advice="Take another sheet."
            )
