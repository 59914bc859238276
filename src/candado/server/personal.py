"""What a user is shown of the own keys and encrypted folders, and the way back to no keys at all.

Layer: ``server``. Names of encrypted roots are plain, as everywhere in WebDAV; what lies below them is not looked at.
"""

from dataclasses import dataclass
from typing import Final, cast

from candado.crypto.x509 import Certificate, parse_certificate
from candado.ports.server import Rows
from candado.server.audit import Event, record, user_ref
from candado.server.keyevents import key_given_up
from candado.server.model import Backend
from candado.server.tree import home_of
from candado.types import FileId, UserId

__all__ = ["EncryptedFolder", "OwnKeys", "Personal"]

_KEYS: Final = """SELECT k.certificate, k.certificate_created, k.private_key IS NOT NULL, c.revoked FROM user_keys k
    LEFT JOIN certificates c ON c.user_id = k.user_id AND c.certificate = k.certificate WHERE k.user_id = $1"""
_TOPS: Final = (
    "WITH RECURSIVE walk(id, path, size, encrypted) AS ("
    " SELECT id, '/' || name, size, encrypted FROM nodes WHERE parent_id = $1 AND is_folder = 1"
    " UNION ALL SELECT n.id, walk.path || '/' || n.name, n.size, n.encrypted FROM nodes n"
    "  JOIN walk ON n.parent_id = walk.id WHERE walk.encrypted = 0 AND n.is_folder = 1)"
    " SELECT w.id, w.path, w.size, m.updated,"
    " (SELECT COUNT(*) FROM shares s WHERE s.node_id = w.id AND s.parent_share IS NULL)"
    " FROM walk w LEFT JOIN folder_metadata m ON m.node_id = w.id WHERE w.encrypted = 1 ORDER BY w.path"
)


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """Keys of one user as the server has them; times in seconds since the epoch."""

    certificate: Certificate | None
    stored_at: float | None
    is_revoked: bool
    has_private_key: bool


@dataclass(frozen=True, slots=True)
class EncryptedFolder:
    """A top encrypted folder in a user's own storage; ``path`` begins with a slash.

    ``changed_at`` is None while it has no metadata. ``share_count`` counts people and links.
    """

    file_id: FileId
    path: str
    size_bytes: int
    changed_at: float | None
    share_count: int


class Personal:
    """Use cases of the pages about the own account."""

    def __init__(self, backend: Backend) -> None:
        self._database = backend.database
        self._clock = backend.clock

    async def keys(self, user_id: UserId) -> OwnKeys:
        """What there is of a user's keys."""

        async def work(rows: Rows) -> OwnKeys:
            row = await rows.one(_KEYS, user_id)
            if row is None:
                return OwnKeys(None, None, is_revoked=False, has_private_key=False)
            pem, stored, has_private, revoked = row
            return OwnKeys(
                None if pem is None else parse_certificate(str(pem)),
                None if stored is None else float(str(stored)),
                is_revoked=revoked is not None,
                has_private_key=bool(has_private),
            )

        return await self._database.read(work)

    async def encrypted_folders(self, user_id: UserId) -> list[EncryptedFolder]:
        """The top encrypted folders of the user's own storage, by path."""

        async def work(rows: Rows) -> list[EncryptedFolder]:
            home = await home_of(rows, user_id)
            if home is None:
                return []
            found = cast("list[tuple[int, str, int, float | None, int]]", await rows.all(_TOPS, home.id))
            return [EncryptedFolder(FileId(node), path, size, at, count) for node, path, size, at, count in found]

        return await self._database.read(work)

    async def reset_keys(self, user_id: UserId) -> None:
        """Remove certificate and private key in one step, and record the certificate as given up; absent is success.

        Together, because a private key whose certificate is gone, or the other way round, is a set-up that was
        interrupted for every client.
        """
        now = self._clock.now()

        async def work(rows: Rows) -> None:
            await key_given_up(rows, user_id, "reset")
            if await rows.one("SELECT 1 FROM user_keys WHERE user_id = $1 AND private_key IS NOT NULL", user_id):
                await record(rows, Event("privatekey.removed", target=user_ref(user_id), reason="reset"))
            await rows.run("DELETE FROM user_keys WHERE user_id = $1", user_id)
            await rows.run("UPDATE certificates SET revoked = $2 WHERE user_id = $1 AND revoked IS NULL", user_id, now)

        await self._database.write(work)
