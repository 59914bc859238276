"""The inner document of a folder: counter, clear names, file keys, key history.

Layer: ``formats``; offered through ``formats.metadata``. Members that are not known survive a round trip. A document
whose types are wrong is refused as a whole. An entry whose values cannot be used (an unsafe name, a key of the wrong
length) is left out, reported in ``skipped``, and written back untouched.

Source: protocol document, sections 9 to 12 and 16; threat model, A55, A59 to A64 and A92.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Literal

from candado.encoding import decode_b64, encode_b64
from candado.errors import FormatError, MalformedError
from candado.formats.canonjson import JsonObject, JsonValue, dump_ascii, load_json
from candado.formats.fields import list_of, object_of
from candado.types import Counter, FileKey, Nonce, SealedName, Tag, check_counter, check_sealed_name

__all__ = [
    "CONTENT_BYTES_MAX",
    "DEFAULT_MIMETYPE",
    "Entry",
    "FolderContent",
    "SkippedEntry",
    "clear_name_fault",
    "format_content",
    "format_drop_content",
    "parse_content",
    "parse_drop_content",
]

CONTENT_BYTES_MAX: Final = 64 * 1024 * 1024
DEFAULT_MIMETYPE: Final = "application/octet-stream"

_FOLDER_MIMETYPES: Final = frozenset(("", "httpd/unix-directory", "inode/directory"))
_UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\]")
_CHECKSUM = re.compile(r"[0-9a-f]{64}\Z")
_ENTRY_MEMBERS: Final = frozenset(("filename", "mimetype", "key", "nonce", "initializationVector", "authenticationTag"))
_CONTENT_MEMBERS: Final = frozenset(("counter", "deleted", "files", "folders", "keyChecksums"))


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a folder: clear name, type, and what opens its body. ``extra`` are members we do not know."""

    filename: str
    mimetype: str
    key: FileKey
    nonce: Nonce
    tag: Tag
    extra: JsonObject = field(default_factory=dict[str, JsonValue])


@dataclass(frozen=True, slots=True)
class SkippedEntry:
    """An entry that cannot be used, why, and its JSON, which a rewrite of the document keeps."""

    kind: Literal["files", "folders"]
    identifier: str
    reason: str
    raw: JsonValue


@dataclass(frozen=True, slots=True)
class FolderContent:
    """An inner document. ``key_checksums`` is None when the member is absent; ``extra`` are members we do not know."""

    counter: Counter
    deleted: bool
    files: dict[SealedName, Entry]
    folders: dict[SealedName, str]
    key_checksums: tuple[str, ...] | None
    skipped: tuple[SkippedEntry, ...] = ()
    extra: JsonObject = field(default_factory=dict[str, JsonValue])


def clear_name_fault(name: str) -> str | None:
    """Return why ``name`` cannot be one component of a path, or None when it can; what a disk forbids is not asked."""
    if not name or name in {".", ".."}:
        return "the name is empty or means a folder itself"
    if _UNSAFE.search(name):
        return "the name has a slash or a control character"
    return None


def parse_content(text: bytes) -> FolderContent:
    """Return the inner document in ``text``: UTF-8, or Latin-1 where it is not UTF-8 (web client).

    Raises:
        LimitExceededError: more than 64 MiB, too deep, too many values, a counter beyond 2^53 - 1.
        MalformedError: not JSON, a member missing or of the wrong type; nothing of the document is used.
    """
    document = _load(text)
    deleted = document.get("deleted", False)
    if not isinstance(deleted, bool):
        raise MalformedError("the member deleted is not true or false")
    skipped: list[SkippedEntry] = []
    return FolderContent(
        counter=_counter(document.get("counter")),
        deleted=deleted,
        files=_files(object_of(document.get("files", {}), "the member files"), skipped),
        folders=_folders(object_of(document.get("folders", {}), "the member folders"), skipped),
        key_checksums=_checksums(document.get("keyChecksums")),
        skipped=tuple(skipped),
        extra={name: value for name, value in document.items() if name not in _CONTENT_MEMBERS},
    )


def format_content(content: FolderContent) -> bytes:
    r"""Return the inner document: compact ASCII JSON, sorted keys, names as ``\uXXXX`` where needed.

    A MIME type is never empty nor that of a folder: a desktop client would take the file for one.
    """
    files: JsonObject = {}
    folders: JsonObject = {}
    for entry in content.skipped:
        (files if entry.kind == "files" else folders)[entry.identifier] = entry.raw
    files.update((name, _entry_json(entry)) for name, entry in content.files.items())
    folders.update((name, clear) for name, clear in content.folders.items())
    document: JsonObject = {
        **content.extra,
        "counter": content.counter,
        "deleted": content.deleted,
        "files": files,
        "folders": folders,
    }
    if content.key_checksums is not None:
        document["keyChecksums"] = list(content.key_checksums)
    return dump_ascii(document)


