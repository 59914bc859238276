"""The organisation's key and its policies as this device stands by them.

Layer: ``client``. The key is pinned at enrolment when the server announces one. One that is announced later, and one in
place of the pinned one, is shown as a problem and taken by a person only (``candado trust organisation``). Policies are
verified with the pinned key and never go back to an older one (threats.md B14, A109).

Spaces of the state: ``pin/organisation`` (``key``: the pinned key; ``announced``: another one the server names) and
``pin/policy`` (one row a kind: the newest verified policy, in its one spelling).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from candado.client.account import Account
from candado.crypto.ed25519 import VerifyingKey
from candado.crypto.x509 import fingerprint_words
from candado.errors import CorruptStateError, FormatError, PolicyRefusedError, UntrustedCertificateError
from candado.folder.orgtrust import VerifiedPolicy, verify_policy
from candado.formats.orgpolicy import PolicyKind, recovery_member_id
from candado.types import UserId

if TYPE_CHECKING:
    from candado.client.pins import Row

__all__ = [
    "AnnouncedKey",
    "announced_key",
    "meet_organisation",
    "pinned_key",
    "policy_in_force",
    "take_policy",
    "trust_organisation",
]

_SPACE: Final = "pin/organisation"
_POLICIES: Final = "pin/policy"
_NEW: Final = "organisation.new"
_CHANGED: Final = "organisation.changed"
_NOTHING: Final = "No policy of this key is followed."


@dataclass(frozen=True, slots=True)
class AnnouncedKey:
    """A key that the server names and this device does not trust; ``words`` and ``fingerprint`` are to be compared."""

    fingerprint: str
    words: str


def pinned_key(account: Account) -> VerifyingKey | None:
    """The organisation's key that this device trusts; None when there is none."""
    stored = account.store.load(_SPACE, "key")
    try:
        return None if stored is None else VerifyingKey(stored)
    except FormatError as exc:
        raise CorruptStateError("the stored key of the organisation cannot be read") from exc


def announced_key(account: Account) -> AnnouncedKey | None:
    """The key that waits for a person's decision, if any."""
    stored = account.store.load(_SPACE, "announced")
    if stored is None:
        return None
    value = VerifyingKey(stored).fingerprint_hex
    return AnnouncedKey(value, fingerprint_words(value))


def meet_organisation(account: Account, pem: str, *, enrolling: bool = False) -> VerifyingKey | None:
    """Take note of the key that the server names; the key that counts, or None.

    ``enrolling``: this device joins now, and pins the key with the authority's. Later nothing is pinned here.

    Raises:
        FormatError: it is not a key.
    """
    pinned = pinned_key(account)
    if not pem:
        return pinned
    found = VerifyingKey.from_pem(pem)
    if pinned == found:
        return pinned
    if pinned is None and enrolling:
        account.store.commit([(_SPACE, "key", found.spki_der)])
        account.issue_book.add(
            "notice",
            "organisation.pinned",
            f"This device trusts policies of the organisation's key {fingerprint_words(found.fingerprint_hex)}",
            path="/",
            advice="Compare the words with what your organisation publishes.",
        )
        return found
    if account.store.load(_SPACE, "announced") != found.spki_der:
        account.store.commit([(_SPACE, "announced", found.spki_der)])
    words, value = fingerprint_words(found.fingerprint_hex), found.fingerprint_hex
    advice = (
        f"Compare the fingerprint with your organisation on another channel, then: candado trust organisation {value}"
    )
    if pinned is None:
        message = f"The server names a key of the organisation, {words}, which this device does not trust yet."
        account.issue_book.add("problem", _NEW, message, path="/", advice=advice, safe=_NOTHING)
    else:
        message = f"The server names another key of the organisation than before: {words}."
        account.issue_book.add("refused", _CHANGED, message, path="/", advice=advice, safe=_NOTHING)
    return pinned


def trust_organisation(account: Account, text: str) -> VerifyingKey:
    """Trust the announced key, whose fingerprint a person got on another channel, as hex or as words.

    What policies the former key signed is forgotten.

    Raises:
        UntrustedCertificateError: no key of this fingerprint is announced; nothing was changed.
    """
    hex_digits = "".join(text.lower().replace(":", " ").replace("-", " ").split())
    words = "-".join(text.lower().replace("-", " ").split())
    stored = account.store.load(_SPACE, "announced")
    found = None if stored is None else VerifyingKey(stored)
    pinned = pinned_key(account)
    for key in (found, pinned):
        if key is not None and (hex_digits == key.fingerprint_hex or words == fingerprint_words(key.fingerprint_hex)):
            break
    else:
        raise UntrustedCertificateError(
            "The server names no key of an organisation with this fingerprint.",
            safe="No key was trusted; nothing was changed.",
            advice="Run `candado recovery status`, which shows what the server names, and compare again.",
        )
    if key != pinned:
        gone = [(_POLICIES, kind, None) for kind in account.store.load_all(_POLICIES)]
        account.store.commit(
            [
                (_SPACE, "key", key.spki_der),
                (_SPACE, "announced", None),
                *gone,
                *account.book.rows_recovery({}),
            ]
        )
    for issue in account.issues():
        if issue.code in (_NEW, _CHANGED):
            account.issue_book.dismiss(issue.issue_id)
    return key


def policy_in_force(account: Account, kind: PolicyKind) -> VerifiedPolicy | None:
    """The newest policy of a kind that this device verified; None when there is none."""
    stored, key = account.store.load(_POLICIES, kind), pinned_key(account)
    if stored is None or key is None:
        return None
    try:
        return verify_policy(stored, kind=kind, pinned_key=key, pinned=None)
    except (FormatError, PolicyRefusedError) as exc:
        raise CorruptStateError("a stored policy of the organisation cannot be read") from exc


def take_policy(account: Account, kind: PolicyKind, raw: str) -> VerifiedPolicy | None:
    """Verify a policy that the server shows and remember it; the one in force afterwards.

    Without a pinned key nothing is followed. A policy that is withheld, ``raw`` "", leaves the last one in force.

    Raises:
        PolicyRefusedError, FormatError: it is not the newest policy of the organisation; kept among the issues.
    """
    key, present = pinned_key(account), policy_in_force(account, kind)
    if key is None:
        return None
    if not raw:
        if present is not None:
            account.issue_book.add(
                "notice", "policy.missing", "The server no longer shows a policy of the organisation", path="/"
            )
        return present
    try:
        pin = None if present is None else present.pin
        policy = verify_policy(raw, kind=kind, pinned_key=key, pinned=pin)
    except (FormatError, PolicyRefusedError) as error:
        account.record_refusal(error, path="/")
        raise
    if present is None or policy.digest != present.digest:
        rows: list[Row] = [(_POLICIES, kind, policy.raw)]
        if kind == "recovery":
            body = policy.recovery
            keys = {UserId(recovery_member_id(key)): key for key in (body.key, *body.former)}
            rows += account.book.rows_recovery(keys)
        account.store.commit(rows)
    return policy
