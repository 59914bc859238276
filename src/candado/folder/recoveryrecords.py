"""What the recovery key signs about itself: the record of the ceremony that made it, and of each use of it.

A record (see ``signedrecord``) names the key that signed it; that this is the recovery key of an organisation the
reader knows by its fingerprint. Client and server read records with this module.

Layer: ``folder``; pure. Source: our own; ``docs/spec/recovery.md``; threat model, B14.
"""

from dataclasses import dataclass
from typing import Final, Literal, cast

from candado.crypto.rsa import PrivateKey, PublicKey
from candado.crypto.shamir import SHARES_MAX
from candado.crypto.x509 import parse_csr
from candado.errors import LimitExceededError, MalformedError, UntrustedCertificateError
from candado.folder.signedrecord import (
    COUNT_MAX,
    SECONDS_MAX,
    check_text,
    file_id_member,
    hex_member,
    integer,
    number_member,
    objects_member,
    read_record,
    sign_record,
)
from candado.formats.canonjson import JsonObject, JsonValue
from candado.formats.fields import list_of, string_member
from candado.types import FileId, UserId, check_user_id

__all__ = [
    "RECORD_BYTES_MAX",
    "CeremonyRecord",
    "Custodian",
    "RootUse",
    "UseKind",
    "UseRecord",
    "UseState",
    "check_people",
    "parse_ceremony_record",
    "parse_use_record",
    "recovery_user_id",
    "sign_ceremony_record",
    "sign_use_record",
]

RECORD_BYTES_MAX: Final = 4 * 1024 * 1024
NAME_CHARS_MAX: Final = 100
ROOTS_MAX: Final = 10_000
_CEREMONY: Final = "candado.recovery-ceremony/1"
_USE: Final = "candado.recovery-use/1"
_PEOPLE_NEEDED: Final = 2
_CEREMONY_MEMBERS: Final = frozenset(
    ("ceremony", "created", "fingerprint", "needed", "public_key", "purpose", "request", "shares")
)
_USE_MEMBERS: Final = frozenset(
    (
        "account",
        "begun",
        "bundle_sha256",
        "bytes",
        "ceremony",
        "certificate_sha256",
        "ended",
        "files",
        "fingerprint",
        "id",
        "kind",
        "persons",
        "public_key",
        "purpose",
        "roots",
        "server",
        "sheets",
        "state",
    )
)
_ROOT_MEMBERS: Final = frozenset(("document_sha256", "id"))
_SHARE_MEMBERS: Final = frozenset(("custodian", "index", "sha256"))


UseKind = Literal["decrypt", "regrant"]
"""The content of folders was opened, or folders were made over to a new key of their user."""

UseState = Literal["begun", "done"]
"""A record is written as *begun* before anything is opened, and as *done* afterwards."""


@dataclass(frozen=True, slots=True)
class Custodian:
    """Who keeps a sheet; ``sha256`` is the share's digest."""

    index: int
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class CeremonyRecord:
    """How a recovery key was made. ``created`` in whole seconds since the epoch; ``ceremony`` has 10 hex digits."""

    ceremony: str
    purpose: str
    needed: int
    custodians: tuple[Custodian, ...]
    created: int
    public_key: PublicKey
    request_pem: str
    """The certificate request for ``recovery:FINGERPRINT``, with its proof that the private half is there."""


@dataclass(frozen=True, slots=True)
class RootUse:
    """One encrypted root, and the digest of the document it was opened from: SHA-256 of the bytes its signer signed."""

    file_id: FileId
    document_sha256: str


@dataclass(frozen=True, slots=True)
class UseRecord:
    """One use of the recovery key.

    ``record_id`` has 32 random hex digits and is the same in both states. ``account`` is whose folders were opened or
    who got access, ``server`` its server's address as the bundle says. ``begun`` and ``ended`` in whole seconds since
    the epoch, ``ended`` 0 while the state is *begun*. ``certificate_sha256`` names the new certificate of a re-grant.
    """

    record_id: str
    kind: UseKind
    state: UseState
    persons: tuple[str, ...]
    purpose: str
    sheets: tuple[int, ...]
    ceremony: str
    public_key: PublicKey
    begun: int
    ended: int
    server: str
    account: UserId
    bundle_sha256: str
    certificate_sha256: str
    roots: tuple[RootUse, ...]
    files: int
    bytes: int


def recovery_user_id(key: PublicKey) -> UserId:
    """Return the user id under which the recovery key is a member of folders: ``recovery:`` and 16 hex digits."""
    return UserId(f"recovery:{key.fingerprint_hex[:16]}")


