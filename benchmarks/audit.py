"""What does the audit log cost? Events a second, and requests beside those of the same server without events.

Two servers of this program run at once on databases of their own, one as it is, the other with ``record`` taken out; the
same requests go to both by turns, so that whatever else the machine does hits both. Figures of one run are comparable
with each other only. Usage: python benchmarks/audit.py [--rounds N] [--events N] [--database sqlite|postgresql|both]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import asyncpg
from scale import postgres_url

from candado.adapters.audit_file import AuditFile
from candado.adapters.signers import SoftwareSigner
from candado.apps.server_config import load_config
from candado.apps.server_wiring import open_backend
from candado.server.audit import Actor, Event, audited, node_ref, record
from candado.server.auditlog import AuditLog
from candado.server.auditsinks import Delivery, SinkSettings, register_sinks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from candado.ports.server import Rows

PASSWORD = "four random words suffice"
_SILENT = """
import candado.server.audit as audit

async def nothing(rows, events):
    pass

audit.record = audit.record_all = nothing
"""
_MAIN = "from candado.apps.server_cli import main; main()"


class Server:
    """A server process, and a session of a user on it."""

    def __init__(self, data: Path, *, with_events: bool) -> None:
        start = _MAIN if with_events else _SILENT + _MAIN
        words = [sys.executable, "-c", start, "serve", "--data", str(data), "--listen", "127.0.0.1:0"]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip().rpartition(" ")[2]

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)


def commands(data: Path, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _MAIN, *words, "--data", str(data)], capture_output=True, check=False, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)


def made(folder: Path, database: str) -> Path:
    folder.mkdir()
    (folder / "password").write_text(PASSWORD)
    commands(folder / "data", "init", *(["--database", database] if database else []))
    for user in ("alice", "bob"):
        commands(folder / "data", "user", "add", user, "--password-file", str(folder / "password"))
    return folder / "data"


@contextlib.asynccontextmanager
async def signed_in() -> AsyncIterator[aiohttp.ClientSession]:
    token = b64encode(f"alice:{PASSWORD}".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "OCS-APIRequest": "true", "Accept": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield session


async def ask(session: aiohttp.ClientSession, method: str, url: str, **more: Any) -> Any:
    async with session.request(method, url, **more) as answer:
        body = await answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {url}: {answer.status} {body!r}")
        return answer.headers, body


class Acts:
    """Requests of three kinds: one that records nothing, two that record an event each."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session
        self._folder = ""
        self._root = ""

    async def prepare(self) -> None:
        files = f"{self._url}/remote.php/dav/files/alice"
        await ask(self._session, "MKCOL", f"{files}/plain")
        headers, _ = await ask(self._session, "MKCOL", f"{files}/sealed")
        self._root = str(headers["OC-FileId"]).lstrip("0").removesuffix(str(headers["OC-FileId"])[-12:])
        await ask(self._session, "PUT", f"{self._e2ee}/encrypted/{self._root}")

    @property
    def _e2ee(self) -> str:
        return f"{self._url}/ocs/v2.php/apps/end_to_end_encryption/api/v2"

    async def put(self) -> int:
        await ask(self._session, "PUT", f"{self._url}/remote.php/dav/files/alice/plain/file", data=b"x" * 4096)
        return 1

    async def lock(self) -> int:
        headers = {"X-NC-E2EE-COUNTER": "1"}
        _, body = await ask(self._session, "POST", f"{self._e2ee}/lock/{self._root}", headers=headers)
        token = json.loads(body)["ocs"]["data"]["e2e-token"]
        await ask(self._session, "DELETE", f"{self._e2ee}/lock/{self._root}", headers={"e2e-token": token})
        return 2

    async def share(self) -> int:
        shares = f"{self._url}/ocs/v2.php/apps/files_sharing/api/v1/shares"
        form = {"path": "/plain", "shareType": "0", "shareWith": "bob"}
        _, body = await ask(self._session, "POST", shares, data=form)
        await ask(self._session, "DELETE", f"{shares}/{json.loads(body)['ocs']['data']['id']}")
        return 2


async def beside(root: Path, places: tuple[str, str], rounds: int) -> None:
    """The same requests to both servers by turns."""
    places_of_data = [made(root / name, place) for name, place in zip(("with", "without"), places, strict=True)]
    servers = [Server(data, with_events=not number) for number, data in enumerate(places_of_data)]
    try:
        async with signed_in() as one, signed_in() as other:
            acts = [Acts(server.url, session) for server, session in zip(servers, (one, other), strict=True)]
            for each in acts:
                await each.prepare()
            for name in ("put", "lock", "share"):
                await measure(name, servers, acts, rounds)
    finally:
        for server in servers:
            server.stop()


