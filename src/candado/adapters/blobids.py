"""Ids of blobs that carry a checksum of what was written under them.

Layer: ``adapters``. An id is 23 random hex digits, a mark, and the CRC-32 of the bytes in eight hex digits: it costs
no row and no migration, and goes wherever the blob goes. It finds what a disk has lost or flipped; against somebody who
writes to the disk only the tag of encrypted bodies is of use, which their readers check. The mark is ``z``; it is ``y``
where the store has cut the blob, and then the last four digits before it say how many pieces lie beside its end. Blobs
older than checksums have 32 hex digits.
"""

from typing import Final

from candado.ports.ambient import Random

__all__ = ["PIECES_MAX", "RandomIds", "checksum_in", "pieces_in", "stem_of", "with_checksum"]

PIECES_MAX: Final = 0xFFFF
_RANDOM_CHARS: Final = 23
_STEM_CHARS: Final = 19
_WHOLE: Final = "z"
_CUT: Final = "y"
_PREFIX_BLOBS: Final = 512


class RandomIds:
    """Fresh ids: 32 random hex digits, of which the first four stay the same for 512 blobs.

    What is written together then lies together: in directories (few to sync) and in the indexes over ids (few pages to
    write).
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._prefix = ""
        self._left = 0

    def fresh(self) -> str:
        """One more."""
        if self._left == 0:
            self._prefix = self._random.token(2).hex()
            self._left = _PREFIX_BLOBS
        self._left -= 1
        return self._prefix + self._random.token(14).hex()


def with_checksum(random_id: str, checksum: int, *, pieces: int = 0) -> str:
    """The id of a finished blob, from 32 random hex digits, the CRC-32 of its bytes and its pieces beside its end."""
    if pieces:
        return f"{random_id[:_STEM_CHARS]}{pieces:04x}{_CUT}{checksum:08x}"
    return f"{random_id[:_RANDOM_CHARS]}{_WHOLE}{checksum:08x}"


def checksum_in(blob_id: str) -> int | None:
    """The CRC-32 that an id carries; None when it is of before there were any."""
    if blob_id[_RANDOM_CHARS : _RANDOM_CHARS + 1] not in {_WHOLE, _CUT}:
        return None
    try:
        return int(blob_id[_RANDOM_CHARS + 1 :], 16)
    except ValueError:
        return None


def pieces_in(blob_id: str) -> int:
    """How many pieces lie beside the end of the blob; 0 when it is not cut."""
    if blob_id[_RANDOM_CHARS : _RANDOM_CHARS + 1] != _CUT:
        return 0
    try:
        return int(blob_id[_STEM_CHARS:_RANDOM_CHARS], 16)
    except ValueError:
        return 0


def stem_of(blob_id: str) -> str:
    """What the pieces of a blob have in common with it: the first 19 digits of its id, or of 32 random ones."""
    return blob_id[:_STEM_CHARS]
