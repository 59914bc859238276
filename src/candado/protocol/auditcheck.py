"""Whether an exported audit log is whole: edits, gaps, reordering, truncation and forks are told apart.

Layer: ``protocol``; pure. Nothing is needed but the lines and the authority's public key. The lines are gone through
twice: checkpoints first, so that only the roots that they speak of are computed.

1. Every checkpoint must be signed by the key; two of one size with two roots are a fork.
2. Records must be numbered one after the other. Where they are not, it is a gap, unless the missing ones stand
   elsewhere; from there on no root can be computed.
3. The root at the size of each checkpoint must be the one that was signed. If it is not, but that of a later
   checkpoint is, the records are the authority's and so is the earlier checkpoint: a fork. Otherwise somebody edited.
4. A checkpoint beyond the last record: the end was cut off.

Source: ``docs/spec/audit.md``.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from candado.crypto import merkle
from candado.crypto.checkpoint import Checkpoint, open_checkpoint
from candado.crypto.rsa import PublicKey
from candado.encoding import decode_b64
from candado.errors import BadSignatureError, FormatError
from candado.formats.auditrecord import AuditRecord, CheckpointLine, StartLine, parse_line

__all__ = ["LogFinding", "LogReport", "check_log"]

FINDINGS_MAX: Final = 1000
_MARK: Final = b'{"checkpoint":'


@dataclass(frozen=True, slots=True)
class LogFinding:
    """One thing that is not as it should be; ``line`` is from 1, 0 for what was given beside the file.

    ``code`` is one of ``audit.edited``, ``.gap``, ``.reordered``, ``.truncated``, ``.forked``, ``.forged``,
    ``.malformed``, ``.unsigned``; ``severity`` is ``error`` or ``notice``.
    """

    code: str
    line: int
    message: str
    severity: str = "error"


@dataclass(frozen=True, slots=True)
class LogReport:
    """What was found: records ``first`` to ``end`` (exclusive), of which those below ``signed`` are proved."""

    origin: str
    records: int
    first: int
    end: int
    signed: int
    findings: tuple[LogFinding, ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing was found but notices."""
        return all(finding.severity != "error" for finding in self.findings)


def check_log(
    lines: Callable[[], Iterable[bytes]], key: PublicKey, known: Sequence[str] = (), more_keys: Sequence[PublicKey] = ()
) -> LogReport:
    """Check a log.

    Args:
        lines: gives the lines, without line feeds, from the first each time it is called.
        key: the authority's.
        known: checkpoints that are known from elsewhere.
        more_keys: that the authority had before or after, when it handed over meanwhile.
    """
    found = _Findings()
    points = _checkpoints(lines(), (key, *more_keys), known, found)
    reading = _Reading(found, {point.size for point, _ in points})
    for number, raw in enumerate(lines(), 1):
        if not raw.startswith(_MARK):
            reading.read(number, raw)
    reading.end_gaps()
    signed = _compare(points, reading, found)
    if reading.end > max(signed, reading.first):
        severity = "notice" if signed > reading.first or reading.irregular else "error"
        unsigned = f"no checkpoint proves the records from {max(signed, reading.first)} on"
        found.add("audit.unsigned", 0, unsigned, severity=severity)
    origin = points[0][0].origin if points else reading.origin
    return LogReport(origin, reading.count, reading.first, reading.end, signed, tuple(found.found))


class _Findings:
    def __init__(self) -> None:
        self.found: list[LogFinding] = []

    def add(self, code: str, line: int, message: str, *, severity: str = "error") -> None:
        if len(self.found) < FINDINGS_MAX:
            self.found.append(LogFinding(code, line, message, severity))


