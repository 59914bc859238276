"""Bundles: encrypted folders as files, complete enough to be opened without any server.

    candado-bundle.json          the manifest; written last
    candado-bundle.sig           the exporter's signature over it
    index.jsonl                  what there is, one line a folder or body, each folder before what is in it
    documents/ID.json, ID.sig    metadata of a folder and its signature, as the server gave them
    bodies/ID/SEALEDNAME         the stored bodies of folder ID, ciphertext

Layer: ``formats``; pure. Nothing here is verified: the signature of the manifest covers the digest of the index, and
the index has that of everything else. A parser takes what a formatter writes and nothing else, byte for byte.

Source: docs/spec/bundle.md.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from candado.encoding import PEM_CHARS_MAX, WRAPPED_CHARS_MAX, encode_b64
from candado.errors import LimitExceededError, MalformedError, UnsupportedVersionError
from candado.formats.canonjson import INTEGER_MAX, JsonObject, JsonValue, dump_canonical, load_json
from candado.formats.content import clear_name_fault
from candado.formats.fields import b64_member, list_of, object_of, string_member
from candado.types import FileId, SealedName, UserId, check_file_id, check_sealed_name, check_user_id

__all__ = [
    "BODIES_MAX",
    "FOLDERS_MAX",
    "INDEX_NAME",
    "LINE_BYTES_MAX",
    "MANIFEST_BYTES_MAX",
    "MANIFEST_NAME",
    "MANIFEST_SIGNATURE_NAME",
    "SIGNATURE_CHARS_MAX",
    "UNFINISHED_NAME",
    "BodyLine",
    "BundleManifest",
    "FolderLine",
    "IndexLine",
    "body_name",
    "document_name",
    "format_line",
    "format_manifest",
    "is_member_name",
    "parse_line",
    "parse_manifest",
    "signature_name",
]

MANIFEST_NAME: Final = "candado-bundle.json"
MANIFEST_SIGNATURE_NAME: Final = "candado-bundle.sig"
INDEX_NAME: Final = "index.jsonl"
UNFINISHED_NAME: Final = "unfinished.json"
"""In a folder whose export was cut; never part of a bundle."""

MANIFEST_BYTES_MAX: Final = 256 * 1024
LINE_BYTES_MAX: Final = 1024 * 1024
SIGNATURE_CHARS_MAX: Final = 512 * 1024
FOLDERS_MAX: Final = 1_000_000
BODIES_MAX: Final = 10_000_000

_FORMAT: Final = "candado-bundle"
_VERSION: Final = 1
_SERVER_CHARS_MAX: Final = 2048
_PATH_CHARS_MAX: Final = 4096
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_MEMBER = re.compile(
    r"(?:candado-bundle\.(?:json|sig)|index\.jsonl"
    r"|documents/[1-9][0-9]{0,18}\.(?:json|sig)|bodies/[1-9][0-9]{0,18}/[A-Za-z0-9_-]{1,64})\Z"
)
_MANIFEST: Final = frozenset(
    (
        "authority",
        "bodies",
        "body_bytes",
        "certificate",
        "created",
        "exporter",
        "folders",
        "format",
        "index_sha256",
        "missing",
        "private_key",
        "roots",
        "server",
        "version",
        "with_bodies",
    )
)
_ROOT: Final = frozenset(("document_sha256", "id", "kind", "older_keys", "path", "signature_sha256"))
_NESTED: Final = frozenset(("document_sha256", "id", "kind", "name", "parent", "signature_sha256"))
_BODY: Final = frozenset(("folder", "kind", "mtime", "name", "sha256", "size"))


@dataclass(frozen=True, slots=True)
class BundleManifest:
    """What a bundle says of itself.

    ``created`` in seconds since the epoch. ``private_key`` is the exporter's, wrapped under the twelve words ("" when
    the exporting device did not have them); ``certificate_pem`` is the exporter's, ``authority_pem`` the key that
    signed it. ``missing`` counts bodies that folders list and the server did not have; with ``with_bodies`` False
    there are none at all.
    """

    created: int
    server: str
    exporter: UserId
    certificate_pem: str
    private_key: str
    authority_pem: str
    with_bodies: bool
    roots: int
    folders: int
    bodies: int
    body_bytes: int
    missing: int
    index_sha256: str


@dataclass(frozen=True, slots=True)
class FolderLine:
    """A folder. Of a root ``path`` is the clear path and ``parent_id`` and ``sealed_name`` are None.

    ``older_keys`` are metadata keys of a root that some nested folder is still sealed under, each wrapped for a member.
    """

    file_id: FileId
    document_sha256: str
    signature_sha256: str
    path: str = ""
    older_keys: tuple[tuple[UserId, bytes], ...] = ()
    parent_id: FileId | None = None
    sealed_name: SealedName | None = None


@dataclass(frozen=True, slots=True)
class BodyLine:
    """A stored body: ``size_bytes`` and ``sha256`` of the ciphertext, time in whole seconds since the epoch."""

    folder_id: FileId
    sealed_name: SealedName
    size_bytes: int
    mtime_seconds: int
    sha256: str


IndexLine = FolderLine | BodyLine


# --- names of files ---------------------------------------------------------------------------------------


def document_name(file_id: FileId) -> str:
    """Where the document of a folder is."""
    return f"documents/{file_id}.json"


def signature_name(file_id: FileId) -> str:
    """Where the signature of that document is."""
    return f"documents/{file_id}.sig"


def body_name(folder_id: FileId, sealed_name: SealedName) -> str:
    """Where a body is."""
    return f"bodies/{folder_id}/{sealed_name}"


def is_member_name(name: str) -> bool:
    """Whether a bundle can have a file of this name."""
    return _MEMBER.match(name) is not None


# --- the manifest -----------------------------------------------------------------------------------------


def format_manifest(manifest: BundleManifest) -> bytes:
    """Return the manifest as canonical JSON."""
    return dump_canonical(
        {
            "authority": manifest.authority_pem,
            "bodies": manifest.bodies,
            "body_bytes": manifest.body_bytes,
            "certificate": manifest.certificate_pem,
            "created": manifest.created,
            "exporter": manifest.exporter,
            "folders": manifest.folders,
            "format": _FORMAT,
            "index_sha256": manifest.index_sha256,
            "missing": manifest.missing,
            "private_key": manifest.private_key,
            "roots": manifest.roots,
            "server": manifest.server,
            "version": _VERSION,
            "with_bodies": manifest.with_bodies,
        }
    )


def parse_manifest(raw: bytes) -> BundleManifest:
    """Return the manifest in ``raw``.

    Raises:
        LimitExceededError: larger than 256 KiB, a text or a count beyond its limit.
        UnsupportedVersionError: of a version we do not know.
        MalformedError: anything else that ``format_manifest`` does not write.
    """
    holder = object_of(load_json(raw, bytes_max=MANIFEST_BYTES_MAX, depth_max=4), "a manifest")
    if holder.get("format") != _FORMAT:
        raise MalformedError("this is not the manifest of a bundle")
    version = holder.get("version")
    if isinstance(version, bool) or version != _VERSION:
        raise UnsupportedVersionError(f"a bundle of version {version!r}; supported is {_VERSION}")
    _check_spelling(raw, holder, _MANIFEST, "a manifest")
    with_bodies = holder["with_bodies"]
    if not isinstance(with_bodies, bool):
        raise MalformedError("the member with_bodies is not true or false")
    return BundleManifest(
        created=_number(holder, "created", INTEGER_MAX),
        server=_text(holder, "server", _SERVER_CHARS_MAX),
        exporter=check_user_id(string_member(holder, "exporter")),
        certificate_pem=_text(holder, "certificate", PEM_CHARS_MAX),
        private_key=_text(holder, "private_key", WRAPPED_CHARS_MAX),
        authority_pem=_text(holder, "authority", PEM_CHARS_MAX),
        with_bodies=with_bodies,
        roots=_number(holder, "roots", FOLDERS_MAX),
        folders=_number(holder, "folders", FOLDERS_MAX),
        bodies=_number(holder, "bodies", BODIES_MAX),
        body_bytes=_number(holder, "body_bytes", INTEGER_MAX),
        missing=_number(holder, "missing", BODIES_MAX),
        index_sha256=_digest(holder, "index_sha256"),
    )


# --- the index --------------------------------------------------------------------------------------------


def format_line(line: IndexLine) -> bytes:
    """Return one line of the index, its line feed included."""
    document: JsonObject
    if isinstance(line, BodyLine):
        document = {
            "folder": line.folder_id,
            "kind": "body",
            "mtime": line.mtime_seconds,
            "name": line.sealed_name,
            "sha256": line.sha256,
            "size": line.size_bytes,
        }
    else:
        document = {
            "document_sha256": line.document_sha256,
            "id": line.file_id,
            "signature_sha256": line.signature_sha256,
        }
        if line.parent_id is None:
            keys: list[JsonValue] = [{"key": encode_b64(key), "user": user} for user, key in line.older_keys]
            document |= {"kind": "root", "older_keys": keys, "path": line.path}
        else:
            document |= {"kind": "nested", "name": line.sealed_name, "parent": line.parent_id}
    return dump_canonical(document) + b"\n"


def parse_line(raw: bytes) -> IndexLine:
    """Return one line of the index.

    Raises:
        LimitExceededError: longer than 1 MiB, a number beyond its limit.
        MalformedError: anything else that ``format_line`` does not write.
    """
    if not raw.endswith(b"\n"):
        raise MalformedError("a line of the index is cut off")
    holder = object_of(load_json(raw[:-1], bytes_max=LINE_BYTES_MAX, depth_max=4), "a line of the index")
    kind = holder.get("kind")
    if kind == "root":
        _check_spelling(raw[:-1], holder, _ROOT, "a root")
        return FolderLine(
            file_id=_file_id(holder, "id"),
            document_sha256=_digest(holder, "document_sha256"),
            signature_sha256=_digest(holder, "signature_sha256"),
            path=_clear_path(_text(holder, "path", _PATH_CHARS_MAX)),
            older_keys=tuple(_wrapped_key(value) for value in list_of(holder["older_keys"], "the older keys")),
        )
    if kind == "nested":
        _check_spelling(raw[:-1], holder, _NESTED, "a nested folder")
        return FolderLine(
            file_id=_file_id(holder, "id"),
            document_sha256=_digest(holder, "document_sha256"),
            signature_sha256=_digest(holder, "signature_sha256"),
            parent_id=_file_id(holder, "parent"),
            sealed_name=check_sealed_name(string_member(holder, "name")),
        )
    if kind == "body":
        _check_spelling(raw[:-1], holder, _BODY, "a body")
        return BodyLine(
            folder_id=_file_id(holder, "folder"),
            sealed_name=check_sealed_name(string_member(holder, "name")),
            size_bytes=_number(holder, "size", INTEGER_MAX),
            mtime_seconds=_number(holder, "mtime", INTEGER_MAX),
            sha256=_digest(holder, "sha256"),
        )
    raise MalformedError("a line of the index is of an unknown kind")


# --- members ----------------------------------------------------------------------------------------------


def _check_spelling(raw: bytes, holder: JsonObject, members: Collection[str], what: str) -> None:
    if holder.keys() != set(members):
        raise MalformedError(f"{what} does not have exactly its members")
    if dump_canonical(holder) != raw:
        raise MalformedError(f"{what} is not in its one spelling")


def _number(holder: JsonObject, name: str, largest: int) -> int:
    value = holder[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise MalformedError(f"the member {name} is not a number")
    if value > largest:
        raise LimitExceededError(f"the member {name} is larger than {largest}")
    return value


def _file_id(holder: JsonObject, name: str) -> FileId:
    return check_file_id(_number(holder, name, INTEGER_MAX))


def _text(holder: JsonObject, name: str, chars_max: int) -> str:
    text = string_member(holder, name)
    if len(text) > chars_max:
        raise LimitExceededError(f"the member {name} is longer than {chars_max} characters")
    return text


def _digest(holder: JsonObject, name: str) -> str:
    text = string_member(holder, name)
    if not _DIGEST.match(text):
        raise MalformedError(f"the member {name} is not a SHA-256 digest")
    return text


def _clear_path(path: str) -> str:
    first, *parts = path.split("/")
    if first or not parts or any(clear_name_fault(part) is not None for part in parts):
        raise MalformedError("the path of a root is not a path")
    return path


def _wrapped_key(value: JsonValue) -> tuple[UserId, bytes]:
    holder = object_of(value, "an older key")
    if holder.keys() != {"key", "user"}:
        raise MalformedError("an older key does not have exactly its members")
    return check_user_id(string_member(holder, "user")), b64_member(holder, "key")
