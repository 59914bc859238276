"""What access rules of the server refused: kept, so that nobody is asked and told the same again and again.

Layer: ``client``. A sync keeps each refused operation of its pair, in the space ``held/PAIR`` by path, with what the
operation was and the version of the rules that refused it. It is left out of later runs until the file is another one,
the rules are others, or, where the rule looked at what changes by itself (time, address, groups), an hour has passed.
It stays among the issues as long. A row that is lost costs one request.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from candado.client.orgrules import rules_serial
from candado.client.sync_report import SyncProblem
from candado.errors import ClientRuleError, PolicyDeniedError
from candado.protocol.plan_model import (
    Adopt,
    DeleteRemote,
    Download,
    MakeFolderRemote,
    MoveRemote,
    Operation,
    Plan,
    RemoveFolderRemote,
    Upload,
)
from candado.protocol.plan_moves import is_under

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.client.sync_report import SyncReport

__all__ = ["HeldBack", "note_denial", "settle_denials"]

_AGAIN_SECONDS: Final = 3600.0
_UNKNOWN: Final = PolicyDeniedError("a rule of the server does not allow this")
_FACTS: Final = (_UNKNOWN.code, _UNKNOWN.message, _UNKNOWN.advice, _UNKNOWN.safe)
"""Of a row that cannot be read."""
_Refusable = Upload | Download | MakeFolderRemote | MoveRemote | DeleteRemote | RemoveFolderRemote


class HeldBack:
    """The refused operations of one pair.

    Args:
        account: of this device.
        pair: name of the pair.
    """

    def __init__(self, account: "Account", pair: str) -> None:
        self._account = account
        self._space = f"held/{pair}"
        self._planned: dict[str, str] = {}

    async def leave_out(self, plan: Plan, report: "SyncReport") -> Plan:
        """The plan without what is not worth a try, which is reported as a problem that is known.

        With a folder that cannot be made or moved goes all that would be done in it.
        """
        self.keep(report)
        self._planned = {_path(op): _what(op) for op in plan.operations if isinstance(op, _Refusable)}
        rows = self._rows(report)
        if not rows:
            return plan
        versions = {ClientRuleError.code: rules_serial(self._account)}
        if any(_code(row) not in versions for row in rows.values()):
            versions[PolicyDeniedError.code] = (await self._account.capabilities(fresh=True)).rules_version
        held = {path: row for path, row in rows.items() if self._is_held(row, self._planned[path], versions)}
        report.errors += [_problem(path, row, known=path not in report.denials) for path, row in held.items()]
        return replace(plan, operations=tuple(op for op in plan.operations if not _is_left_out(op, held)))

    def _rows(self, report: "SyncReport") -> dict[str, dict[str, object]]:
        """What is kept of the operations of this plan; of others nothing is kept any more."""
        store = self._account.store
        stored = store.load_all(self._space)
        gone = [(self._space, path, None) for path in stored if path not in self._planned]
        if gone and not report.dry_run:
            store.commit(gone, durable=False)
        return {path: _parse(value) for path, value in stored.items() if path in self._planned}

    def _is_held(self, row: dict[str, object], what: str, versions: Mapping[str, int]) -> bool:
        if row.get("what") != what or row.get("version") != versions.get(_code(row)):
            return False
        at = row.get("at")
        age = self._account.clock.now() - (at if isinstance(at, int | float) else 0.0)
        return row.get("lasting") is True or 0 <= age < _AGAIN_SECONDS

    def keep(self, report: "SyncReport") -> None:
        """Keep what rules refused in this run."""
        now = self._account.clock.now()
        rows: list[tuple[str, str, bytes | None]] = []
        for path, error in report.denials.items():
            row = {
                "what": self._planned.get(path, ""),
                "version": error.rules_version,
                "lasting": error.lasting,
                "at": now,
                "problem": [error.code, error.message, error.advice, error.safe],
            }
            rows.append((self._space, path, json.dumps(row).encode()))
        if rows:
            self._account.store.commit(rows, durable=False)


def _path(op: _Refusable) -> str:
    return op.target if isinstance(op, MoveRemote) else op.path


def _is_left_out(op: Operation, held: Collection[str]) -> bool:
    """Whether an operation is one of those, or would be done at or below the place of one."""
    if isinstance(op, _Refusable):
        return _path(op) in held or is_under(_path(op), held)
    return isinstance(op, Adopt) and is_under(op.path, held)


def _what(op: _Refusable) -> str:
    """What would be done, so that a change of it is worth another try."""
    match op:
        case Upload():
            return f"upload {op.local.size_bytes} {op.local.mtime_ns}"
        case Download():
            return f"download {op.remote.content_id}"
        case MoveRemote():
            return f"move {op.source}"
        case MakeFolderRemote():
            return "folder"
        case DeleteRemote():
            return f"delete {op.expected.content_id}"
        case RemoveFolderRemote():
            return f"remove {len(op.contents)}"


def _parse(value: bytes) -> dict[str, object]:
    try:
        row = json.loads(value)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}


def _code(row: dict[str, object]) -> str:
    """Of which kind the rule was."""
    facts = row.get("problem")
    told = facts[0] if isinstance(facts, list) and facts else ""
    return ClientRuleError.code if told == ClientRuleError.code else PolicyDeniedError.code


def _problem(path: str, row: dict[str, object], *, known: bool) -> SyncProblem:
    facts = row.get("problem")
    told = [str(fact) for fact in facts] if isinstance(facts, list) else []
    code, message, advice, safe = told if len(told) == len(_FACTS) else _FACTS
    return SyncProblem(path, code, message, advice, safe, known=known)


def note_denial(account: "Account", error: PolicyDeniedError, path: str) -> None:
    """Put a refusal by a rule among the issues."""
    account.issue_book.add("problem", error.code, error.message, path=path, safe=error.safe, advice=error.advice)


def settle_denials(account: "Account", paths: Sequence[str]) -> None:
    """Take off the issues of refusals at paths where it worked now."""
    done = frozenset(paths)
    for issue in account.issues():
        if issue.code in (PolicyDeniedError.code, ClientRuleError.code) and not issue.pair and issue.path in done:
            account.issue_book.dismiss(issue.issue_id)
