"""Recovery from what is left of a stock server: its data directory, or parts that somebody put together."""

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.sim import World, rsa_key
from tests.unit.client.bundles import CONTENT, NOW, Stage, files_of, fill, make_stage
from tests.unit.client.devices import Device
from tests.unit.folder.test_legacy import FILE_KEY, KEYS, entry, wrapped

from candado.adapters.disk import DiskTree
from candado.adapters.source_files import SourceFolder
from candado.client import edit
from candado.client.loose import LooseParts
from candado.client.loose_folders import loose_folders
from candado.client.recover import RecoverReport, fill_tree
from candado.crypto.filebody import seal_body
from candado.crypto.rsa import PrivateKey
from candado.errors import NotAMemberError, NotFoundError
from candado.formats.legacy import legacy_checksum
from candado.types import FileKey, Nonce, SecretText

APP = "appdata_oc1/end_to_end_encryption"


def write(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def data_directory(world: World, place: Path) -> None:
    """The data directory that a stock server with the content of the simulated one has."""
    tree = world.server.tree
    for file_id, (text, signature) in tree.metadata.items():
        write(place / APP / f"meta-data/{file_id}/meta.data", text)
        write(place / APP / f"meta-data/{file_id}/meta.data.signature", signature)
        write(place / APP / f"meta-data/{file_id}/meta.data.counter", "7")
    for user, account in world.server.users.items():
        write(place / APP / f"public-keys/{user}.public.key", account.certificate or "")
        write(place / APP / f"private-keys/{user}.private.key", f"{user}|wrapped|key\n")
    write(place / "appdata_oc1/identityproof/system-oc1/public", world.server.authority.public.to_pem())
    write(place / "nextcloud.log", "{}\n")
    write(place / "appdata_oc1/theming/images/0.json", "{}")
    for node in tree.nodes.values():
        if not node.is_folder:
            parts, at = [node.name], node
            while at.parent:
                at = tree.nodes[at.parent]
                parts.append(at.name)
            write(place / "alice/files" / "/".join(reversed(parts[:-1])), node.body)


@dataclass
class Server:
    """A data directory, to be copied and spoilt."""

    world: World
    place: Path

    def copy(self, target: Path) -> Path:
        shutil.copytree(self.place, target)
        return target

    def key(self, user: str) -> PrivateKey:
        return self.world.identity(user).key


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    async def make() -> Server:
        world = World("alice", "bob", "carol")
        await fill(world, Device(world))
        carol = Device(world, "carol")
        await edit.encrypt_folder(carol.account, "/Hers")
        place = tmp_path_factory.mktemp("server") / "data"
        data_directory(world, place)
        return Server(world, place)

    return asyncio.run(make())


@pytest.fixture
def place(server: Server, tmp_path: Path) -> Path:
    return server.copy(tmp_path / "data")


def run(place: Path, key: PrivateKey, dest: Path, *, salvage: bool = False, **options: Any) -> RecoverReport:
    tree = DiskTree(dest, quarantine=dest.parent / "quarantine", clock=World("nobody").clock)
    try:
        found = loose_folders(LooseParts(SourceFolder(place)), key, now=NOW, salvage=salvage, **options)
        return fill_tree(found, tree, salvage=salvage, overwrite=False, windows=False)
    finally:
        tree.close()


def codes(report: RecoverReport) -> dict[str, str]:
    return {failure.path: failure.error.code for failure in report.failures}


def document(place: Path, wanted: Callable[[Any], bool]) -> Path:
    (found,) = [path for path in place.rglob("meta.data") if wanted(json.loads(path.read_text()))]
    return found


@pytest.mark.parametrize("user", ["alice", "bob"])
def test_a_data_directory_gives_back_everything_to_every_member(server: Server, place: Path, user: str) -> None:
    report = run(place, server.key(user), place.parent / "out")
    assert files_of(place.parent / "out") == CONTENT
    assert report.is_complete
    assert (report.files, report.folders) == (7, 3)


def test_the_parts_are_found_by_their_names(place: Path) -> None:
    parts = LooseParts(SourceFolder(place))
    assert parts.wrapped == {user: f"{user}|wrapped|key" for user in ("alice", "bob", "carol")}
    assert parts.authority is not None
    assert len([name for name in parts.documents if name.endswith("meta.data")]) == 4
    parts.check(needs_words=True)


def test_every_missing_part_is_named(place: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing.d").mkdir()
    with pytest.raises(NotFoundError, match=r"metadata of folders.*wrapped private key.*bodies of files"):
        LooseParts(SourceFolder(tmp_path / "nothing.d")).check(needs_words=True)
    shutil.rmtree(place / APP / "private-keys")
    with pytest.raises(NotFoundError, match="are missing here: the wrapped private key"):
        LooseParts(SourceFolder(place)).check(needs_words=True)
    LooseParts(SourceFolder(place)).check(needs_words=False)


def test_a_folder_without_bodies_is_told_and_the_rest_comes_out(server: Server, place: Path) -> None:
    (below,) = [path for path in (place / "alice/files/Secret").iterdir() if path.is_dir()]
    shutil.rmtree(below)
    report = run(place, server.key("alice"), place.parent / "out")
    assert files_of(place.parent / "out") == {path: data for path, data in CONTENT.items() if "/in/" not in path}
    assert codes(report) == {"Secret/in": "NOT_FOUND", "Secret/?": "NOT_FOUND"}
    assert report.failures[1].error.message.startswith("3 files are listed in documents whose place is not known")


def test_an_empty_folder_has_nothing_to_be_told_of(tmp_path: Path) -> None:
    async def make() -> World:
        world = World("alice")
        device = Device(world)
        await edit.encrypt_folder(device.account, "/Docs")
        await device.put("/Docs", {"a": b"1"})
        await edit.mkdir(device.account, "/Docs/empty")
        return world

    world = asyncio.run(make())
    data_directory(world, tmp_path / "data")
    assert run(tmp_path / "data", world.identity("alice").key, tmp_path / "out").is_complete
    assert files_of(tmp_path / "out") == {"Docs/a": b"1"}
    assert (tmp_path / "out/Docs/empty").is_dir()


def test_a_missing_body_is_named(server: Server, place: Path) -> None:
    (body,) = [
        path for path in (place / "alice/files/Secret").iterdir() if path.is_file() and path.stat().st_size == 19
    ]
    body.unlink()
    report = run(place, server.key("alice"), place.parent / "out")
    assert (report.missing, report.failures) == (["Secret/a.txt"], [])


def test_a_root_without_any_body_still_says_what_was_in_it(server: Server, place: Path) -> None:
    shutil.rmtree(place / "alice")
    report = run(place, server.key("alice"), place.parent / "out")
    assert len(report.missing) == 4
    assert files_of(place.parent / "out") == {}
    assert {one.rpartition("/")[2] for one in report.missing} == {"a.txt", "big.bin", "empty", "letter (dropped).txt"}


def test_without_the_authority_only_a_folder_of_ones_own_is_verified(server: Server, place: Path) -> None:
    shutil.rmtree(place / "appdata_oc1/identityproof")
    shared = run(place, server.key("alice"), place.parent / "shared")
    assert list(codes(shared).values()) == ["UNTRUSTED_CERTIFICATE"]
    assert files_of(place.parent / "shared") == {}
    own = run(place, server.key("carol"), place.parent / "own")
    assert (own.is_complete, own.folders) == (True, 1)


def test_a_document_without_its_signature_is_refused_and_salvaged(server: Server, place: Path) -> None:
    root = document(place, lambda each: len(each.get("users", [])) == 2)
    root.with_name("meta.data.signature").unlink()
    report = run(place, server.key("alice"), place.parent / "out")
    assert list(codes(report).values()) == ["SIGNER"]
    assert files_of(place.parent / "out") == {}
    report = run(place, server.key("alice"), place.parent / "salvaged", salvage=True)
    assert files_of(place.parent / "salvaged") == {f"{path}.not-verified": data for path, data in CONTENT.items()}
    assert {reason for _, reason in report.unverified} == {"The folder's metadata is not signed."}


def test_a_nested_document_without_its_signature_costs_its_folder(server: Server, place: Path) -> None:
    (below,) = [path for path in (place / "alice/files/Secret").iterdir() if path.is_dir()]
    for path in place.rglob("meta.data"):
        text = path.read_text()
        if "users" not in text:
            path.with_name("meta.data.signature").unlink()
    report = run(place, server.key("alice"), place.parent / "out")
    assert below.exists()
    assert list(codes(report)) == ["Secret/in", "Secret/?"]
    assert files_of(place.parent / "out") == {path: data for path, data in CONTENT.items() if "/in/" not in path}
    run(place, server.key("alice"), place.parent / "salvaged", salvage=True)
    expected = {f"{path}.not-verified" if "/in/" in path else path: data for path, data in CONTENT.items()}
    assert files_of(place.parent / "salvaged") == expected


def test_a_root_that_does_not_open_is_told(server: Server, place: Path) -> None:
    root = document(place, lambda each: len(each.get("users", [])) == 2)
    text = json.loads(root.read_text())
    text["metadata"]["nonce"] = "AAAAAAAAAAAAAAAA"
    root.write_text(json.dumps(text))
    report = run(place, server.key("alice"), place.parent / "out", salvage=True)
    assert list(codes(report).values()) == ["OPEN_FAILED"]


def test_somebody_without_a_folder_here_is_told_so(place: Path) -> None:
    with pytest.raises(NotAMemberError, match="No folder here opens with this key"):
        run(place, PrivateKey.generate(), place.parent / "out")


def test_documents_of_other_kinds_are_passed_over(server: Server, place: Path) -> None:
    write(place / "other.json", b"\xff")
    write(place / "more.json", '{"version": "9"}')
    write(place / APP / "meta-data/x/meta.data", '{"version": "2.1"}')
    assert run(place, server.key("alice"), place.parent / "out").is_complete


def test_a_bundle_without_its_manifest_and_index_is_salvaged_by_the_names_of_its_bodies(tmp_path: Path) -> None:
    stage: Stage = make_stage(tmp_path)
    for name in ("candado-bundle.json", "index.jsonl"):
        (stage.bundle / name).unlink()
    (stage.bundle / "authority.pem").write_text(stage.world.server.authority.public.to_pem())
    run(stage.bundle, stage.key("alice"), tmp_path / "out", salvage=True)
    found = files_of(tmp_path / "out")
    assert sorted(found.values()) == sorted(CONTENT.values())
    root = {name: data for name, data in found.items() if not name.endswith(".not-verified")}
    assert len(root) == 4
    assert {name.rpartition("/")[2] for name in set(found) - set(root)} == {
        "b.not-verified",
        "c.not-verified",
        "Grün.txt.not-verified",
    }


def test_the_manifest_of_a_spoilt_bundle_still_gives_the_wrapped_key_and_the_authority(tmp_path: Path) -> None:
    stage = make_stage(tmp_path)
    parts = LooseParts(SourceFolder(stage.bundle))
    assert list(parts.wrapped) == ["alice"]
    assert parts.authority == stage.world.server.authority.public
    (stage.bundle / "candado-bundle.json").write_bytes(b"{}")
    assert LooseParts(SourceFolder(stage.bundle)).wrapped == {}


def test_a_private_key_of_no_named_user_is_found(tmp_path: Path) -> None:
    write(tmp_path / "parts/private-key.txt", "a|b|c")
    write(tmp_path / "parts/authority.pem", "not a key")
    parts = LooseParts(SourceFolder(tmp_path / "parts"))
    assert (parts.wrapped, parts.authority) == ({"": "a|b|c"}, None)


# --- the old format -------------------------------------------------------------------------------------------


def old_server(place: Path, *, checksum: str | None = None) -> None:
    """Two folders of the format 1.2, one in the other."""
    names = ["a" * 20, "b" * 20]
    inner = "c" * 20
    key = wrapped(KEYS[0])
    outer: Any = {
        "metadata": {"metadataKey": key, "version": 1.2},
        "files": {names[0]: entry(KEYS[0], "a.txt"), names[1]: entry(KEYS[0], "sub", "httpd/unix-directory")},
    }
    outer["metadata"]["checksum"] = checksum or legacy_checksum("words", names, key)
    below: Any = {
        "metadata": {"metadataKey": key, "version": 1.2, "checksum": legacy_checksum("words", [inner], key)},
        "files": {inner: entry(KEYS[0], "c.txt")},
    }
    write(place / APP / "meta-data/5/meta.data", json.dumps(outer))
    write(place / APP / "meta-data/6/meta.data", json.dumps(below))
    body = seal_body(FileKey(FILE_KEY), Nonce(bytes(12)), b"old")
    write(place / "alice/files/Old" / names[0], body)
    write(place / "alice/files/Old" / names[1] / inner, body)


def test_old_folders_are_told_and_come_out_of_salvage_marked(tmp_path: Path) -> None:
    old_server(tmp_path / "data")
    report = run(tmp_path / "data", rsa_key("alice"), tmp_path / "out")
    assert set(codes(report).values()) == {"UNSUPPORTED_VERSION"}
    assert files_of(tmp_path / "out") == {}
    run(tmp_path / "data", rsa_key("alice"), tmp_path / "salvaged", salvage=True, words=SecretText("words"))
    assert files_of(tmp_path / "salvaged") == {
        "Old/a.txt.not-verified": b"old",
        "Old/sub/c.txt.not-verified": b"old",
    }


def test_an_old_folder_with_a_wrong_checksum_is_told_and_can_still_be_salvaged(tmp_path: Path) -> None:
    old_server(tmp_path / "data", checksum="0" * 64)
    report = run(tmp_path / "data", rsa_key("alice"), tmp_path / "out", words=SecretText("words"))
    assert sorted(codes(report).values()) == ["BAD_SIGNATURE", "UNSUPPORTED_VERSION"]
    run(tmp_path / "data", rsa_key("alice"), tmp_path / "salvaged", salvage=True, words=SecretText("words"))
    assert len(files_of(tmp_path / "salvaged")) == 2


def test_old_folders_of_others_are_passed_over(tmp_path: Path) -> None:
    old_server(tmp_path / "data")
    with pytest.raises(NotAMemberError):
        run(tmp_path / "data", rsa_key("bob"), tmp_path / "out", salvage=True)
