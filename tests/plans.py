"""Looks at the plan of every statement the server issues while it is tested; one that reads a whole table is an error.

``watch`` stands between the use cases and the database of this process. The first time a statement comes by, the
database is asked how it would carry it out, and a statement that would visit every row of a table fails there and then,
unless it is on the list below. SQLite plans by the indexes alone while nothing was analysed. PostgreSQL is told to avoid
what a small table would tempt it to, so that a whole table is read only where there is no other way.
"""

import re
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from candado.adapters import postgres, sqlite
from candado.server.schema import MIGRATIONS

_CREATED = re.compile(r"CREATE TABLE (\w+)")
TABLES = frozenset(
    match[1] for _, steps in MIGRATIONS for statement in steps if (match := _CREATED.match(statement.strip()))
)
_NAMED = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+(\w+)(?:\s+(?:AS\s+)?(\w+))?")
_KEYWORDS = frozenset({"WHERE", "SET", "JOIN", "LEFT", "ON", "ORDER", "GROUP", "LIMIT", "UNION", "VALUES", "SELECT"})
_FULL = re.compile(r"(?:Seq|Index|Index Only) Scan(?: Backward)?(?: using (\w+))? on (\w+)")
_PARTIAL = re.compile(r"CREATE (?:UNIQUE )?INDEX (\w+) ON .* WHERE ")
# In a table of a few rows PostgreSQL takes such an index as readily as the right one.
PARTIAL = frozenset(
    match[1] for _, steps in MIGRATIONS for statement in steps if (match := _PARTIAL.match(statement.strip()))
)

ALLOWED = (
    ("candado.server.check", "", "`candado-server check` looks at everything, page by page"),
    ("candado.server.spread", "SELECT 1 FROM shares LIMIT 1", "it ends at the first row"),
    ("candado.server.sweep", "FROM locks WHERE refreshed", "one row for each session that is open now"),
    ("candado.server.sweep", "FROM chunks WHERE epoch", "one row for each piece of an upload that is under way"),
    ("candado.apps.server_metrics", "FROM locks", "the same, for the operator"),
    ("candado.apps.server_metrics", "FROM uploads", "one row for each upload that is under way, for the operator"),
    ("candado.apps.server_metrics", "FROM garbage", "what the next cleaning removes, for the operator"),
    ("candado.server.holding", "FROM settings", "a handful of rows"),
    ("candado.server.accounts", "DELETE FROM login_flows", "one row for each sign-in of the last minutes"),
    ("candado.server.accounts", "FROM users ORDER BY id", "`candado-server user list`"),
    (
        "candado.server.accounts",
        "LIKE",
        "a part of a name, as far as the page asked for: grows with the users (scaling)",
    ),
    ("candado.server.accounts", "id <> $1 AND is_admin = 1", "an index holds the administrators alone"),
    ("candado.server.pki", "FROM certificates ORDER BY", "`candado-server ca status` and `ca list`"),
    ("candado.server.authority", "SELECT 1 FROM certificates", "it ends at the first row"),
    ("candado.server.approvals", "FROM key_requests ORDER BY", "`candado-server ca requests`, and each decision"),
    ("candado.server.approvals", "FROM key_approvals ORDER BY", "the same"),
    ("candado.server.revocations", "FROM revoked_keys", "the list of revoked keys names every one"),
    ("candado.server.overview", "", "the overview of administrators counts, and lists the sessions that are open now"),
    ("candado.apps.plain_routes", "FROM settings", "a handful of rows"),
    ("candado.server.auditlog", "FROM audit_pending", "events that wait for their number: those of the last second"),
    ("candado.server.auditlog", "FROM user_keys", "once in the life of a server, when its log begins"),
    ("candado.server.auditlog", "FROM audit_checkpoints", "it ends at the first row, or is a restore"),
    ("candado.server.auditproofs", "FROM audit_checkpoints", "it ends at the first row"),
    ("candado.server.auditgate", "FROM audit_pending", "it ends at the first row"),
    ("candado.server.auditgate", "FROM audit_sinks", "the outputs of the audit log, a handful of rows"),
    ("candado.server.auditsinks", "FROM audit_checkpoints ORDER BY", "it ends at the first row"),
    ("candado.server.auditkeeping", "FROM audit_checkpoints ORDER BY", "it ends at the first row"),
    ("candado.server.auditkeeping", "FROM audit_sinks", "the outputs of the audit log, a handful of rows"),
    ("candado.server.auditkeeping", "FROM audit_holds", "legal holds, a handful of rows"),
    ("candado.server.auditkeeping", "FROM audit_pending", "it ends at the first row"),
    ("candado.server.groups", "FROM groups", "groups of the whole server: few, and only asked for by administrators"),
    ("candado.server.groups", "FROM memberships ORDER BY", "`candado-server group list`"),
)
"""Whole tables that may be read: the module, a part of the statement, why."""


