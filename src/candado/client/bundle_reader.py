"""Reading a bundle: who made it, which folders are in it, and what they hold for one private key.

Layer: ``client``. The steps are those of docs/spec/bundle.md. A bundle is as hostile as a server: nothing of it is used
before the step that vouches for it, but where ``salvage`` asks for what can be had.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from candado.client.found import FoundFolder, Gap, RawRoot
from candado.client.opening import Opener
from candado.crypto.cms import verify_detached
from candado.crypto.rsa import PrivateKey, PublicKey
from candado.crypto.x509 import Certificate, check_certificate, parse_certificate
from candado.encoding import decode_b64
from candado.errors import (
    BadSignatureError,
    CandadoError,
    ContextError,
    CryptoError,
    FormatError,
    LimitExceededError,
    MalformedError,
    NotFoundError,
    SignerError,
    TamperError,
    UntrustedCertificateError,
)
from candado.folder.filedrop import merge_drops
from candado.folder.model import OpenFolder, RawText
from candado.formats.bundle import (
    INDEX_NAME,
    LINE_BYTES_MAX,
    MANIFEST_BYTES_MAX,
    MANIFEST_NAME,
    MANIFEST_SIGNATURE_NAME,
    SIGNATURE_CHARS_MAX,
    BodyLine,
    BundleManifest,
    FolderLine,
    IndexLine,
    body_name,
    document_name,
    parse_line,
    parse_manifest,
    signature_name,
)
from candado.formats.bundleindex import IndexCheck
from candado.formats.metadata import SEALED_BYTES_MAX, Entry, FolderContent, parse_sealed
from candado.ports.bundle import SourceFile, SourceFiles
from candado.types import FileId, MetadataKey, SealedName, UserId

__all__ = ["BundleReader", "read_whole"]

_PIECE: Final = 1 << 20
_REFUSALS: Final = (TamperError, FormatError, CryptoError)


def read_whole(files: SourceFiles, name: str, *, bytes_max: int) -> bytes | None:
    """A small file; None when it is not there, LimitExceededError."""
    file = files.open(name)
    if file is None:
        return None
    try:
        if file.size_bytes > bytes_max:
            raise LimitExceededError(f"a file is larger than {bytes_max} bytes", path=name)
        buffer = memoryview(bytearray(file.size_bytes))
        return bytes(buffer[: file.read_into(buffer)])
    finally:
        file.close()


@dataclass(slots=True)
class _Opened:
    """A folder on the way from a root to what is below it."""

    file_id: FileId
    path: tuple[str, ...]
    root: "_Opened | None"
    folders: dict[SealedName, str]
    metadata_key: MetadataKey = field(repr=False)
    folder: OpenFolder | None = None
    drops: Mapping[SealedName, Entry] = field(default_factory=dict[SealedName, Entry])


class BundleReader:
    """One bundle.

    Args:
        files: what it is made of.
        authority_fingerprint: SHA-256 of the authority's public key, 64 lower-case hex digits; "" trusts the bundle's.
        salvage: read on although the signature of the bundle or its index does not hold; see ``problems``.

    Raises:
        NotFoundError: there is no manifest. FormatError: the manifest cannot be read.
        UntrustedCertificateError: another authority, or the exporter's certificate is not by it.
        BadSignatureError: the exporter did not sign this manifest.
    """

    manifest: BundleManifest
    authority: PublicKey
    exporter: Certificate

    def __init__(self, files: SourceFiles, *, authority_fingerprint: str = "", salvage: bool = False) -> None:
        self._files, self._salvage = files, salvage
        self.problems: list[CandadoError] = []
        raw = read_whole(files, MANIFEST_NAME, bytes_max=MANIFEST_BYTES_MAX)
        if raw is None:
            raise NotFoundError(
                "There is no manifest: this is not a bundle, or its export was cut.",
                path=files.where,
                advice="Run the export again, which goes on where it was cut.",
            )
        try:
            self.manifest = parse_manifest(raw)
            self.authority = PublicKey.from_pem(self.manifest.authority_pem)
            self.exporter = parse_certificate(self.manifest.certificate_pem)
        except (FormatError, CryptoError) as error:
            error.path, error.safe = files.where, "Nothing was written."
            error.advice = "Use another copy of the bundle, or add --salvage to take what can be had without it."
            raise
        if authority_fingerprint and self.authority.fingerprint_hex != authority_fingerprint:
            raise UntrustedCertificateError(
                "The bundle names another authority than the one you trust.",
                path=files.where,
                advice=f"Its fingerprint is {self.authority.fingerprint_hex}.",
            )
        try:
            self._check_signature(raw)
        except (CryptoError, FormatError) as error:
            self._problem(error)

    def _check_signature(self, raw: bytes) -> None:
        check_certificate(self.exporter, user_id=self.manifest.exporter, authority=self.authority, now=0.0)
        signature = read_whole(self._files, MANIFEST_SIGNATURE_NAME, bytes_max=SIGNATURE_CHARS_MAX)
        if signature is None:
            raise BadSignatureError("The bundle is not signed.", path=self._files.where)
        try:
            text = signature.decode("ascii")
        except UnicodeDecodeError as exc:
            raise MalformedError("the signature of the bundle is not base64") from exc
        verify_detached(decode_b64(text), raw, {self.manifest.exporter: [self.exporter.public_key]})

    def _problem(self, error: CandadoError) -> None:
        if not self._salvage:
            error.path = error.path or self._files.where
            error.safe = "Nothing was written that was not verified."
            error.advice = "Use another copy of the bundle, or add --salvage to take what can be had without it."
            raise error
        self.problems.append(error)

    # --- the index ------------------------------------------------------------------------------------------

    def lines(self) -> Iterator[IndexLine]:
        """The checked lines of the index.

        Raises:
            MalformedError: it is not the one the manifest names; nothing was given out. LimitExceededError.
        """
        if self._index_digest() != self.manifest.index_sha256:
            self._problem(MalformedError("The index of the bundle is missing or was changed."))
        check = IndexCheck()
        for raw in self._raw_lines():
            try:
                line = parse_line(raw)
                check.add(line)
            except FormatError as error:
                self._problem(error)
                continue
            yield line
        try:
            check.finish(self.manifest)
        except MalformedError as error:
            self._problem(error)

    def _index_digest(self) -> str:
        digest = hashlib.sha256()
        for piece in self._pieces():
            digest.update(piece)
        return digest.hexdigest()

    def _pieces(self) -> Iterator[bytes]:
        file = self._files.open(INDEX_NAME)
        if file is None:
            return
        buffer = memoryview(bytearray(_PIECE))
        try:
            while count := file.read_into(buffer):
                yield bytes(buffer[:count])
        finally:
            file.close()

    def _raw_lines(self) -> Iterator[bytes]:
        rest = b""
        for piece in self._pieces():
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield line + b"\n"
            if len(rest) > LINE_BYTES_MAX:
                raise LimitExceededError("a line of the index is too long", path=self._files.where)
        if rest:
            yield rest

    # --- folders --------------------------------------------------------------------------------------------

    def roots(self) -> Iterator[RawRoot]:
        """The documents of the roots as they are; for whoever opens them himself."""
        for line in self.lines():
            if isinstance(line, FolderLine) and line.parent_id is None:
                raw = self._raw(line)
                users = parse_sealed(raw.text).users or ()
                yield RawRoot(line.file_id, line.path, raw, tuple(user.user_id for user in users))

    def folders(self, key: PrivateKey, *, now: float, member_id: UserId | None = None) -> Iterator[FoundFolder | Gap]:
        """Everything in the bundle that this private key opens, parents before children; what it does not are gaps.

        Raises:
            FormatError: the index cannot be used.
        """
        opener = Opener(key, self.authority, now=now, member_id=member_id)
        opened: dict[FileId, _Opened] = {}
        sizes: dict[SealedName, BodyLine] = {}
        waiting: tuple[FolderLine, dict[SealedName, BodyLine]] | None = None
        for line in self.lines():
            if isinstance(line, BodyLine):
                sizes[line.sealed_name] = line
                continue
            if waiting is not None:
                yield from self._folder(opener, opened, *waiting)
            sizes = {}
            waiting = (line, sizes)
        if waiting is not None:
            yield from self._folder(opener, opened, *waiting)

    def _folder(
        self, opener: Opener, opened: dict[FileId, _Opened], line: FolderLine, bodies: dict[SealedName, BodyLine]
    ) -> Iterator[FoundFolder | Gap]:
        if line.parent_id is None or line.sealed_name is None:
            opened.clear()
            path: tuple[str, ...] = (line.path.rpartition("/")[2],)
            parent = None
        else:
            parent = opened.get(line.parent_id)
            if parent is None:
                return  # below a gap, which stands for all of it
            path = (*parent.path, parent.folders.get(line.sealed_name, line.sealed_name))
        try:
            try:
                found = self._accept(opener, line, parent, path)
            except _REFUSALS as error:
                if not self._salvage:
                    raise
                found, doubt = self._doubtful(opener, line, parent, path), error.message
            else:
                doubt = self.problems[0].message if self.problems else ""
        except (*_REFUSALS, NotFoundError) as error:
            yield Gap(path, error)
            return
        opened[line.file_id] = found[0]
        yield from self._entries(opener, line, bodies, *found, doubt)

    def _accept(
        self, opener: Opener, line: FolderLine, parent: _Opened | None, path: tuple[str, ...]
    ) -> tuple[_Opened, FolderContent]:
        raw = self._raw(line)
        if parent is None or line.sealed_name is None:
            folder = opener.accept_root(line.file_id, raw)
            self._check_exporter(folder)
            opener.add_older_keys(line.file_id, line.older_keys)
            root = None
        else:
            root = parent.root or parent
            if parent.folder is None or root.folder is None:
                raise SignerError("sig.missing", "The folder above it is not verified.")
            folder = opener.accept_nested(
                line.file_id, raw, parent=parent.folder, root=root.folder, sealed_name=line.sealed_name
            )
        names = dict(folder.content.folders)
        return _Opened(line.file_id, path, root, names, folder.metadata_key, folder), folder.content

    def _check_exporter(self, folder: OpenFolder) -> None:
        member = folder.member(self.manifest.exporter)
        if member is None or member.certificate.public_key != self.exporter.public_key:
            raise SignerError("meta.signer-unknown", "Who made this bundle is not a member of the folder.")

    def _doubtful(
        self, opener: Opener, line: FolderLine, parent: _Opened | None, path: tuple[str, ...]
    ) -> tuple[_Opened, FolderContent]:
        raw = self._raw(line, checked=False)
        if parent is None:
            root, salvaged = None, opener.salvage_root(raw)
            opener.add_older_keys(line.file_id, line.older_keys)
        else:
            root = parent.root or parent
            salvaged = opener.salvage_nested(raw, root.metadata_key, root.file_id)
        names = dict(salvaged.content.folders)
        opened = _Opened(line.file_id, path, root, names, salvaged.metadata_key, drops=salvaged.drops)
        return opened, salvaged.content

    def _raw(self, line: FolderLine, *, checked: bool = True) -> RawText:
        text = read_whole(self._files, document_name(line.file_id), bytes_max=SEALED_BYTES_MAX)
        if text is None:
            raise NotFoundError("The document of a folder is missing in the bundle.", path=document_name(line.file_id))
        signature = read_whole(self._files, signature_name(line.file_id), bytes_max=SIGNATURE_CHARS_MAX)
        if checked and (
            hashlib.sha256(text).hexdigest() != line.document_sha256
            or signature is None
            or hashlib.sha256(signature).hexdigest() != line.signature_sha256
        ):
            raise ContextError("ctx.nested", "The document of a folder is not the one that was exported.")
        try:
            return RawText(text.decode(), None if signature is None else signature.decode())
        except UnicodeDecodeError as exc:
            raise MalformedError("the document of a folder is not UTF-8") from exc

    def _entries(
        self,
        opener: Opener,
        line: FolderLine,
        bodies: dict[SealedName, BodyLine],
        opened: _Opened,
        content: FolderContent,
        doubt: str,
    ) -> Iterator[FoundFolder | Gap]:
        files, folder = {**content.files, **opened.drops}, opened.folder
        if folder is not None and folder.kind == "root" and folder.drops:
            merged = merge_drops(folder, opener.identity_in(folder))
            files |= merged.migrated
            for name, error in merged.refused.items():
                yield Gap((*opened.path, name), error)
        times = {name: float(one.mtime_seconds) for name, one in bodies.items()}

        def body(name: SealedName) -> SourceFile | None:
            if name not in times and not self._salvage:
                return None
            file = self._files.open(body_name(line.file_id, name))
            if file is not None:
                file.mtime_seconds = times.get(name, file.mtime_seconds)
            return file

        for entry in content.skipped:
            yield Gap((*opened.path, entry.identifier), MalformedError(f"An entry cannot be used: {entry.reason}."))
        yield FoundFolder(path=opened.path, files=files, folders=opened.folders, body=body, doubt=doubt, folder=folder)
