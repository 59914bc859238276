"""Hand-overs: the authority's old key names its successor.

Layer: ``crypto``. Clients pin the authority's key when they enrol. A hand-over is signed by the old key, which vouches
for the new one, and by the new key, which shows that it is there; a client that pinned the old one may follow, and
nobody else can lead it away. The text, ASCII, each line ended by LF:

    candado authority hand-over 1
    from BASE64 of the SubjectPublicKeyInfo of the old key
    to BASE64 of that of the new key
    time SECONDS since the epoch
    by-old BASE64 of the signature over the four lines before (RSASSA-PKCS1-v1_5, SHA-256)
    by-new BASE64 of another over the same lines

The first line keeps the signature apart from everything else that an authority signs, which is DER or begins otherwise.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from candado.crypto.rsa import PublicKey
from candado.encoding import decode_b64, encode_b64
from candado.errors import BadSignatureError, MalformedError, UntrustedCertificateError

__all__ = [
    "HANDOVERS_MAX",
    "Handover",
    "assemble_handover",
    "follow_handovers",
    "handover_to_sign",
    "parse_handover",
    "predecessors",
]

HANDOVERS_MAX: Final = 64
"""How many hand-overs one authority may have had."""

_TEXT_CHARS_MAX: Final = 8 * 1024
_SHAPE: Final = re.compile(
    r"(candado authority hand-over 1\n"
    r"from ([A-Za-z0-9+/=]+)\n"
    r"to ([A-Za-z0-9+/=]+)\n"
    r"time (0|[1-9][0-9]{0,11})\n)"
    r"by-old ([A-Za-z0-9+/=]+)\n"
    r"by-new ([A-Za-z0-9+/=]+)\n"
)


@dataclass(frozen=True, slots=True)
class Handover:
    """One hand-over whose two signatures were verified; time in whole seconds since the epoch."""

    old: PublicKey
    new: PublicKey
    time: int


def handover_to_sign(old: PublicKey, new: PublicKey, *, time: float) -> bytes:
    """The lines that both keys sign."""
    lines = ["candado authority hand-over 1", f"from {encode_b64(old.spki_der)}", f"to {encode_b64(new.spki_der)}"]
    return "\n".join([*lines, f"time {int(time)}", ""]).encode("ascii")


def assemble_handover(signed: bytes, *, by_old: bytes, by_new: bytes) -> str:
    """The whole text of a hand-over."""
    return f"{signed.decode('ascii')}by-old {encode_b64(by_old)}\nby-new {encode_b64(by_new)}\n"


def parse_handover(text: str) -> Handover:
    """Read one hand-over and verify both signatures.

    Raises:
        MalformedError: not of the form above, or not a key that clients take, or a key that hands over to itself.
        UntrustedCertificateError: one of the signatures does not hold.
    """
    found = _SHAPE.fullmatch(text) if len(text) <= _TEXT_CHARS_MAX else None
    if found is None:
        raise MalformedError("this is no hand-over of an authority")
    signed, old_text, new_text, time, by_old, by_new = found.groups()
    old, new = PublicKey.from_spki_der(decode_b64(old_text)), PublicKey.from_spki_der(decode_b64(new_text))
    if old == new:
        raise MalformedError("an authority does not hand over to itself")
    try:
        old.verify_pkcs1_sha256(decode_b64(by_old), signed.encode("ascii"))
        new.verify_pkcs1_sha256(decode_b64(by_new), signed.encode("ascii"))
    except BadSignatureError as exc:
        raise UntrustedCertificateError("a hand-over of the authority is not signed by both keys") from exc
    return Handover(old, new, int(time))


def follow_handovers(pinned: PublicKey, handovers: Sequence[Handover]) -> PublicKey:
    """The key to which the pinned one leads, in the order given; the pinned one itself when it handed over nothing.

    Only a hand-over by the key reached so far counts, so others change nothing.

    Raises:
        MalformedError: more hand-overs than ``HANDOVERS_MAX``.
    """
    if len(handovers) > HANDOVERS_MAX:
        raise MalformedError("there are too many hand-overs of the authority")
    key = pinned
    for handover in handovers:
        if handover.old == key:
            key = handover.new
    return key


def predecessors(key: PublicKey, handovers: Sequence[Handover]) -> tuple[PublicKey, ...]:
    """The keys that led to ``key``, each through a hand-over by itself, nearest first; ``key`` vouches for them."""
    found: list[PublicKey] = []
    for handover in reversed(handovers):
        if handover.new == (found[-1] if found else key) and handover.old not in (key, *found):
            found.append(handover.old)
    return tuple(found)