class TableScanError(AssertionError):
    """A statement reads a whole table."""


def tables_of(sql: str) -> dict[str, str]:
    """The tables a statement uses, by the names it gives them."""
    names: dict[str, str] = {}
    for table, alias in _NAMED.findall(sql):
        if table in TABLES:
            names[table] = table
            if alias and alias.upper() not in _KEYWORDS:
                names[alias] = table
    return names


def refuse(sql: str, scanned: list[str], plan: list[str], module: str) -> None:
    """TableScanError unless nothing was scanned, or it may be."""
    if scanned and not any(module == allowed and part in sql for allowed, part, _ in ALLOWED):
        raise TableScanError(f"{module} reads all of {', '.join(scanned)}: {sql}\n" + "\n".join(plan))


def check_sqlite(connection: Any, sql: str, values: Any, module: str) -> None:
    """Ask SQLite for its plan."""
    plan = [str(row[3]) for row in connection.execute("EXPLAIN QUERY PLAN " + sqlite._translate(sql), values)]
    names = tables_of(sql)
    scans = [names.get(step.split()[1], "") for step in plan if step.startswith("SCAN ")]
    refuse(sql, [table for table in scans if table and table not in _analysed_small(connection)], plan, module)


def _analysed_small(connection: Any) -> set[str]:
    """Tables that a connection analysed at its end when they had a few rows: SQLite reads such in one go."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'").fetchone() is None:
        return set()
    found = connection.execute("SELECT tbl, stat FROM sqlite_stat1 WHERE stat IS NOT NULL").fetchall()
    return {str(table) for table, stat in found if int(str(stat).split()[0]) < 100}


async def check_postgres(connection: Any, sql: str, values: Any, module: str) -> None:
    """Ask PostgreSQL for its plan, in the transaction the statement is to run in."""
    switches = ("seqscan", "hashjoin", "mergejoin")
    await connection.execute("".join(f"SET LOCAL enable_{name} = off;" for name in switches))
    plan = [str(row[0]) for row in await connection.fetch("EXPLAIN " + sql, *values)]
    await connection.execute("".join(f"SET LOCAL enable_{name} = on;" for name in switches))
    found: list[str] = []
    for step, following in zip(plan, [*plan[1:], ""], strict=True):
        match = _FULL.search(step)
        if match and match[2] in TABLES and match[1] not in PARTIAL and "Index Cond" not in following:
            found.append(match[2])
    refuse(sql, found, plan, module)


def watch() -> None:
    """Look at every statement of this process from now on; harmless twice."""
    if getattr(sqlite._SqliteRows, "watched", False):
        return
    sqlite._SqliteRows.watched = True  # type: ignore[attr-defined]
    seen: set[tuple[str, str]] = set()
    for name in ("one", "all", "run", "many"):
        for rows, check in ((sqlite._SqliteRows, _ask_sqlite), (postgres._PostgresRows, _ask_postgres)):
            setattr(rows, name, _looked_at(rows, name, check, seen))


def _looked_at(
    rows: type, name: str, check: Callable[[Any, str, Any, str], Awaitable[None]], seen: set[tuple[str, str]]
) -> Callable[..., Awaitable[Any]]:
    real = getattr(rows, name)

    async def asked(self: Any, sql: str, *values: Any) -> Any:
        first = values if name != "many" else (values[0] or [None])[0]
        module = sys._getframe(1).f_globals["__name__"]
        ours = module.startswith(("candado.server.", "candado.apps."))  # a test may look at whatever it likes
        if ours and (rows.__name__, sql) not in seen and first is not None and tables_of(sql):
            await check(self, sql, first, module)
            seen.add((rows.__name__, sql))
        return await real(self, sql, *values)

    return asked


async def _ask_sqlite(rows: Any, sql: str, values: Any, module: str) -> None:
    check_sqlite(rows._connection, sql, values, module)


async def _ask_postgres(rows: Any, sql: str, values: Any, module: str) -> None:
    with rows._waiting():
        await check_postgres(rows._connection, sql, values, module)
