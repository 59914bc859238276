"""What is left of a server: documents, bodies and wrapped keys as files, in no order that can be trusted.

Layer: ``client``. Takes the data directory of a stock server, a folder somebody put together, or a bundle whose
manifest is gone. The names of files say which role one may play; which folder a document describes is found by the
sealed names it lists, which are random: a directory that has files of these names is the one. A nested document belongs
to the root whose key opens it. Everything found in this way goes through the same acceptance as a bundle.

    */meta-data/ID/meta.data, meta.data.signature      or  ID.json, ID.sig            documents
    */private-keys/USER.private.key                    or  private-key.txt            wrapped private keys
    */identityproof/system-*/public                    or  authority.pem              the key that signs certificates
    anything/SEALEDNAME                                                               bodies

Source: docs/user/export.md.
"""

import re
from collections import Counter as CountOf
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from candado.client.bundle_reader import read_whole
from candado.crypto.rsa import PublicKey
from candado.encoding import PEM_CHARS_MAX, WRAPPED_CHARS_MAX
from candado.errors import CryptoError, FormatError, MalformedError, NotFoundError
from candado.folder.model import RawText
from candado.formats.bundle import MANIFEST_BYTES_MAX, MANIFEST_NAME, SIGNATURE_CHARS_MAX, parse_manifest
from candado.formats.metadata import SEALED_BYTES_MAX
from candado.ports.bundle import SourceFiles
from candado.types import FileId, check_file_id, check_sealed_name

__all__ = ["LooseParts"]

_DOCUMENT: Final = re.compile(r"(?:.*/)?(?:meta\.data|[1-9][0-9]{0,18}\.json)\Z")
_WRAPPED: Final = re.compile(r"(?:.*/)?(?:(?P<user>[^/]+)\.private\.key|private-key\.txt)\Z")
_AUTHORITY: Final = re.compile(r"(?:.*/)?(?:identityproof/system-[^/]+/public|authority\.pem)\Z")
_NUMBER: Final = re.compile(r"(?:.*/)?([1-9][0-9]{0,18})(?:/meta\.data|\.json)\Z")
_MADE_UP_ID: Final = 2**62


class LooseParts:
    """The parts in a folder; nothing of them is verified.

    Args:
        files: where to look.

    Attributes:
        documents: names of files that may be folder documents.
        wrapped: wrapped private keys by user id; "" for one whose user is not known.
        authority: the key that signs certificates, None when it is not there.
    """

    documents: list[str]
    wrapped: dict[str, str]
    authority: PublicKey | None

    def __init__(self, files: SourceFiles) -> None:
        self.files = files
        self.documents, self.wrapped, self.authority = [], {}, None
        self._parents: dict[str, list[str]] = {}
        self._children: dict[str, set[str]] = {}
        for fact in files.facts():
            self._sort(fact.name, fact.size_bytes)
        self.documents.sort()
        self._read_manifest()

    def _sort(self, name: str, size_bytes: int) -> None:
        wrapped = _WRAPPED.match(name)
        if wrapped is not None and size_bytes <= WRAPPED_CHARS_MAX:
            self.wrapped[wrapped["user"] or ""] = self._text(name, WRAPPED_CHARS_MAX).strip()
        elif _AUTHORITY.match(name) and size_bytes <= PEM_CHARS_MAX:
            with suppress(FormatError, CryptoError):
                self.authority = PublicKey.from_pem(self._text(name, PEM_CHARS_MAX))
        elif _DOCUMENT.match(name) and size_bytes <= SEALED_BYTES_MAX:
            self.documents.append(name)
        else:
            self._place(name)

    def _place(self, name: str) -> None:
        """Remember where a body may be, and the folders above it."""
        while name:
            folder, _, last = name.rpartition("/")
            known = self._children.setdefault(folder, set())
            if last in known:
                return
            try:
                check_sealed_name(last)
            except MalformedError:
                return
            known.add(last)
            self._parents.setdefault(last, []).append(folder)
            name = folder

    def _read_manifest(self) -> None:
        """A bundle's manifest helps although nothing else of the bundle can be used."""
        with suppress(FormatError, CryptoError):
            raw = read_whole(self.files, MANIFEST_NAME, bytes_max=MANIFEST_BYTES_MAX)
            if raw is not None:
                manifest = parse_manifest(raw)
                if manifest.private_key:
                    self.wrapped.setdefault(manifest.exporter, manifest.private_key)
                self.authority = self.authority or PublicKey.from_pem(manifest.authority_pem)

    def check(self, *, needs_words: bool) -> None:
        """NotFoundError that names every part without which nothing can be had."""
        missing: list[str] = []
        if not self.documents:
            missing.append("the metadata of folders (meta-data/ID/meta.data or documents/ID.json)")
        if needs_words and not self.wrapped:
            missing.append("the wrapped private key (USER.private.key or private-key.txt; or use --private-key-file)")
        if not self._parents:
            missing.append("the bodies of files (files with sealed names)")
        if missing:
            raise NotFoundError(
                f"Parts are missing here: {'; '.join(missing)}.",
                path=self.files.where,
                advice="Put them below one folder, and name it.",
            )

    # --- documents ------------------------------------------------------------------------------------------

    def raw(self, name: str) -> RawText:
        """A document and its signature, which may be missing; FormatError."""
        text = self._text(name, SEALED_BYTES_MAX)
        for other in _signature_names(name):
            with suppress(NotFoundError):
                return RawText(text, self._text(other, SIGNATURE_CHARS_MAX))
        return RawText(text, None)

    def number(self, name: str) -> FileId:
        """The file id that a document's name says, or one made up, different for each document."""
        found = _NUMBER.match(name)
        with suppress(MalformedError):
            if found is not None:
                return check_file_id(int(found[1]))
        return FileId(_MADE_UP_ID + self.documents.index(name))

    def _text(self, name: str, bytes_max: int) -> str:
        raw = read_whole(self.files, name, bytes_max=bytes_max)
        if raw is None:
            raise NotFoundError("A part is not there any more.", path=name)
        try:
            return raw.decode()
        except UnicodeDecodeError as exc:
            raise MalformedError("a part is not UTF-8", path=name) from exc

    # --- bodies ---------------------------------------------------------------------------------------------

    def place_of(self, names: set[str]) -> str | None:
        """The folder that has most of these sealed names; None when none has any."""
        found: CountOf[str] = CountOf()
        for name in names:
            found.update(self._parents.get(name, ()))
        if not found:
            return None
        return min(found, key=lambda folder: (-found[folder], "/files/" not in f"/{folder}/", folder))

    def has(self, folder: str, name: str) -> bool:
        """Whether something of this sealed name is in a folder."""
        return name in self._children.get(folder, ())


def _signature_names(name: str) -> Iterator[str]:
    yield f"{name}.signature"
    if name.endswith(".json"):
        yield f"{name.removesuffix('.json')}.sig"
        yield f"{name.removesuffix('.json')}.signature"
