"""A real server process and real command lines, each device with a home of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PYTHON = sys.executable
PASSWORD = "correct horse battery of"


@dataclass
class Done:
    """What one command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Device:
    """One device: environment and a way to run commands."""

    home: Path
    url: str
    user: str
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CANDADO_", "NC_", "XDG_")) and name != "NO_COLOR"
        }
        self.environment = {
            **clean,
            "CANDADO_HOME": str(self.home),
            "HOME": str(self.folder),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            **self.environment,
        }

    def command(self, *words: str | Path) -> list[str]:
        return [PYTHON, "-m", "candado.apps.cli", *map(str, words)]

    def run(self, *words: str | Path, expect: int | None = 0, stdin: str | None = None) -> Done:
        done = subprocess.run(
            self.command(*words),
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        result = Done(done.returncode, done.stdout, done.stderr)
        if expect is not None:
            assert result.status == expect, f"{words} ended with {result.status}\n{result.out}\n{result.err}"
        return result

    def login(self, *more: str | Path, expect: int = 0) -> Done:
        return self.run(
            "login",
            self.url,
            "--user",
            self.user,
            "--password-file",
            self.folder / f"{self.user}.password",
            *more,
            expect=expect,
        )


@dataclass
class Cloud:
    """A running server; users are added on demand."""

    url: str
    data: Path
    folder: Path
    made: int = 0

    def user(self, name: str) -> str:
        """Add a user; the password is in ``NAME.password``."""
        password = self.folder / f"{name}.password"
        password.write_text(f"{PASSWORD} {name}\n")
        self.admin("user", "add", name, "--password-file", password)
        return name

    def admin(self, *words: str | Path) -> str:
        return subprocess.run(
            [PYTHON, "-m", "candado.apps.server_cli", *map(str, words), "--data", str(self.data)],
            capture_output=True, text=True, timeout=60, check=True,
        ).stdout  # fmt: skip

    def device(self, user: str, **environment: str) -> Device:
        """A new device of a user, not signed in yet."""
        self.made += 1
        return Device(self.folder / f"home{self.made}", self.url, user, self.folder, environment)

    def ready(self, user: str) -> Device:
        """A new device of a new user, signed in, with keys; the words are in ``NAME.words``."""
        device = self.device(self.user(user))
        device.login("--insecure-storage")
        device.run("init", "--phrase-out", self.folder / f"{user}.words")
        return device

    def further(self, user: str) -> Device:
        """A further device of a user that is ready."""
        device = self.device(user)
        device.login("--insecure-storage")
        device.run("init", "--phrase-file", self.folder / f"{user}.words")
        return device


@contextmanager
def running_cloud(folder: Path) -> Iterator[Cloud]:
    data = folder / "server"
    cloud = Cloud("", data, folder)
    cloud.admin("init")
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [PYTHON, "-m", "candado.apps.server_cli", "serve", "--data", str(data), "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            cloud.url = process.stdout.readline().removeprefix("listening on ").strip()
            assert cloud.url.startswith("http://127.0.0.1:"), (folder / "server.log").read_text()
            yield cloud
        finally:
            process.terminate()
            process.wait(30)
            if process.stdout is not None:
                process.stdout.close()
