"""Folder metadata 1.0, 1.1 and 1.2: read only, for migration.

    { metadata: { metadataKey | metadataKeys, checksum, version }, files: { id: entry }, filedrop: { id: entry } }
    entry.encrypted = base64(AES-128-GCM(key, iv, base64(JSON)) || tag) "|" base64(iv)

Layer: ``formats``. Frozen: nothing here is ever written. Such a folder has one reader, no counter and no signature, so
nothing in it is authentic beyond "written by somebody who knows the public key". Source: protocol document, section 18.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from candado.encoding import decode_b64
from candado.errors import FormatError, MalformedError, UnsupportedVersionError
from candado.formats.canonjson import JsonObject, JsonValue, load_json
from candado.formats.content import clear_name_fault
from candado.formats.fields import b64_member, object_of, string_member
from candado.formats.metadata import SEALED_BYTES_MAX, document_version
from candado.types import FileKey, Nonce, SealedName, Tag, check_sealed_name

__all__ = [
    "LegacyContent",
    "LegacyDrop",
    "LegacyEntry",
    "LegacyFolder",
    "legacy_checksum",
    "parse_legacy",
    "parse_legacy_content",
]

KEYS_MAX: Final = 1000
_OLD_SEPARATOR: Final = "fA=="
_FOLDER_MIMETYPES: Final = frozenset(("", "httpd/unix-directory", "inode/directory"))


@dataclass(frozen=True, slots=True)
class LegacyEntry:
    """A file or folder: the sealed name and key (ciphertext || tag, IV), and IV and tag of the file's body."""

    sealed: bytes
    sealed_nonce: Nonce
    nonce: Nonce
    tag: Tag
    key_index: int


@dataclass(frozen=True, slots=True)
class LegacyDrop:
    """An arrival: sealed like an entry, with a key of its own wrapped for the one reader."""

    sealed: bytes
    sealed_nonce: Nonce
    nonce: Nonce
    tag: Tag
    wrapped_key: bytes


@dataclass(frozen=True, slots=True)
class LegacyFolder:
    """A 1.x document. ``wrapped_keys`` by index, each RSA-OAEP of base64 text; ``skipped`` are (id, reason)."""

    version: str
    wrapped_keys: dict[int, bytes]
    files: dict[SealedName, LegacyEntry]
    drops: dict[SealedName, LegacyDrop]
    skipped: tuple[tuple[str, str], ...]
    checksum: str | None
    metadata_key_text: str
    """The member ``metadataKey`` as stored; part of what the checksum covers."""


@dataclass(frozen=True, slots=True)
class LegacyContent:
    """What an entry holds once it was opened."""

    filename: str
    mimetype: str
    key: FileKey
    is_folder: bool


def parse_legacy(text: str) -> LegacyFolder:
    """Return the 1.x document in ``text``.

    Raises:
        UnsupportedVersionError: not 1.0, 1.1 or 1.2.
        MalformedError, LimitExceededError: not such a document.
    """
    version = document_version(text)
    if not version.startswith("1."):
        raise UnsupportedVersionError(f"folder metadata of version {version} is not a legacy document")
    document = object_of(load_json(text, bytes_max=SEALED_BYTES_MAX, floats=True), "a folder document")
    metadata = object_of(document.get("metadata"), "the member metadata")
    checksum = metadata.get("checksum")
    if checksum is not None and not isinstance(checksum, str):
        raise MalformedError("the member checksum is not a text")
    wrapped_keys = _keys(metadata)
    current = max(wrapped_keys)
    skipped: list[tuple[str, str]] = []
    files: dict[SealedName, LegacyEntry] = {}
    for name, raw in _members(document, "files"):
        try:
            files[check_sealed_name(name)] = _entry(raw, current)
        except FormatError as exc:
            skipped.append((name, exc.message))
    drops: dict[SealedName, LegacyDrop] = {}
    for name, raw in _members(document, "filedrop"):
        try:
            drops[check_sealed_name(name)] = _drop(raw)
        except FormatError as exc:
            skipped.append((name, exc.message))
    key_text = metadata.get("metadataKey")
    return LegacyFolder(
        version,
        wrapped_keys,
        files,
        drops,
        tuple(skipped),
        checksum,
        key_text if isinstance(key_text, str) else "",
    )