def parse_drop_content(text: bytes) -> Entry:
    """Return the entry inside an arrival of a file drop.

    Raises:
        MalformedError: not such a document, an unsafe name, or a value that cannot be used.
        LimitExceededError: more than 64 MiB, too deep, too many values.
    """
    return _entry(_texts(_load(text)))


def format_drop_content(entry: Entry) -> bytes:
    """Return the inner document of an arrival: one entry as ASCII JSON."""
    return dump_ascii(_entry_json(entry))


def _load(text: bytes) -> JsonObject:
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError:
        decoded = text.decode("latin-1")
    # Latin-1 text doubles at most in UTF-8; the limit is on what was unpacked.
    return object_of(load_json(decoded, bytes_max=2 * CONTENT_BYTES_MAX), "the content of a folder document")


def _counter(value: JsonValue) -> Counter:
    if isinstance(value, bool) or not isinstance(value, int):
        raise MalformedError("the member counter is missing or not an integer")
    return check_counter(value)


def _checksums(value: JsonValue) -> tuple[str, ...] | None:
    if value is None:
        return None
    found: list[str] = []
    for checksum in list_of(value, "the member keyChecksums"):
        if not isinstance(checksum, str) or not _CHECKSUM.match(checksum):
            raise MalformedError("a key checksum is not 64 lower-case hex digits")
        found.append(checksum)
    return tuple(found)


def _files(holder: JsonObject, skipped: list[SkippedEntry]) -> dict[SealedName, Entry]:
    files: dict[SealedName, Entry] = {}
    for name, raw in holder.items():
        texts = _texts(raw)
        try:
            files[check_sealed_name(name)] = _entry(texts)
        except FormatError as exc:
            skipped.append(SkippedEntry("files", name, exc.message, raw))
    return files


def _folders(holder: JsonObject, skipped: list[SkippedEntry]) -> dict[SealedName, str]:
    folders: dict[SealedName, str] = {}
    for name, clear in holder.items():
        if not isinstance(clear, str):
            raise MalformedError("an entry of folders is not a text")
        try:
            _check_name(clear)
            folders[check_sealed_name(name)] = clear
        except FormatError as exc:
            skipped.append(SkippedEntry("folders", name, exc.message, clear))
    return folders


@dataclass(frozen=True, slots=True)
class _Texts:
    """An entry whose types are right and whose values are not looked at yet."""

    filename: str
    mimetype: str
    key: str
    nonce: str
    tag: str
    holder: JsonObject


def _texts(value: JsonValue) -> _Texts:
    """The texts of an entry; MalformedError when one is missing or of the wrong type."""
    holder = object_of(value, "an entry")
    nonce = holder.get("nonce", holder.get("initializationVector"))
    filename, key, tag = holder.get("filename"), holder.get("key"), holder.get("authenticationTag")
    mimetype, alias = holder.get("mimetype", ""), holder.get("initializationVector", "")
    if (
        isinstance(filename, str)
        and isinstance(mimetype, str)
        and isinstance(key, str)
        and isinstance(nonce, str)
        and isinstance(tag, str)
        and isinstance(alias, str)
    ):
        return _Texts(filename, mimetype, key, nonce, tag, holder)
    raise MalformedError("a member of an entry is missing or not a text")


def _check_name(name: str) -> None:
    fault = clear_name_fault(name)
    if fault:
        raise MalformedError(fault)


def _entry(texts: _Texts) -> Entry:
    """The entry; FormatError when a value cannot be used."""
    holder = texts.holder
    _check_name(texts.filename)
    # A desktop client reads the older member name too: two different nonces have no single meaning.
    if holder.get("initializationVector", texts.nonce) != texts.nonce or holder.get("chunked") is True:
        raise MalformedError("the entry has two nonces or is of the experimental chunked format")
    return Entry(
        texts.filename,
        texts.mimetype,
        FileKey(decode_b64(texts.key)),
        Nonce(decode_b64(texts.nonce)),
        Tag(decode_b64(texts.tag)),
        {name: value for name, value in holder.items() if name not in _ENTRY_MEMBERS},
    )


def _entry_json(entry: Entry) -> JsonObject:
    return {
        **entry.extra,
        "authenticationTag": encode_b64(entry.tag),
        "filename": entry.filename,
        "key": encode_b64(entry.key.reveal()),
        "mimetype": DEFAULT_MIMETYPE if entry.mimetype in _FOLDER_MIMETYPES else entry.mimetype,
        "nonce": encode_b64(entry.nonce),
    }
