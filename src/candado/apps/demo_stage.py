"""The stage of the demo: a real server process, devices as real command lines, checks that can fail.

Layer: ``apps``. Nothing here knows what the story is; ``demo.py`` tells it.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Self

from candado.adapters.disk_scan import scan_tree
from candado.errors import LocalNameError
from candado.folder.names import check_clear_name

CLIENT = [sys.executable, "-m", "candado.apps.cli"]
SERVER = [sys.executable, "-m", "candado.apps.server_cli"]
BIG_FILE_BYTES = 300 * 1024 * 1024
_MIB = 1024 * 1024
_START_SECONDS_MAX = 30.0


class DemoFailedError(Exception):
    """A step of the story did not happen as it must."""


@dataclass
class Story:
    """What was said and checked so far, and how long the product itself took."""

    checks: int = 0
    product_seconds: float = 0.0
    started: float = field(default_factory=time.monotonic)

    def chapter(self, title: str) -> None:
        """Start a step."""
        print(f"\n=== {title}", flush=True)

    def say(self, text: str) -> None:
        """Tell a fact."""
        print(f"    {text}", flush=True)

    def check(self, claim: str, *, holds: bool, detail: str = "") -> None:
        """State a claim that was tested; a claim that does not hold ends the demo."""
        if not holds:
            raise DemoFailedError(f"{claim}: does NOT hold. {detail}")
        self.checks += 1
        print(f"  + {claim}", flush=True)


@dataclass(frozen=True)
class Outcome:
    """What one command did."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """Its one JSON document."""
        return json.loads(self.stdout)


class Device:
    """One device of one person: its own state directory, driven through the real command line."""

    def __init__(self, story: Story, name: str, home: Path) -> None:
        self.story = story
        self.name = name
        self.home = home
        home.mkdir(parents=True)
        passphrase = home / "passphrase"
        passphrase.write_text(f"local passphrase of {name}\n")
        passphrase.chmod(0o600)
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("CANDADO_", "NC_"))},
            "CANDADO_HOME": str(home / "state"),
            "CANDADO_PASSPHRASE_FILE": str(passphrase),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "NO_COLOR": "1",
        }

    def run(self, *words: str | Path, expect: int | None = 0, show: bool = True) -> Outcome:
        """Run ``candado`` on this device; another exit status than ``expect`` ends the demo."""
        arguments = [str(word) for word in words]
        if show:
            print(f"  [{self.name}] $ candado {shlex.join(_short(arguments))}", end="", flush=True)
        before = time.monotonic()
        done = subprocess.run(  # noqa: S603 - our own program with our own words
            [*CLIENT, *arguments], env=self.environment, capture_output=True, text=True, check=False, timeout=600
        )
        seconds = time.monotonic() - before
        self.story.product_seconds += seconds
        if show:
            print(f"    ({seconds:.1f} s)", flush=True)
        if expect is not None and done.returncode != expect:
            raise DemoFailedError(
                f"candado {shlex.join(arguments)} on {self.name} ended with {done.returncode}, not {expect}:\n"
                f"{done.stdout}{done.stderr}"
            )
        return Outcome(done.returncode, done.stdout, done.stderr)


class ServerProcess:
    """A real ``candado-server`` on the loopback interface, SQLite and a directory."""

    def __init__(self, story: Story, data: Path) -> None:
        self.story = story
        self.data = data
        self.url = ""
        self._process: subprocess.Popen[str] | None = None

    def admin(self, *words: str | Path) -> str:
        """Run an administrator's command."""
        arguments = [str(word) for word in words]
        print(f"  [admin] $ candado-server {shlex.join(_short(arguments))}", flush=True)
        before = time.monotonic()
        done = subprocess.run(  # noqa: S603 - our own program with our own words
            [*SERVER, *arguments, "--data", str(self.data)], capture_output=True, text=True, check=False, timeout=600
        )
        self.story.product_seconds += time.monotonic() - before
        if done.returncode != 0:
            raise DemoFailedError(f"candado-server {shlex.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def __enter__(self) -> Self:
        before = time.monotonic()
        with (self.data.parent / "server.log").open("w") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program with our own words
                [*SERVER, "serve", "--data", str(self.data), "--listen", "127.0.0.1:0"],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("listening on "):
            raise DemoFailedError(f"the server did not start: {line}\n{(self.data.parent / 'server.log').read_text()}")
        self.url = line.removeprefix("listening on ").strip()
        self.story.product_seconds += time.monotonic() - before
        self.story.say(f"the server listens on {self.url}")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_START_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _short(arguments: list[str]) -> list[str]:
    """Arguments as a person would type them: paths of the demo by their last part."""
    return [Path(word).name if word.startswith("/") else word for word in arguments]


def standard_library_files() -> Iterator[tuple[Path, str]]:
    """(source, relative name) of the Python standard library's own files: a tree that is on every machine."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in {"__pycache__", "site-packages", "dist-packages"})
        for name in sorted(names):
            source = Path(folder) / name
            if name.endswith(".py") and source.is_file() and not source.is_symlink():
                yield source, str(source.relative_to(root))


def build_tree(target: Path, folder: Path | None) -> list[str]:
    """Copy the person's folder, or the standard library and one big file, to ``target``.

    Returns what of the person's folder a sync leaves out, each with its reason: links, special files, ignored names,
    and names that no encrypted folder may have.
    """
    if folder is not None:
        return _copy_folder(folder, target)
    for source, name in standard_library_files():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target / name)
    noise = Random(2026)  # noqa: S311 - filler bytes, not a key
    with (target / "holiday-video.bin").open("wb") as big:
        for _ in range(BIG_FILE_BYTES // _MIB):
            big.write(noise.randbytes(_MIB))
    return []


def _copy_folder(folder: Path, target: Path) -> list[str]:
    target.mkdir(parents=True)
    folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        found, skipped = scan_tree(folder_fd)
    finally:
        os.close(folder_fd)
    left_out = [f"{one.path} ({one.reason})" for one in skipped]
    refused: set[str] = set()
    for name, stat in sorted(found.items()):
        parent, _, last = name.rpartition("/")
        if parent in refused:
            refused.add(name)
            continue
        try:
            check_clear_name(last)
            if stat.is_folder:
                (target / name).mkdir()
            else:
                shutil.copyfile(folder / name, target / name, follow_symlinks=False)
        except (LocalNameError, OSError) as exc:
            refused.add(name)
            left_out.append(f"{name!r} ({exc})")
    return left_out


def regular_files(root: Path) -> set[str]:
    """Relative names of all regular files below ``root``."""
    return {
        str((Path(folder) / name).relative_to(root))
        for folder, folders, names in os.walk(root)
        if not _private(Path(folder), folders)
        for name in names
        if (Path(folder) / name).is_file() and not (Path(folder) / name).is_symlink()
    }


def _private(folder: Path, folders: list[str]) -> bool:
    folders[:] = [f for f in folders if not f.startswith(".candado")]
    return folder.name.startswith(".candado")


def same_bytes(left: Path, right: Path) -> tuple[int, list[str]]:
    """Compare two trees byte for byte; (bytes compared, names that differ or are on one side only)."""
    mine, theirs = regular_files(left), regular_files(right)
    different = sorted(mine ^ theirs)
    compared = 0
    for name in sorted(mine & theirs):
        with (left / name).open("rb") as a, (right / name).open("rb") as b:
            while True:
                x, y = a.read(_MIB), b.read(_MIB)
                compared += len(x)
                if x != y:
                    different.append(name)
                    break
                if not x:
                    break
    return compared, different


def find_in_files(root: Path, needles: list[bytes]) -> list[str]:
    """Which needles occur in any file below ``root``; files are read in pieces that overlap."""
    overlap = max(len(needle) for needle in needles)
    found: list[str] = []
    for folder, _, names in os.walk(root):
        for name in names:
            with (Path(folder) / name).open("rb") as stream:
                tail = b""
                while piece := stream.read(8 * _MIB):
                    window = tail + piece
                    found += [f"{needle!r} in {name}" for needle in needles if needle in window]
                    tail = window[-overlap:]
    return found
