"""The end of an account: its files, keys, shares and credentials.

Layer: ``server``. Not one transaction, since a home may hold millions of nodes: the account is shut first, and whoever
is interrupted begins anew and finds less to do.
"""

from typing import Final

from candado.ports.ambient import Clock
from candado.server.access import RECHECK_SECONDS
from candado.server.accounts import Accounts
from candado.server.files import Files
from candado.server.metadata import FolderMetadata
from candado.server.model import Principal

__all__ = ["Removal"]

_MARGIN_SECONDS: Final = 0.5


class Removal:
    """Removes users."""

    def __init__(self, clock: Clock, accounts: Accounts, files: Files, metadata: FolderMetadata) -> None:
        self._clock = clock
        self._accounts = accounts
        self._files = files
        self._metadata = metadata

    async def remove(self, user_id: str, *, keep_admin: bool = False) -> None:
        """Remove a user and everything that is its own; NotFoundError.

        With ``keep_admin`` the last administrator who can sign in stays: ForbiddenError.
        """
        account = await self._accounts.get(user_id)
        await self._accounts.set_enabled(account.user_id, enabled=False, keep_admin=keep_admin)
        # Servers remember a good password this long; a request let in now could make the home anew.
        await self._clock.sleep(RECHECK_SECONDS + _MARGIN_SECONDS)
        principal = Principal(account.user_id)
        await self._metadata.delete_all_encrypted(principal)
        _, children = await self._files.list_folder(principal, "")
        for child in children:
            await self._files.delete(principal, child.path, token=None)
        await self._accounts.delete(account.user_id)
