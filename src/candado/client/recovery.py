"""The recovery key of the organisation on this device: asked for, verified, announced, shown.

Layer: ``client``; what is done to folders is in ``covering``. Nothing here believes the server: the policy is verified
with the pinned organisation's key, the certificate with the pinned authority and the policy. The first recovery key
that a policy announces is taken for new folders; one in its place waits until a person agreed (threats.md A109, A110,
G14).

Space of the state: ``recovery``: ``certificate`` (PEM, verified), ``key`` (fingerprint that is wrapped for), ``asked``
(when the server was asked last).
"""

from dataclasses import dataclass
from typing import Final

from candado.client.account import Account
from candado.client.policies import meet_organisation, policy_in_force, take_policy
from candado.client.recoveryuses import tell_uses
from candado.client.revocation import known_revoked
from candado.crypto.x509 import Certificate, check_certificate, fingerprint_words, parse_certificate
from candado.errors import (
    CandadoError,
    CryptoError,
    EscrowError,
    FormatError,
    NotFoundError,
    TransportError,
    UntrustedCertificateError,
    UsageError,
)
from candado.folder.escrow import recovery_member
from candado.folder.model import Member
from candado.folder.orgtrust import VerifiedPolicy
from candado.types import UserId

__all__ = [
    "RecoveryKey",
    "agree_to_key",
    "current_key",
    "refresh",
    "refresh_quietly",
    "require_key",
    "warning",
    "wrapped_for",
]

_SPACE: Final = "recovery"
_ASKED_SECONDS: Final = 3600.0
_CHANGED: Final = "recovery.changed"


@dataclass(frozen=True, slots=True)
class RecoveryKey:
    """The recovery key that the verified policy is about.

    ``state`` is ``on`` or ``off``; ``fingerprint`` is that of its public key, ``words`` the same for people; ``agreed``
    is False for a key in place of another that nobody at this device agreed to yet.
    """

    member_id: UserId
    fingerprint: str
    words: str
    state: str
    serial: int
    text: str
    agreed: bool


def current_key(account: Account) -> RecoveryKey | None:
    """The recovery key by the newest policy that this device verified; asks nobody. None when there is none."""
    policy = policy_in_force(account, "recovery")
    if policy is None:
        return None
    body = policy.recovery
    agreed = account.store.load(_SPACE, "key")
    return RecoveryKey(
        UserId(body.member_id),
        body.key,
        fingerprint_words(body.key),
        body.state,
        policy.serial,
        policy.text,
        agreed is not None and agreed.decode() == body.key,
    )


def warning(account: Account) -> str:
    """The lasting warning while a recovery key is on; "" otherwise."""
    key = current_key(account)
    if key is None or key.state != "on":
        return ""
    said = " ".join(key.text.split())
    return (
        f"The organisation has a recovery key ({key.member_id}, {key.words}). Whoever holds enough of its sheets can "
        f"read every folder that carries it; new encrypted folders do. The organisation says: {said}"
    )


def wrapped_for(account: Account) -> Member | None:
    """The member that new folders get; None while no key is on, agreed to, certified and not revoked."""
    key = current_key(account)
    if key is None or key.state != "on" or not key.agreed or key.fingerprint in known_revoked(account):
        return None
    stored = account.store.load(_SPACE, "certificate")
    if stored is None:
        return None
    certificate = parse_certificate(stored.decode())
    return recovery_member(certificate) if certificate.public_key.fingerprint_hex == key.fingerprint else None


async def refresh_quietly(account: Account, *, fresh: bool = False) -> None:
    """As ``refresh``, where the work goes on when something is refused, which is kept among the issues.

    TransportError: without the server the work ends here as it would a moment later.
    """
    try:
        await refresh(account, fresh=fresh)
    except TransportError:
        raise
    except CandadoError:
        return


