"""A device of a simulated user: the real client on a simulated server, with its state in memory.

device = Device(world, "alice", tmp_path, remote=liar.port)
await device.encrypt("/docs"); await device.put("/docs/a.txt", b"text"); await device.read("/docs/a.txt")
device.restart()                       # a new process: only the state remains
"""

from collections.abc import Iterable
from pathlib import Path

from candado.adapters.disk import DiskTree
from candado.client import edit
from candado.client.account import Account
from candado.client.fetch import cat
from candado.client.reader import FolderReader
from candado.ports.client import Remote
from candado.types import SecretBytes, SecretText, UserId
from tests.sim.world import WORDS, World

__all__ = ["Device", "MemoryKeychain", "MemoryState"]


class MemoryState:
    """``StateStore`` in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, bytes]] = {}

    def load(self, space: str, key: str) -> bytes | None:
        return self.rows.get(space, {}).get(key)

    def load_all(self, space: str) -> dict[str, bytes]:
        return dict(self.rows.get(space, {}))

    def commit(self, changes: Iterable[tuple[str, str, bytes | None]], *, durable: bool = True) -> None:
        del durable
        for space, key, value in changes:
            if value is None:
                self.rows.get(space, {}).pop(key, None)
            else:
                self.rows.setdefault(space, {})[key] = value

    def close(self) -> None:
        pass


class MemoryKeychain:
    """``Keychain`` in memory."""

    kind = "file"

    def __init__(self) -> None:
        self.secret: SecretBytes | None = None

    def load(self) -> SecretBytes | None:
        return self.secret

    def store(self, secret: SecretBytes) -> None:
        self.secret = secret

    def delete(self) -> None:
        self.secret = None


class Device:
    """One device that has joined (or, with ``joined=False``, has not)."""

    def __init__(
        self, world: World, user: str, folder: Path, *, remote: Remote | None = None, joined: bool = True
    ) -> None:
        self.world = world
        self.user = user
        self.folder = folder
        self.state = MemoryState()
        self.remote: Remote = remote or world.remote(user)
        self.account = self.restart()
        if joined:
            self.account.commit_identity(world.identity(user), SecretText(WORDS), world.server.authority.public)

    def restart(self) -> Account:
        self.account = Account(
            remote=self.remote,
            store=self.state,
            keychain=MemoryKeychain(),
            clock=self.world.clock,
            random=self.world.random,
            user_id=UserId(self.user),
            server_url="https://cloud.example",
            device_name=f"{self.user}'s device",
        )
        return self.account

    async def encrypt(self, path: str) -> None:
        await edit.encrypt_folder(self.account, path)

    async def put(self, path: str, content: bytes, *, replace: bool = False) -> None:
        """Upload one file; the error of the file is raised."""
        name = path.rpartition("/")[2]
        tree = DiskTree(self.folder / "out", quarantine=self.folder / "quarantine", clock=self.world.clock)
        try:
            (self.folder / "out" / name).write_bytes(content)
            source = edit.PutSource(tree, name, name)
            report = await edit.put(self.account, [source], path, conflict="replace" if replace else "fail")
        finally:
            tree.close()
        if report.failures:
            raise report.failures[0].error

    async def read(self, path: str) -> bytes:
        pieces: list[bytes] = []
        await cat(self.account, path, pieces.append)
        return b"".join(pieces)

    async def names(self, path: str) -> set[str]:
        return set((await FolderReader(self.account).open_folder(path)).entries)

    async def everything(self, path: str) -> dict[str, bytes]:
        """Content of every file below a folder by clear path."""
        reader = FolderReader(self.account)
        tree = await reader.walk(await reader.open_folder(path))
        return {entry.path: await self.read(entry.path) for entry in tree.entries() if not entry.is_folder}

    def pins(self) -> dict[str, bytes]:
        """What this device remembers of folders."""
        return self.state.load_all("pin/folder")

    def refusals(self) -> list[str]:
        """Codes of all refusals on record."""
        return [issue.code for issue in self.account.issues() if issue.severity == "refused"]