class _Reading:
    """The second pass: numbers, and roots as far as the numbers are right."""

    def __init__(self, found: _Findings, wanted: set[int]) -> None:
        self.origin = ""
        self.count = 0
        self.first = 0
        self.end = 0
        self.irregular = False
        self.roots: dict[int, bytes] = {}
        self._found = found
        self._wanted = wanted
        self._started = False
        self._edge: list[bytes] = []
        self._missing: dict[int, int] = {}
        """Numbers that did not come yet: the first of each run, and its end."""

    def read(self, number: int, raw: bytes) -> None:
        try:
            line = parse_line(raw)
            edge = [decode_b64(one, size=merkle.HASH_BYTES) for one in line.edge] if isinstance(line, StartLine) else []
        except FormatError as exc:
            self._found.add("audit.malformed", number, exc.message)
            self.irregular = True
            return
        if isinstance(line, StartLine):
            self._start(number, line, edge)
        else:
            assert isinstance(line, AuditRecord)  # checkpoints begin with the mark
            self._record(number, line, raw)

    def _start(self, number: int, line: StartLine, edge: list[bytes]) -> None:
        if not self._started:
            self._started, self._edge, self.origin = True, edge, line.origin
            self.first = self.end = line.sequence
            self._note_root()
        elif line.sequence > self.end:
            self._skip_to(line.sequence)
        elif line.sequence == self.end and not self.irregular and edge != self._edge:
            self._found.add("audit.edited", number, f"what follows does not continue the records before {self.end}")
            self.irregular = True
        elif line.sequence < self.end:
            self._found.add("audit.reordered", number, f"a start at {line.sequence} stands after record {self.end - 1}")
            self.irregular = True

    def _record(self, number: int, line: AuditRecord, raw: bytes) -> None:
        if not self._started:
            self._started = True
            self._note_root()
        self.count += 1
        if line.sequence < self.end:
            self._found.add("audit.reordered", number, f"record {line.sequence} stands after record {self.end - 1}")
            self.irregular = True
            self._fill(line.sequence)
            return
        if line.sequence > self.end:
            self._skip_to(line.sequence)
        if not self.irregular:
            self._edge, _ = merkle.grow(self.end, self._edge, [merkle.leaf_hash(raw)])
        self.end = line.sequence + 1
        self._note_root()

    def _note_root(self) -> None:
        if not self.irregular and self.end in self._wanted:
            self.roots[self.end] = merkle.root_of(self._edge)

    def _skip_to(self, sequence: int) -> None:
        self._missing[self.end] = sequence
        self.end, self.irregular = sequence, True

    def _fill(self, sequence: int) -> None:
        for start, stop in self._missing.items():
            if start <= sequence < stop:
                del self._missing[start]
                if start < sequence:
                    self._missing[start] = sequence
                if sequence + 1 < stop:
                    self._missing[sequence + 1] = stop
                return

    def end_gaps(self) -> None:
        for start, stop in sorted(self._missing.items()):
            self._found.add("audit.gap", 0, f"records {start} to {stop - 1} are missing")


def _checkpoints(
    lines: Iterable[bytes], keys: Sequence[PublicKey], known: Sequence[str], found: _Findings
) -> list[tuple[Checkpoint, int]]:
    """Those that one of the keys signed, by size, with the lines they stand in."""
    notes = [(note, 0) for note in known]
    for number, raw in enumerate(lines, 1):
        if raw.startswith(_MARK):
            try:
                line = parse_line(raw)
            except FormatError as exc:
                found.add("audit.malformed", number, exc.message)
                continue
            assert isinstance(line, CheckpointLine)
            notes.append((line.note, number))
    points: list[tuple[Checkpoint, int]] = []
    for note, number in notes:
        try:
            points.append((_opened(note, keys, points[0][0].origin if points else None), number))
        except FormatError as exc:
            found.add("audit.malformed", number, exc.message)
        except BadSignatureError as exc:
            found.add("audit.forged", number, exc.message)
    return sorted(points, key=lambda one: one[0].size)


def _opened(note: str, keys: Sequence[PublicKey], origin: str | None) -> Checkpoint:
    for key in keys[:-1]:
        with suppress(BadSignatureError):
            return open_checkpoint(note, key, origin=origin)
    return open_checkpoint(note, keys[-1], origin=origin)


def _compare(points: list[tuple[Checkpoint, int]], reading: _Reading, found: _Findings) -> int:
    """Findings about the roots; the greatest size that is proved, 0 for none."""
    by_size: dict[int, bytes] = {}
    for point, line in points:
        if by_size.setdefault(point.size, point.root) != point.root:
            found.add("audit.forked", line, f"two checkpoints of size {point.size} have different roots")
    right = [point.size for point, _ in points if reading.roots.get(point.size) == point.root]
    signed = max(right, default=0)
    for size, root in by_size.items():
        line = next(line for point, line in points if point.size == size)
        if size > reading.end:
            message = f"a checkpoint covers {size} records, and the file ends after {reading.end}"
            found.add("audit.truncated", line, message)
        elif reading.roots.get(size, root) != root and size not in right:
            if size < signed:
                found.add("audit.forked", line, f"the checkpoint of size {size} contradicts the later one of {signed}")
            else:
                before = max((one for one in right if one < size), default=reading.first)
                found.add("audit.edited", line, f"a record from {before} to {size - 1} is not the one that was signed")
    return signed
