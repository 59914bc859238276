"""Folders of the old format 1.0, 1.1 and 1.2: opened for reading, never written.

Layer: ``folder``; pure. Nothing of such a document is authentic: it has one reader, no signature and no counter, and
whoever knows the reader's public key can make one. Only 1.2 has a checksum that needs the mnemonic. It is therefore
never opened during ordinary work: ``opening.accept_metadata`` refuses 1.x, and a folder once seen as 2.x never goes
back.

Source: crypto.md 18; threats.md A65, A66.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from candado.crypto.aead import open_sealed
from candado.crypto.keywrap import unwrap_text_key
from candado.crypto.mnemonic import normalise
from candado.crypto.rsa import PrivateKey
from candado.errors import BadSignatureError, FormatError, MalformedError, OpenFailedError
from candado.formats.canonjson import load_json
from candado.formats.fields import object_of
from candado.formats.legacy import (
    LegacyContent,
    LegacyFolder,
    legacy_checksum,
    parse_legacy,
    parse_legacy_content,
)
from candado.formats.metadata import SEALED_BYTES_MAX, Entry
from candado.types import Nonce, SealedName, SecretText

__all__ = ["LegacyOpen", "open_legacy"]


@dataclass(frozen=True, slots=True)
class LegacyOpen:
    """An opened 1.x folder.

    ``drops`` are files that came through a file drop. ``skipped`` are (identifier, reason) of what could not be opened.
    ``checksum_verified`` is True only for a 1.2 document whose checksum was compared with the mnemonic.
    """

    version: str
    files: Mapping[SealedName, Entry]
    folders: Mapping[SealedName, str]
    drops: Mapping[SealedName, Entry]
    skipped: tuple[tuple[str, str], ...]
    checksum_verified: bool


def open_legacy(text: str, identity_key: PrivateKey, mnemonic: SecretText | None) -> LegacyOpen:
    """Return what a 1.x document holds; one bad entry does not stop the others.

    Args:
        text: the document as the server sent it.
        identity_key: the private key of the one reader.
        mnemonic: the twelve words, to compare the checksum of a 1.2 document; None leaves it unverified.

    Raises:
        UnsupportedVersionError: another version than 1.0, 1.1 and 1.2.
        FormatError: the document breaks its grammar.
        OpenFailedError: the current metadata key does not open with this private key.
        BadSignatureError: the checksum of a 1.2 document is missing or does not fit the mnemonic.
    """
    folder = parse_legacy(text)
    verified = False
    if folder.version == "1.2" and mnemonic is not None:
        _check_checksum(folder, _identifiers(text), mnemonic)
        verified = True
    keys = _Keys(identity_key, folder.wrapped_keys)
    keys.at(max(folder.wrapped_keys))
    skipped = list(folder.skipped)
    files: dict[SealedName, Entry] = {}
    folders: dict[SealedName, str] = {}
    for name, sealed in folder.files.items():
        try:
            content = _open(keys.at(sealed.key_index), sealed.sealed_nonce, sealed.sealed)
        except (FormatError, OpenFailedError) as exc:
            skipped.append((name, exc.message))
            continue
        if content.is_folder:
            folders[name] = content.filename
        else:
            files[name] = Entry(content.filename, content.mimetype, content.key, sealed.nonce, sealed.tag)
    drops: dict[SealedName, Entry] = {}
    for name, drop in folder.drops.items():
        try:
            content = _open(unwrap_text_key(identity_key, drop.wrapped_key), drop.sealed_nonce, drop.sealed)
        except (FormatError, OpenFailedError) as exc:
            skipped.append((name, exc.message))
            continue
        drops[name] = Entry(content.filename, content.mimetype, content.key, drop.nonce, drop.tag)
    return LegacyOpen(folder.version, files, folders, drops, tuple(skipped), verified)


class _Keys:
    """The metadata keys by index, each unwrapped once."""

    def __init__(self, identity_key: PrivateKey, wrapped: Mapping[int, bytes]) -> None:
        self._identity_key = identity_key
        self._wrapped = wrapped
        self._opened: dict[int, bytes] = {}

    def at(self, index: int) -> bytes:
        if index not in self._wrapped:
            raise MalformedError("an entry names a metadata key that the document does not have")
        if index not in self._opened:
            self._opened[index] = unwrap_text_key(self._identity_key, self._wrapped[index])
        return self._opened[index]


def _open(key: bytes, nonce: Nonce, sealed: bytes) -> LegacyContent:
    return parse_legacy_content(open_sealed(key, nonce, sealed))


def _identifiers(text: str) -> list[str]:
    document = object_of(load_json(text, bytes_max=SEALED_BYTES_MAX, floats=True), "a folder document")
    files = document.get("files")
    return list(files) if isinstance(files, dict) else []


def _check_checksum(folder: LegacyFolder, identifiers: list[str], mnemonic: SecretText) -> None:
    expected = legacy_checksum(normalise(mnemonic.reveal()), identifiers, folder.metadata_key_text)
    if folder.checksum is None or folder.checksum.lower() != expected:
        raise BadSignatureError("The checksum of this old folder does not fit: its content was changed.")
