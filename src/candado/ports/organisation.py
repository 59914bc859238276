"""What the client asks of a server about an organisation: its key, its policies, its recovery key.

Layer: ``ports``; a part of ``ports.client.Remote``, under the same rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from candado.formats.orgpolicy import PolicyKind
from candado.types import SecretText

__all__ = ["OrganisationRemote", "RemoteRecovery"]


@dataclass(frozen=True, slots=True)
class RemoteRecovery:
    """What the server says of the organisation and its recovery key; nothing of it is verified, "" is nothing.

    ``organisation`` is a public key and ``certificate`` that of the recovery key, both PEM; ``policy`` is signed.
    ``uses`` are ids of uses of a recovery key that concern this account.
    """

    organisation: str
    policy: str
    certificate: str
    uses: Sequence[str] = ()


class OrganisationRemote(Protocol):
    """The calls of our own server about the organisation; NotFoundError on any other."""

    async def recovery(self) -> RemoteRecovery:
        """The organisation's key, its policy on recovery, the certificate, and which uses there were."""
        ...

    async def recovery_use(self, use_id: str) -> str:
        """The record of a use, signed by the recovery key, not verified; NotFoundError."""
        ...

    async def install_recovery(
        self, organisation_pem: str, policy: str, csr_pem: str, password: SecretText, *, replace: bool
    ) -> None:
        """As an administrator, with the login password: install a policy on recovery with the organisation's key.

        AlreadyExistsError when another organisation's key is there and ``replace`` is False; BadRequestError.
        """
        ...

    async def report_recovery_use(self, record: str, password: SecretText) -> None:
        """As an administrator, with the login password: hand in the signed record of a use; BadRequestError."""
        ...

    async def policy(self, kind: PolicyKind) -> str:
        """The signed policy of a kind in its one spelling, "" when there is none; NotFoundError without such a call."""
        ...

    async def install_policy(
        self, kind: PolicyKind, organisation_pem: str, policy: str, password: SecretText, *, replace: bool
    ) -> None:
        """As an administrator, with the login password: install a policy with the organisation's key.

        AlreadyExistsError when another organisation's key is there and ``replace`` is False; BadRequestError,
        PreconditionFailedError when it is not newer than the one in force.
        """
        ...
