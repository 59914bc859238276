"""A bundle of a folder with everything in it that a folder can have, made once; and ways to spoil copies of it."""

import asyncio
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.sim import World
from tests.unit.client.devices import Device

from candado.adapters.bundle_folder import BundleFolder
from candado.adapters.disk import DiskTree
from candado.adapters.source_files import SourceFolder
from candado.client import edit
from candado.client.export import ExportReport, export
from candado.client.recover import RecoverReport, recover
from candado.client.sharing import share
from candado.client.trust import verify
from candado.crypto.cms import sign_detached
from candado.crypto.filebody import seal_body
from candado.crypto.keywrap import wrap_key
from candado.crypto.rsa import PrivateKey
from candado.crypto.sealing import seal_text
from candado.encoding import encode_b64
from candado.folder.model import OpenFolder
from candado.folder.sealing import seal_root
from candado.formats.bundle import BundleManifest, format_manifest, parse_manifest
from candado.formats.metadata import Entry, FolderContent, SealedBlock, format_drop, format_drop_content
from candado.types import Counter, FileKey, MetadataKey, Nonce, Tag, UserId

MARK = b'{"test":1}'
BIG = bytes(range(256)) * (9 << 10)  # more than two pieces
CONTENT = {
    "Secret/a.txt": b"one",
    "Secret/big.bin": BIG,
    "Secret/empty": b"",
    "Secret/in/b": b"2",
    "Secret/in/deep/c": b"three",
    "Secret/in/deep/Grün.txt": b"4",
    "Secret/letter (dropped).txt": b"from a visitor",
}
NOW = 1_800_000_000.0


@dataclass
class Stage:
    """A world with a shared folder, and a pristine bundle of it made by alice."""

    world: World
    bundle: Path
    report: ExportReport

    def key(self, user: str) -> PrivateKey:
        return self.world.identity(user).key

    def copy(self, target: Path) -> Path:
        shutil.copytree(self.bundle, target)
        return target


async def fill(world: World, device: Device) -> None:
    """The folder, shared with bob, with an arrival in its file drop."""
    await edit.encrypt_folder(device.account, "/Secret")
    plain = {path.removeprefix("Secret/"): data for path, data in CONTENT.items() if "dropped" not in path}
    await device.put("/Secret", plain)
    await verify(device.account, UserId("bob"), world.identity("bob").key.public.fingerprint_hex)
    await share(device.account, "/Secret", UserId("bob"))
    root = (await device.reader().open_root("/Secret")).folder
    assert root is not None
    key, nonce = FileKey(b"f" * 16), Nonce(b"n" * 12)
    body = seal_body(key, nonce, CONTENT["Secret/letter (dropped).txt"])
    entry = Entry("letter.txt", "text/plain", key, nonce, Tag(body[-16:]))
    drop_key = MetadataKey(b"d" * 16)
    parts = seal_text(drop_key, Nonce(b"m" * 12), format_drop_content(entry))
    people = [(UserId(one), wrap_key(world.identity(one).key.public, drop_key.reveal())) for one in ("alice", "bob")]
    drop = format_drop(SealedBlock(parts.ciphertext, Nonce(parts.nonce), Tag(parts.tag)), people)
    world.server.add_drop(root.file_id, {"d0" * 16: drop}, {"d0" * 16: body})


async def write_root(
    world: World, root: OpenFolder, content: FolderContent, *, user: str = "alice", key: MetadataKey | None = None
) -> None:
    """Another app of a member's writes the root as it likes, and nothing else."""
    counter = Counter(root.content.counter + 1)
    write = seal_root(
        content=replace(content, counter=counter), members=root.members, metadata_key=key or root.metadata_key,
        version="2.0", file_id=root.file_id, identity=world.identity(user), drops_raw={},
        nonce=Nonce(world.random.token(12)), now=world.clock.now(),
    )  # fmt: skip
    remote = world.remote(user)
    token = await remote.lock(root.file_id, counter)
    await remote.update_metadata(root.file_id, token, write.text, write.signature_b64)
    await remote.unlock(root.file_id, token)


def make_stage(folder: Path) -> Stage:
    async def make() -> Stage:
        world = World("alice", "bob", "carol")
        device = Device(world)
        await fill(world, device)
        return Stage(world, folder / "bundle", await run_export(device, folder / "bundle"))

    return asyncio.run(make())


async def run_export(device: Device, target: Path, path: str = "/Secret", **options: Any) -> ExportReport:
    bundle = BundleFolder(target, mark=MARK)
    try:
        return await export(device.account, path, bundle, **options)
    finally:
        bundle.close()


def run_recover(bundle: Path, key: PrivateKey, dest: Path, **options: Any) -> RecoverReport:
    tree = DiskTree(dest, quarantine=dest.parent / "quarantine", clock=World("nobody").clock)
    try:
        return recover(SourceFolder(bundle), key, None, tree, now=NOW, **options)
    finally:
        tree.close()


def files_of(dest: Path) -> dict[str, bytes]:
    """Every file below a folder by its path."""
    return {path.relative_to(dest).as_posix(): path.read_bytes() for path in dest.rglob("*") if path.is_file()}


def sign_anew(
    bundle: Path, stage: Stage, change: Callable[[BundleManifest], BundleManifest], user: str = "alice"
) -> None:
    """Change the manifest and sign it as ``user``."""
    index = hashlib.sha256((bundle / "index.jsonl").read_bytes()).hexdigest()
    manifest = parse_manifest((bundle / "candado-bundle.json").read_bytes())
    raw = format_manifest(change(replace(manifest, index_sha256=index)))
    identity = stage.world.identity(user)
    signature = sign_detached(raw, key=identity.key, certificate_der=identity.certificate.der, signing_time=NOW)
    (bundle / "candado-bundle.json").write_bytes(raw)
    (bundle / "candado-bundle.sig").write_text(encode_b64(signature))
