"""Using the recovery key offline: what a request asks for, opened and given to the user's new key.

Layer: ``client``; no account and no server. The order of a use is held by the command: what was asked for is verified,
the sheets give the key, the record is written as *begun*, and only then anything is opened.

Source: threat model, B14; ``docs/spec/recovery.md``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from candado.client.opening import Opener
from candado.crypto.keywrap import wrap_key
from candado.crypto.rsa import PrivateKey
from candado.errors import CandadoError, CryptoError, FormatError, NotAMemberError, TamperError
from candado.folder.model import OpenFolder
from candado.folder.recoveryrecords import recovery_user_id
from candado.folder.regrants import GrantedRoot, Regrant, Request, sign_regrant

__all__ = ["OpenedRoot", "Refusal", "make_regrant", "open_roots"]


@dataclass(frozen=True, slots=True)
class OpenedRoot:
    """A root of a request that the recovery key opens and whose user was a member; ``former_key`` is the lost one."""

    path: str
    former_key: str
    folder: OpenFolder = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A root that is not given, and why."""

    path: str
    error: CandadoError


def open_roots(request: Request, key: PrivateKey, *, now: float) -> tuple[list[OpenedRoot], list[Refusal]]:
    """Open the roots of a request, each accepted like one that is met for the first time.

    Given is only what the user was a member of, under another key than the new one. ``now`` in seconds since the epoch.
    """
    opener = Opener(key, request.authority, now=now, member_id=recovery_user_id(key.public))
    opened: list[OpenedRoot] = []
    refused: list[Refusal] = []
    for root in request.roots:
        try:
            folder = opener.accept_root(root.file_id, root.raw)
            member = folder.member(request.account)
            if member is None:
                raise NotAMemberError(f"{request.account} was not a member of this folder.", path=root.path)
            if member.certificate.public_key == request.certificate.public_key:
                raise NotAMemberError(f"{request.account} is a member under the new key already.", path=root.path)
        except (TamperError, FormatError, CryptoError) as error:
            error.path = root.path
            refused.append(Refusal(root.path, error))
            continue
        opened.append(OpenedRoot(root.path, member.key_fingerprint, folder))
    return opened, refused


def make_regrant(request: Request, opened: Sequence[OpenedRoot], key: PrivateKey, *, record_id: str, now: float) -> str:
    """The signed re-grant of what was opened, as text for a file."""
    new_key = request.certificate.public_key
    roots = tuple(
        GrantedRoot(one.folder.file_id, one.path, one.former_key, wrap_key(new_key, one.folder.metadata_key.reveal()))
        for one in opened
    )
    regrant = Regrant(record_id, request.account, request.server, new_key.fingerprint_hex, key.public, int(now), roots)
    return sign_regrant(regrant, key)
