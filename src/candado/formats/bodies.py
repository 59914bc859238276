"""Many stored bodies in one answer: the frames of our own server's call ``bodies``.

Layer: ``formats``. For each file that was asked for, in that order: its length in bytes as an unsigned number of four
bytes, big-endian, then the body; ``ff ff ff ff`` alone for one that is not sent. Nothing follows the last frame.
Source: docs/spec/formats.md, Many bodies at once.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from candado.errors import MalformedError

__all__ = ["BODIES_BYTES_MAX", "BODIES_COUNT_MAX", "FRAME_BYTES", "format_bodies", "parse_bodies"]

FRAME_BYTES: Final = 4
BODIES_COUNT_MAX: Final = 100
"""How many files one call may ask for."""
BODIES_BYTES_MAX: Final = 1 << 20
"""How many bytes of bodies one answer has at most; what does not fit is not sent."""
_ABSENT: Final = b"\xff\xff\xff\xff"


def format_bodies(bodies: Iterable[bytes | None]) -> bytes:
    """Return the frames of these bodies, each of less than 2^32 - 1 bytes; None for one that is not sent."""
    pieces: list[bytes] = []
    for body in bodies:
        pieces += [_ABSENT] if body is None else [len(body).to_bytes(FRAME_BYTES, "big"), body]
    return b"".join(pieces)


def parse_bodies(answer: bytes, sizes: Sequence[int]) -> list[bytes | None]:
    """Return the bodies, None for each that was not sent.

    Args:
        answer: the frames.
        sizes: expected sizes in the order of the request, in bytes.

    Raises:
        MalformedError: another number of frames, a body of another size, or bytes behind the last one.
    """
    found: list[bytes | None] = []
    at = 0
    for size in sizes:
        head = answer[at : at + FRAME_BYTES]
        at += FRAME_BYTES
        if head == _ABSENT:
            found.append(None)
            continue
        if len(head) != FRAME_BYTES or int.from_bytes(head, "big") != size or len(answer) - at < size:
            raise MalformedError("an answer with many bodies has another shape than was asked for")
        found.append(answer[at : at + size])
        at += size
    if at != len(answer):
        raise MalformedError("bytes follow the last body of an answer with many")
    return found