def parse_legacy_content(plaintext: bytes) -> LegacyContent:
    """Return what stands in an opened entry: base64 text of JSON.

    Raises:
        MalformedError: not such a document, an unsafe name, a key that has not 16 bytes.
    """
    try:
        text = plaintext.decode("ascii")
    except UnicodeDecodeError as exc:
        raise MalformedError("the content of a legacy entry is not base64") from exc
    inner = object_of(load_json(decode_b64(text), bytes_max=SEALED_BYTES_MAX, floats=True), "a legacy entry")
    filename = string_member(inner, "filename")
    fault = clear_name_fault(filename)
    if fault:
        raise MalformedError(fault)
    mimetype = inner.get("mimetype", "")
    if not isinstance(mimetype, str):
        raise MalformedError("the member mimetype is not a text")
    key = FileKey(b64_member(inner, "key"))
    return LegacyContent(filename, mimetype, key, is_folder=mimetype in _FOLDER_MIMETYPES)


def legacy_checksum(words: str, names: Iterable[str], metadata_key_text: str) -> str:
    """Return the checksum of a 1.2 document: SHA-256 of words, sorted names and stored key, 64 hex digits.

    Args:
        words: the mnemonic in normal form.
        names: sealed names of all files.
        metadata_key_text: the member ``metadataKey`` as stored.
    """
    text = words + "".join(sorted(names)) + metadata_key_text
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _members(document: JsonObject, name: str) -> list[tuple[str, JsonObject]]:
    value: JsonValue = document.get(name)
    if value is None or value == []:
        return []
    members = object_of(value, f"the member {name}")
    return [(key, object_of(raw, f"an entry of {name}")) for key, raw in members.items()]


def _keys(metadata: JsonObject) -> dict[int, bytes]:
    if "metadataKey" in metadata:
        return {0: b64_member(metadata, "metadataKey")}
    holder = object_of(metadata.get("metadataKeys"), "the member metadataKeys")
    if not holder or len(holder) > KEYS_MAX or not all(index.isdecimal() and len(index) <= 9 for index in holder):
        raise MalformedError("the member metadataKeys has no keys or one without a number")
    return {int(index): b64_member(holder, index) for index in holder}


def _sealed(text: str) -> tuple[bytes, Nonce]:
    """Ciphertext and IV of ``ciphertext|iv``; the IV is last and has one of two lengths."""
    if "|" in text:
        sealed, _, nonce = text.partition("|")
        return decode_b64(sealed), Nonce(decode_b64(nonce))
    for nonce_chars in (16, 24):
        front, nonce = text[:-nonce_chars], text[-nonce_chars:]
        if front.endswith(_OLD_SEPARATOR):
            return decode_b64(front.removesuffix(_OLD_SEPARATOR)), Nonce(decode_b64(nonce))
    raise MalformedError("a legacy entry has no initialization vector")


def _entry(raw: JsonObject, current: int) -> LegacyEntry:
    sealed, sealed_nonce = _sealed(string_member(raw, "encrypted"))
    index = raw.get("metadataKey", current)
    if isinstance(index, bool) or not isinstance(index, int):
        raise MalformedError("the member metadataKey of an entry is not a number")
    nonce, tag = Nonce(b64_member(raw, "initializationVector")), Tag(b64_member(raw, "authenticationTag"))
    return LegacyEntry(sealed, sealed_nonce, nonce, tag, index)


def _drop(raw: JsonObject) -> LegacyDrop:
    sealed, sealed_nonce = _sealed(string_member(raw, "encrypted"))
    nonce, tag = Nonce(b64_member(raw, "initializationVector")), Tag(b64_member(raw, "authenticationTag"))
    return LegacyDrop(sealed, sealed_nonce, nonce, tag, b64_member(raw, "encryptedKey"))
