"""Folder metadata 2.0 and 2.1: the outer document with its people, its sealed block and its arrivals.

Layer: ``formats``. Nothing here is verified: who signed a document and who may is decided in ``folder``. A document
whose grammar is wrong is refused as a whole; an arrival of the file drop, which nobody signed, only by itself. The
inner document is in ``formats.content``; its names are offered here too.

Source: protocol document, sections 8, 10 and 16; threat model, A92.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from candado.encoding import encode_b64
from candado.errors import FormatError, MalformedError, UnsupportedVersionError
from candado.formats.canonjson import JsonObject, JsonValue, dump_ascii, load_json
from candado.formats.content import (
    CONTENT_BYTES_MAX,
    DEFAULT_MIMETYPE,
    Entry,
    FolderContent,
    SkippedEntry,
    clear_name_fault,
    format_content,
    format_drop_content,
    parse_content,
    parse_drop_content,
)
from candado.formats.fields import b64_member, list_of, object_of, string_member
from candado.types import Nonce, SealedName, Tag, UserId, check_sealed_name, check_user_id

__all__ = [
    "CONTENT_BYTES_MAX",
    "DEFAULT_MIMETYPE",
    "SEALED_BYTES_MAX",
    "Entry",
    "FolderContent",
    "SealedBlock",
    "SealedDrop",
    "SealedFolder",
    "SealedUser",
    "SkippedEntry",
    "clear_name_fault",
    "document_version",
    "format_content",
    "format_drop",
    "format_drop_content",
    "format_sealed",
    "parse_content",
    "parse_drop",
    "parse_drop_content",
    "parse_sealed",
]

SEALED_BYTES_MAX: Final = 32 * 1024 * 1024
_VERSIONS: Final = {"1": "1.0", "1.0": "1.0", "1.1": "1.1", "1.2": "1.2", "2": "2.0", "2.0": "2.0", "2.1": "2.1"}


@dataclass(frozen=True, slots=True)
class SealedBlock:
    """Sealed bytes: ``ciphertext`` ends in a tag, ``tag`` is the copy beside it; whether they agree is not known."""

    ciphertext: bytes
    nonce: Nonce
    tag: Tag


@dataclass(frozen=True, slots=True)
class SealedUser:
    """One person of a root document; ``certificate_pem`` byte for byte as it came, ``wrapped_key`` RSA-OAEP."""

    user_id: UserId
    certificate_pem: str
    wrapped_key: bytes


@dataclass(frozen=True, slots=True)
class SealedDrop:
    """One arrival in a file drop: not signed by anybody. ``users`` are the wrapped keys; ``raw`` is the JSON."""

    sealed_name: SealedName
    block: SealedBlock
    users: tuple[tuple[UserId, bytes], ...]
    raw: JsonObject


@dataclass(frozen=True, slots=True)
class SealedFolder:
    """An outer document, not verified.

    ``users`` is None when the member is absent and may be empty. ``bad_drops`` are the names of arrivals that cannot be
    read; ``document`` is the parsed JSON that signatures are computed over.
    """

    version: str
    block: SealedBlock
    users: tuple[SealedUser, ...] | None
    drops: tuple[SealedDrop, ...]
    bad_drops: tuple[str, ...]
    document: JsonObject


# --- the outer document -------------------------------------------------------------------------------------


def parse_sealed(text: str) -> SealedFolder:
    """Return the outer document in ``text``.

    Raises:
        LimitExceededError: more than 32 MiB, too deep, too many values.
        UnsupportedVersionError: a version other than 2, 2.0 and 2.1; 1.x is read by ``formats.legacy``.
        MalformedError: any other deviation; nothing of the document is used.
    """
    try:
        document = object_of(load_json(text, bytes_max=SEALED_BYTES_MAX), "a folder document")
    except MalformedError:
        if document_version(text).startswith("1."):  # such a document has its version as a number with a fraction
            raise UnsupportedVersionError("folder metadata of version 1; it must be migrated to 2.0 first") from None
        raise
    version = _version(document)
    block = _block(object_of(document.get("metadata"), "the member metadata"))
    users = None
    if "users" in document:
        users = tuple(_user(value) for value in list_of(document["users"], "the member users"))
    drops, bad_drops = _drops(document.get("filedrop"))
    return SealedFolder(version, block, users, drops, bad_drops, document)


def format_sealed(
    version: str, block: SealedBlock, users: Iterable[SealedUser] | None, drops_raw: JsonObject
) -> tuple[str, JsonObject]:
    """Return the outer document as text and as parsed JSON.

    Args:
        version: ``2.0`` or ``2.1``.
        block: the sealed inner document.
        users: the people of a root, in an order that stays; None for a nested folder.
        drops_raw: arrivals to keep, by name; the member is left out when there are none.
    """
    document: JsonObject = {"metadata": _block_json(block), "version": version}
    if users is not None:
        document["users"] = [
            {
                "certificate": user.certificate_pem,
                "encryptedMetadataKey": encode_b64(user.wrapped_key),
                "userId": user.user_id,
            }
            for user in users
        ]
    if drops_raw:
        document["filedrop"] = drops_raw
    return dump_ascii(document).decode("ascii"), document


def format_drop(block: SealedBlock, users: Iterable[tuple[UserId, bytes]]) -> JsonObject:
    """Return the JSON of one arrival for a file drop: the sealed entry and its key wrapped for each person."""
    wrapped: list[JsonValue] = [{"encryptedFiledropKey": encode_b64(key), "userId": user_id} for user_id, key in users]
    return {**_block_json(block), "users": wrapped}


def document_version(text: str) -> str:
    """Return the version of any folder document: ``1.0``, ``1.1``, ``1.2``, ``2.0`` or ``2.1``.

    Raises:
        UnsupportedVersionError: another version or none.
        MalformedError, LimitExceededError: not a JSON object.

    Source: protocol document, sections 10 and 18.
    """
    return _any_version(object_of(load_json(text, bytes_max=SEALED_BYTES_MAX, floats=True), "a folder document"))


def _any_version(document: JsonObject) -> str:
    found = document.get("version")
    if found is None:
        found = object_of(document.get("metadata"), "the member metadata").get("version")
    known = None if isinstance(found, bool) else _VERSIONS.get(str(found))
    if known is None:
        raise UnsupportedVersionError(f"folder metadata of version {found!r}; supported are 2.0 and 2.1")
    return known


def _version(document: JsonObject) -> str:
    version = _any_version(document)
    if version.startswith("1."):
        raise UnsupportedVersionError(f"folder metadata of version {version}; it must be migrated to 2.0 first")
    return version


def _block(holder: JsonObject) -> SealedBlock:
    # Native clients append "|" and the nonce once more to the ciphertext.
    sealed, _, _ = string_member(holder, "ciphertext").partition("|")
    return SealedBlock(
        b64_member({"ciphertext": sealed}, "ciphertext"),
        Nonce(b64_member(holder, "nonce")),
        Tag(b64_member(holder, "authenticationTag")),
    )


def _block_json(block: SealedBlock) -> JsonObject:
    return {
        "authenticationTag": encode_b64(block.tag),
        "ciphertext": encode_b64(block.ciphertext),
        "nonce": encode_b64(block.nonce),
    }


def _user(value: JsonValue) -> SealedUser:
    holder = object_of(value, "an entry of users")
    return SealedUser(
        check_user_id(string_member(holder, "userId")),
        string_member(holder, "certificate"),
        b64_member(holder, "encryptedMetadataKey"),
    )


def _drops(value: JsonValue) -> tuple[tuple[SealedDrop, ...], tuple[str, ...]]:
    """Arrivals and the names of those that cannot be read; they are unsigned and must not block the folder."""
    if value is None or value == []:  # a stock server writes an empty object as an empty list
        return (), ()
    drops: list[SealedDrop] = []
    bad: list[str] = []
    for name, raw in object_of(value, "the member filedrop").items():
        try:
            drops.append(parse_drop(name, raw))
        except FormatError:
            bad.append(name)
    return tuple(drops), tuple(bad)


def parse_drop(name: str, raw: JsonValue) -> SealedDrop:
    """Return one arrival; MalformedError when its name or its JSON cannot be used."""
    holder = object_of(raw, "an arrival")
    people = [object_of(user, "a user") for user in list_of(holder.get("users"), "the member users")]
    users = tuple(
        (check_user_id(string_member(user, "userId")), b64_member(user, "encryptedFiledropKey")) for user in people
    )
    return SealedDrop(check_sealed_name(name), _block(holder), users, holder)