async def refresh(account: Account, *, fresh: bool = False, enrolling: bool = False) -> RecoveryKey | None:
    """Ask the server, at most once an hour unless ``fresh``, and verify what it says; the key in force afterwards.

    1. *Announced*: a server without the call is not asked; a capability alone changes nothing.
    2. *Organisation*: the key is the pinned one (``enrolling`` pins it); another one waits for a person.
    3. *Policy*: signed by that key, of this kind, not older than the newest one seen.
    4. *Certificate*: for the member name and the key of the policy, signed by the pinned authority.

    Raises:
        PolicyRefusedError, EscrowError, FormatError: what the server shows is refused; the last state stays in force.
        RemoteError, TransportError: it cannot be asked.
    """
    now = account.clock.now()
    asked = account.store.load(_SPACE, "asked")
    if not fresh and asked is not None and 0 <= now - float(asked) < _ASKED_SECONDS:
        return current_key(account)
    if not (await account.capabilities()).recovery:  # step 1
        return current_key(account)
    try:
        shown = await account.remote.recovery()
    except NotFoundError:
        return current_key(account)
    meet_organisation(account, shown.organisation, enrolling=enrolling)  # step 2
    policy = take_policy(account, "recovery", shown.policy)  # step 3
    if policy is not None and shown.policy:
        try:
            certificate = _checked(account, policy, shown.certificate)  # step 4
        except (CryptoError, FormatError, EscrowError) as error:
            account.record_refusal(error, path="/")
            raise
        _remember(account, policy, certificate)
        await tell_uses(account, shown.uses)
    account.store.commit([(_SPACE, "asked", repr(now).encode())], durable=False)
    return current_key(account)


def agree_to_key(account: Account, text: str) -> RecoveryKey:
    """Take the recovery key in place of the former one, by its fingerprint from another channel, as hex or as words.

    Raises:
        NotFoundError: no recovery key is announced. UntrustedCertificateError: it has another fingerprint.
    """
    key = current_key(account)
    if key is None:
        raise NotFoundError("No recovery key is announced by a policy that this device trusts.")
    hex_digits = "".join(text.lower().replace(":", " ").replace("-", " ").split())
    words = "-".join(text.lower().replace("-", " ").split())
    if hex_digits != key.fingerprint and words != key.words:
        raise UntrustedCertificateError(
            f"The fingerprint is not that of the recovery key {key.member_id}.",
            safe="Nothing was agreed to.",
            advice="Run `candado recovery status` and compare with your organisation again.",
        )
    account.store.commit([(_SPACE, "key", key.fingerprint.encode())])
    for issue in account.issues():
        if issue.code == _CHANGED:
            account.issue_book.dismiss(issue.issue_id)
    found = current_key(account)
    assert found is not None
    return found


def require_key(account: Account) -> tuple[RecoveryKey, Member]:
    """The key that is on and agreed to, with its member.

    Raises:
        UsageError: none is on, it waits for a person, or it has no certificate.
    """
    key, member = current_key(account), wrapped_for(account)
    if key is None or key.state != "on":
        raise UsageError(
            "no recovery key is on that a policy of a trusted organisation announces",
            advice="See `candado recovery status`.",
        )
    if not key.agreed:
        raise UsageError(
            f"the recovery key was replaced, and nobody at this device agreed to {key.member_id} yet",
            advice=f"Compare {key.words} with your organisation, then: candado recovery accept --key {key.fingerprint}",
        )
    if member is None:
        raise UsageError("the recovery key has no valid certificate", advice="Ask the administrator.")
    return key, member


def _checked(account: Account, policy: VerifiedPolicy, pem: str) -> Certificate | None:
    """The certificate of the key in the policy; None when the server has none and none is needed."""
    body = policy.recovery
    if not pem and body.state == "off":
        return None
    certificate = parse_certificate(pem)
    if certificate.public_key.fingerprint_hex != body.key:
        raise EscrowError(
            "escrow.unsigned",
            "The server shows another recovery key than the one that the organisation signed.",
            expected=body.key,
            got=certificate.public_key.fingerprint_hex,
        )
    check_certificate(
        certificate, user_id=UserId(body.member_id), authority=account.pins().authority, now=account.clock.now()
    )
    return certificate


def _remember(account: Account, policy: VerifiedPolicy, certificate: Certificate | None) -> None:
    body = policy.recovery
    if certificate is not None:
        pem = certificate.pem.encode()
        if account.store.load(_SPACE, "certificate") != pem:
            account.store.commit([(_SPACE, "certificate", pem)])
    if body.state != "on":
        return
    agreed = account.store.load(_SPACE, "key")
    if agreed is None:
        account.store.commit([(_SPACE, "key", body.key.encode())])
        account.issue_book.add("notice", "recovery.on", warning(account), path="/")
    elif agreed.decode() != body.key:
        account.issue_book.add(
            "problem",
            _CHANGED,
            f"The organisation has another recovery key than before: {fingerprint_words(body.key)}",
            path="/",
            safe="No folder gets it before somebody at this device agrees.",
            advice=f"Compare it with your organisation, then: candado recovery accept --key {body.key}",
        )
