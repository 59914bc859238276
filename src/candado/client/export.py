"""Export: encrypted folders with all below them into a bundle that opens without the server.

Layer: ``client``. Only accepted documents and bodies that open are written. Order: bodies, documents, index, manifest;
each is durable under its name before the next. A run that was cut is gone on with: a body that is there is opened with
the key of the accepted entry, and fetched again when it is not the one. Memory does not depend on the bodies.

Source: docs/spec/bundle.md.
"""

import asyncio
from collections.abc import Container
from dataclasses import dataclass, field
from hashlib import sha256
from math import floor
from typing import TYPE_CHECKING, Final

from candado.client.bounded import bounded
from candado.client.export_bodies import BodyJob, store_body
from candado.client.export_views import missing_paths, older_keys, remote_entry, unusable
from candado.client.fill import ItemFailure
from candado.client.items import PER_FILE_ERRORS
from candado.client.reader import FolderReader
from candado.client.view import FolderView, RemoteEntry, Tree, join, root_deleted, split
from candado.crypto.cms import sign_detached
from candado.crypto.mnemonic import seal_private_key
from candado.encoding import encode_b64
from candado.errors import (
    AuthRequiredError,
    CandadoError,
    ContextError,
    LocalStorageError,
    MisuseError,
    NoKeysError,
    NotEncryptedError,
    NotFoundError,
    PreconditionFailedError,
    TransportError,
)
from candado.folder.filedrop import merge_drops
from candado.folder.model import OpenFolder
from candado.formats.bundle import (
    INDEX_NAME,
    MANIFEST_SIGNATURE_NAME,
    BodyLine,
    BundleManifest,
    FolderLine,
    IndexLine,
    document_name,
    format_line,
    format_manifest,
    is_member_name,
    parse_line,
    parse_manifest,
    signature_name,
)
from candado.formats.canonjson import document_digest, load_json
from candado.formats.fields import object_of
from candado.formats.metadata import SEALED_BYTES_MAX
from candado.types import SealedName

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.client.transfer import Progress
    from candado.ports.bundle import BundleTarget

__all__ = ["ExportReport", "export"]

_ROUNDS: Final = 3


@dataclass(slots=True)
class ExportReport:
    """What an export did.

    ``kept`` bodies were there already from a run that was cut. ``missing`` are clear paths of files without a body on
    the server; ``failures`` are roots and files that were left out, with the reason.
    """

    roots: list[str] = field(default_factory=list[str])
    folders: int = 0
    bodies: int = 0
    body_bytes: int = 0
    kept: int = 0
    missing: list[str] = field(default_factory=list[str])
    failures: list[ItemFailure] = field(default_factory=list[ItemFailure])


async def export(
    account: "Account",
    path: str,
    target: "BundleTarget",
    *,
    with_bodies: bool = True,
    transfers: int = 8,
    progress: "Progress | None" = None,
) -> ExportReport:
    """Write the encrypted root at ``path``, or all below a plain folder, into ``target``, which is then finished.

    Raises:
        NotFoundError, NotEncryptedError: there is no encrypted folder at ``path``.
        TamperError, FormatError, CryptoError: the one root that was asked for is refused.
        TransportError, AuthRequiredError, DiskFullError, LocalStorageError: the bundle is unfinished; the same call
            goes on with it.
    """
    return await _Export(account, target, with_bodies, transfers, progress).run(path)


