"""How the C library keeps memory that was freed.

Layer: ``adapters``. A body passes as blocks of some 100 KiB. Left alone, glibc gives such blocks back to the system and
asks for them again, and the system clears every page anew: for one GiB that is 400,000 page faults and half of the
time a server needs to take it in.
"""

from typing import Final

__all__ = ["keep_freed_memory"]

_BLOCK_BYTES: Final = 4 << 20


def keep_freed_memory() -> None:
    """Let this process keep up to 8 MiB of freed memory at hand; of no effect with another C library than glibc.

    glibc takes the size of the largest block that was ever freed as a hint: smaller ones come from its heap from then
    on, and twice that size may stay unused there (mallopt(3), M_MMAP_THRESHOLD). So one such block is made and freed.
    """
    bytearray(_BLOCK_BYTES)
