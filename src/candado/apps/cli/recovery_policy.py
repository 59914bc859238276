"""Signing of policies on recovery: what the ceremony made, and what was signed before, become the next policy.

Layer: ``apps``. Works offline.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from candado.adapters.ambient import SystemClock
from candado.apps.cli.cmd_organisation import open_folder, read_text
from candado.apps.cli.common import Run
from candado.apps.cli.recovery_input import RECORD_FILE, read_local
from candado.errors import NotFoundError, UsageError
from candado.folder.recoveryrecords import RECORD_BYTES_MAX, parse_ceremony_record
from candado.formats.orgpolicy import RecoveryBody

if TYPE_CHECKING:
    from candado.crypto.ed25519 import VerifyingKey
    from candado.folder.orgtrust import VerifiedPolicy
    from candado.folder.recoveryrecords import CeremonyRecord

__all__ = ["read_public", "sign_off", "sign_on"]

_FORMER_MAX: Final = 16


def read_public(path: Path) -> "tuple[CeremonyRecord, str]":
    """The record in the public folder of a ceremony, and the SHA-256 of its file; errors name the file."""
    file = path
    for below in (Path(RECORD_FILE.name), RECORD_FILE):
        if path.is_dir() and (path / below).exists():
            file = path / below
    data = read_local(file, size_max=RECORD_BYTES_MAX)
    return parse_ceremony_record(data), hashlib.sha256(data).hexdigest()


def sign_on(
    run: Run, folder: Path, public: Path, text_file: Path, passphrase_file: Path | None
) -> "tuple[VerifiedPolicy, VerifyingKey]":
    """Sign that the recovery key of a ceremony is on; keys announced before become former ones."""
    record, digest = read_public(public)
    opened = open_folder(run, folder, passphrase_file)
    before = [one.recovery for one in opened.policies() if one.kind == "recovery"]
    key = record.public_key.fingerprint_hex
    former: list[str] = []
    for body in reversed(before):
        former += [one for one in (body.key, *body.former) if one != key and one not in former]
    body = RecoveryBody("on", key, digest, tuple(former[:_FORMER_MAX]))
    policy = opened.sign("recovery", read_text(text_file), body.to_json(), now=SystemClock().now())
    return policy, opened.public()


def sign_off(
    run: Run, folder: Path, text_file: Path, passphrase_file: Path | None
) -> "tuple[VerifiedPolicy, VerifyingKey]":
    """Sign that the recovery key of the last policy in the folder is off. NotFoundError, UsageError."""
    opened = open_folder(run, folder, passphrase_file)
    before = [one.recovery for one in opened.policies() if one.kind == "recovery"]
    if not before:
        raise NotFoundError("No policy on recovery was signed with this key.", path=str(folder))
    last = before[-1]
    if last.state == "off":
        raise UsageError("the last policy on recovery is one of state off already", path=str(folder))
    body = RecoveryBody("off", last.key, last.record, last.former)
    policy = opened.sign("recovery", read_text(text_file), body.to_json(), now=SystemClock().now())
    return policy, opened.public()
