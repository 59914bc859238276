"""The organisation's recovery key as this server knows it: its certificate, the policy about it, records of its use.

Layer: ``server``. The private half is never here. The certificate is issued like any other, for the member name
``recovery:<fp16>``, which no account can have, and is served where clients look for members' certificates.

Order: the certificate first, then the policy with its event in one transaction. A cut between them leaves a certificate
that nobody uses, and the same command goes on from there.
"""

from dataclasses import dataclass

from candado.crypto.ed25519 import VerifyingKey
from candado.crypto.x509 import parse_csr
from candado.errors import (
    BadRequestError,
    CryptoError,
    FormatError,
    NoKeysError,
    NotFoundError,
    PolicyRefusedError,
)
from candado.folder.orgtrust import VerifiedPolicy, verify_policy
from candado.ports.server import Rows
from candado.server.audit import Actor, Event, key_ref, record
from candado.server.model import Backend, Principal
from candado.server.orgpolicies import current_policy, organisation_key, store_policy
from candado.server.pki import Pki
from candado.types import UserId

__all__ = ["Recovery", "RecoveryState"]


@dataclass(frozen=True, slots=True)
class RecoveryState:
    """What clients are told; nothing of it is to be believed without verification.

    ``organisation`` is the organisation's public key, PEM; ``policy`` the signed policy; ``certificate`` that of the
    recovery key, PEM. Each is "" where there is none.
    """

    organisation: str
    policy: str
    certificate: str


class Recovery:
    """Use cases on the recovery key."""

    def __init__(self, backend: Backend, pki: Pki) -> None:
        self._database = backend.database
        self._pki = pki

    async def announced(self) -> tuple[VerifyingKey | None, VerifiedPolicy | None]:
        """The organisation's key, and the recovery policy in force; None where there is none."""

        async def work(rows: Rows) -> tuple[VerifyingKey | None, VerifiedPolicy | None]:
            return await organisation_key(rows), await current_policy(rows, "recovery")

        return await self._database.read(work)

    async def notice(self) -> str:
        """What the organisation says of a recovery key that is on, for pages; "" while none is."""
        _, policy = await self.announced()
        return policy.text if policy is not None and policy.recovery.state == "on" else ""

    async def state(self) -> RecoveryState:
        """The public key, the policy and the certificate it names."""
        key, policy = await self.announced()
        organisation = "" if key is None else key.to_pem()
        if policy is None:
            return RecoveryState(organisation, "", "")
        try:
            member = UserId(policy.recovery.member_id)
            found = await self._pki.certificates(Principal(member), [member])
        except NoKeysError:
            found = {}
        return RecoveryState(organisation, policy.raw.decode(), found.get(policy.recovery.member_id, ""))

    async def install(self, policy_raw: bytes | str, csr_pem: str, *, actor: Actor | None = None) -> VerifiedPolicy:
        """Certify the recovery key and serve the policy about it; with a policy of state ``off`` only that.

        Args:
            policy_raw: the policy, signed by the organisation's key that is installed.
            csr_pem: the certificate request of the ceremony, "" for ``off``.
            actor: who does it.

        Raises:
            NotFoundError: no organisation's key is installed.
            PreconditionFailedError: the policy is not newer, or signed by another key.
            BadRequestError: the request is not one for the key that the policy names.
            SignerUnavailableError, ForbiddenError: no certificate could be issued, or the key was revoked.
        """
        # All that can be refused is refused before a certificate is signed.
        policy = await self._checked(policy_raw)
        body = policy.recovery
        if body.state == "on":
            self._check_request(csr_pem, policy)
            await self._pki.certify_recovery(UserId(body.member_id), csr_pem)

        async def work(rows: Rows) -> VerifiedPolicy:
            stored = await store_policy(rows, "recovery", policy_raw)
            kind = "recovery.installed" if body.state == "on" else "recovery.off"
            details: dict[str, str | int] = {
                "serial": stored.serial,
                "digest": stored.digest,
                "organisation": key_ref(stored.organisation),
            }
            await record(rows, Event(kind, actor, key_ref(body.key), details=details))
            return stored

        return await self._database.write(work)

    async def _checked(self, raw: bytes | str) -> VerifiedPolicy:
        async def work(rows: Rows) -> VerifiedPolicy:
            key = await organisation_key(rows)
            if key is None:
                raise NotFoundError(
                    "no organisation's key is installed", advice="Give the organisation's public key with the policy."
                )
            present = await current_policy(rows, "recovery")
            pin = None if present is None else present.pin
            return verify_policy(raw, kind="recovery", pinned_key=key, pinned=pin)

        try:
            return await self._database.read(work)
        except PolicyRefusedError as error:
            raise BadRequestError(f"the policy is not acceptable: {error.message}", path=error.event) from error
        except FormatError as error:
            raise BadRequestError(f"the policy is not acceptable: {error.message}") from error

    @staticmethod
    def _check_request(csr_pem: str, policy: VerifiedPolicy) -> None:
        body = policy.recovery
        try:
            csr = parse_csr(csr_pem)
        except (FormatError, CryptoError) as exc:
            raise BadRequestError(f"the request of the recovery key is not acceptable: {exc.message}") from exc
        if csr.common_name != body.member_id or csr.public_key.fingerprint_hex != body.key:
            raise BadRequestError("the policy names another recovery key than the request")
