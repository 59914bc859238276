"""What the recovery key signs about itself: the record of the ceremony that made it, and of each use of it.

    record = {"schema": S, "body": {...}, "signature": base64}
    signed = S LF canonical JSON of the body                                 (RSA PKCS#1 v1.5, SHA-256)

    S = "candado.recovery-ceremony/1" or "candado.recovery-use/1"

A record names the key that signed it; that it is the recovery key of an organisation the reader knows by its
fingerprint. Client and server read records with this module.

Layer: ``folder``; pure. Source: our own; ``docs/spec/recovery.md``; threat model, B14.
"""

import json
import re
from dataclasses import dataclass
from typing import Final, Literal, cast

from candado.crypto.rsa import PrivateKey, PublicKey
from candado.crypto.shamir import SHARES_MAX
from candado.crypto.x509 import parse_csr
from candado.encoding import decode_b64, encode_b64
from candado.errors import LimitExceededError, MalformedError, UntrustedCertificateError
from candado.formats.canonjson import JsonObject, JsonValue, dump_canonical, load_json
from candado.formats.fields import list_of, object_of, string_member
from candado.types import FileId, UserId, check_file_id, check_user_id

__all__ = [
    "RECORD_BYTES_MAX",
    "CeremonyRecord",
    "Custodian",
    "RootUse",
    "UseKind",
    "UseRecord",
    "UseState",
    "check_people",
    "check_text",
    "parse_ceremony_record",
    "parse_use_record",
    "recovery_user_id",
    "sign_ceremony_record",
    "sign_use_record",
]

RECORD_BYTES_MAX: Final = 4 * 1024 * 1024
TEXT_CHARS_MAX: Final = 500
NAME_CHARS_MAX: Final = 100
ROOTS_MAX: Final = 10_000
_CEREMONY: Final = "candado.recovery-ceremony/1"
_USE: Final = "candado.recovery-use/1"
_PEOPLE_NEEDED: Final = 2
_SECONDS_MAX: Final = 1 << 40
_COUNT_MAX: Final = (1 << 53) - 1
_HEX: Final = {size: re.compile(rf"[0-9a-f]{{{size}}}\Z") for size in (10, 32, 64)}
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
_ROOT_MEMBERS: Final = frozenset(("after", "before", "id"))
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
    """One encrypted root: digest of its document before, and after a re-grant ("" otherwise)."""

    file_id: FileId
    before: str
    after: str = ""


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


def check_text(text: str, what: str, *, chars_max: int = TEXT_CHARS_MAX) -> str:
    """Return a name or purpose: not blank, one line, not longer than ``chars_max``; MalformedError otherwise."""
    if not text.strip() or text != text.strip() or not text.isprintable() or len(text) > chars_max:
        raise MalformedError(f"{what} is one line of 1 to {chars_max} characters without blanks around it")
    return text


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
    return _signed(_CEREMONY, body, key)


def parse_ceremony_record(data: bytes | str) -> CeremonyRecord:
    """Return the record in ``data``, whose signature by the key it names holds.

    Raises:
        FormatError: not such a record. BadSignatureError: it was altered, or signed by another key.
        UntrustedCertificateError: its request is for another key or name, or the key is none that we accept.
    """
    body, public_key = _verified(_CEREMONY, data, _CEREMONY_MEMBERS)
    needed = _number(body, "needed", SHARES_MAX)
    custodians = tuple(_custodian(value) for value in list_of(body["shares"], "the shares"))
    if [one.index for one in custodians] != list(range(1, len(custodians) + 1)) or not (
        2 <= needed <= len(custodians) <= SHARES_MAX
    ):
        raise MalformedError("the shares of a ceremony are numbered from 1, and no more are needed than there are")
    request_pem = string_member(body, "request")
    request = parse_csr(request_pem)
    if request.public_key != public_key or request.common_name != recovery_user_id(public_key):
        raise UntrustedCertificateError("the certificate request of the ceremony is for another key")
    return CeremonyRecord(
        ceremony=_hex(body, "ceremony", 10),
        purpose=check_text(string_member(body, "purpose"), "the purpose"),
        needed=needed,
        custodians=custodians,
        created=_number(body, "created", _SECONDS_MAX),
        public_key=public_key,
        request_pem=request_pem,
    )


def _custodian(value: JsonValue) -> Custodian:
    holder = _exact(object_of(value, "a share"), _SHARE_MEMBERS)
    name = check_text(string_member(holder, "custodian"), "the name of a person", chars_max=NAME_CHARS_MAX)
    return Custodian(_number(holder, "index", SHARES_MAX), name, _hex(holder, "sha256", 64))


