"""Checkpoints of the audit log: signed notes in which the authority stands by the root of the tree.

Layer: ``crypto``. The key's name in a note is the log's origin, and the origin is a commitment to the log's salt: one
who shows different salts to different people shows different logs, under one signature each.

    text      = origin LF size LF base64(root) LF [extension LF]...
    signature = "\N{EM DASH} " name " " base64(key id | RSA PKCS#1 v1.5 with SHA-256 over text) LF
    note      = text LF signature...

Source: C2SP signed-note and tlog-checkpoint; ``docs/spec/audit.md``.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

from candado.crypto.merkle import HASH_BYTES, SIZE_MAX
from candado.crypto.rsa import PublicKey
from candado.encoding import decode_b64, encode_b64
from candado.errors import BadSignatureError, FormatError, LimitExceededError, MalformedError

__all__ = [
    "NOTE_BYTES_MAX",
    "ORIGIN_PREFIX",
    "RESTORED_BYTES",
    "SALT_BYTES",
    "Checkpoint",
    "assemble_checkpoint",
    "checkpoint_to_sign",
    "opaque_id",
    "open_checkpoint",
    "origin_of",
]

ORIGIN_PREFIX: Final = "candado.audit/"
SALT_BYTES: Final = 32
RESTORED_BYTES: Final = 8
NOTE_BYTES_MAX: Final = 64 * 1024
_SIGNATURES_MAX: Final = 16
_ORIGIN: Final = re.compile(r"candado\.audit/[0-9a-f]{64}")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,15}")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SIGNATURE: Final = re.compile(r"\u2014 ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")
_TYPE: Final = b"\xffcandado.audit/rsa-pkcs1-sha256\n"
_KEY_ID_BYTES: Final = 4
_OPAQUE_BYTES: Final = 16
_LINES_MIN: Final = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the authority stands by: the log, how many records it has, the root of their tree."""

    origin: str
    size: int
    root: bytes


def origin_of(salt: bytes) -> str:
    """The name of the log with this salt: 32 bytes, and 8 more in a log that was restored from a backup."""
    return ORIGIN_PREFIX + hashlib.sha256(b"candado audit log\n" + salt).hexdigest()


def opaque_id(salt: bytes, kind: str, name: str) -> str:
    """What stands in the log for a ``user`` or a ``group``: ``u:`` or ``g:`` and 32 hex digits."""
    digest = hmac.digest(salt[:SALT_BYTES], f"{kind}\x00{name}".encode("utf-8", "surrogatepass"), "sha256")
    return f"{kind[0]}:{digest[:_OPAQUE_BYTES].hex()}"


def checkpoint_to_sign(checkpoint: Checkpoint) -> bytes:
    """The text of the note, which the authority signs."""
    return f"{checkpoint.origin}\n{checkpoint.size}\n{encode_b64(checkpoint.root)}\n".encode("ascii")


def assemble_checkpoint(checkpoint: Checkpoint, key: PublicKey, signature: bytes) -> str:
    """The signed note."""
    text = checkpoint_to_sign(checkpoint).decode("ascii")
    sealed = encode_b64(_key_id(checkpoint.origin, key) + signature)
    return f"{text}\n\N{EM DASH} {checkpoint.origin} {sealed}\n"


def open_checkpoint(note: str, key: PublicKey, *, origin: str | None = None) -> Checkpoint:
    """Return what a note says that ``key`` signed.

    1. The note is a text and signatures, within the limits. 2. The text is a checkpoint of a log of ours, of ``origin``
    if that is given. 3. A signature of this key is there, and each that claims to be verifies.

    Raises:
        MalformedError, LimitExceededError: 1, 2. BadSignatureError: 3, or another origin.
    """
    text, signatures = _split_note(note)
    checkpoint = _parse_text(text)
    if origin is not None and checkpoint.origin != origin:
        raise BadSignatureError("the checkpoint is one of another log")
    wanted, ours = _key_id(checkpoint.origin, key), 0
    for name, sealed in signatures:
        if name == checkpoint.origin and sealed[:_KEY_ID_BYTES] == wanted:
            key.verify_pkcs1_sha256(sealed[_KEY_ID_BYTES:], text.encode("utf-8"))
            ours += 1
    if not ours:
        raise BadSignatureError("the checkpoint is not signed by the authority")
    return checkpoint


def _key_id(name: str, key: PublicKey) -> bytes:
    return hashlib.sha256(name.encode("utf-8") + b"\n" + _TYPE + key.spki_der).digest()[:_KEY_ID_BYTES]


def _split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    try:
        size = len(note.encode("utf-8"))
    except UnicodeEncodeError as exc:
        raise MalformedError("a checkpoint is not UTF-8") from exc
    if size > NOTE_BYTES_MAX:
        raise LimitExceededError("a checkpoint is larger than 64 KiB")
    text, separator, rest = note.rpartition("\n\n")
    if not separator or not rest.endswith("\n") or _CONTROL.search(note):
        raise MalformedError("a checkpoint is no signed note")
    lines = rest[:-1].split("\n")
    if len(lines) > _SIGNATURES_MAX:
        raise LimitExceededError("a checkpoint has more than 16 signatures")
    return text + "\n", [_parse_signature(line) for line in lines]


def _parse_signature(line: str) -> tuple[str, bytes]:
    match = _SIGNATURE.fullmatch(line)
    if match is None:
        raise MalformedError("a line of a checkpoint is no signature")
    sealed = decode_b64(match[2])
    if len(sealed) <= _KEY_ID_BYTES:
        raise MalformedError("a signature of a checkpoint is too short")
    return match[1], sealed


def _parse_text(text: str) -> Checkpoint:
    lines = text[:-1].split("\n")
    if len(lines) < _LINES_MIN or not all(lines):
        raise MalformedError("a checkpoint has at least three lines, none of them empty")
    origin, size, root = lines[:3]
    if not _ORIGIN.fullmatch(origin) or not _SIZE.fullmatch(size):
        raise MalformedError("a checkpoint names no log of ours, or no size")
    if int(size) > SIZE_MAX:
        raise LimitExceededError("a checkpoint has a size beyond 2^53 - 1")
    try:
        return Checkpoint(origin, int(size), decode_b64(root, size=HASH_BYTES))
    except FormatError as exc:
        raise MalformedError("a checkpoint has no root") from exc
