"""A device without a disk: account around a simulated server, local files in memory, power that can be cut."""

import itertools
from collections.abc import AsyncIterator, Iterable
from typing import Any

from tests.sim import World

from candado.client import edit
from candado.client.account import Account
from candado.client.reader import FolderReader
from candado.client.transfer import BytesSource, read_bytes
from candado.errors import AlreadyExistsError, FileChangedError, NotFoundError
from candado.ports.client import LeftOut, LocalStat, Remote
from candado.types import SecretBytes, SecretText, UserId


class PowerCut(BaseException):
    """The process is dead; nothing catches this, and everything asked of the machine afterwards raises it again."""


class Power:
    """Counts the moments at which a process may die, and dies at one of them."""

    def __init__(self, cut_at: int | None = None) -> None:
        self.count = 0
        self.cut_at = cut_at
        self.log: list[str] = []

    def moment(self, what: str) -> None:
        self.count += 1
        self.log.append(what)
        if self.cut_at is not None and self.count >= self.cut_at:
            raise PowerCut(what)


class MemoryState:
    """``StateStore`` in memory; every commit is a moment before and a moment after."""

    def __init__(self) -> None:
        self.spaces: dict[str, dict[str, bytes]] = {}
        self.power = Power()
        self.fail: Exception | None = None

    def load(self, space: str, key: str) -> bytes | None:
        return self.spaces.get(space, {}).get(key)

    def load_all(self, space: str) -> dict[str, bytes]:
        return dict(self.spaces.get(space, {}))

    def commit(self, changes: Iterable[tuple[str, str, bytes | None]], *, durable: bool = True) -> None:
        rows = list(changes)
        self.power.moment(f"before commit {sorted({row[0] for row in rows})}")
        if self.fail is not None:
            raise self.fail
        for space, key, value in rows:
            place = self.spaces.setdefault(space, {})
            if value is None:
                place.pop(key, None)
            else:
                place[key] = value
        self.power.moment("after commit")

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


class PoweredRemote:
    """A remote whose every method is a moment before and a moment after the server did it."""

    def __init__(self, remote: Any, power: Power) -> None:
        self._remote = remote
        self._power = power

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._remote, name)
        if not callable(member):
            return member
        if name == "get":
            return member

        async def call(*args: Any, **kwargs: Any) -> Any:
            self._power.moment(f"before {name}")
            answer = await member(*args, **kwargs)
            self._power.moment(f"after {name}")
            return answer

        return call


class MemoryTree:
    """``LocalTree`` in memory, as far as single commands need it."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files = dict(files or {})
        self.folders: set[str] = set()
        self.left_out: list[LeftOut] = []
        self.quarantined: list[tuple[str, bytes, str]] = []
        self.spools: list[MemorySpool] = []
        self._inodes = itertools.count(1)
        for path in self.files:
            parts = path.split("/")[:-1]
            self.folders.update("/".join(parts[: n + 1]) for n in range(len(parts)))

    def scan(self) -> dict[str, LocalStat]:
        found = {path: self._stat(path) for path in self.files}
        return found | {path: LocalStat(True, 0, 0, 0) for path in self.folders}

    def _stat(self, path: str) -> LocalStat:
        return LocalStat(False, len(self.files[path]), 1_700_000_000_000_000_000, 0)

    def skipped(self) -> list[LeftOut]:
        return self.left_out

    def stat(self, path: str) -> LocalStat | None:
        if path in self.folders:
            return LocalStat(True, 0, 0, 0)
        return self._stat(path) if path in self.files else None

    def open_read(self, path: str) -> Any:
        if path not in self.files:
            raise NotFoundError(path=path)
        return BytesSource(self.files[path], 1_700_000_000_000_000_000).open()

    def open_spool(self) -> "MemorySpool":
        self.spools.append(MemorySpool())
        return self.spools[-1]

    def publish(self, items: Iterable[Any]) -> list[LocalStat | Exception]:
        results: list[LocalStat | Exception] = []
        for spool, path, _mtime, expected in items:
            assert not spool.discarded
            if self.stat(path) != expected:
                results.append(FileChangedError(path=path))
                continue
            self.files[path] = bytes(spool.data)
            spool.discarded = True
            results.append(self._stat(path))
        return results

    def make_folder(self, path: str) -> None:
        if path in self.files:
            raise AlreadyExistsError(path=path)
        self.folders.add(path)

    def move(self, source: str, target: str) -> None:
        raise NotImplementedError

    def remove(self, path: str, expected: LocalStat) -> None:
        raise NotImplementedError

    def remove_folder(self, path: str) -> bool:
        raise NotImplementedError

    def quarantine(self, spool: Any, name: str, reason: str) -> str:
        self.quarantined.append((name, bytes(spool.data), reason))
        spool.discarded = True
        return name

    def close(self) -> None:
        pass

    def rest(self) -> list["MemorySpool"]:
        """Spools that were neither published nor thrown away."""
        return [spool for spool in self.spools if not spool.discarded]


class MemorySpool:
    def __init__(self) -> None:
        self.data = bytearray()
        self.discarded = False

    def write(self, data: bytes | memoryview) -> None:
        self.data += data

    def discard(self) -> None:
        self.discarded = True


class Device:
    """One device of a user: its state survives ``start``, which is a new process."""

    def __init__(self, world: World, user: str = "alice", *, remote: Any = None, enrolled: bool = True) -> None:
        self.world = world
        self.user = user
        self.state = MemoryState()
        self.remote: Any = remote if remote is not None else world.remote(user)
        self.account = self.start()
        if enrolled:
            self.account.commit_identity(world.identity(user), SecretText("words"), world.server.authority.public)

    def start(self, power: Power | None = None) -> Account:
        self.state.power = power or Power()
        remote: Remote = self.remote if power is None else PoweredRemote(self.remote, power)
        self.account = Account(
            remote=remote,
            store=self.state,
            keychain=NoKeychain(),
            clock=self.world.clock,
            random=self.world.random,
            user_id=UserId(self.user),
            server_url="https://cloud.example",
            device_name="laptop",
        )
        return self.account

    def reader(self) -> FolderReader:
        return FolderReader(self.account)

    async def put(self, target: str, files: dict[str, bytes], **options: Any) -> edit.CopyReport:
        """Upload files by relative path into ``target``."""
        tree = MemoryTree(files)
        tops = sorted({path.split("/")[0] for path in files})
        return await edit.put(self.account, [edit.PutSource(tree, top, top) for top in tops], target, **options)

    async def tree(self, path: str = "/Secret") -> dict[str, bytes | None]:
        """Everything below a folder as this device reads it: content by relative path, None for folders."""
        reader = self.reader()
        top = await reader.open_folder(path)
        found: dict[str, bytes | None] = {}
        for entry in (await reader.walk(top)).entries():
            name = entry.path.removeprefix(f"{path}/")
            found[name] = None if entry.is_folder else await read_whole(self.account, entry)
        return found

    def codes(self) -> set[str]:
        """Codes of all open issues."""
        return {issue.code for issue in self.account.issues()}


async def read_whole(account: Account, entry: Any) -> bytes:
    if entry.size_bytes <= 1 << 20:
        return await read_bytes(account, entry)
    pieces: list[bytes] = []
    await edit.cat(account, entry.path, pieces.append)
    return b"".join(pieces)


async def stream(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
