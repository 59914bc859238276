"""The calls of our own server about an organisation: its key, its policies, its recovery key.

Layer: ``adapters``; between ``http_calls`` and ``http``. Source: docs/spec/api.md.
"""

from typing import Final
from urllib.parse import quote

from candado.adapters.http_calls import HttpCalls
from candado.adapters.http_ocs import read_member, read_recovery
from candado.adapters.http_wire import basic
from candado.errors import AlreadyExistsError
from candado.formats.orgpolicy import PolicyKind
from candado.ports.client import RemoteRecovery
from candado.types import SecretText

__all__ = ["OrganisationCalls"]

_POLICIES: Final = "/ocs/v2.php/apps/candado/api/v1/policies"
_RECOVERY: Final = "/ocs/v2.php/apps/candado/api/v1/recovery"


class OrganisationCalls(HttpCalls):
    """What ``HttpRemote`` asks about the organisation; arguments as there."""

    async def recovery(self) -> RemoteRecovery:
        """What the server says of the organisation and its recovery key; NotFoundError."""
        return read_recovery(await self._ocs("GET", _RECOVERY, harmless=True))

    async def recovery_use(self, use_id: str) -> str:
        """The record of a use; NotFoundError."""
        found = await self._ocs("GET", f"{_RECOVERY}/uses/{quote(use_id, safe='')}", where=use_id, harmless=True)
        return read_member(found, "record")

    async def report_recovery_use(self, record: str, password: SecretText) -> None:
        """Hand in the signed record of a use as an administrator; BadRequestError, ForbiddenError."""
        await self._ocs(
            "POST",
            f"{_RECOVERY}/uses",
            headers={"Authorization": basic(self._login, password)},
            json_body={"record": record},
            meanings={409: lambda path: AlreadyExistsError("The server has another record of this use.", path=path)},
        )

    async def policy(self, kind: PolicyKind) -> str:
        """The signed policy of a kind, "" when there is none; NotFoundError."""
        return read_member(await self._ocs("GET", f"{_POLICIES}/{kind}", harmless=True), "policy")

    async def install_policy(
        self, kind: PolicyKind, organisation_pem: str, policy: str, password: SecretText, *, replace: bool
    ) -> None:
        """Install a policy as an administrator; AlreadyExistsError, BadRequestError, ForbiddenError."""
        await self._ocs(
            "POST",
            f"{_POLICIES}/{kind}",
            headers={"Authorization": basic(self._login, password)},
            json_body={"organisation": organisation_pem, "policy": policy, "replace": "1" if replace else ""},
            meanings={409: _other_organisation},
        )

    async def install_recovery(
        self, organisation_pem: str, policy: str, csr_pem: str, password: SecretText, *, replace: bool
    ) -> None:
        """Install a policy on recovery as an administrator; AlreadyExistsError, BadRequestError, ForbiddenError."""
        await self._ocs(
            "POST",
            _RECOVERY,
            headers={"Authorization": basic(self._login, password)},
            json_body={
                "organisation": organisation_pem,
                "policy": policy,
                "csr": csr_pem,
                "replace": "1" if replace else "",
            },
            meanings={409: _other_organisation},
        )


def _other_organisation(path: str | None) -> AlreadyExistsError:
    return AlreadyExistsError(
        "The server has another organisation's key, or another recovery key under this name.",
        path=path,
        advice="Add --replace-organisation for a new key of the organisation; every person must then accept it.",
    )
