"""A server that lies to the whole client: what is refused, what is kept, what is never sent."""

from dataclasses import replace
from typing import Any

import pytest
from tests.sim import World
from tests.unit.client.devices import Device, MemoryTree

from candado.client import edit, fetch
from candado.client.reader import FolderReader
from candado.client.session import UploadItem, WriteSession
from candado.client.transfer import BytesSource
from candado.errors import (
    CandadoError,
    CounterRollbackError,
    DowngradeError,
    ForkError,
    LimitExceededError,
    LockedError,
    LockLostError,
    NotFoundError,
    OpenFailedError,
    PreconditionFailedError,
    StoreLieError,
    TamperError,
    TransportError,
    UnsignedDeletionError,
)
from candado.ports.client import RawMetadata
from candado.types import FileId

BIG = bytes(range(256)) * 12_000
WRITES = {"put", "put_bytes", "make_folder", "move", "delete", "update_metadata", "create_metadata", "lock"}


class Scene:
    """Alice's device behind a server that can lie, with a root, a nested folder and three files."""

    def __init__(self) -> None:
        self.world = World()
        self.remote = self.world.hostile("alice")
        self.device = Device(self.world, remote=self.remote)

    async def build(self) -> "Scene":
        await edit.encrypt_folder(self.device.account, "/Secret")
        await self.device.put("/Secret", {"a": b"alpha", "b": b"bravo", "in/c": b"c", "big": BIG})
        self.world.server.log.clear()
        return self

    async def entry(self, path: str) -> Any:
        found = (await self.device.reader().open_path(path)).entry
        assert found is not None
        return found

    async def ids(self) -> tuple[FileId, FileId]:
        reader = self.device.reader()
        root = await reader.open_root("/Secret")
        return root.file_id, root.entries["in"].file_id

    def wrote(self) -> set[str]:
        return {request.method for request in self.world.server.log} & WRITES

    def body(self, entry: Any) -> Any:
        return self.world.server.tree.nodes[entry.file_id]

    def set_body(self, entry: Any, data: bytes) -> None:
        tree = self.world.server.tree
        tree.nodes[entry.file_id] = replace(tree.nodes[entry.file_id], body=data)


@pytest.fixture
async def scene() -> Scene:
    return await Scene().build()


# --- folders --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [0, 1])
async def test_an_older_state_is_refused_also_after_a_restart(scene: Scene, which: int) -> None:
    file_id = (await scene.ids())[which]
    old = scene.remote.remember(file_id)
    await scene.device.put("/Secret" if which == 0 else "/Secret/in", {"new": b"n"})
    scene.remote.replay(file_id, old)
    scene.world.server.log.clear()
    for _ in range(2):
        scene.device.start()
        with pytest.raises(CounterRollbackError):
            await scene.device.tree()
        with pytest.raises(TamperError):
            await scene.device.put("/Secret" if which == 0 else "/Secret/in", {"x": b"y"})
    assert scene.wrote() <= {"lock"}
    assert scene.world.server.locks == {}
    issue = next(item for item in scene.device.account.issues() if item.code.startswith("fresh."))
    assert (issue.severity, issue.evidence, issue.count >= 2) == ("refused", True, True)
    evidence = scene.device.account.issue_book.evidence(issue.issue_id)
    assert evidence is not None
    assert old.signature is not None
    assert old.signature.encode() in evidence


@pytest.mark.parametrize("which", [0, 1])
async def test_a_dropped_flag_is_refused_and_nothing_goes_out(scene: Scene, which: int) -> None:
    file_id = (await scene.ids())[which]
    path = "/Secret" if which == 0 else "/Secret/in"
    scene.remote.flag(file_id, encrypted=False)
    scene.world.server.log.clear()
    for act in (
        scene.device.tree,
        lambda: scene.device.put(path, {"clear name": b"x"}),
        lambda: edit.mkdir(scene.device.account, f"{path}/clear name"),
        lambda: edit.mv(scene.device.account, f"{path}/a", f"{path}/clear name"),
        lambda: edit.encrypt_folder(scene.device.account, path),
    ):
        with pytest.raises(CandadoError):
            await act()
    assert "flag.dropped" in scene.device.codes()
    assert scene.wrote() <= {"lock"}
    assert scene.world.server.locks == {}


async def test_a_known_root_stays_encrypted_in_a_listing(scene: Scene) -> None:
    root, _ = await scene.ids()
    scene.remote.flag(root, encrypted=False)
    home = await scene.device.reader().open_folder("/")
    assert home.entries["Secret"].is_encrypted
    assert "flag.dropped" in scene.device.codes()


async def test_a_vanished_root_is_an_alarm_and_not_a_deletion(scene: Scene) -> None:
    root, _ = await scene.ids()
    scene.remote.vanish(root)
    with pytest.raises(UnsignedDeletionError):
        await scene.device.reader().open_root("/Secret")
    assert "root.vanished" in scene.device.codes()


