"""The log of keys of the simulated server: honest unless a test makes it lie."""

from collections.abc import Sequence

from candado.crypto import merkle
from candado.crypto.checkpoint import Checkpoint, assemble_checkpoint, checkpoint_to_sign, opaque_id, origin_of
from candado.crypto.rsa import PrivateKey
from candado.formats.auditevents import KINDS
from candado.formats.auditrecord import AuditRecord, format_line
from candado.protocol.keylog import LEAVES_MAX, KeyLeafText, KeyLogAnswer


class SimLog:
    """Records in memory, each of them covered by a checkpoint at once."""

    def __init__(self, authority: PrivateKey, salt: bytes) -> None:
        self.authority = authority
        self.salt = salt
        self.records: list[AuditRecord] = []
        self.size: int | None = None
        """Answer as if there were so many records only."""
        self.add("audit.started", "", "")

    def add(self, kind: str, user: str, fingerprint: str) -> AuditRecord:
        subject = opaque_id(self.salt, "user", user)
        before = [one.sequence + 1 for one in self.records if one.details.get("subject") == subject]
        record = AuditRecord(
            len(self.records),
            "2026-11-25T04:00:00.000Z",
            KINDS[kind].number,
            kind,
            target=f"k:{fingerprint}",
            details={"subject": subject, "serial": "1", "previous": before[-1] if before else 0},
        )
        self.records.append(record)
        return record

    def answer(self, users: Sequence[str], known_size: int) -> KeyLogAnswer:
        records = self.records[: self.size]
        lines = [format_line(record) for record in records]
        edge, made = merkle.grow(0, [], [merkle.leaf_hash(line) for line in lines])
        hashes, size = dict(made), len(lines)
        found: dict[str, tuple[KeyLeafText, ...]] = {}
        for user in users:
            subject = opaque_id(self.salt, "user", user)
            mine = [one for one in reversed(records) if one.details["subject"] == subject and one.target != "k:"]
            found[user] = tuple(
                KeyLeafText(
                    lines[one.sequence].decode(),
                    tuple(merkle.inclusion_proof(one.sequence, size, hashes.__getitem__)),
                )
                for one in mine[:LEAVES_MAX]
            )
        proof = merkle.consistency_proof(known_size, size, hashes.__getitem__) if known_size <= size else []
        return KeyLogAnswer(self.note(size, merkle.root_of(edge)), self.salt, tuple(proof), found)

    def note(self, size: int, root: bytes) -> str:
        point = Checkpoint(origin_of(self.salt), size, root)
        signature = self.authority.sign_pkcs1_sha256(checkpoint_to_sign(point))
        return assemble_checkpoint(point, self.authority.public, signature)
