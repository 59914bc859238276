"""The client's use cases on real adapters: sealed state, disk, HTTP, and a server process on the loopback."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.e2e.server_process import PASSWORD, ServerProcess, make_data, run_server, serving
from tests.unit.client.devices import NoKeychain

from candado.adapters.ambient import SystemClock, SystemRandom
from candado.adapters.disk import DiskTree
from candado.adapters.http import HttpRemote
from candado.adapters.state import SqliteState
from candado.client import edit, enrol, inspect, sharing
from candado.client.account import Account
from candado.client.lock import recover_sessions
from candado.client.reader import FolderReader
from candado.client.session import UploadItem, WriteSession
from candado.client.transfer import BytesSource
from candado.errors import ForbiddenError, NotFoundError, QuotaExceededError
from candado.types import SecretBytes, SecretText, UserId

BIG = SystemRandom().token(1 << 20) * 12


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(make_data(tmp_path_factory.mktemp("server"), "alice", "bob", "small")) as process:
        yield process


class Machine:
    """One device on this machine."""

    def __init__(self, server: ServerProcess, folder: Path, user: str) -> None:
        clock, random = SystemClock(), SystemRandom()
        folder.mkdir(parents=True)
        self.folder = folder
        self.trees: list[DiskTree] = []
        self.secret = SecretBytes(SystemRandom().token(32))
        self.account = Account(
            remote=HttpRemote(server.url, user, UserId(user), SecretText(PASSWORD), clock=clock, random=random),
            store=SqliteState(folder / "state.db", self.secret),
            keychain=NoKeychain(),
            clock=clock,
            random=random,
            user_id=UserId(user),
            server_url=server.url,
        )

    def tree(self, name: str) -> DiskTree:
        self.trees.append(DiskTree(self.folder / name, quarantine=self.folder / "quarantine", clock=self.account.clock))
        return self.trees[-1]

    async def close(self) -> None:
        await self.account.remote.close()
        self.account.store.close()
        for tree in self.trees:
            tree.close()


@pytest.fixture
async def machines(server: ServerProcess, tmp_path: Path) -> AsyncIterator[dict[str, Machine]]:
    found = {name: Machine(server, tmp_path / name, name.split("-")[0]) for name in ("alice-1", "alice-2", "bob")}
    yield found
    for machine in found.values():
        await machine.close()


async def _enrolled(machines: dict[str, Machine]) -> tuple[Machine, Machine, Machine]:
    first, second, bob = machines["alice-1"], machines["alice-2"], machines["bob"]
    words = await enrol.init_first(first.account)
    await enrol.init_further(second.account, words)
    await enrol.init_first(bob.account)
    return first, second, bob


async def test_a_tree_travels_between_devices_and_people_and_is_taken_back(machines: dict[str, Machine]) -> None:
    first, second, bob = await _enrolled(machines)
    source = first.folder / "src"
    (source / "docs" / "deep").mkdir(parents=True)
    files = {"a.txt": b"alpha", "docs/ä ö.txt": b"", "docs/deep/big.bin": BIG}
    for path, content in files.items():
        (source / path).write_bytes(content)
    await edit.encrypt_folder(first.account, "/Secret")
    sent = await edit.put(first.account, [edit.PutSource(first.tree("src"), "", "tree")], "/Secret")
    assert (sent.files, sent.folders, sent.failures) == (3, 3, [])

    got = await edit.get(second.account, "/Secret/tree", second.tree("out"), "")
    assert (got.files, got.failures) == (3, [])
    out = second.folder / "out"
    assert {path: (out / path).read_bytes() for path in files} == files
    assert {path for path in out.rglob("*") if ".candado" in path.name and path.is_file()} == set()

    shared = await sharing.share(first.account, "/Secret", UserId("bob"))
    assert shared.rekeyed_folders == 4
    assert (await edit.get(bob.account, "/Secret/tree/a.txt", bob.tree("out"), "a.txt")).files == 1
    reader = FolderReader(bob.account)
    async with WriteSession(reader, "/Secret/tree/docs") as session:
        await session.put_files([UploadItem("/Secret/tree/docs/bob.txt", BytesSource(b"hello", 0))])
    pieces: list[bytes] = []
    await edit.cat(second.account, "/Secret/tree/docs/bob.txt", pieces.append)
    assert pieces == [b"hello"]

    view = await inspect.server_view(first.account, "/Secret")
    assert (view.members, len(view.lines)) == (("alice", "bob"), 8)
    taken = await sharing.unshare(first.account, "/Secret", UserId("bob"))
    assert (taken.was_member, taken.had_share, taken.readable_files) == (True, True, 4)
    with pytest.raises(ForbiddenError):
        await FolderReader(bob.account).open_path("/Secret/tree/a.txt")
    assert [issue.code for issue in bob.account.issues() if issue.severity == "problem"] == ["share.ended"]

    await edit.mv(first.account, "/Secret/tree/docs/deep", "/Secret/moved")
    await edit.rm(first.account, "/Secret/tree", recursive=True)
    reader = FolderReader(second.account)
    entries = (await reader.walk(await reader.open_root("/Secret"))).entries()
    assert [entry.path for entry in entries] == ["/Secret/moved", "/Secret/moved/big.bin"]
    await edit.rm(first.account, "/Secret", recursive=True)
    with pytest.raises(NotFoundError):
        await FolderReader(first.account).open_path("/Secret")


async def test_a_session_left_by_a_dead_process_is_undone_by_the_next_one(
    server: ServerProcess, tmp_path: Path
) -> None:
    run_server(
        "user", "add", "dead", "--password-file", str(server.data.parent / "password"), "--data", str(server.data)
    )
    machine = Machine(server, tmp_path / "dead", "dead")
    try:
        await enrol.init_first(machine.account)
        await edit.encrypt_folder(machine.account, "/Left")
        session = WriteSession(FolderReader(machine.account), "/Left")
        await session.__aenter__()
        await session.put_file("/Left/never", BytesSource(b"x", 0))
        machine.account.write_lock.release()
        assert len(inspect.status(machine.account).left_locks) == 1
        assert await recover_sessions(machine.account) == 1
        async with WriteSession(FolderReader(machine.account), "/Left") as again:
            await again.put_file("/Left/now", BytesSource(b"y", 0))
        assert set((await FolderReader(machine.account).open_root("/Left")).entries) == {"now"}
    finally:
        await machine.close()


async def test_a_full_account_undoes_the_batch_and_says_so(server: ServerProcess, tmp_path: Path) -> None:
    password = str(server.data.parent / "password")
    run_server("user", "add", "tiny", "--quota", "2M", "--password-file", password, "--data", str(server.data))
    machine = Machine(server, tmp_path / "tiny", "tiny")
    try:
        await enrol.init_first(machine.account)
        await edit.encrypt_folder(machine.account, "/Full")
        source = machine.folder / "src"
        source.mkdir()
        (source / "fits").write_bytes(b"x")
        (source / "too big").write_bytes(bytes(3 << 20))
        with pytest.raises(QuotaExceededError):
            await edit.put(machine.account, [edit.PutSource(machine.tree("src"), "", "t")], "/Full")
        assert (await FolderReader(machine.account).open_root("/Full")).entries == {}
        assert inspect.status(machine.account).left_locks == ()
    finally:
        await machine.close()