async def test_metadata_that_is_gone_is_never_written_anew(scene: Scene) -> None:
    scene.remote.replace("list_folder", lambda nodes: [replace(node, metadata_text=None) for node in nodes])
    scene.remote.fail("metadata", NotFoundError(), times=9)
    with pytest.raises(UnsignedDeletionError):
        await scene.device.tree()
    with pytest.raises(CandadoError):
        await edit.encrypt_folder(scene.device.account, "/Secret")
    assert scene.wrote() == set()


async def test_a_signed_deletion_is_told_apart(scene: Scene) -> None:
    other = Device(scene.world)
    await other.tree()
    reader = scene.device.reader()
    async with WriteSession(reader, "/Secret") as session:
        session.delete_root(remove=False)
    assert (await other.reader().open_root("/Secret")).deleted
    with pytest.raises(NotFoundError):
        await other.put("/Secret", {"x": b"1"})


async def test_another_root_in_the_place_of_a_known_one_is_refused(scene: Scene) -> None:
    other = Device(scene.world)
    await other.tree()
    await edit.rm(scene.device.account, "/Secret", recursive=True)
    await edit.encrypt_folder(scene.device.account, "/Secret")
    with pytest.raises(UnsignedDeletionError):
        await other.tree()
    assert "root.replaced" in other.codes()


async def test_a_body_without_entry_and_an_entry_without_body_trouble_only_themselves(scene: Scene) -> None:
    entry = await scene.entry("/Secret/a")
    tree = scene.world.server.tree
    tree.children[(await scene.ids())[0]].pop(entry.sealed_name)
    view = await scene.device.reader().open_root("/Secret")
    assert view.missing == {"a"}
    assert set(view.entries) == {"b", "big", "in"}
    assert [problem.code for problem in view.problems] == ["file.missing"]
    report = await scene.device.put("/Secret", {"a": b"again"})
    assert report.failures == []
    assert (await scene.device.tree())["a"] == b"again"


# --- bodies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/Secret/a", "/Secret/big"])
@pytest.mark.parametrize("flip", [0, 1, -17, -16, -1])
async def test_a_flipped_bit_never_becomes_a_file(scene: Scene, path: str, flip: int) -> None:
    entry = await scene.entry(path)
    data = bytearray(scene.body(entry).body)
    data[flip] ^= 1
    scene.set_body(entry, bytes(data))
    name = path.rpartition("/")[2]
    tree = MemoryTree({name: b"the good old copy"})
    report = await fetch.get(scene.device.account, path, tree, name, conflict="replace")
    assert [type(failure.error) for failure in report.failures] == [OpenFailedError]
    assert tree.files == {name: b"the good old copy"}
    assert tree.rest() == []
    assert [item[0] for item in tree.quarantined] == ([name] if name == "big" else [])
    assert "file.tag" in scene.device.codes()
    handed: list[bytes] = []
    with pytest.raises(OpenFailedError):
        await fetch.cat(scene.device.account, path, handed.append)
    assert handed == []


async def test_two_swapped_bodies_are_refused(scene: Scene) -> None:
    one, two = await scene.entry("/Secret/a"), await scene.entry("/Secret/b")
    first, second = scene.body(one).body, scene.body(two).body
    scene.set_body(one, second)
    scene.set_body(two, first)
    tree = MemoryTree()
    report = await fetch.get(scene.device.account, "/Secret", tree, "")
    assert {failure.path: type(failure.error) for failure in report.failures} == {
        "/Secret/a": OpenFailedError,
        "/Secret/b": OpenFailedError,
    }
    assert set(tree.files) == {"in/c", "big"}


async def test_a_body_that_somebody_replaced_meanwhile_is_no_alarm(scene: Scene) -> None:
    entry = await scene.entry("/Secret/a")
    await Device(scene.world).put("/Secret", {"a": b"later"}, conflict="replace")
    from candado.client.transfer import read_bytes

    with pytest.raises(PreconditionFailedError):
        await read_bytes(scene.device.account, entry)
    assert "file.tag" not in scene.device.codes()


async def test_cat_notices_a_body_that_changes_between_its_two_looks(scene: Scene) -> None:
    looks = 0

    def change(piece: bytes) -> bytes:
        nonlocal looks
        looks += 1
        return piece if looks <= 3 else bytes([piece[0] ^ 1]) + piece[1:]

    scene.remote.replace("get", change)
    handed: list[bytes] = []
    with pytest.raises(PreconditionFailedError):
        await fetch.cat(scene.device.account, "/Secret/big", handed.append)
    assert handed == []


async def test_a_damaged_original_is_never_copied(scene: Scene) -> None:
    entry = await scene.entry("/Secret/big")
    data = bytearray(scene.body(entry).body)
    data[-1] ^= 1
    scene.set_body(entry, bytes(data))
    report = await edit.cp(scene.device.account, "/Secret/big", "/Secret/copy")
    assert [type(failure.error) for failure in report.failures] == [OpenFailedError]
    assert "copy" not in (await scene.device.reader().open_root("/Secret")).entries


