"""What a server's log says of people's keys, and whether it may be believed.

Layer: ``protocol``; pure. A server that gives out a key in somebody's name has to log it first, and shows everybody the
same log, or two that its own signatures prove to be two.

1. The newest checkpoint is signed by the pinned authority. 2. It is of the log that was pinned, whose name commits to
the salt. 3. It does not go back, and the pinned one is its beginning. 4. Each leaf is a record on a key of the one
asked for, and is proved under it. 5. The leaves of one person are a chain, from the newest to the first, so none in
between is left out.

That the newest leaf is shown cannot be proved: the chain could end earlier for one who asks. Source: threats.md, B08.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from candado.crypto import merkle
from candado.crypto.checkpoint import RESTORED_BYTES, SALT_BYTES, Checkpoint, opaque_id, open_checkpoint, origin_of
from candado.crypto.rsa import PublicKey
from candado.errors import (
    BadSignatureError,
    ContextError,
    CounterRollbackError,
    ForkError,
    LimitExceededError,
    MalformedError,
    TamperError,
)
from candado.formats.auditevents import KEY_KINDS
from candado.formats.auditrecord import AuditRecord, parse_line

__all__ = ["LEAVES_MAX", "KeyLeafText", "KeyLogAnswer", "KeyRecord", "KeyRecords", "check_key_log"]

LEAVES_MAX: Final = 64
_PROOF_MAX: Final = 64
_SALT_SIZES: Final = (SALT_BYTES, SALT_BYTES + RESTORED_BYTES)
_GIVEN: Final = frozenset(("certificate.issued", "certificate.stored", "certificate.renewed"))
_SAFE: Final = "Nothing was shared and nothing was sent."
_ADVICE: Final = (
    "Show the kept evidence to other members and ask the administrator on another channel whether an older backup was "
    "restored; if it was, run `candado trust forget --log`."
)


@dataclass(frozen=True, slots=True)
class KeyLeafText:
    """One leaf as the server sent it."""

    record: str
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class KeyLogAnswer:
    """What the server sent; nothing of it is verified."""

    checkpoint: str
    salt: bytes
    consistency: tuple[bytes, ...]
    users: Mapping[str, tuple[KeyLeafText, ...]]


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One verified leaf: what happened to which key, by its SHA-256 in hex."""

    sequence: int
    event: str
    key_fingerprint: str
    time: str

    @property
    def gives(self) -> bool:
        """Whether the key was put into use by it."""
        return self.event in _GIVEN


@dataclass(frozen=True, slots=True)
class KeyRecords:
    """Everything that a verified checkpoint shows of one person's keys, oldest first."""

    records: tuple[KeyRecord, ...]

    @property
    def current(self) -> str | None:
        """The key in use: the last that was put into use, unless it was taken back since."""
        found: str | None = None
        for one in self.records:
            if one.gives:
                found = one.key_fingerprint
            elif one.key_fingerprint == found:
                found = None
        return found

    def given_after(self, key_fingerprint: str) -> tuple[KeyRecord, ...]:
        """Other keys that were put into use since this one was first, or all of them when it never was."""
        first = next((one.sequence for one in self.records if one.gives and one.key_fingerprint == key_fingerprint), -1)
        return tuple(
            one for one in self.records if one.gives and one.key_fingerprint != key_fingerprint and one.sequence > first
        )


def check_key_log(
    answer: KeyLogAnswer, authority: PublicKey, users: Sequence[str], pinned: Checkpoint | None
) -> tuple[Checkpoint, dict[str, KeyRecords]]:
    """Verify an answer in the numbered steps above.

    Returns:
        The checkpoint to pin from now on, and what it shows of each of ``users``.

    Raises:
        FormatError: it is no such answer. BadSignatureError: 1. ContextError: ``kt.salt`` (2), ``kt.leaf`` (4).
        ForkError: ``kt.other-log`` (2), ``kt.fork`` (3). CounterRollbackError: ``kt.rollback`` (3).
        TamperError: ``kt.chain`` (5).
    """
    point = open_checkpoint(answer.checkpoint, authority)
    if len(answer.salt) not in _SALT_SIZES or origin_of(answer.salt) != point.origin:
        raise ContextError("kt.salt", "The server's log has another salt than its name says.", safe=_SAFE)
    if pinned is not None:
        _require_successor(pinned, point, answer.consistency)
    if set(answer.users) != set(users):
        raise MalformedError("the answer on keys is on other people than were asked for")
    found: dict[str, KeyRecords] = {}
    for user, leaves in answer.users.items():
        if len(leaves) > LEAVES_MAX:
            raise LimitExceededError(f"the log shows more than {LEAVES_MAX} records on one person")
        subject = opaque_id(answer.salt, "user", user)
        records = [_leaf(leaf, subject, point) for leaf in leaves]
        _require_chain(records)
        found[user] = KeyRecords(tuple(_key_record(one) for one in reversed(records)))
    return point, found


def _require_successor(pinned: Checkpoint, point: Checkpoint, proof: Sequence[bytes]) -> None:
    if point.origin != pinned.origin:
        raise ForkError(
            "kt.other-log",
            "The server shows another log of keys than before.",
            safe=_SAFE,
            advice=_ADVICE,
            expected=pinned.origin,
            got=point.origin,
        )
    if point.size < pinned.size:
        raise CounterRollbackError(
            "kt.rollback",
            "The server shows an older state of its log of keys than before.",
            safe=_SAFE,
            advice=_ADVICE,
            expected=f"{pinned.size} or more",
            got=str(point.size),
        )
    if len(proof) > 2 * _PROOF_MAX:
        raise LimitExceededError("a proof of consistency is too long")
    try:
        merkle.check_consistency(pinned.size, pinned.root, point.size, point.root, proof)
    except BadSignatureError as exc:
        raise ForkError(
            "kt.fork",
            "The server's log of keys does not continue the one that this device knows.",
            safe=_SAFE,
            advice=_ADVICE,
            expected=str(pinned.size),
            got=str(point.size),
        ) from exc


def _leaf(leaf: KeyLeafText, subject: str, point: Checkpoint) -> AuditRecord:
    raw = leaf.record.encode("utf-8", "surrogatepass")
    record = parse_line(raw)
    if not isinstance(record, AuditRecord) or record.event not in KEY_KINDS:
        raise MalformedError("a leaf of the log of keys is no record on a key")
    if record.details.get("subject") != subject:
        raise ContextError("kt.leaf", "The server shows a record on another person's key.", safe=_SAFE)
    if len(leaf.proof) > _PROOF_MAX:
        raise LimitExceededError("a proof of inclusion is too long")
    try:
        merkle.check_inclusion(record.sequence, point.size, merkle.leaf_hash(raw), leaf.proof, point.root)
    except BadSignatureError as exc:
        message = "The server shows a record on a key that is not in its log."
        raise ContextError("kt.leaf", message, safe=_SAFE, got=str(record.sequence)) from exc
    return record


def _require_chain(records: Sequence[AuditRecord]) -> None:
    """Newest first: each names the one before it, and the last none, unless the answer is as long as it may be."""
    before = [record.sequence + 1 for record in records[1:]]
    if len(records) < LEAVES_MAX:
        before.append(0)
    for record, previous in zip(records, before, strict=False):
        if record.details.get("previous") != previous:
            raise TamperError(
                "kt.chain", "The server leaves out records on a person's keys.", safe=_SAFE, got=str(record.sequence)
            )


def _key_record(record: AuditRecord) -> KeyRecord:
    return KeyRecord(record.sequence, record.event, record.target.removeprefix("k:"), record.time)
