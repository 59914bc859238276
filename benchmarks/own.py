"""What only our server does: metadata under a lock, and memory with large bodies; no peer has the like."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import load
from bench import DESKTOP, PIECE, Bench, Cost, for_seconds, propfind_body
from load import MIB, Request, request
from peers import Candado, Running, peak_mb

if TYPE_CHECKING:
    from pathlib import Path

MEMORY_MB_MAX = 200
_AT_ONCE = 4
_TEXT = "m" * 4096


class Own(Bench):
    """The requests of one user of ours, with an encrypted folder."""

    def __init__(self, running: Running) -> None:
        super().__init__(running, 0)
        answer = load.once(running.address, self.ask("MKCOL", "secret", statuses=(201,)))
        self.folder_id = int(answer.lower().partition(b"\r\noc-fileid: ")[2].partition(b"\r\n")[0][:-12])
        self.counter = itertools.count(1)
        self.ocs("PUT", f"encrypted/{self.folder_id}")
        self.session("POST")

    def call(self, method: str, path: str, body: dict[str, str] | None = None, **headers: str) -> Request:
        shown = {**self.on.headers, "OCS-APIRequest": "true", "Accept": "application/json", **headers}
        data = urlencode(body).encode() if body else b""
        if data:
            shown["Content-Type"] = "application/x-www-form-urlencoded"
        place = f"/ocs/v2.php/apps/end_to_end_encryption/api/v2/{path}"
        return request(method, place, headers=shown, body=data)

    def ocs(self, method: str, path: str, body: dict[str, str] | None = None, **headers: str) -> bytes:
        return load.once(self.on.address, self.call(method, path, body, **headers))

    def lock(self) -> str:
        counter = str(next(self.counter))
        answer = self.ocs("POST", f"lock/{self.folder_id}", **{"X-NC-E2EE-COUNTER": counter})
        return answer.partition(b'"e2e-token":"')[2].partition(b'"')[0].decode()

    def metadata(self, method: str, token: str) -> Request:
        signed = {"e2e-token": token, "X-NC-E2EE-SIGNATURE": "c2ln"}
        return self.call(method, f"meta-data/{self.folder_id}", {"metaData": _TEXT}, **signed)

    def unlock(self, token: str) -> None:
        self.ocs("DELETE", f"lock/{self.folder_id}", **{"e2e-token": token})

    def session(self, method: str) -> None:
        """Lock, metadata, unlock."""
        token = self.lock()
        load.once(self.on.address, self.metadata(method, token))
        self.unlock(token)

    def timed_session(self) -> float:
        started = time.perf_counter()
        self.session("PUT")
        return time.perf_counter() - started

    def metadata_puts(self) -> Cost:
        """Metadata of 4 KiB, 8 at once, all under one lock."""
        token = self.lock()
        try:
            return self.timed(itertools.repeat(self.metadata("PUT", token)))
        finally:
            self.unlock(token)

    def sessions(self) -> Cost:
        """Lock, metadata, unlock, one after another; counted as three requests."""

        def work() -> load.Load:
            spent = [self.timed_session() for _ in range(60)]
            return load.Load(3 * len(spent), sum(spent), 1e-9, 0)

        return self.measure(work)


def bare_commits(folder: Path, seconds: float = 1.0) -> float:
    """Durable commits of one row of 4 KiB a second, by the database alone, on one connection."""
    with contextlib.closing(sqlite3.connect(folder / "bare.sqlite", isolation_level=None)) as rows:
        rows.execute("PRAGMA journal_mode=WAL")
        rows.execute("PRAGMA synchronous=FULL")
        rows.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)")
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            rows.execute("INSERT INTO t (text) VALUES (?)", (_TEXT,))
            count += 1
        return count / (time.perf_counter() - started)


def memory_peak(root: Path, big_bytes: int) -> float:
    """The highest memory of the server, MB, with several bodies of this size at once each way and listings beside."""
    root.mkdir()
    with Candado(1).serve(root) as running:
        bench = Own(running)
        for folder in ("list/", "big/"):
            load.once(running.address, bench.ask("MKCOL", folder, statuses=(201,)))
        load.run(running.address, (bench.put(f"list/{n}.txt") for n in range(1000)))

        def one(number: int) -> None:
            name = f"big/{number}.bin"
            head = bench.ask("PUT", name, statuses=(201,), length=big_bytes)
            load.put_big(running.address, head, big_bytes, PIECE)
            load.get_big(running.address, bench.ask("GET", name), big_bytes)

        threads = [threading.Thread(target=one, args=(number,)) for number in range(_AT_ONCE)]
        for thread in threads:
            thread.start()
        names, depth = propfind_body(DESKTOP), {"Depth": "1"}
        while any(thread.is_alive() for thread in threads):
            ask = bench.ask("PROPFIND", "list/", headers=depth, body=names, statuses=(207,))
            load.run(running.address, for_seconds(itertools.repeat(ask), 0.2), connections=4)
        peak = peak_mb(running.pid)
    assert peak < MEMORY_MB_MAX, f"{peak:.0f} MB with bodies of {big_bytes // MIB} MiB"
    return peak


def measure_own(base: Path, rounds: int, big_bytes: int) -> list[str]:
    """Sentences about what has no peer."""
    root = base / "own"
    root.mkdir()
    with Candado(1).serve(root) as running:
        bench = Own(running)
        load.once(running.address, bench.ask("MKCOL", "put/", statuses=(201,)))
        pairs = [(bench.metadata_puts(), bench.small_put(), bare_commits(_fresh(root, n))) for n in range(rounds + 1)]
        sessions = [bench.sessions() for _ in range(rounds)]
    kept = pairs[1:]

    def middle(values: list[float]) -> float:
        return sorted(values)[len(values) // 2]

    puts, bare = ([cost.rate for cost, _, _ in kept], [commits for _, _, commits in kept])
    to_put = middle([cost.rate / put.rate for cost, put, _ in kept])
    to_bare = middle([put.rate / commits for _, put, commits in kept])
    return [
        f"Metadata PUT of 4 KiB under a lock: {middle(puts):,.0f}/s, {to_put:.2f} times the rate of a PUT of 4 KiB.",
        f"Bare durable commits of SQLite here: {middle(bare):,.0f}/s; a PUT of 4 KiB runs at {to_bare:.2f} of that.",
        f"Lock, metadata, unlock: {3000 / middle([cost.rate for cost in sessions]):.2f} ms for the three.",
        (
            f"Peak memory of the worker, {_AT_ONCE} bodies of {big_bytes // MIB} MiB at once up, then down, and listings of 1,000"
            f" entries beside: {memory_peak(base / 'memory', big_bytes):.0f} MB (less than {MEMORY_MB_MAX} is asserted)."
        ),
    ]


def _fresh(root: Path, number: int) -> Path:
    folder = root / f"bare-{number}"
    folder.mkdir()
    return folder
