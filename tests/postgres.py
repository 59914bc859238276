"""A throw-away PostgreSQL cluster for tests: one for each test process, a new database for each test."""

import contextlib
import functools
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import asyncpg
import pytest

MISSING = "PostgreSQL is not installed on this machine"
_NUMBERS = itertools.count()


def programs() -> Path | None:
    """The folder of initdb and pg_ctl; Debian keeps it out of PATH."""
    found = shutil.which("pg_ctl")
    if found:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    return folders[-1].parent if folders else None


def _as_nobody_special(folder: Path) -> list[str]:
    """PostgreSQL does not run as root: the words that make another user of it."""
    if os.getuid() != 0:
        return []
    user = pwd.getpwnam("postgres")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["runuser", "-u", "postgres", "--"]


class Cluster:
    """A running cluster on a socket in its own folder; nothing listens on the network."""

    def __init__(self) -> None:
        where = programs()
        if where is None:
            pytest.skip(MISSING)
        self.folder = Path(tempfile.mkdtemp(prefix="candado-pg-"))
        self.folder.chmod(0o711)
        self._prefix = _as_nobody_special(self.folder)
        self._control = str(where / "pg_ctl")
        self._data = str(self.folder / "data")
        self._run(str(where / "initdb"), "-D", self._data, "-A", "trust", "-U", "candado", "--no-sync", "-E", "UTF8")
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c fsync=off -c max_connections=200"
        log = str(self.folder / "data" / "log")
        self._run(self._control, "-D", self._data, "-l", log, "-w", "-o", options, "start")

    def _run(self, *words: str) -> None:
        subprocess.run([*self._prefix, *words], check=True, stdout=subprocess.DEVNULL, cwd="/")

    def url(self, database: str) -> str:
        """How to reach a database."""
        return f"postgresql://candado@/{database}?host={self.folder}"

    async def fresh(self) -> str:
        """The address of a new, empty database."""
        name = f"t{next(_NUMBERS)}"
        connection: Any = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        finally:
            await connection.close()
        return self.url(name)

    def stop(self) -> None:
        """End it and remove its folder."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self._run(self._control, "-D", self._data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)


@functools.cache
def cluster() -> Cluster:
    """The cluster of this process, started when the first test asks; ``stop_cluster`` ends it."""
    return Cluster()


def stop_cluster() -> None:
    """End the cluster of this process, if one was started."""
    if cluster.cache_info().currsize:
        cluster().stop()
        cluster.cache_clear()
