"""Port of the audit log's outputs. Contract for files, syslog and HTTP.

Layer: ``ports``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["AuditSink", "SinkLine"]


@dataclass(frozen=True, slots=True)
class SinkLine:
    """One line for an output, in the output's format, without its end.

    ``sequence`` is the number of the record, None for a line that is none (a checkpoint between them). ``event``,
    ``severity`` (of syslog) and ``time`` are for headers around the line.
    """

    text: bytes
    sequence: int | None = None
    event: str = ""
    severity: int = 6
    time: str = ""


class AuditSink(Protocol):
    """One output. A worker that has its lease calls ``open``, then ``send`` again and again, then ``close``.

    Any error is of our tree. After one, whatever of the batch arrived may arrive again; the caller closes, waits and
    begins with ``open``. Nothing waits for ever: each call has a limit of its own.
    """

    async def open(self) -> int | None:
        """Make it ready. The number after the last record that is there for certain, None when it cannot tell.

        An output that can tell is never given a record twice.
        """
        ...

    async def send(self, lines: Sequence[SinkLine]) -> None:
        """Hand over lines in order; on return the other side has all of them, as far as its protocol can say so."""
        ...

    @property
    def is_fresh(self) -> bool:
        """Whether nothing is in it yet: what comes first says where the log begins."""
        ...

    @property
    def size_bytes(self) -> int:
        """How much is in it; 0 for one that does not grow here."""
        ...

    async def rotate(self, last_sequence: int) -> None:
        """Set aside what is in it, under a name that says its last record; it is fresh then."""
        ...

    async def close(self) -> None:
        """Let go of it; harmless twice."""
        ...
