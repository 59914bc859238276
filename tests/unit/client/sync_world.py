"""Devices of one person around a simulated server: real disk trees, state in memory."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from tests.sim import Hostile, World, stock
from tests.unit.client.sync_cut import Power, Wired

from candado.adapters.disk import DiskTree
from candado.client.account import Account
from candado.client.sync import SyncOptions, SyncReport, sync
from candado.errors import CandadoError
from candado.ports.client import Remote
from candado.types import SecretBytes, SecretText, UserId

FOLDER = "/Secret"


def copy_of(name: str, device: "Device") -> str:
    """The name of a conflict copy that this device makes now."""
    now = datetime.fromtimestamp(device.world.clock.now(), UTC).astimezone()
    return f"{name} (conflicted copy {device.name} {now.strftime('%Y-%m-%d %H%M%S')})"


class MemoryState:
    """``StateStore`` in memory; a hook sees every commit before it happens."""

    def __init__(self) -> None:
        self.spaces: dict[str, dict[str, bytes]] = {}
        self.commits = 0

    def load(self, space: str, key: str) -> bytes | None:
        return self.spaces.get(space, {}).get(key)

    def load_all(self, space: str) -> dict[str, bytes]:
        return dict(self.spaces.get(space, {}))

    def commit(self, changes, *, durable: bool = True) -> None:  # type: ignore[no-untyped-def]
        self.commits += 1
        for space, key, value in changes:
            rows = self.spaces.setdefault(space, {})
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value

    def close(self) -> None:
        pass


class NoKeychain:
    kind = "file"

    def load(self) -> SecretBytes | None:
        return None

    def store(self, secret: SecretBytes) -> None:
        pass

    def delete(self) -> None:
        pass


class Device:
    """One device of a user: an account, a folder on disk, and what a person does with them."""

    def __init__(
        self, world: World, base: Path, name: str, *, user: str = "alice", remote: Remote | None = None
    ) -> None:
        self.world = world
        self.name = name
        self.root = base / name
        self.base = base
        self.user = user
        self.state = MemoryState()
        self.remote: Remote = remote if remote is not None else world.remote(user)
        self.account = self.start()
        self.account.commit_identity(world.identity(user), SecretText("words"), world.server.authority.public)

    def start(self, power: Power | None = None) -> Account:
        """A new process on this device: only the state and the disk remain."""
        self.account = Account(
            remote=self.remote if power is None else cast("Remote", Wired(self.remote, power)),
            store=self.state if power is None else cast("MemoryState", Wired(self.state, power)),
            keychain=NoKeychain(),
            clock=self.world.clock,
            random=self.world.random,
            user_id=UserId(self.user),
            server_url="https://cloud.example",
            device_name=self.name,
        )
        return self.account

    def tree(self) -> DiskTree:
        return DiskTree(self.root, quarantine=self.base / f"{self.name}-quarantine", clock=self.world.clock)

    async def sync(self, folder: str = FOLDER, **options: object) -> SyncReport:
        tree = self.tree()
        try:
            given = {"local_root": str(self.root), "transfers": 4} | options
            return await sync(self.start(), tree, folder, SyncOptions(**given))  # type: ignore[arg-type]
        finally:
            tree.close()

    async def sync_until(self, power: Power, **options: object) -> SyncReport:
        """Sync with every port on this power; afterwards the device is off until the next ``sync``."""
        tree = self.tree()
        account = self.start(power)
        given = {"local_root": str(self.root), "transfers": 4} | options
        try:
            return await sync(account, Wired(tree, power), FOLDER, SyncOptions(**given))  # type: ignore[arg-type]
        finally:
            power.is_out = True
            tree.close()

    async def try_sync(self, **options: object) -> CandadoError | None:
        try:
            await self.sync(**options)  # type: ignore[arg-type]
        except CandadoError as error:
            return error
        return None

    # --- what a person does -----------------------------------------------------------------------------

    def write(self, path: str, content: bytes | str) -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)

    def files(self) -> dict[str, bytes | None]:
        """Content by path, None for folders; without the working folders."""
        found: dict[str, bytes | None] = {}
        if not self.root.exists():
            return found
        for place in sorted(self.root.rglob("*")):
            path = place.relative_to(self.root).as_posix()
            if not path.startswith(".candado-"):
                found[path] = None if place.is_dir() else place.read_bytes()
        return found

    def trash(self) -> set[bytes]:
        room = self.root / ".candado-trash"
        return {place.read_bytes() for place in room.rglob("*") if place.is_file()} if room.exists() else set()


class Pair:
    """Two devices of alice that have one small tree in common."""

    def __init__(self, base: Path, *, is_stock: bool = False) -> None:
        self.world = World("alice")
        if is_stock:
            self.world.server.capabilities = stock()
        self.hostile: Hostile = self.world.hostile("alice")
        self.laptop = Device(self.world, base, "laptop", remote=self.hostile)  # type: ignore[arg-type]
        self.phone = Device(self.world, base, "phone")

    async def start(self, *paths: str) -> None:
        for path in paths or ("a", "d/b", "d/e/c"):
            self.laptop.write(path, f"content of {path}")
        await self.laptop.sync(encrypt=True)
        await self.phone.sync()
        await self.laptop.sync()

    def calls(self) -> list[str]:
        """Methods that the server was asked for since the last call."""
        log = [request.method for request in self.world.server.log]
        self.world.server.log.clear()
        return log


def numbers(report: Any) -> dict[str, int]:
    """What a report says was done, without zeros."""
    names = ("uploaded", "downloaded", "deleted", "renamed", "conflicts")
    return {name: getattr(report, name) for name in names if getattr(report, name)}
