"""For whom a stranger seals what he drops, and how.

Layer: ``folder``; pure. A stranger has no pins; what he has is the address of the link, which names the key of the
member who made it. The list of members counts as far as that member signed it: a server that adds a person to the list,
or shows another list, gets nothing that is sealed for that person.

Source: crypto.md 16; threats.md A71, A74, A77; docs/spec/formats.md, Links.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from candado.crypto.cms import verify_detached
from candado.crypto.keywrap import wrap_key
from candado.crypto.rsa import PublicKey
from candado.crypto.sealing import seal_text
from candado.crypto.x509 import check_certificate, parse_certificate
from candado.encoding import decode_b64
from candado.errors import BadSignatureError, FormatError, UntrustedCertificateError
from candado.folder.model import Member, RawText
from candado.formats.canonjson import JsonObject, signed_bytes
from candado.formats.linkaddress import LINK_PREFIX
from candado.formats.metadata import Entry, SealedBlock, format_drop, format_drop_content, parse_sealed
from candado.types import MetadataKey, Nonce

__all__ = ["Recipients", "drop_recipients", "seal_drop"]


@dataclass(frozen=True, slots=True)
class Recipients:
    """Who will be able to open what is dropped.

    ``pinned`` says that the address vouches for all of them; ``left_out`` counts members it does not vouch for.
    """

    members: tuple[Member, ...]
    pinned: bool
    left_out: int


def drop_recipients(raw: RawText, *, by: str, authority: PublicKey, now: float) -> Recipients:
    """The people to seal for.

    Args:
        raw: the folder's document and signature as the server shows them.
        by: fingerprint of the maker's key from the address, "" when it has none; then the server's word is taken.
        authority: the key that signs certificates, as the server shows it.
        now: seconds since the epoch.

    Raises:
        UntrustedCertificateError: the maker of the link is not a member, or there is nobody to seal for.
        FormatError: the document or a certificate in it cannot be read.
    """
    sealed = parse_sealed(raw.text)
    members: list[Member] = []
    for user in sealed.users or ():
        if user.user_id.startswith(LINK_PREFIX):
            continue
        certificate = parse_certificate(user.certificate_pem)
        try:
            check_certificate(certificate, user_id=user.user_id, authority=authority, now=now)
        except UntrustedCertificateError:
            if certificate.public_key.fingerprint_hex != by or certificate.common_name != user.user_id:
                raise
        members.append(Member(user.user_id, certificate))
    if not by and members:
        return Recipients(tuple(members), pinned=False, left_out=0)
    maker = [member for member in members if member.key_fingerprint == by]
    if len(maker) != 1:
        raise UntrustedCertificateError(
            "The key that the address of this link names is not that of a member of the folder.",
            safe="Nothing was sent.",
            advice="Ask the person who gave you the link for a new one, on another channel.",
        )
    if _signed_by(maker[0], raw, sealed.document):
        return Recipients(tuple(members), pinned=True, left_out=0)
    return Recipients((maker[0],), pinned=True, left_out=len(members) - 1)


def _signed_by(member: Member, raw: RawText, document: JsonObject) -> bool:
    keys = {member.user_id: [member.certificate.public_key]}
    try:
        verify_detached(decode_b64(raw.signature or ""), signed_bytes(document), keys)
    except (BadSignatureError, FormatError):
        return False
    return True


def seal_drop(entry: Entry, recipients: Sequence[Member], *, key: MetadataKey, nonce: Nonce) -> JsonObject:
    """The JSON of one dropped entry; ``key`` and ``nonce`` (12 bytes) are fresh."""
    parts = seal_text(key, nonce, format_drop_content(entry))
    wrapped = [(member.user_id, wrap_key(member.certificate.public_key, key.reveal())) for member in recipients]
    return format_drop(SealedBlock(parts.ciphertext, parts.nonce, parts.tag), wrapped)