# --- a use ------------------------------------------------------------------------------------------------


def sign_use_record(record: UseRecord, key: PrivateKey) -> str:
    """Return the signed record as text for a file."""
    persons: list[JsonValue] = [*record.persons]
    sheets: list[JsonValue] = [*record.sheets]
    roots: list[JsonValue] = [{"id": one.file_id, "before": one.before, "after": one.after} for one in record.roots]
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
    return _signed(_USE, body, key)


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
    sheets = tuple(_integer(value, "a sheet", SHARES_MAX) for value in list_of(body["sheets"], "the sheets"))
    if len(sheets) < 2 or list(sheets) != sorted(set(sheets)) or sheets[0] < 1:
        raise MalformedError("a use names two sheets or more, each once, in order")
    roots = list_of(body["roots"], "the roots")
    if len(roots) > ROOTS_MAX:
        raise LimitExceededError(f"a use is of more than {ROOTS_MAX} roots")
    return UseRecord(
        record_id=_hex(body, "id", 32),
        kind=cast("UseKind", kind),
        state=cast("UseState", state),
        persons=check_people(tuple(_text(value) for value in list_of(body["persons"], "the persons"))),
        purpose=check_text(string_member(body, "purpose"), "the purpose"),
        sheets=sheets,
        ceremony=_hex(body, "ceremony", 10),
        public_key=public_key,
        begun=_number(body, "begun", _SECONDS_MAX),
        ended=_number(body, "ended", _SECONDS_MAX),
        server=check_text(string_member(body, "server"), "the server"),
        account=check_user_id(string_member(body, "account")),
        bundle_sha256=_hex(body, "bundle_sha256", 64),
        certificate_sha256=_hex(body, "certificate_sha256", 64, empty=True),
        roots=tuple(_root(value) for value in roots),
        files=_number(body, "files", _COUNT_MAX),
        bytes=_number(body, "bytes", _COUNT_MAX),
    )


def _root(value: JsonValue) -> RootUse:
    holder = _exact(object_of(value, "a root"), _ROOT_MEMBERS)
    file_id = check_file_id(_number(holder, "id", _COUNT_MAX))
    return RootUse(file_id, _hex(holder, "before", 64), _hex(holder, "after", 64, empty=True))


# --- signing and strict reading -----------------------------------------------------------------------------


def _message(schema: str, body: JsonObject) -> bytes:
    return schema.encode("ascii") + b"\n" + dump_canonical(body)


def _signed(schema: str, body: JsonObject, key: PrivateKey) -> str:
    signature = encode_b64(key.sign_pkcs1_sha256(_message(schema, body)))
    return json.dumps({"schema": schema, "body": body, "signature": signature}, indent=1, ensure_ascii=False) + "\n"


def _verified(schema: str, data: bytes | str, members: frozenset[str]) -> tuple[JsonObject, PublicKey]:
    document = object_of(load_json(data, bytes_max=RECORD_BYTES_MAX), "a record")
    if document.keys() != {"schema", "body", "signature"} or document["schema"] != schema:
        raise MalformedError(f"this is not a record of the form {schema}")
    body = _exact(object_of(document["body"], "the body of a record"), members)
    public_key = PublicKey.from_pem(string_member(body, "public_key"))
    if string_member(body, "fingerprint") != public_key.fingerprint_hex:
        raise MalformedError("a record names another fingerprint than that of its key")
    public_key.verify_pkcs1_sha256(decode_b64(string_member(document, "signature")), _message(schema, body))
    return body, public_key


def _exact(holder: JsonObject, members: frozenset[str]) -> JsonObject:
    if holder.keys() != members:
        raise MalformedError("a record does not have exactly its members")
    return holder


def _number(holder: JsonObject, name: str, largest: int) -> int:
    return _integer(holder[name], f"the member {name}", largest)


def _integer(value: JsonValue, what: str, largest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        raise MalformedError(f"{what} is not a number from 0 to {largest}")
    return value


def _hex(holder: JsonObject, name: str, size: int, *, empty: bool = False) -> str:
    text = string_member(holder, name)
    if not _HEX[size].match(text) and not (empty and text == ""):
        raise MalformedError(f"the member {name} does not have {size} hex digits")
    return text


def _text(value: JsonValue) -> str:
    if not isinstance(value, str):
        raise MalformedError("the name of a person is not a text")
    return value
