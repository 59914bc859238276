"""Does the cost of a request grow with the size of the account? And what does a file cost in the database?

The same requests go to an account of 1,000 files and to one of 1,000,000 (1,000 folders of 1,000), on SQLite and, where
it is installed, on PostgreSQL. Rows are put in by statements on the database, as no client could in that time; the server
that answers is the real one. Usage: python benchmarks/scale.py [--files N] [--rounds N] [--database sqlite|postgresql|both]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import itertools
import os
import pwd
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import load
from bench import DESKTOP, Cost, propfind_body
from load import request
from own import Own
from peers import Candado, Running, end_what_was_started, login
from scale_parts import one_account_and_eight, requests_of_a_quiet_sync

from candado.adapters.objects import DirectoryObjects
from candado.apps.server_config import load_config
from candado.apps.server_wiring import open_backend
from candado.server.tree import create_home, home_of
from candado.types import UserId

if TYPE_CHECKING:
    from candado.ports.server import Database, Rows
    from candado.server.model import Backend

IN_FOLDER, SMALL_BYTES, ROWS_AT_ONCE = 1000, 4096, 50_000
SMALL, LARGE = "small", "large"
_INSERT = (
    "INSERT INTO nodes (id, parent_id, name, is_folder, content, part_count, size, mtime, created, etag)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)"
)
_MTIME = 1_700_000_000.0


async def fill(backend: Backend, user: str, files: int) -> None:
    """A home with ``files`` files in folders of 1,000, all with a body of the store."""
    tag = backend.tag
    blobs = [await backend.objects.put(os.getrandom(SMALL_BYTES)) for _ in range(IN_FOLDER)]
    await backend.objects.persist(blobs)
    folders = max(1, files // IN_FOLDER)

    async def begin(rows: Rows) -> tuple[int, int]:
        row = await rows.one("SELECT next FROM sequences WHERE name = 'node'")
        first = int(row[0])
        await rows.run("UPDATE sequences SET next = next + $1 WHERE name = 'node'", 2 + folders * (IN_FOLDER + 1))
        await create_home(rows, UserId(user), node_id=first, etag=tag(), now=_MTIME)
        home = await home_of(rows, UserId(user))
        size = folders * IN_FOLDER * SMALL_BYTES
        await rows.run("UPDATE nodes SET size = $2 WHERE id = $1", home.id, size)
        return first, home.id

    first, home = await backend.database.write(begin)
    number = itertools.count(first + 1)
    made: list[tuple[object, ...]] = []

    async def flush() -> None:
        batch = list(made)
        made.clear()
        await backend.database.write(functools.partial(_insert, batch=batch))

    for folder in range(folders):
        parent = next(number)
        made.append((parent, home, f"folder-{folder:04}", 1, None, 0, IN_FOLDER * SMALL_BYTES, _MTIME, tag()))
        for file in range(IN_FOLDER):
            # As in life each version has a body of its own name; only the first folder's bodies are really there.
            content = blobs[file] if folder == 0 else backend.random.token(16).hex()
            made.append((next(number), parent, f"file-{file:05}.txt", 0, content, 1, SMALL_BYTES, _MTIME + file, tag()))
        if len(made) >= ROWS_AT_ONCE:
            await flush()
    await flush()


async def _insert(rows: Rows, *, batch: list[tuple[object, ...]]) -> None:
    await rows.many(_INSERT, batch)


class Account(Own):
    """The requests of one user; ``folder-0000`` has 1,000 files."""

    def __init__(self, running: Running) -> None:
        super().__init__(running)
        self.number = itertools.count(1)

    # --- operations --------------------------------------------------------------------------------------

    def listing_of_1000(self) -> Cost:
        headers = {"Depth": "1"}
        ask = self.ask("PROPFIND", "folder-0000/", headers=headers, body=propfind_body(DESKTOP), statuses=(207,))
        return self.timed(itertools.repeat(ask))

    def root_tag(self) -> Cost:
        headers = {"Depth": "0"}
        ask = self.ask("PROPFIND", "", headers=headers, body=propfind_body(("d:getetag",)), statuses=(207,))
        return self.timed(itertools.repeat(ask))

    def get(self) -> Cost:
        wanted = [self.ask("GET", f"folder-0000/file-{n:05}.txt") for n in range(IN_FOLDER)]
        return self.timed(itertools.cycle(wanted))

    def put_move_delete(self) -> Cost:
        """Each of the three a third of the requests, one connection."""
        return self.measure(lambda: load.run(self.on.address, self._thirds(60), connections=1))

    def _thirds(self, count: int):
        for _ in range(count):
            name, other = f"a-{next(self.number)}", f"b-{next(self.number)}"
            target = {"Destination": self.path(other)}
            yield self.put(name)
            yield self.ask("MOVE", name, headers=target, statuses=(201,))
            yield self.ask("DELETE", other, statuses=(204,))

    def quota(self) -> Cost:
        names = ("d:quota-available-bytes", "d:quota-used-bytes")
        ask = self.ask("PROPFIND", "", headers={"Depth": "0"}, body=propfind_body(names), statuses=(207,))
        return self.timed(itertools.repeat(ask))

    def search_by_id(self) -> Cost:
        user = self.on.base.rpartition("/")[2]
        body = (
            '<?xml version="1.0"?><d:searchrequest xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:basicsearch>'
            "<d:select><d:prop><oc:fileid/></d:prop></d:select><d:from><d:scope>"
            f"<d:href>/files/{user}</d:href><d:depth>infinity</d:depth></d:scope></d:from>"
            f"<d:where><d:eq><d:prop><oc:fileid/></d:prop><d:literal>{self.folder_id}</d:literal></d:eq></d:where>"
            "</d:basicsearch></d:searchrequest>"
        ).encode()
        ask = request("SEARCH", "/remote.php/dav/", headers=self.on.headers, body=body, statuses=(207,))
        return self.timed(itertools.repeat(ask))


OPERATIONS = (
    ("PROPFIND, folder of 1,000", Account.listing_of_1000),
    ("PROPFIND, tag of the root", Account.root_tag),
    ("GET", Account.get),
    ("PUT, MOVE, DELETE", Account.put_move_delete),
    ("lock, metadata, unlock", Account.sessions),
    ("quota", Account.quota),
    ("SEARCH by id", Account.search_by_id),
)


@contextlib.contextmanager
def postgres_url(root: Path):
    """A throw-away cluster on a socket; None when it is not installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if not folders:
        yield None
        return
    programs = folders[-1].parent
    folder = root / "cluster"
    folder.mkdir()
    prefix: list[str] = []
    if os.getuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        prefix = ["runuser", "-u", "postgres", "--"]

    def run(*words: str) -> None:
        subprocess.run([*prefix, *words], check=True, stdout=subprocess.DEVNULL, cwd="/")

    data = str(folder / "data")
    run(str(programs / "initdb"), "-D", data, "-A", "trust", "-U", "candado", "-E", "UTF8")
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c max_wal_size=4GB"
    run(str(programs / "pg_ctl"), "-D", data, "-l", f"{data}/log", "-w", "-o", options, "start")
    try:
        run(str(programs / "createdb"), "-h", str(folder), "-U", "candado", "bench")
        yield f"postgresql://candado@/bench?host={folder}"
    finally:
        run(str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")


async def row_sizes(database: Database, files: int) -> list[str]:
    """Bytes for each row of ``nodes``, table and indexes, as PostgreSQL counts them."""
    names = ("nodes", "nodes_pkey", "nodes_place", "nodes_content", "nodes_home")

    async def work(rows: Rows) -> list[tuple[str, int]]:
        found = [
            (name, int((await rows.one("SELECT pg_relation_size(CAST($1 AS regclass))", name))[0])) for name in names
        ]
        total = await rows.one("SELECT pg_total_relation_size(CAST('nodes' AS regclass))")
        return [*found, ("all of it", int(total[0]))]

    return [f"{name}: {size / files:.0f} bytes a file" for name, size in await database.read(work)]


async def prepare(data: Path, sizes: dict[str, int]) -> list[str]:
    config = load_config(data, {}, database=None, storage=None)
    async with open_backend(config) as backend:
        assert isinstance(backend.objects, DirectoryObjects)
        for user, files in sizes.items():
            await fill(backend, user, files)
        if config.uses_postgres:
            await backend.database.write(lambda rows: rows.run("ANALYZE"))
            return await row_sizes(backend.database, sum(sizes.values()))
    # Closed, so that the log ahead of the file has been written into it.
    return [f"the whole file: {config.database_path.stat().st_size / sum(sizes.values()):.0f} bytes a file"]


def one_database(kind: str, root: Path, url: str, files: int, rounds: int) -> None:
    server = Candado(1, url)
    data = server.make(root, SMALL, LARGE)
    sizes = asyncio.run(prepare(data, {SMALL: IN_FOLDER, LARGE: files}))
    print(f"\n## {kind}: accounts of {IN_FOLDER:,} and {files:,} files\n")
    print("| Request | small, ms | large, ms | Ratio (min to max) | Ratio of the best rounds |\n|---|---|---|---|---|")
    with contextlib.ExitStack() as stack:
        # Two servers on the same database would answer the same; one of them answers both users here.
        running = stack.enter_context(server.serve(root, SMALL))
        other = Running(running.address, running.pid, running.base.replace(SMALL, LARGE), login(LARGE), data)
        accounts = {SMALL: Account(running), LARGE: Account(other)}
        for name, operation in OPERATIONS:
            costs: dict[str, list[Cost]] = {SMALL: [], LARGE: []}
            for number in range(rounds + 1):
                for who in (SMALL, LARGE) if number % 2 else (LARGE, SMALL):
                    cost = operation(accounts[who])
                    if number:
                        costs[who].append(cost)
            ratios = sorted(a.rate / b.rate for a, b in zip(costs[SMALL], costs[LARGE], strict=True))
            cells = [f"{1000 / statistics.median(c.rate for c in costs[who]):.2f}" for who in (SMALL, LARGE)]
            best = max(c.rate for c in costs[SMALL]) / max(c.rate for c in costs[LARGE])
            spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            print(f"| {name} | {cells[0]} | {cells[1]} | {spread} | {best:.2f} |", flush=True)
    print("\n" + "\n".join(sizes))
    print(one_account_and_eight(root / "hot", url), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    options = parser.parse_args()
    end_what_was_started()
    tmpfs = Path("/dev/shm")
    for kind in ("sqlite", "postgresql") if options.database == "both" else (options.database,):
        base = Path(tempfile.mkdtemp(prefix="candado-scale-", dir=tmpfs if tmpfs.is_dir() else None))
        base.chmod(0o755)
        try:
            with postgres_url(base) if kind == "postgresql" else contextlib.nullcontext("") as url:
                if url is None:
                    print("without PostgreSQL: install postgresql")
                else:
                    if kind == "sqlite":
                        print("\n".join(requests_of_a_quiet_sync(base / "quiet")), flush=True)
                    one_database(
                        "SQLite" if kind == "sqlite" else "PostgreSQL", base, url, options.files, options.rounds
                    )
        finally:
            shutil.rmtree(base)


if __name__ == "__main__":
    main()
