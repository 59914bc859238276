"""A real ``candado-server`` process for tests, with users, on a free port of the loopback."""

import asyncio
import base64
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from tests.postgres import cluster
from yarl import URL

from candado.apps import server_cli

PASSWORD = "four random words suffice"
# The server as it is, but for a look at the plan of every statement: one that reads a whole table fails.
_START = (
    f"import sys; sys.path.append({str(Path(__file__).parents[2])!r}); import tests.plans; tests.plans.watch();"
    " from candado.apps.server_cli import main; main()"
)
COMMAND = [sys.executable, "-c", _START]
START_SECONDS = 30
STOP_SECONDS = 35


@dataclass
class Answer:
    """Status, headers and whole body of one answer."""

    status: int
    headers: Any
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def run_server(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run one administrative command to its end."""
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)
    if check:
        assert done.returncode == 0, done.stderr
    return done


def answer_of(*words: str | Path, status: int = 0) -> dict[str, Any]:
    """The JSON answer of an administrative command that ends with this status.

    It runs in this process unless an event loop does already, which saves the start of an interpreter.
    """
    arguments = [*map(str, words), "--json"]
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        output = io.StringIO()
        with redirect_stdout(output):
            found = server_cli.run(arguments)
        asyncio.set_event_loop_policy(None)
        text = output.getvalue()
    else:
        done = run_server(*arguments, check=False)
        found, text = done.returncode, done.stdout
    assert found == status, text
    document: dict[str, Any] = json.loads(text)
    return document


def _database() -> list[str]:
    """Where rows go that are not to be in a file: the variable that unit tests look at decides here as well."""
    if os.environ.get("CANDADO_TEST_DATABASE") != "postgresql":
        return []
    return ["--database", asyncio.run(cluster().fresh())]


def make_data(folder: Path, *users: str, url: str = "", admin: str = "", authority: str = "") -> Path:
    """A data directory with users, all with the same password; ``admin`` may administrate."""
    data, password = folder / "data", folder / "password"
    password.write_text(PASSWORD + "\n")
    first = ["--admin", admin, "--admin-password-file", str(password)] if admin else []
    first += ["--authority", authority] if authority else []
    run_server("init", "--data", str(data), *(["--url", url] if url else []), *first, *_database())
    for user in users:
        run_server("user", "add", user, "--password-file", str(password), "--data", str(data))
    return data


@dataclass
class ServerProcess:
    """A server that runs."""

    url: str
    data: Path
    process: "subprocess.Popen[str]"

    def stop(self) -> int:
        """SIGTERM, then the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def memory_peak(self) -> int:
        """Peak resident bytes of the process so far."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


@contextmanager
def serving(data: Path, *options: str) -> Iterator[ServerProcess]:
    """Run ``candado-server serve`` on a free port; stop it afterwards."""
    arguments = [*COMMAND, "serve", "--data", str(data), "--listen", "127.0.0.1:0", *options]
    log = (data.parent / "server.log").open("a")
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=log, text=True, env=dict(os.environ))
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("listening on "):
            process.wait(START_SECONDS)
            raise AssertionError(f"the server did not start: {line!r} {(data.parent / 'server.log').read_text()}")
        yield ServerProcess(line.removeprefix("listening on ").strip(), data, process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            finally:
                process.kill()
        assert process.stdout is not None
        process.stdout.close()
        process.wait()
        log.close()


class Caller:
    """Sends requests as one user, path and headers exactly as given."""

    def __init__(self, url: str, user: str | None, password: str = PASSWORD) -> None:
        self.url = url
        self.user = user
        self.headers: dict[str, str] = {}
        if user is not None:
            self.headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def send(self, method: str, path: str, *, body: Any = None, **headers: str) -> Answer:
        """One request; header names are given with underscores."""
        assert self._session is not None
        shown = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        target = URL(self.url + path, encoded=True)
        if isinstance(body, dict):
            body = urlencode(body, doseq=True).encode()
            shown.setdefault("Content-Type", "application/x-www-form-urlencoded")
        if isinstance(body, str):
            body = body.encode()
        if isinstance(body, bytes):
            body = io.BytesIO(body)
        async with self._session.request(method, target, data=body, headers=shown, allow_redirects=False) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def dav(self, method: str, path: str, *, body: Any = None, **headers: str) -> Answer:
        """A request on the user's own files."""
        return await self.send(method, f"/remote.php/dav/files/{self.user}/{path}", body=body, **headers)

    async def ocs(self, method: str, path: str, *, body: Any = None, **headers: str) -> Answer:
        """A call of the OCS interface, version 2, with a JSON answer."""
        headers = {"OCS_APIRequest": "true", "Accept": "application/json", **headers}
        return await self.send(method, f"/ocs/v2.php{path}", body=body, **headers)

    async def ocs1(self, method: str, path: str, *, body: Any = None) -> Answer:
        """The same in version 1."""
        headers = {"OCS_APIRequest": "true", "Accept": "application/json"}
        return await self.send(method, f"/ocs/v1.php{path}", body=body, **headers)

    async def e2ee(self, method: str, path: str, *, body: Any = None, **headers: str) -> Answer:
        """A call of the end-to-end encryption interface, version 2."""
        return await self.ocs(method, f"/apps/end_to_end_encryption/api/v2/{path}", body=body, **headers)