class _Export:
    def __init__(
        self,
        account: "Account",
        target: "BundleTarget",
        with_bodies: bool,
        transfers: int,
        progress: "Progress | None",
    ) -> None:
        self._account, self._target, self._transfers, self._progress = account, target, transfers, progress
        self._with_bodies = with_bodies
        self._reader = FolderReader(account)
        self._report = ExportReport()
        self._written: set[str] = set()
        self._missing = 0

    async def run(self, path: str) -> ExportReport:
        identity = self._account.require_identity()
        single, roots = await self._roots(path)
        digest, index = sha256(), self._target.spool(INDEX_NAME)
        try:
            for root in roots:
                try:
                    lines = await self._root(root)
                except (TransportError, AuthRequiredError, LocalStorageError):
                    raise
                except CandadoError as error:
                    if single:
                        raise
                    self._report.failures.append(ItemFailure(root, error))
                    continue
                for raw in map(_line, lines):
                    digest.update(raw)
                    index.write(raw)
            index.keep()
        except BaseException:
            index.discard()
            raise
        await self._prune()
        manifest = format_manifest(await self._manifest(digest.hexdigest()))
        parse_manifest(manifest)
        signature = sign_detached(
            manifest,
            key=identity.key,
            certificate_der=identity.certificate.der,
            signing_time=self._account.clock.now(),
        )
        await asyncio.to_thread(self._write, MANIFEST_SIGNATURE_NAME, encode_b64(signature).encode())
        await asyncio.to_thread(self._target.finish, manifest)
        return self._report

    async def _roots(self, path: str) -> tuple[bool, list[str]]:
        view = await self._reader.open_folder(path)
        if view.kind != "plain":
            return True, [view.path]
        tree = await self._reader.walk(view)
        found = [entry.path for entry in tree.entries() if entry.is_folder and entry.path not in tree.folders]
        if not found:
            raise NotEncryptedError("There is no encrypted folder here.", path=view.path)
        return False, found

    # --- one root -------------------------------------------------------------------------------------------

    async def _root(self, path: str) -> list[IndexLine]:
        """All lines of one root; its folders are read again when somebody writes into them meanwhile."""
        for left in range(_ROUNDS - 1, -1, -1):
            view = await self._reader.open_root(path)
            if view.deleted:
                raise root_deleted(view, self._account.user_id)
            tree = await self._reader.walk(view)
            jobs = [job for each in tree.folders.values() for job in await self._jobs(each)]
            bodies: dict[tuple[str, str], BodyLine] = {}
            failures = [failure for each in tree.folders.values() for failure in unusable(each)]
            kept = await self._bodies(jobs, bodies, failures) if self._with_bodies else 0
            if left == 0 or not any(isinstance(one.error, PreconditionFailedError) for one in failures):
                there = {(job.folder_path, job.entry.sealed_name) for job in jobs}
                missing = [path for each in tree.folders.values() for path in missing_paths(each, there)]
                return await self._lines(tree, bodies, failures, missing, kept)
        raise AssertionError

    async def _bodies(
        self, jobs: list[BodyJob], bodies: dict[tuple[str, str], BodyLine], failures: list[ItemFailure]
    ) -> int:
        kept: list[str] = []

        async def store(job: BodyJob) -> None:
            try:
                line, was_there = await store_body(self._account, self._target, job, self._progress)
            except LocalStorageError:
                raise
            except PER_FILE_ERRORS as error:
                failures.append(ItemFailure(job.entry.path, error))
                return
            bodies[job.folder_path, line.sealed_name] = line
            if was_there:
                kept.append(job.entry.path)

        await bounded(store, jobs, self._transfers)
        return len(kept)

    async def _jobs(self, view: FolderView) -> list[BodyJob]:
        assert view.folder is not None
        files = [entry for _, entry in sorted(view.entries.items()) if not entry.is_folder]
        others = await self._others(view, {entry.sealed_name for entry in files})
        return [BodyJob(view.path, view.folder.file_id, entry) for entry in [*files, *others]]

    async def _others(self, view: FolderView, shown: Container[SealedName | None]) -> list[RemoteEntry]:
        """What a listing by clear names does not show: the second file of one name, and what strangers dropped."""
        folder = view.folder
        assert folder is not None
        wanted = {name: entry for name, entry in folder.files.items() if name not in shown}
        if folder.drops and view.kind == "root":
            wanted |= merge_drops(folder, self._account.require_identity()).migrated
        if not wanted:
            return []
        nodes = await self._account.remote.list_folder(view.remote_path, depth=1)
        by_name = {node.path.rpartition("/")[2]: node for node in nodes[1:] if not node.is_folder}
        return [
            remote_entry(join(view.path, entry.filename), name, entry, by_name[name])
            for name, entry in sorted(wanted.items())
            if name in by_name
        ]

    async def _lines(
        self,
        tree: Tree,
        bodies: dict[tuple[str, str], BodyLine],
        failures: list[ItemFailure],
        missing: list[str],
        kept: int,
    ) -> list[IndexLine]:
        """Write the documents of an accepted root, and count it."""
        lines: list[IndexLine] = []
        report = self._report
        by_folder: dict[str, list[BodyLine]] = {}
        for (folder, _), line in sorted(bodies.items()):
            by_folder.setdefault(folder, []).append(line)
        views = [tree.folders[path] for path in sorted(tree.folders, key=split)]
        documents = await bounded(lambda view: self._documents(view, tree), views, self._transfers)
        for view, folder_line in zip(views, documents, strict=True):
            lines += [folder_line, *by_folder.get(view.path, [])]
        report.missing += missing
        self._missing += len(missing) + len(failures)
        report.missing += [one.path for one in failures if isinstance(one.error, NotFoundError)]
        report.failures += [one for one in failures if not isinstance(one.error, NotFoundError)]
        report.roots.append(tree.top.path)
        report.folders += len(tree.folders)
        report.bodies += len(bodies)
        report.body_bytes += sum(line.size_bytes for line in bodies.values())
        report.kept += kept
        self._written |= {f"bodies/{line.folder_id}/{line.sealed_name}" for line in bodies.values()}
        return lines

    async def _documents(self, view: FolderView, tree: Tree) -> FolderLine:
        folder = view.folder
        assert folder is not None
        text, signature = await self._raw(view, folder)
        await asyncio.to_thread(self._write, document_name(folder.file_id), text)
        await asyncio.to_thread(self._write, signature_name(folder.file_id), signature)
        digests = sha256(text).hexdigest(), sha256(signature).hexdigest()
        if view.kind == "root":
            return FolderLine(folder.file_id, *digests, path=view.path, older_keys=tuple(older_keys(folder, tree)))
        return FolderLine(folder.file_id, *digests, parent_id=view.parent_id, sealed_name=view.sealed_name)

    async def _raw(self, view: FolderView, folder: OpenFolder) -> tuple[bytes, bytes]:
        """The very document that was accepted, and its signature, as the server gave them."""
        assert view.node is not None
        text, signature = view.node.metadata_text, view.node.metadata_signature
        if text is None:
            raw = await self._account.remote.metadata(folder.file_id)
            text, signature = raw.text, raw.signature
            document = object_of(load_json(text, bytes_max=SEALED_BYTES_MAX), "a folder document")
            if document_digest(document) != folder.digest:
                raise PreconditionFailedError("The folder changed while it was read.", path=view.path)
        if signature is None:
            raise ContextError("sig.missing", "The folder's metadata is not signed.", path=view.path)
        return text.encode(), signature.encode()

    # --- the whole ------------------------------------------------------------------------------------------

    def _write(self, name: str, data: bytes) -> None:
        spool = self._target.spool(name)
        try:
            spool.write(data)
            spool.keep()
        except BaseException:
            spool.discard()
            raise
        self._written.add(name)

    async def _prune(self) -> None:
        """Take away what an earlier run wrote and no folder lists any more."""
        self._written |= {INDEX_NAME}

        def prune() -> None:
            for fact in self._target.facts():
                if is_member_name(fact.name) and fact.name not in self._written:
                    self._target.remove(fact.name)

        await asyncio.to_thread(prune)

    async def _manifest(self, index_sha256: str) -> BundleManifest:
        account, report = self._account, self._report
        identity = account.require_identity()
        return BundleManifest(
            created=floor(account.clock.now()),
            server=account.server_url,
            exporter=account.user_id,
            certificate_pem=identity.certificate.pem,
            private_key=await self._wrapped_key(),
            authority_pem=account.pins().authority.to_pem(),
            with_bodies=self._with_bodies,
            roots=len(report.roots),
            folders=report.folders,
            bodies=report.bodies,
            body_bytes=report.body_bytes,
            missing=self._missing if self._with_bodies else 0,
            index_sha256=index_sha256,
        )

    async def _wrapped_key(self) -> str:
        """The private key under the words, sealed anew: whether what the server keeps opens is not known."""
        account, words = self._account, self._account.mnemonic()
        if words is not None:
            salt, nonce = account.random.token(40), account.random.token(12)
            key = account.require_identity().key
            return await asyncio.to_thread(lambda: seal_private_key(key, words, salt=salt, nonce=nonce))
        try:
            return await account.remote.private_key()
        except NoKeysError:
            return ""


def _line(line: IndexLine) -> bytes:
    """A line as text; LimitExceededError when no reader would take it."""
    raw = format_line(line)
    if parse_line(raw) != line:
        raise MisuseError("a line of the index is not read as it was written")
    return raw