async def measure(name: str, servers: list[Server], acts: list[Acts], rounds: int) -> None:
    times: list[list[float]] = [[], []]
    cpu = [0.0, 0.0]
    count = 0
    for turn in range(rounds + 5):
        for index in (0, 1) if turn % 2 else (1, 0):
            before, started = servers[index].cpu_seconds(), time.perf_counter()
            for _ in range(20):
                count = await getattr(acts[index], name)()
            if turn >= 5:  # the first ones warm up
                times[index].append((time.perf_counter() - started) / 20 / count)
                cpu[index] += servers[index].cpu_seconds() - before
    ratios = sorted(a / b for a, b in zip(*times, strict=True))
    low, middle, high = (ratios[int(len(ratios) * part)] for part in (0.25, 0.5, 0.75))
    with_ms, without_ms = (statistics.median(one) * 1000 for one in times)
    requests = rounds * 20 * count
    print(
        f"| {name} | {with_ms:.3f} | {without_ms:.3f} | **{middle:.2f}** ({low:.2f} to {high:.2f})"
        f" | {cpu[0] / requests * 1000:.3f} | {cpu[1] / requests * 1000:.3f} |",
        flush=True,
    )


async def rates(root: Path, database: str, events: int) -> None:
    """Events a second: recorded one a transaction by eight at once; numbered; delivered to a file."""
    folder = root / "rates"
    data = made(folder, database)
    key = SoftwareSigner.load(data / "authority.pem")
    async with open_backend(load_config(data, {})) as backend:
        event = Event("share.made", Actor("alice", 3), node_ref(7), details={"permissions": 31})
        log = AuditLog(backend)
        await log.sequence()

        async def worker(count: int) -> None:
            for _ in range(count):
                await backend.database.write(lambda rows: record(rows, event))

        async def all_at_once(rows: Rows) -> None:
            for _ in range(events):
                await record(rows, event)

        with audited(clock=backend.clock):
            started = time.perf_counter()
            await asyncio.gather(*(worker(events // 8) for _ in range(8)))
            recorded = events // 8 * 8 / (time.perf_counter() - started)
            await backend.database.write(all_at_once)
        started = time.perf_counter()
        numbered = await log.sequence()
        seconds = time.perf_counter() - started
        await log.checkpoint(key, force=True)
        settings = SinkSettings("bench")
        await register_sinks(backend, [settings])
        delivery = Delivery(backend, AuditFile(folder / "audit.jsonl", "native"), settings, version="0")
        begun = time.perf_counter()
        await delivery.drain()
        lines = (folder / "audit.jsonl").read_bytes().count(b"\n")
        delivered = lines / (time.perf_counter() - begun)
        print(
            f"events a second: recorded in transactions of their own {recorded:,.0f};"
            f" numbered, hashed and stored {numbered / seconds:,.0f}; delivered to a file {delivered:,.0f}\n",
            flush=True,
        )


async def main_for(kind: str, rounds: int, events: int) -> None:
    with tempfile.TemporaryDirectory(prefix="candado-audit-", dir="/dev/shm") as name:
        root = Path(name)
        root.chmod(0o711)
        print(f"\n## {kind}\n", flush=True)
        with contextlib.ExitStack() as stack:
            places = ["", "", ""]
            if kind == "postgresql":
                url = stack.enter_context(postgres_url(root))
                places = await databases(url)
            await rates(root, places[0], events)
            print(
                "| Requests | with, ms | without, ms | ratio | CPU with, ms | CPU without, ms |\n|---|---|---|---|---|---|"
            )
            await beside(root, (places[1], places[2]), rounds)


async def databases(url: str) -> list[str]:
    """Three empty databases of a cluster."""
    connection = await asyncpg.connect(url)
    found = []
    for number in range(3):
        await connection.execute(f"CREATE DATABASE audit{number} TEMPLATE template0")
        found.append(url.replace("/bench?", f"/audit{number}?"))
    await connection.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    options = parser.parse_args()
    for kind in ("sqlite", "postgresql") if options.database == "both" else (options.database,):
        asyncio.run(main_for(kind, options.rounds, options.events))


if __name__ == "__main__":
    main()
