"""Giving a user access to folders again after all keys were lost: what is asked for, and what the recovery key gives.

A *request* is made by the user's new device: the documents of the folders as the server shows them, under the user's
new certificate. A *re-grant* is made offline: for each root the metadata key, wrapped for the new key and signed by the
recovery key. The user's device opens the root with it and writes the next state itself, under another metadata key; the
recovery key signs no document.

Layer: ``folder``; pure. Source: our own; ``docs/spec/recovery.md``; ADR 0020.
"""

from dataclasses import dataclass, field
from typing import Final

from candado.crypto.rsa import PrivateKey, PublicKey
from candado.crypto.x509 import Certificate, check_certificate, parse_certificate
from candado.encoding import encode_b64
from candado.errors import LimitExceededError, MalformedError
from candado.folder.model import RawText
from candado.folder.recoveryrecords import ROOTS_MAX
from candado.folder.signedrecord import (
    SECONDS_MAX,
    check_text,
    file_id_member,
    hex_member,
    number_member,
    objects_member,
    read_record,
    sign_record,
)
from candado.formats.canonjson import JsonObject, JsonValue
from candado.formats.fields import b64_member, string_member
from candado.types import FileId, UserId, check_user_id

__all__ = [
    "REGRANT_BYTES_MAX",
    "REQUEST_BYTES_MAX",
    "GrantedRoot",
    "Regrant",
    "Request",
    "RequestedRoot",
    "parse_regrant",
    "parse_request",
    "sign_regrant",
    "sign_request",
]

REQUEST_BYTES_MAX: Final = 512 * 1024 * 1024
REGRANT_BYTES_MAX: Final = 64 * 1024 * 1024
_PATH_CHARS_MAX: Final = 4096
_REQUEST: Final = "candado.recovery-request/1"
_REGRANT: Final = "candado.regrant/1"
_REQUEST_MEMBERS: Final = frozenset(("account", "authority", "certificate", "created", "roots", "server"))
_REQUESTED_MEMBERS: Final = frozenset(("document", "id", "path", "signature"))
_REGRANT_MEMBERS: Final = frozenset(("account", "created", "id", "new_key", "public_key", "roots", "server"))
_GRANTED_MEMBERS: Final = frozenset(("former_key", "id", "key", "path"))


@dataclass(frozen=True, slots=True)
class RequestedRoot:
    """A root as the server shows it; nothing of it is verified. ``path`` is clear and starts with a slash."""

    file_id: FileId
    path: str
    raw: RawText = field(repr=False)


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asks for. ``created`` in whole seconds since the epoch."""

    account: UserId
    server: str
    certificate: Certificate
    """Of the new key, which signed the request."""
    authority: PublicKey
    """That signed the certificate, as the user's device knows it."""
    created: int
    roots: tuple[RequestedRoot, ...]


@dataclass(frozen=True, slots=True)
class GrantedRoot:
    """Access to one root. ``former_key`` is the fingerprint of the key that was lost, ``wrapped_key`` OAEP."""

    file_id: FileId
    path: str
    former_key: str
    wrapped_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Regrant:
    """What the recovery key gives. ``record_id`` is that of the record of this use, ``new_key`` a fingerprint."""

    record_id: str
    account: UserId
    server: str
    new_key: str
    public_key: PublicKey
    """The recovery key."""
    created: int
    roots: tuple[GrantedRoot, ...]


def sign_request(request: Request, key: PrivateKey) -> str:
    """Return the request as text for a file; ``key`` is that of its certificate."""
    roots: list[JsonValue] = [
        {"id": one.file_id, "path": one.path, "document": one.raw.text, "signature": one.raw.signature or ""}
        for one in request.roots
    ]
    body: JsonObject = {
        "account": request.account,
        "server": request.server,
        "certificate": request.certificate.pem,
        "authority": request.authority.to_pem(),
        "created": request.created,
        "roots": roots,
    }
    return sign_record(_REQUEST, body, key)


def parse_request(data: bytes | str) -> Request:
    """Return the request in ``data``: signed with the key of its certificate, which its authority signed.

    The caller compares the authority's fingerprint, and the user's, with what people know.

    Raises:
        FormatError: not a request. BadSignatureError: it was altered, or signed by another key.
        UntrustedCertificateError: the certificate is for somebody else or not by that authority.
    """
    record = read_record(_REQUEST, data, _REQUEST_MEMBERS, bytes_max=REQUEST_BYTES_MAX)
    body = record.body
    account, created = check_user_id(string_member(body, "account")), number_member(body, "created", SECONDS_MAX)
    certificate = parse_certificate(string_member(body, "certificate"))
    authority = PublicKey.from_pem(string_member(body, "authority"))
    check_certificate(certificate, user_id=account, authority=authority, now=created)
    record.verify(certificate.public_key)
    roots = tuple(
        RequestedRoot(
            file_id_member(one, "id"),
            _path(one),
            RawText(string_member(one, "document"), string_member(one, "signature") or None),
        )
        for one in _roots(body, _REQUESTED_MEMBERS)
    )
    return Request(account, _server(body), certificate, authority, created, roots)


def sign_regrant(regrant: Regrant, key: PrivateKey) -> str:
    """Return the re-grant as text for a file; ``key`` is the recovery key."""
    roots: list[JsonValue] = [
        {"id": one.file_id, "path": one.path, "former_key": one.former_key, "key": encode_b64(one.wrapped_key)}
        for one in regrant.roots
    ]
    body: JsonObject = {
        "id": regrant.record_id,
        "account": regrant.account,
        "server": regrant.server,
        "new_key": regrant.new_key,
        "public_key": regrant.public_key.to_pem(),
        "created": regrant.created,
        "roots": roots,
    }
    return sign_record(_REGRANT, body, key)


def parse_regrant(data: bytes | str) -> Regrant:
    """Return the re-grant in ``data``, signed by the key it names; the caller finds that key among a root's members.

    Raises:
        FormatError: not a re-grant. BadSignatureError: it was altered, or signed by another key.
        UntrustedCertificateError: the key is none that we accept.
    """
    record = read_record(_REGRANT, data, _REGRANT_MEMBERS, bytes_max=REGRANT_BYTES_MAX)
    body = record.body
    public_key = PublicKey.from_pem(string_member(body, "public_key"))
    record.verify(public_key)
    return Regrant(
        record_id=hex_member(body, "id", 32),
        account=check_user_id(string_member(body, "account")),
        server=_server(body),
        new_key=hex_member(body, "new_key", 64),
        public_key=public_key,
        created=number_member(body, "created", SECONDS_MAX),
        roots=tuple(
            GrantedRoot(
                file_id_member(one, "id"), _path(one), hex_member(one, "former_key", 64), b64_member(one, "key")
            )
            for one in _roots(body, _GRANTED_MEMBERS)
        ),
    )


def _roots(body: JsonObject, members: frozenset[str]) -> list[JsonObject]:
    roots = objects_member(body, "roots", members)
    if len(roots) > ROOTS_MAX:
        raise LimitExceededError(f"there are more than {ROOTS_MAX} roots")
    ids = {file_id_member(one, "id") for one in roots}
    if not roots or len(ids) != len(roots):
        raise MalformedError("there is no root, or one is there twice")
    return roots


def _path(holder: JsonObject) -> str:
    path = check_text(string_member(holder, "path"), "the path of a root", chars_max=_PATH_CHARS_MAX)
    if not path.startswith("/"):
        raise MalformedError("the path of a root starts with a slash")
    return path


def _server(body: JsonObject) -> str:
    return check_text(string_member(body, "server"), "the server")
