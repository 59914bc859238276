"""What a person should see: refusals with their evidence, warnings, notices. Kept until somebody dismisses them.

Layer: ``client``. Rows live in the state's space ``issue``; the raw signed documents of a refusal in ``evidence``,
so that two signatures can still prove an equivocation after the server went back to honest answers (threats.md A112).
"""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Final

from candado.errors import CandadoError, CorruptStateError, TamperError
from candado.folder.model import RawText
from candado.ports.ambient import Clock
from candado.ports.client import StateStore

__all__ = ["Issue", "IssueBook", "Severity"]

Severity = str
"""``refused`` (tampering or a failed check), ``problem`` (a person should act) or ``notice`` (something changed)."""

_SPACE: Final = "issue"
_EVIDENCE: Final = "evidence"


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing to look at.

    ``code`` is an error code or an event code of the threat model, ``path`` a clear path of this user, ``time``
    seconds since the epoch of the first sighting, ``count`` how often it was seen. ``evidence`` says that the raw
    documents were kept. ``pair`` names the pair of folders whose sync met a problem, empty for all others.
    """

    issue_id: str
    severity: Severity
    code: str
    message: str
    path: str
    safe: str
    advice: str
    time: float
    last_seen: float
    count: int = 1
    file_id: int = 0
    evidence: bool = False
    pair: str = ""


class IssueBook:
    """The issues of one account on one device.

    The same code at the same path is one issue however often it is met, so that a lie told a thousand times does not
    fill the disk.
    """

    def __init__(self, store: StateStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def all(self) -> list[Issue]:
        """Every open issue, oldest first; CorruptStateError when a row cannot be read."""
        found = [_parse(value) for value in self._store.load_all(_SPACE).values()]
        return sorted(found, key=lambda issue: (issue.time, issue.issue_id))

    def add(
        self,
        severity: Severity,
        code: str,
        message: str,
        *,
        path: str,
        safe: str = "",
        advice: str = "",
        file_id: int = 0,
        raw: RawText | None = None,
        pair: str = "",
    ) -> Issue:
        """Record one sighting; durable on return when it is a refusal."""
        digest = (
            "" if raw is None else sha256(f"{raw.text}\0{raw.signature}".encode("utf-8", "surrogatepass")).hexdigest()
        )
        facts = f"{code}\0{path}\0{file_id}\0{digest}" + (f"\0{pair}" if pair else "")
        identity = sha256(facts.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        now = self._clock.now()
        stored = self._store.load(_SPACE, identity)
        before = None if stored is None else _parse(stored)
        issue = Issue(
            identity,
            severity,
            code,
            message,
            path,
            safe,
            advice,
            now if before is None else before.time,
            now,
            1 if before is None else before.count + 1,
            file_id,
            raw is not None,
            pair,
        )
        rows: list[tuple[str, str, bytes | None]] = [(_SPACE, identity, json.dumps(asdict(issue)).encode())]
        if raw is not None and before is None:
            evidence = {"metadata": raw.text, "signature": raw.signature, "seen": now, "file_id": file_id}
            rows.append((_EVIDENCE, identity, json.dumps(evidence).encode()))
        self._store.commit(rows, durable=severity == "refused" and before is None)
        return issue

    def refuse(self, error: CandadoError, *, path: str, file_id: int = 0, raw: RawText | None = None) -> Issue:
        """Record that something was refused, with the documents that were refused."""
        code = error.event if isinstance(error, TamperError) else error.code
        return self.add(
            "refused",
            code,
            error.message,
            path=path,
            safe=error.safe,
            advice=error.advice,
            file_id=file_id,
            raw=raw,
        )

    def evidence(self, issue_id: str) -> bytes | None:
        """The refused documents of an issue as JSON (``metadata``, ``signature``, ``seen``, ``file_id``), or None."""
        return self._store.load(_EVIDENCE, issue_id)

    def dismiss(self, issue_id: str) -> bool:
        """Forget one issue and its evidence; False when there is none of this id."""
        if self._store.load(_SPACE, issue_id) is None:
            return False
        self._store.commit([(_SPACE, issue_id, None), (_EVIDENCE, issue_id, None)])
        return True


def _parse(value: bytes) -> Issue:
    try:
        return Issue(**json.loads(value))
    except (ValueError, TypeError) as exc:
        raise CorruptStateError("a stored issue cannot be read") from exc
