"""From a signed policy to one that this device stands by, and the member that a recovery policy announces.

Layer: ``folder``; pure. ``verify_policy`` is the only way to a ``VerifiedPolicy``. The key that signs policies is
pinned at enrolment and changes only by a person's decision; the server, which carries the documents, can withhold them,
never make or replay one.

Source: threat model, B14, A109, A110.
"""

import hashlib
from dataclasses import dataclass

from candado.crypto.ed25519 import SigningKey, VerifyingKey
from candado.errors import BadSignatureError, PolicyRefusedError
from candado.formats.canonjson import JsonObject
from candado.formats.clientrules import ClientRules, parse_client_rules
from candado.formats.orgpolicy import (
    PolicyKind,
    PolicyText,
    RecoveryBody,
    format_signed_policy,
    parse_recovery_body,
    parse_signed_policy,
    policy_signed_bytes,
)

__all__ = ["PolicyPin", "VerifiedPolicy", "sign_policy", "verify_policy"]


@dataclass(frozen=True, slots=True)
class PolicyPin:
    """The newest policy of one kind that this device accepted: its serial, and the SHA-256 of its bytes in hex."""

    serial: int
    digest: str


@dataclass(frozen=True, slots=True)
class VerifiedPolicy:
    """A policy that the pinned organisation signed and that is not older than the newest one seen.

    ``issued`` is in seconds since 1970, ``digest`` the SHA-256 of ``raw``, which is the signed policy in its one
    spelling; ``organisation`` the fingerprint of the key that signed.
    """

    kind: PolicyKind
    serial: int
    issued: int
    text: str
    body: JsonObject
    organisation: str
    digest: str
    raw: bytes

    @property
    def pin(self) -> PolicyPin:
        """What to remember of it."""
        return PolicyPin(self.serial, self.digest)

    @property
    def client_rules(self) -> ClientRules:
        """The body of a policy of kind ``client-rules``; FormatError for another kind."""
        return parse_client_rules(self.body)

    @property
    def recovery(self) -> RecoveryBody:
        """The body of a policy of kind ``recovery``; MalformedError for another kind."""
        return parse_recovery_body(self.body)


def sign_policy(key: SigningKey, policy: PolicyText) -> bytes:
    """The signed policy as one line of JSON.

    MalformedError, LimitExceededError when a member is out of bounds, RulesInvalidError when no client could follow it.
    """
    covered = policy_signed_bytes(policy)
    _check_body(policy.kind, policy.body)
    return format_signed_policy(policy, key.sign(covered))


def verify_policy(
    raw: bytes | str, *, kind: PolicyKind, pinned_key: VerifyingKey, pinned: PolicyPin | None
) -> VerifiedPolicy:
    """Return the policy in ``raw``, or raise; nothing is changed either way.

    1. *Parse*: the one canonical spelling, within bounds.
    2. *Kind*: the document is of the kind that was asked for.
    3. *Signature*: by the pinned key, over the canonical document.
    4. *Serial*: not below the pinned one; with the same serial the same bytes.
    5. *Body*: rules for clients are ones that this program can follow; the last ones stay in force else.

    Args:
        raw: as it came from the server or a file.
        kind: what the caller wants to use it for.
        pinned_key: the organisation's key that this device pinned.
        pinned: the newest policy of this kind that was accepted before, or None.

    Raises:
        MalformedError, LimitExceededError: step 1. RulesInvalidError, MalformedError: step 5.
        PolicyRefusedError: ``policy.kind``, ``policy.signature``, ``policy.rollback``, ``policy.fork``.
    """
    signed = parse_signed_policy(raw)  # step 1
    policy = signed.policy
    if policy.kind != kind:  # step 2
        raise PolicyRefusedError("policy.kind", f"A policy about {policy.kind} was shown as one about {kind}.")
    if policy.organisation != pinned_key.fingerprint_hex:  # step 3
        raise _wrong_signature(pinned_key, policy.organisation)
    try:
        pinned_key.verify(signed.signature, policy_signed_bytes(policy))
    except BadSignatureError as exc:
        raise _wrong_signature(pinned_key, policy.organisation) from exc
    digest = hashlib.sha256(signed.raw).hexdigest()
    if pinned is not None and policy.serial < pinned.serial:  # step 4
        raise PolicyRefusedError(
            "policy.rollback",
            "The server shows an older policy of the organisation than before.",
            expected=f"{pinned.serial} or more",
            got=str(policy.serial),
        )
    if pinned is not None and policy.serial == pinned.serial and digest != pinned.digest:
        raise PolicyRefusedError(
            "policy.fork",
            "Two different policies of the organisation have one serial number.",
            expected=pinned.digest,
            got=digest,
        )
    _check_body(kind, policy.body)  # step 5
    return VerifiedPolicy(
        policy.kind,
        policy.serial,
        policy.issued,
        policy.text,
        policy.body,
        policy.organisation,
        digest,
        signed.raw,
    )


def _check_body(kind: PolicyKind, body: JsonObject) -> None:
    if kind == "client-rules":
        parse_client_rules(body)


def _wrong_signature(pinned: VerifyingKey, named: str) -> PolicyRefusedError:
    return PolicyRefusedError(
        "policy.signature",
        "A policy is not signed by the organisation that this device knows.",
        expected=pinned.fingerprint_hex,
        got=named,
    )
