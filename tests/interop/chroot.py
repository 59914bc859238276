"""A stock desktop client in the folder where ``tools/stock-clients`` installed it."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HOME = Path(os.environ.get("CANDADO_INTEROP", "/nonexistent"))
RELEASES = ("trixie", "sid")

# Mounts live in a namespace of their own and end with the process.
_ENTER = """
set -euo pipefail
root=$1 work=$2; shift 2
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir -p "$root$work"
mount --bind "$work" "$root$work"
exec chroot "$root" "$@"
"""


@dataclass(frozen=True)
class Chroot:
    """One release, and a folder that has the same path inside and outside."""

    root: Path
    work: Path

    def command(self, words: Sequence[str | Path], environment: Mapping[str, str]) -> list[str]:
        """The command line that runs ``words`` inside."""
        setting = [f"{name}={value}" for name, value in environment.items()]
        inside = ["env", "-i", "PATH=/usr/bin:/bin", "LANG=C.UTF-8", *setting, *map(str, words)]
        return ["unshare", "--mount", "bash", "-c", _ENTER, "-", str(self.root), str(self.work), *inside]

    def run(self, words: Sequence[str | Path], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            self.command(words, environment), capture_output=True, text=True, timeout=300, check=False
        )


@dataclass(frozen=True)
class CommandClient:
    """``nextcloudcmd`` with a home and a folder of its own: one device of one user."""

    chroot: Chroot
    name: str
    user: str
    password: str
    url: str

    @property
    def folder(self) -> Path:
        """What it syncs."""
        return self.chroot.work / self.name

    def words(self, *options: str) -> list[str | Path]:
        """The command inside."""
        login = ("-u", self.user, "-p", self.password)
        return ["nextcloudcmd", "--non-interactive", *options, *login, self.folder, self.url]

    @property
    def environment(self) -> dict[str, str]:
        """A home, and chunks small enough that a file of some MB has several."""
        home = self.chroot.work / f"home-{self.name}"
        home.mkdir(exist_ok=True)
        sizes = ("OWNCLOUD_CHUNK_SIZE", "OWNCLOUD_MIN_CHUNK_SIZE", "OWNCLOUD_MAX_CHUNK_SIZE")
        return {"HOME": str(home), **dict.fromkeys(sizes, "5000000")}

    def sync(self, *, status: int = 0) -> str:
        """One run, whose exit status must be ``status``; what it logged."""
        self.folder.mkdir(exist_ok=True)
        done = self.chroot.run(self.words(), self.environment)
        told = (done.stdout + done.stderr).splitlines()
        assert done.returncode == status, "\n".join(
            line for line in told if "warning" in line and "::Success" not in line
        )
        return "\n".join(told)

    def files(self) -> dict[str, bytes | None]:
        """Content by path, None for folders, without the client's own database."""
        found: dict[str, bytes | None] = {}
        for place in sorted(self.folder.rglob("*")):
            if not place.name.startswith((".sync_", "._sync_", ".nextcloudsync")):
                found[place.relative_to(self.folder).as_posix()] = None if place.is_dir() else place.read_bytes()
        return found
