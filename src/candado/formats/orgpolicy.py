"""Documents that an organisation signs: what its recovery key is, which rules its clients follow.

Layer: ``formats``; nothing here is verified, see ``folder.orgtrust``. A signed policy is one line of canonical JSON
with three members: ``document``, ``schema`` and ``signature``. There is one spelling of every policy: what would be
written differently than it was read is refused, so that the signature covers exactly what was shown to a person.

A document has:

* ``schema``: ``candado.policy/1``;
* ``kind``: ``recovery`` or ``client-rules``;
* ``serial``: 1 to 2^53 - 1, larger with every document of one kind;
* ``issued``: seconds since 1970;
* ``organisation``: SHA-256 of the organisation's public key, hex;
* ``text``: what people are told, 1 to 4000 characters;
* ``body``: an object whose members depend on the kind; at most 256 KiB in all.

Source: threat model, B14, A109, A110.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from candado.encoding import encode_b64
from candado.errors import LimitExceededError, MalformedError
from candado.formats.canonjson import INTEGER_MAX, JsonObject, JsonValue, dump_canonical, load_json
from candado.formats.fields import b64_member, list_of, object_of, string_member

__all__ = [
    "POLICY_BYTES_MAX",
    "POLICY_KINDS",
    "RECOVERY_PREFIX",
    "TEXT_CHARS_MAX",
    "PolicyKind",
    "PolicyText",
    "RecoveryBody",
    "SignedPolicy",
    "check_fingerprint",
    "format_signed_policy",
    "parse_recovery_body",
    "parse_signed_policy",
    "policy_signed_bytes",
    "recovery_member_id",
]

PolicyKind = Literal["recovery", "client-rules"]
POLICY_KINDS: Final[tuple[PolicyKind, ...]] = ("recovery", "client-rules")
RecoveryState = Literal["on", "off"]
_STATES: Final[dict[str, RecoveryState]] = {"on": "on", "off": "off"}
_KINDS: Final[dict[str, PolicyKind]] = {kind: kind for kind in POLICY_KINDS}
POLICY_BYTES_MAX: Final = 256 * 1024
TEXT_CHARS_MAX: Final = 4000
RECOVERY_PREFIX: Final = "recovery:"
_MEMBER_DIGITS: Final = 16
_FORMER_MAX: Final = 16
_SCHEMA: Final = "candado.policy/1"
_SIGNED_SCHEMA: Final = "candado.signed-policy/1"
_DOMAIN: Final = b"candado policy of an organisation, version 1\n"
_MEMBERS: Final = frozenset({"schema", "kind", "serial", "issued", "organisation", "text", "body"})
_FINGERPRINT = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class PolicyText:
    """One document before it is signed, or after it was read; see the module for the members."""

    kind: PolicyKind
    serial: int
    issued: int
    organisation: str
    text: str
    body: JsonObject

    def to_json(self) -> JsonObject:
        """The document as JSON."""
        return {
            "schema": _SCHEMA,
            "kind": self.kind,
            "serial": self.serial,
            "issued": self.issued,
            "organisation": self.organisation,
            "text": self.text,
            "body": self.body,
        }


@dataclass(frozen=True, slots=True)
class SignedPolicy:
    """A document with a signature of which nothing is known yet; ``raw`` is its one spelling, without line break."""

    policy: PolicyText
    signature: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class RecoveryBody:
    """Body of a policy of kind ``recovery``.

    ``state`` says whether clients wrap keys for the recovery key; ``key`` is the SHA-256 of its public key (SPKI), of
    the last one when ``state`` is ``off``; ``record`` the SHA-256 of the record of the ceremony that made it.
    ``former`` are the keys before it, which folders may still carry; at most 16, none twice.
    """

    state: RecoveryState
    key: str
    record: str
    former: tuple[str, ...] = ()

    @property
    def member_id(self) -> str:
        """The name under which it is a member of folders."""
        return recovery_member_id(self.key)

    def to_json(self) -> JsonObject:
        """The body as JSON."""
        return {"state": self.state, "key": self.key, "record": self.record, "former": list(self.former)}


def recovery_member_id(fingerprint: str) -> str:
    """The member name of a recovery key: ``recovery:`` and the first 16 hex digits of its SPKI fingerprint."""
    return f"{RECOVERY_PREFIX}{check_fingerprint(fingerprint)[:_MEMBER_DIGITS]}"


def check_fingerprint(value: str) -> str:
    """Return a SHA-256 in hex; MalformedError unless it has 64 lower-case digits."""
    if not _FINGERPRINT.match(value):
        raise MalformedError("a fingerprint has 64 lower-case hex digits")
    return value


def policy_signed_bytes(policy: PolicyText) -> bytes:
    """What the organisation's signature covers: a domain line and the canonical document.

    Raises:
        MalformedError: a member is out of its bounds; LimitExceededError: the document is too large.
    """
    document = policy.to_json()
    _policy(document)
    return _DOMAIN + dump_canonical(document)


def format_signed_policy(policy: PolicyText, signature: bytes) -> bytes:
    """The signed policy as one line of canonical JSON, without line break; errors as ``policy_signed_bytes``."""
    policy_signed_bytes(policy)
    return dump_canonical({"schema": _SIGNED_SCHEMA, "document": policy.to_json(), "signature": encode_b64(signature)})


def parse_signed_policy(text: bytes | str) -> SignedPolicy:
    """Return the signed policy in ``text``, which may end in one line break.

    Raises:
        LimitExceededError: larger than 256 KiB, too deep, a text longer than 4000 characters.
        MalformedError: any other deviation, another spelling included.
    """
    value = object_of(load_json(text, bytes_max=POLICY_BYTES_MAX), "a signed policy")
    raw = dump_canonical(value)
    given = text.encode("utf-8") if isinstance(text, str) else text
    if given.removesuffix(b"\n") != raw:
        raise MalformedError("a signed policy is not in its one canonical spelling")
    if value.keys() != {"schema", "document", "signature"} or value["schema"] != _SIGNED_SCHEMA:
        raise MalformedError("not a signed policy of a known version")
    policy = _policy(object_of(value["document"], "the document of a policy"))
    return SignedPolicy(policy, b64_member(value, "signature", size=64), raw)


def parse_recovery_body(body: JsonObject) -> RecoveryBody:
    """Return the body of a policy of kind ``recovery``; MalformedError."""
    if body.keys() != {"state", "key", "record", "former"}:
        raise MalformedError("a recovery policy has the members state, key, record and former")
    state = _STATES.get(string_member(body, "state"))
    if state is None:
        raise MalformedError("the state of a recovery policy is on or off")
    key, record = check_fingerprint(string_member(body, "key")), check_fingerprint(string_member(body, "record"))
    listed = list_of(body["former"], "the former keys of a recovery policy")
    former = tuple(check_fingerprint(one) for one in listed if isinstance(one, str))
    if len(former) != len(listed) or len(former) > _FORMER_MAX or len({key, *former}) <= len(former):
        raise MalformedError("the former keys of a recovery policy are too many, or one is there twice")
    return RecoveryBody(state, key, record, former)


def _policy(document: JsonObject) -> PolicyText:
    if document.keys() != _MEMBERS or document["schema"] != _SCHEMA:
        raise MalformedError("not a policy of a known version")
    name, text = string_member(document, "kind"), string_member(document, "text")
    kind = _KINDS.get(name)
    if kind is None:
        raise MalformedError("a policy of an unknown kind")
    if len(text) > TEXT_CHARS_MAX:
        raise LimitExceededError(f"the text of a policy has more than {TEXT_CHARS_MAX} characters")
    if not text.strip() or any(ord(one) < 32 and one != "\n" for one in text):
        raise MalformedError("the text of a policy is empty or has control characters")
    body = object_of(document["body"], "the body of a policy")
    if len(dump_canonical(document)) > POLICY_BYTES_MAX - 1024:
        raise LimitExceededError("a policy is too large")
    policy = PolicyText(
        kind,
        _number(document["serial"], least=1),
        _number(document["issued"], least=0),
        check_fingerprint(string_member(document, "organisation")),
        text,
        body,
    )
    if policy.kind == "recovery":
        parse_recovery_body(body)
    return policy


def _number(value: JsonValue, *, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= INTEGER_MAX:
        raise MalformedError("a number of a policy is out of its bounds")
    return value
