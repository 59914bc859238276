"""Export and recovery: what goes into a bundle comes out of it, and a cut is gone on from."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.sim import World
from tests.sim.tree import Node
from tests.unit.client.bundles import CONTENT, MARK, Stage, files_of, make_stage, run_export, run_recover, write_root
from tests.unit.client.devices import Device, Power, PowerCut

from candado.adapters.bundle_folder import BundleFolder
from candado.client import edit, sharing
from candado.client.export import export
from candado.client.session import WriteSession
from candado.crypto.keywrap import key_checksum
from candado.crypto.mnemonic import open_private_key, seal_private_key
from candado.errors import (
    AlreadyExistsError,
    BusyError,
    CandadoError,
    DiskFullError,
    MisuseError,
    NotEncryptedError,
    NotFoundError,
    OpenFailedError,
    PreconditionFailedError,
    RootDeletedError,
    SignerError,
    TransportError,
)
from candado.formats.bundle import parse_manifest
from candado.types import MetadataKey, SealedName, SecretText, UserId


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return make_stage(tmp_path_factory.mktemp("stage"))


@pytest.mark.parametrize("user", ["alice", "bob"])
def test_every_member_recovers_all_of_a_bundle_with_the_private_key_alone(
    stage: Stage, tmp_path: Path, user: str
) -> None:
    report = run_recover(stage.bundle, stage.key(user), tmp_path / "out")
    assert files_of(tmp_path / "out") == CONTENT
    assert (report.files, report.folders, report.bytes) == (7, 3, sum(map(len, CONTENT.values())))
    assert report.is_complete
    assert not report.renamed


def test_the_report_of_an_export_counts_what_is_in_the_bundle(stage: Stage) -> None:
    report = stage.report
    assert (report.roots, report.folders, report.bodies, report.kept) == (["/Secret"], 3, 7, 0)
    assert report.body_bytes == sum(len(data) + 16 for data in CONTENT.values())
    assert (report.missing, report.failures) == ([], [])
    manifest = parse_manifest((stage.bundle / "candado-bundle.json").read_bytes())
    assert (manifest.exporter, manifest.roots, manifest.folders, manifest.bodies) == ("alice", 1, 3, 7)
    assert manifest.body_bytes == report.body_bytes


def test_a_bundle_holds_no_plaintext_no_names_and_no_keys(stage: Stage) -> None:
    everything = b"".join(files_of(stage.bundle).values())
    shown = "".join(files_of(stage.bundle))
    for name in ("a.txt", "big.bin", "letter", "Grün", "deep"):
        assert name.encode() not in everything
        assert name not in shown
    assert b"three" not in everything
    assert b"from a visitor" not in everything


def test_the_twelve_words_open_the_private_key_in_the_bundle(stage: Stage) -> None:
    manifest = parse_manifest((stage.bundle / "candado-bundle.json").read_bytes())
    assert open_private_key(manifest.private_key, SecretText("words")).key.public == stage.key("alice").public


# --- small folders --------------------------------------------------------------------------------------------

SMALL = {"Docs/a": b"first", "Docs/in/b": b"second", "Docs/in/c": b""}


async def small(world: World, **options: Any) -> Device:
    """A device with a small folder, and without the words: sealing a key under them takes its time."""
    device = Device(world, **options)
    device.state.spaces["identity"].pop("mnemonic")
    await edit.encrypt_folder(device.account, "/Docs")
    await device.put("/Docs", {path.removeprefix("Docs/"): data for path, data in SMALL.items()})
    return device


def sealed_body(world: World, size: int) -> Node:
    """The stored file of this many bytes of plaintext."""
    (node,) = [each for each in world.server.tree.nodes.values() if not each.is_folder and len(each.body) == size + 16]
    return node


def manifest_of(bundle: Path) -> Any:
    return parse_manifest((bundle / "candado-bundle.json").read_bytes())


class CutFolder(BundleFolder):
    """A bundle whose writer may die before and after every change of the disk."""

    power = Power()

    def spool(self, name: str) -> Any:
        self.power.moment(f"before {name}")
        spool, power = super().spool(name), self.power

        class Cut:
            def write(self, data: bytes | memoryview) -> None:
                spool.write(data)
                power.moment(f"written {name}")

            def keep(self) -> None:
                spool.keep()
                power.moment(f"kept {name}")

            def discard(self) -> None:
                if power.cut_at is None or power.count < power.cut_at:  # a dead process cleans nothing up
                    spool.discard()

        return Cut()

    def remove(self, name: str) -> None:
        self.power.moment(f"before removing {name}")
        super().remove(name)


async def test_an_export_that_dies_at_any_moment_is_gone_on_with(tmp_path: Path) -> None:
    world = World()
    device = await small(world)
    CutFolder.power = Power()
    cut_at = 0
    while True:
        cut_at += 1
        place = tmp_path / str(cut_at)
        CutFolder.power = Power(cut_at)
        target = CutFolder(place, mark=MARK)
        try:
            await export(device.account, "/Docs", target, transfers=1)
            break
        except PowerCut:
            finished = "kept candado-bundle.json" in CutFolder.power.log
            assert (place / "candado-bundle.json").exists() == finished
        finally:
            target.close()
        if not finished:
            await run_export(device, place, "/Docs")
        run_recover(place, world.identity("alice").key, tmp_path / f"out{cut_at}")
        assert files_of(tmp_path / f"out{cut_at}") == SMALL
    assert cut_at > 20


async def test_only_bodies_that_are_still_the_right_ones_are_kept(tmp_path: Path) -> None:
    world = World()
    device = await small(world)
    CutFolder.power = Power()
    target = CutFolder(tmp_path / "bundle", mark=MARK)
    CutFolder.power.cut_at = 10**6
    await export(device.account, "/Docs", target, with_bodies=False)
    target.close()
    begun = tmp_path / "bundle"
    (begun / "candado-bundle.json").unlink()
    (begun / "unfinished.json").write_bytes(MARK)
    assert (await run_export(device, begun, "/Docs")).kept == 0
    (begun / "candado-bundle.json").unlink()
    (begun / "unfinished.json").write_bytes(MARK)
    files = sorted(path for path in (begun / "bodies").rglob("*") if path.is_file())
    bodies = {path.stat().st_size: path for path in files}
    bodies[21].write_bytes(bytes(21))
    bodies[22].write_bytes(b"short")
    (begun / "bodies" / "1").mkdir(exist_ok=True)
    (begun / "bodies" / "1" / "stale").write_bytes(b"of a file that is gone")
    report = await run_export(device, begun, "/Docs")
    assert (report.kept, report.bodies) == (1, 3)
    assert not (begun / "bodies" / "1" / "stale").exists()
    run_recover(begun, world.identity("alice").key, tmp_path / "out")
    assert files_of(tmp_path / "out") == SMALL


async def test_a_bundle_is_written_only_where_its_own_export_began(tmp_path: Path) -> None:
    world = World()
    device = await small(world)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    other = BundleFolder(tmp_path / "other", mark=b"other")
    with pytest.raises(BusyError):
        BundleFolder(tmp_path / "other", mark=b"other")
    with pytest.raises(MisuseError):
        other.spool("../x")
    other.close()
    await run_export(device, tmp_path / "done", "/Docs")
    for place in (foreign, tmp_path / "other", tmp_path / "done"):
        before = files_of(place)
        with pytest.raises(AlreadyExistsError):
            await run_export(device, place, "/Docs")
        assert files_of(place) == before


async def test_a_mark_that_was_cut_off_is_ours(tmp_path: Path) -> None:
    device = await small(World())
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "unfinished.json").write_bytes(MARK[:3])
    assert (await run_export(device, tmp_path / "bundle", "/Docs")).bodies == 3


async def test_a_file_without_a_body_and_an_altered_one_are_told_and_left_out(tmp_path: Path) -> None:
    world = World()
    device = await small(world)
    world.server.tree.remove(sealed_body(world, 5).file_id)
    altered = sealed_body(world, 6)
    world.server.tree.nodes[altered.file_id] = replace(altered, body=bytes(22))
    report = await run_export(device, tmp_path / "bundle", "/Docs")
    assert report.missing == ["/Docs/a"]
    assert [(one.path, type(one.error)) for one in report.failures] == [("/Docs/in/b", OpenFailedError)]
    assert (manifest_of(tmp_path / "bundle").missing, manifest_of(tmp_path / "bundle").bodies) == (2, 1)
    recovered = run_recover(tmp_path / "bundle", world.identity("alice").key, tmp_path / "out")
    assert (recovered.missing, files_of(tmp_path / "out")) == (["Docs/a", "Docs/in/b"], {"Docs/in/c": b""})


async def test_a_body_that_goes_away_while_the_others_are_read_is_told(tmp_path: Path) -> None:
    world = World()
    remote = world.hostile("alice")
    device = await small(world, remote=remote)
    remote.fail("get", NotFoundError("gone"))
    report = await run_export(device, tmp_path / "bundle", "/Docs", transfers=1)
    assert report.missing == ["/Docs/a"]
    assert manifest_of(tmp_path / "bundle").missing == 1


async def test_a_file_that_is_replaced_meanwhile_comes_in_its_new_version(tmp_path: Path) -> None:
    world = World()
    device = await small(world)
    other = Device(world)
    remote, waiting = device.account.remote, [True]

    class Racing:
        def __getattr__(self, name: str) -> Any:
            return getattr(remote, name)

        async def get(self, path: str, *, size_expected: int) -> AsyncIterator[bytes | memoryview]:
            if waiting:
                waiting.clear()
                await other.put("/Docs", {"a": b"newer"}, conflict="replace")
            async for piece in remote.get(path, size_expected=size_expected):
                yield piece

    device.account.remote = Racing()
    report = await run_export(device, tmp_path / "bundle", "/Docs", transfers=1)
    assert (report.failures, report.missing, waiting) == ([], [], [])
    run_recover(tmp_path / "bundle", world.identity("alice").key, tmp_path / "out")
    assert files_of(tmp_path / "out") == SMALL | {"Docs/a": b"newer"}


async def test_a_folder_that_is_never_still_is_told_in_the_end(tmp_path: Path) -> None:
    world = World()
    remote = world.hostile("alice")
    device = await small(world, remote=remote)
    remote.fail("get", PreconditionFailedError("changed"), times=10**6)
    report = await run_export(device, tmp_path / "bundle", "/Docs")
    assert {type(one.error) for one in report.failures} == {PreconditionFailedError}
    assert (len(report.failures), manifest_of(tmp_path / "bundle").missing) == (3, 3)


async def test_a_connection_that_ends_leaves_an_unfinished_bundle(tmp_path: Path) -> None:
    world = World()
    remote = world.hostile("alice")
    device = await small(world, remote=remote)
    remote.fail("get", TransportError("gone"), times=10**6)
    with pytest.raises(TransportError):
        await run_export(device, tmp_path / "bundle", "/Docs")
    assert not (tmp_path / "bundle" / "candado-bundle.json").exists()
    remote.honest()
    assert (await run_export(device, tmp_path / "bundle", "/Docs")).bodies == 3


async def test_a_full_disk_leaves_an_unfinished_bundle_and_no_half_file(tmp_path: Path) -> None:
    device = await small(World())

    class Full(BundleFolder):
        def spool(self, name: str) -> Any:
            spool = super().spool(name)
            if name.startswith("bodies/"):
                spool.write = full  # type: ignore[method-assign]
            return spool

    def full(data: bytes | memoryview) -> None:
        raise DiskFullError("full")

    target = Full(tmp_path / "bundle", mark=MARK)
    with pytest.raises(DiskFullError):
        await export(device.account, "/Docs", target)
    target.close()
    assert list(files_of(tmp_path / "bundle")) == ["unfinished.json"]
    assert (await run_export(device, tmp_path / "bundle", "/Docs")).bodies == 3


async def test_all_folders_below_a_plain_one_go_into_one_bundle_and_a_refused_one_is_told(tmp_path: Path) -> None:
    world = World()
    remote = world.hostile("alice")
    device = await small(world, remote=remote)
    await device.remote.make_folder("/Plain", token=None)
    for path in ("/Plain/Docs", "/Plain/Bad"):
        await edit.encrypt_folder(device.account, path)
        await device.put(path, {"x": path.encode()})
    remote.drop_signature((await device.reader().open_root("/Plain/Bad")).file_id)
    report = await run_export(device, tmp_path / "bundle", "/")
    assert report.roots == ["/Docs", "/Plain/Docs"]
    assert [(one.path, type(one.error)) for one in report.failures] == [("/Plain/Bad", SignerError)]
    assert manifest_of(tmp_path / "bundle").missing == 0
    recovered = run_recover(tmp_path / "bundle", world.identity("alice").key, tmp_path / "out")
    assert files_of(tmp_path / "out") == SMALL | {"Docs (2)/x": b"/Plain/Docs"}
    assert recovered.renamed == [("Docs", "Docs (2)")]
    with pytest.raises(SignerError):
        await run_export(device, tmp_path / "one", "/Plain/Bad")


async def test_a_plain_folder_a_nested_one_and_a_deleted_one_are_not_exported(tmp_path: Path) -> None:
    world = World()
    device = await small(world)
    await device.remote.make_folder("/Plain", token=None)
    for number, path in enumerate(("/Plain", "/Docs/in")):
        with pytest.raises(NotEncryptedError):
            await run_export(device, tmp_path / str(number), path)
    await edit.encrypt_folder(device.account, "/Gone")
    async with WriteSession(device.reader(), "/Gone", deletes=True) as session:
        session.delete_root(remove=False)
    with pytest.raises(RootDeletedError):
        await run_export(device, tmp_path / "gone", "/Gone")


async def test_a_removed_member_gets_nothing_from_a_later_bundle(tmp_path: Path) -> None:
    world = World()
    device = await small(world)
    await sharing.share(device.account, "/Docs", UserId("bob"))
    await run_export(device, tmp_path / "with bob", "/Docs")
    await sharing.unshare(device.account, "/Docs", UserId("bob"))
    await run_export(device, tmp_path / "without bob", "/Docs")
    bob = world.identity("bob").key
    run_recover(tmp_path / "with bob", bob, tmp_path / "before")
    assert files_of(tmp_path / "before") == SMALL
    report = run_recover(tmp_path / "without bob", bob, tmp_path / "after")
    assert [one.error.code for one in report.failures] == ["NOT_A_MEMBER"]
    assert files_of(tmp_path / "after") == {}


async def test_folders_left_under_an_older_key_are_recovered_by_every_member(tmp_path: Path) -> None:
    world = World()
    device = await small(world)
    await sharing.share(device.account, "/Docs", UserId("bob"))
    root = (await device.reader().open_root("/Docs")).folder
    assert root is not None
    key = MetadataKey(world.random.token(16))
    history = (*(root.content.key_checksums or ()), key_checksum(key))
    await write_root(world, root, replace(root.content, key_checksums=history), user="bob", key=key)
    await run_export(device, tmp_path / "bundle", "/Docs")
    for user in ("alice", "bob"):
        run_recover(tmp_path / "bundle", world.identity(user).key, tmp_path / user)
        assert files_of(tmp_path / user) == SMALL
    (tmp_path / "bundle" / "candado-bundle.sig").unlink()
    run_recover(tmp_path / "bundle", world.identity("bob").key, tmp_path / "salvaged", salvage=True)
    assert files_of(tmp_path / "salvaged") == {f"{path}.not-verified": data for path, data in SMALL.items()}


async def test_without_the_words_the_key_that_the_server_keeps_goes_into_the_bundle(tmp_path: Path) -> None:
    world = World()
    device = await small(world)
    await run_export(device, tmp_path / "none", "/Docs", with_bodies=False)
    assert manifest_of(tmp_path / "none").private_key == ""
    wrapped = seal_private_key(world.identity("alice").key, SecretText("w"), salt=bytes(40), nonce=bytes(12))
    world.server.users["alice"].private_key = wrapped
    await run_export(device, tmp_path / "kept", "/Docs", with_bodies=False)
    assert manifest_of(tmp_path / "kept").private_key == wrapped


async def test_documents_that_a_listing_does_not_bring_are_asked_for(tmp_path: Path) -> None:
    world = World()
    device = await small(world)
    remote, plain = device.account.remote, []

    class Bare:
        def __getattr__(self, name: str) -> Any:
            return getattr(remote, name)

        async def list_folder(self, path: str, *, depth: int, with_metadata: bool = False) -> Any:
            del with_metadata
            return await remote.list_folder(path, depth=depth)

        async def metadata(self, file_id: Any) -> Any:
            plain.append(file_id)
            raw = await remote.metadata(file_id)
            if self.changed:
                await Device(world).put("/Docs/in", {f"more{len(plain)}": b"x"})
                raw = await remote.metadata(file_id)
            return raw

        changed = False

    bare = Bare()
    device.account.remote = bare
    await run_export(device, tmp_path / "bundle", "/Docs")
    assert len(plain) == 5
    run_recover(tmp_path / "bundle", world.identity("alice").key, tmp_path / "out")
    assert files_of(tmp_path / "out") == SMALL
    bare.changed = True
    with pytest.raises(CandadoError):
        await run_export(device, tmp_path / "other", "/Docs")


async def test_the_second_file_of_one_name_is_in_the_bundle_and_a_second_folder_is_told(tmp_path: Path) -> None:
    world = World()
    device = await small(world)
    root = (await device.reader().open_root("/Docs")).folder
    assert root is not None
    (name,), (sub,) = root.content.files, root.content.folders
    twin, gone, other = SealedName("1" * 32), SealedName("2" * 32), SealedName("3" * 32)
    entry = root.content.files[name]
    files = {**root.content.files, twin: entry, gone: entry}
    await write_root(world, root, replace(root.content, files=files, folders={**root.content.folders, other: "in"}))
    tree = world.server.tree
    file, folder = sealed_body(world, 5), tree.nodes[tree.children[root.file_id][sub]]
    tree.add(replace(file, file_id=1001, name=twin))
    tree.add(replace(folder, file_id=1002, name=other, mtime=folder.mtime - 1))
    tree.metadata[1002] = tree.metadata[folder.file_id]
    report = await run_export(device, tmp_path / "bundle", "/Docs")
    assert (report.bodies, report.missing) == (4, ["/Docs/a"])
    assert [(one.path, type(one.error)) for one in report.failures] == [("/Docs/in", AlreadyExistsError)]
    recovered = run_recover(tmp_path / "bundle", world.identity("alice").key, tmp_path / "out")
    names = {f"Docs/{name}" for name in ("a", "a (2)", "a (3)")}
    assert len(recovered.missing) == 1
    here = files_of(tmp_path / "out")
    assert [here.pop(name) for name in sorted(names - set(recovered.missing))] == [b"first", b"first"]
    assert here == {path: data for path, data in SMALL.items() if path != "Docs/a"}