# --- writing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["put_bytes", "update_metadata", "unlock"])
async def test_a_write_that_is_acknowledged_and_dropped_is_noticed(scene: Scene, method: str) -> None:
    scene.remote.lie_store(method)
    pins = dict(scene.device.state.spaces["pin/folder"])
    with pytest.raises(CandadoError) as caught:
        await scene.device.put("/Secret", {"new": b"n"})
    assert isinstance(caught.value, StoreLieError | LockLostError)
    assert scene.device.state.spaces["pin/folder"] == pins or method == "put_bytes"
    scene.remote.honest()
    scene.world.server.locks.clear()
    assert "new" not in await Device(scene.world).tree() or method == "put_bytes"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    "method", ["lock", "list_folder", "put_bytes", "make_folder", "mark_encrypted", "update_metadata", "unlock"]
)
async def test_every_lost_answer_leaves_the_old_or_the_new_state(scene: Scene, method: str, after: bool) -> None:
    other = Device(scene.world)
    old = await other.tree()
    scene.remote.cut(method, after=after)
    raised = None
    try:
        report = await scene.device.put("/Secret", {"d/new": b"n"})
        assert report.failures == []
    except TransportError as error:
        raised = error
    scene.remote.honest()
    found = await other.tree()
    assert found in (old, old | {"d": None, "d/new": b"n"})
    if raised is None:
        assert found != old
    if method == "lock" and after:
        scene.world.clock.advance(100_000)
        scene.world.server.expire_locks()
    assert scene.world.server.locks == {}
    if found == old:
        await scene.device.put("/Secret", {"d/new": b"n"})
    assert await scene.device.tree() == old | {"d": None, "d/new": b"n"}


async def test_a_lock_held_by_somebody_else_is_waited_for_and_then_reported(scene: Scene) -> None:
    bob_lock = scene.world.remote("alice")
    root, _ = await scene.ids()
    token = await bob_lock.lock(root, 9)  # type: ignore[arg-type]
    with pytest.raises(LockedError):
        await scene.device.put("/Secret", {"x": b"1"})
    assert sum(scene.world.clock.sleeps) <= 120
    assert len(scene.world.clock.sleeps) >= 4
    await bob_lock.unlock(root, token, abort=True)
    await scene.device.put("/Secret", {"x": b"1"})


async def test_somebody_who_was_faster_is_read_again_and_not_overwritten(scene: Scene) -> None:
    slow = Device(scene.world)
    await slow.tree()
    await scene.device.put("/Secret", {"first": b"1"})
    await slow.put("/Secret", {"second": b"2"})
    tree = await scene.device.tree()
    assert (tree["first"], tree["second"]) == (b"1", b"2")


async def test_a_lying_lock_does_not_lose_an_update_silently(scene: Scene) -> None:
    other = Device(scene.world)
    await other.tree()
    scene.remote.grant_any_lock()
    reader = FolderReader(scene.device.account)

    async def act() -> None:
        async with WriteSession(reader, "/Secret") as session:
            await session.put_files([UploadItem("/Secret/mine", BytesSource(b"m", 0))])
            scene.world.server.locks.clear()
            await other.put("/Secret", {"theirs": b"t"})

    with pytest.raises(CandadoError):
        await act()
    scene.remote.honest()
    assert (await other.tree())["theirs"] == b"t"


async def test_a_fork_at_one_counter_is_refused_with_both_documents_kept(scene: Scene) -> None:
    root, _ = await scene.ids()
    snapshot = scene.world.server.snapshot()
    twin = Device(scene.world)
    await twin.put("/Secret", {"theirs": b"t"})
    branch = scene.remote.remember(root)
    scene.world.server.restore(snapshot)
    await scene.device.put("/Secret", {"mine": b"m"})
    scene.remote.replay(root, branch)
    with pytest.raises(ForkError):
        await scene.device.tree()
    assert any(issue.evidence for issue in scene.device.account.issues())


async def test_a_server_that_stops_offering_encryption_is_refused(scene: Scene) -> None:
    scene.world.clock.advance(4000)
    scene.world.server.capabilities = replace(scene.world.server.capabilities, e2ee_enabled=False)
    scene.device.start()
    with pytest.raises(DowngradeError):
        await scene.device.put("/Secret", {"x": b"1"})
    assert scene.wrote() == set()


async def test_one_refused_folder_stops_the_whole_session(scene: Scene) -> None:
    _, inner = await scene.ids()
    scene.device.start()
    raw = scene.remote.remember(inner)
    # Too long for a folder document: an error that, met by one file, would stop that file only.
    scene.remote.replay(inner, RawMetadata(raw.text + " " * (33 << 20), raw.signature))
    scene.world.server.log.clear()
    with pytest.raises(LimitExceededError):
        await scene.device.put("/Secret", {"fine": b"1", "in/never": b"2"})
    assert "update_metadata" not in scene.wrote()
    assert scene.world.server.locks == {}
    scene.remote.honest()
    assert "fine" not in await scene.device.tree()
