"""Ids of blobs that carry a checksum of what was written under them.

Layer: ``adapters``. An id is 23 random hex digits, a ``z``, and the CRC-32 of the bytes in eight hex digits: it costs
no row and no migration, and goes wherever the blob goes. It finds what a disk has lost or flipped; against somebody who
writes to the disk only the tag of encrypted bodies is of use, which their readers check. Blobs older than checksums
have 32 hex digits.
"""

from typing import Final

__all__ = ["checksum_in", "with_checksum"]

_RANDOM_CHARS: Final = 23
_MARK: Final = "z"


def with_checksum(random_id: str, checksum: int) -> str:
    """The id of a finished blob, from 32 random hex digits and the CRC-32 of its bytes."""
    return f"{random_id[:_RANDOM_CHARS]}{_MARK}{checksum:08x}"


def checksum_in(blob_id: str) -> int | None:
    """The CRC-32 that an id carries; None when it is of before there were any."""
    if blob_id[_RANDOM_CHARS : _RANDOM_CHARS + 1] != _MARK:
        return None
    try:
        return int(blob_id[_RANDOM_CHARS + 1 :], 16)
    except ValueError:
        return None
