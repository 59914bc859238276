"""The calls of our own server about an organisation: its key, its policies, its recovery key.

Layer: ``adapters``; between ``http_calls`` and ``http``. Source: docs/spec/api.md.
"""

from typing import Final

from candado.adapters.http_calls import HttpCalls
from candado.adapters.http_ocs import read_recovery
from candado.adapters.http_wire import basic
from candado.errors import AlreadyExistsError
from candado.ports.client import RemoteRecovery
from candado.types import SecretText

__all__ = ["OrganisationCalls"]

_RECOVERY: Final = "/ocs/v2.php/apps/candado/api/v1/recovery"


class OrganisationCalls(HttpCalls):
    """What ``HttpRemote`` asks about the organisation; arguments as there."""

    async def recovery(self) -> RemoteRecovery:
        """What the server says of the organisation and its recovery key; NotFoundError."""
        return read_recovery(await self._ocs("GET", _RECOVERY, harmless=True))

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
