"""Lies told to a sync: the local files stay byte for byte (KEEP), nothing leaves in clear (ZERO), honesty heals.

A folder that is synced already meets one lie; before it a person has written one new local file, whose name and content
are canaries. Whatever the sync says, the local files afterwards are those from before, and no canary has left. Then the
server is honest again: the sync finishes and another device gets exactly the same files.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.sim import Canaries, Hostile, World
from tests.sim.device import Device
from tests.sim.tree import Tree

from candado.adapters.disk import DiskTree
from candado.client import edit
from candado.client.sync import SyncOptions, SyncReport, sync
from candado.errors import CandadoError, NotFoundError
from candado.types import FileId

FILES = {"a.txt": b"one", "plans/b.txt": b"two" * 100, "plans/deep/c.txt": b"", "photos/d.jpg": b"four"}


class Synced:
    """Alice's laptop with a synced folder, behind a hostile server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World()
        self.liar: Hostile = self.world.hostile("alice")
        self.laptop = Device(self.world, "alice", folder / "laptop", remote=self.liar.port)
        self.canaries = Canaries()
        self.before: Mapping[str, Any] = {}

    async def build(self) -> "Synced":
        for path, content in FILES.items():
            self.write(path, content)
        await self.sync(encrypt=True)
        await self.laptop.encrypt("/other")
        await self.laptop.put("/other/o.txt", b"other")
        return self

    def write(self, path: str, content: bytes) -> None:
        place = self.folder / "laptop" / "tree" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)

    async def sync(self, device: Device | None = None, *, encrypt: bool = False) -> SyncReport:
        device = device or self.laptop
        root = device.folder / "tree"
        tree = DiskTree(root, quarantine=device.folder / "quarantine", clock=self.world.clock)
        try:
            return await sync(device.restart(), tree, "/docs", SyncOptions(local_root=str(root), encrypt=encrypt))
        finally:
            tree.close()

    def files(self, device: Device | None = None) -> dict[str, bytes]:
        root = (device or self.laptop).folder / "tree"
        return {
            path: place.read_bytes()
            for place in root.rglob("*")
            if place.is_file() and not (path := place.relative_to(root).as_posix()).startswith(".candado-")
        }

    def id_of(self, path: str) -> FileId:
        pins = [self.laptop.account.book.folder(FileId(int(key))) for key in self.laptop.pins()]
        return next(pin.file_id for pin in pins if pin is not None and pin.path_hint == path)

    def heal(self, honest: Tree) -> None:
        """The server takes everything back; what was written since stays."""
        self.liar.honest()
        tree = self.world.server.tree
        if not honest.nodes.keys() <= tree.nodes.keys():
            self.world.server.tree = honest.copy()
            return
        for file_id, node in honest.nodes.items():
            if not tree.nodes[file_id].body:
                tree.change(file_id, body=node.body)
        for file_id, document in honest.metadata.items():
            tree.metadata.setdefault(file_id, document)

    def body_of(self, content: bytes) -> int:
        """Id of the stored body of a file, found by its size alone, as the server would."""
        nodes = self.world.server.tree.nodes.values()
        return next(node.file_id for node in nodes if not node.is_folder and len(node.body) == len(content) + 16)


Lie = Callable[[Synced], object]


def _listing(change: Callable[[list[object]], list[object]]) -> Lie:
    return lambda stage: stage.liar.replace("list_folder", change)


def _empty_bodies(stage: Synced) -> None:
    for file_id in list(stage.world.server.tree.nodes):
        stage.world.server.tree.change(file_id, body=b"")


def _old_world(stage: Synced) -> None:
    stage.world.server.restore(stage.before)


LIES: dict[str, Lie] = {
    "no signature on the root": lambda stage: stage.liar.drop_signature(stage.id_of("/docs")),
    "no signature on a nested folder": lambda stage: stage.liar.drop_signature(stage.id_of("/docs/plans")),
    "no signature anywhere": lambda stage: stage.liar.drop_signature(),
    "root replaced by another": lambda stage: stage.liar.swap(stage.id_of("/docs"), stage.id_of("/other")),
    "nested folders exchanged": lambda stage: stage.liar.swap(stage.id_of("/docs/plans"), stage.id_of("/docs/photos")),
    "root gone": lambda stage: stage.liar.vanish(stage.id_of("/docs")),
    "nested folder gone": lambda stage: stage.liar.vanish(stage.id_of("/docs/plans")),
    "root not encrypted": lambda stage: stage.liar.flag(stage.id_of("/docs"), encrypted=False),
    "nested folder not encrypted": lambda stage: stage.liar.flag(stage.id_of("/docs/plans"), encrypted=False),
    "empty listings": _listing(lambda nodes: nodes[:1]),
    "nothing found": lambda stage: stage.liar.fail("list_folder", NotFoundError(), times=99),
    "metadata of the root gone": lambda stage: stage.world.server.tree.metadata.pop(stage.id_of("/docs")),
    "metadata of a nested folder gone": lambda stage: stage.world.server.tree.metadata.pop(stage.id_of("/docs/plans")),
    "all bodies empty": _empty_bodies,
    "no encryption announced": lambda stage: stage.liar.replace(
        "capabilities", lambda found: replace(found, e2ee_enabled=False)
    ),
    "an older world": _old_world,
}


@pytest.mark.parametrize("lie", list(LIES))
async def test_a_lie_told_to_a_sync_costs_no_local_byte_and_sends_nothing_in_clear(tmp_path: Path, lie: str) -> None:
    stage = await Synced(tmp_path).build()
    stage.before = stage.world.server.snapshot()
    stage.write("plans/later.txt", b"later")
    await stage.sync()
    honest = stage.world.server.snapshot()

    secret = stage.canaries.text("name"), stage.canaries.text("content").encode()
    stage.write(f"plans/{secret[0]}.txt", secret[1])
    before = stage.files()
    stage.world.clock.advance(7200.0)
    LIES[lie](stage)
    with contextlib.suppress(CandadoError):
        await stage.sync()
    assert stage.files() == before
    assert stage.canaries.found_in(stage.world.server.received) == set()

    stage.heal(honest["tree"])
    await stage.sync()
    report = await stage.sync()
    assert (report.uploaded, report.downloaded, report.deleted, report.conflicts) == (0, 0, 0, 0)
    assert stage.files() == before
    phone = Device(stage.world, "alice", tmp_path / "phone")
    await stage.sync(phone)
    assert stage.files(phone) == before


@pytest.mark.parametrize("change", [b"", b"x" * 3, bytes(19), b"y" * 40])
async def test_an_altered_body_never_replaces_a_local_file(tmp_path: Path, change: bytes) -> None:
    stage = await Synced(tmp_path).build()
    phone = Device(stage.world, "alice", tmp_path / "phone")
    await stage.sync(phone)
    await edit.rm(stage.laptop.account, "/docs/a.txt")
    stage.write("a.txt", b"one, changed")
    (phone.folder / "tree" / "mine.txt").write_bytes(b"mine")
    await stage.sync()
    stage.world.server.tree.change(stage.body_of(b"one, changed"), body=change)
    before = stage.files(phone)
    await stage.sync(phone)
    after = stage.files(phone)
    assert after.get("a.txt") in {before["a.txt"], None}
    if "a.txt" not in after:
        trash = (phone.folder / "tree" / ".candado-trash").rglob("*")
        assert b"one" in {place.read_bytes() for place in trash if place.is_file()}
    assert change not in after.values() or change == b""