def check_people(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names when they are two or more different people's; MalformedError otherwise."""
    for name in names:
        check_text(name, "the name of a person", chars_max=NAME_CHARS_MAX)
    if len({" ".join(name.casefold().split()) for name in names}) < max(_PEOPLE_NEEDED, len(names)):
        raise MalformedError("two people or more are needed, each named once")
    return names


# --- the ceremony -----------------------------------------------------------------------------------------


def sign_ceremony_record(record: CeremonyRecord, key: PrivateKey) -> str:
    """Return the signed record as text for a file."""
    shares: list[JsonValue] = [
        {"index": one.index, "custodian": one.name, "sha256": one.sha256} for one in record.custodians
    ]
    body: JsonObject = {
        "ceremony": record.ceremony,
        "purpose": record.purpose,
        "needed": record.needed,
        "shares": shares,
        "created": record.created,
        "fingerprint": record.public_key.fingerprint_hex,
        "public_key": record.public_key.to_pem(),
        "request": record.request_pem,
    }
    return sign_record(_CEREMONY, body, key)


def parse_ceremony_record(data: bytes | str) -> CeremonyRecord:
    """Return the record in ``data``, whose signature by the key it names holds.

    Raises:
        FormatError: not such a record. BadSignatureError: it was altered, or signed by another key.
        UntrustedCertificateError: its request is for another key or name, or the key is none that we accept.
    """
    body, public_key = _verified(_CEREMONY, data, _CEREMONY_MEMBERS)
    needed = number_member(body, "needed", SHARES_MAX)
    custodians = tuple(_custodian(holder) for holder in objects_member(body, "shares", _SHARE_MEMBERS))
    if [one.index for one in custodians] != list(range(1, len(custodians) + 1)) or not (
        2 <= needed <= len(custodians) <= SHARES_MAX
    ):
        raise MalformedError("the shares of a ceremony are numbered from 1, and no more are needed than there are")
    request_pem = string_member(body, "request")
    request = parse_csr(request_pem)
    if request.public_key != public_key or request.common_name != recovery_user_id(public_key):
        raise UntrustedCertificateError("the certificate request of the ceremony is for another key")
    return CeremonyRecord(
        ceremony=hex_member(body, "ceremony", 10),
        purpose=check_text(string_member(body, "purpose"), "the purpose"),
        needed=needed,
        custodians=custodians,
        created=number_member(body, "created", SECONDS_MAX),
        public_key=public_key,
        request_pem=request_pem,
    )


def _custodian(holder: JsonObject) -> Custodian:
    name = check_text(string_member(holder, "custodian"), "the name of a person", chars_max=NAME_CHARS_MAX)
    return Custodian(number_member(holder, "index", SHARES_MAX), name, hex_member(holder, "sha256", 64))


# --- a use ------------------------------------------------------------------------------------------------


def sign_use_record(record: UseRecord, key: PrivateKey) -> str:
    """Return the signed record as text for a file."""
    persons: list[JsonValue] = [*record.persons]
    sheets: list[JsonValue] = [*record.sheets]
    roots: list[JsonValue] = [{"id": one.file_id, "document_sha256": one.document_sha256} for one in record.roots]
    body: JsonObject = {
        "id": record.record_id,
        "kind": record.kind,
        "state": record.state,
        "persons": persons,
        "purpose": record.purpose,
        "sheets": sheets,
        "ceremony": record.ceremony,
        "fingerprint": record.public_key.fingerprint_hex,
        "public_key": record.public_key.to_pem(),
        "begun": record.begun,
        "ended": record.ended,
        "server": record.server,
        "account": record.account,
        "bundle_sha256": record.bundle_sha256,
        "certificate_sha256": record.certificate_sha256,
        "roots": roots,
        "files": record.files,
        "bytes": record.bytes,
    }
    return sign_record(_USE, body, key)


def parse_use_record(data: bytes | str) -> UseRecord:
    """Return the record in ``data``, whose signature by the key it names holds.

    The caller compares ``public_key`` with the recovery key of the organisation.

    Raises:
        FormatError: not such a record. BadSignatureError: it was altered, or signed by another key.
        UntrustedCertificateError: the key is none that we accept.
    """
    body, public_key = _verified(_USE, data, _USE_MEMBERS)
    kind, state = string_member(body, "kind"), string_member(body, "state")
    if kind not in {"decrypt", "regrant"} or state not in {"begun", "done"}:
        raise MalformedError("a use is a decryption or a re-grant, begun or done")
    sheets = tuple(integer(value, "a sheet", SHARES_MAX) for value in list_of(body["sheets"], "the sheets"))
    if len(sheets) < 2 or list(sheets) != sorted(set(sheets)) or sheets[0] < 1:
        raise MalformedError("a use names two sheets or more, each once, in order")
    roots = objects_member(body, "roots", _ROOT_MEMBERS)
    if len(roots) > ROOTS_MAX:
        raise LimitExceededError(f"a use is of more than {ROOTS_MAX} roots")
    return UseRecord(
        record_id=hex_member(body, "id", 32),
        kind=cast("UseKind", kind),
        state=cast("UseState", state),
        persons=check_people(tuple(_text(value) for value in list_of(body["persons"], "the persons"))),
        purpose=check_text(string_member(body, "purpose"), "the purpose"),
        sheets=sheets,
        ceremony=hex_member(body, "ceremony", 10),
        public_key=public_key,
        begun=number_member(body, "begun", SECONDS_MAX),
        ended=number_member(body, "ended", SECONDS_MAX),
        server=check_text(string_member(body, "server"), "the server"),
        account=check_user_id(string_member(body, "account")),
        bundle_sha256=hex_member(body, "bundle_sha256", 64),
        certificate_sha256=hex_member(body, "certificate_sha256", 64, empty=True),
        roots=tuple(RootUse(file_id_member(one, "id"), hex_member(one, "document_sha256", 64)) for one in roots),
        files=number_member(body, "files", COUNT_MAX),
        bytes=number_member(body, "bytes", COUNT_MAX),
    )


# --- signatures -------------------------------------------------------------------------------------------


def _verified(schema: str, data: bytes | str, members: frozenset[str]) -> tuple[JsonObject, PublicKey]:
    record = read_record(schema, data, members, bytes_max=RECORD_BYTES_MAX)
    public_key = PublicKey.from_pem(string_member(record.body, "public_key"))
    if string_member(record.body, "fingerprint") != public_key.fingerprint_hex:
        raise MalformedError("a record names another fingerprint than that of its key")
    record.verify(public_key)
    return record.body, public_key


def _text(value: JsonValue) -> str:
    if not isinstance(value, str):
        raise MalformedError("the name of a person is not a text")
    return value
