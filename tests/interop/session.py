"""A graphical session inside of an installed system: bus, keyring, screen, window manager, in namespaces of its own.

The first process of the session's process namespace reads a pipe that we hold. When we end, by whatever way, the pipe
ends, that process ends, and the kernel ends every other process of the namespace: nothing can stay behind.
"""

import random
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

from tests.interop.chroot import Chroot

# The private /tmp of the session: sockets need short paths, and nothing may be written into the installed system.
RUN = Path("/tmp/run")
_START_SECONDS = 60
_POLL_SECONDS = 0.2

_START = """
set -euo pipefail
root=$1 work=$2; shift 2
mount --make-rprivate /
mount -t tmpfs tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir -p "$root$work"
mount --bind "$work" "$root$work"
exec chroot "$root" "$@"
"""

_INSIDE = """
set -euo pipefail
umask 077
mkdir -p "$XDG_RUNTIME_DIR/tmp" /tmp/.X11-unix
exec 3<&0 </dev/null
dbus-daemon --session --nofork --address="$DBUS_SESSION_BUS_ADDRESS" &
Xvfb "$DISPLAY" -screen 0 1280x900x24 -nolisten tcp &
until [ -S "$XDG_RUNTIME_DIR/bus" ] && [ -S "/tmp/.X11-unix/X${DISPLAY#:}" ]; do sleep 0.05; done
printf pw | gnome-keyring-daemon --unlock --components=secrets
openbox &
/usr/bin/python3 "$HOME/screen.py" names  # starts the accessibility bus before any client looks for it
touch "$XDG_RUNTIME_DIR/ready"
cat <&3 >/dev/null
"""

T = TypeVar("T")


def wait_for(look: Callable[[], T], what: str, seconds: float = 60) -> T:
    """What ``look`` answers, as soon as that is something."""
    until = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > until:
            raise AssertionError(f"after {seconds:.0f} s still waiting for {what}")
        time.sleep(_POLL_SECONDS)
    return found


@dataclass
class Session:
    """One session of one person, with a home below the work folder of the system."""

    chroot: Chroot
    name: str
    environment: dict[str, str] = field(init=False)
    _first: int = 0
    _spawned: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.environment = {
            "PATH": f"{self.home}/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(RUN),
            "XDG_CURRENT_DESKTOP": "GNOME",
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={RUN}/bus",
            "TMPDIR": f"{RUN}/tmp",
            # Sockets of the screen are known to the whole machine by this number.
            "DISPLAY": f":{random.SystemRandom().randrange(100, 60_000)}",
            "QT_QPA_PLATFORM": "xcb",
            "QT_LINUX_ACCESSIBILITY_ALWAYS_ON": "1",
            "QT_QUICK_BACKEND": "software",
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "QTWEBENGINE_DISABLE_SANDBOX": "1",  # 3.16.7 as root dies without it
        }

    @property
    def home(self) -> Path:
        """The home, the same path inside and outside."""
        return self.chroot.work / self.name

    @property
    def run_folder(self) -> Path:
        """Where the sockets of the session are, seen from outside."""
        return Path(f"/proc/{self._first}/root{RUN}")

    def __enter__(self) -> Self:
        self.home.mkdir(exist_ok=True)
        (self.home / "screen.py").write_bytes(Path(__file__).with_name("screen.py").read_bytes())
        words = ["env", "-i", *self._setting(), "bash", "-c", _INSIDE]
        # Of their own as well: clients know other instances of themselves by shared memory of the whole machine.
        namespaces = ["unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child"]
        with (self.home / "session.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*namespaces, "bash", "-c", _START, "-", self.chroot.root, self.chroot.work, *words],
                stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            wait_for(self._is_ready, f"the session {self.name}", _START_SECONDS)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()  # ends the first process of the namespace as well
            self._process.wait()
        for spawned in self._spawned:
            spawned.wait(30)

    def _setting(self) -> list[str]:
        return [f"{name}={value}" for name, value in self.environment.items()]

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, (self.home / "session.log").read_text()
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        if not children:
            return False
        self._first = int(children[0])
        try:
            return (self.run_folder / "ready").exists()
        except OSError:  # it is not inside yet
            return False

    def command(self, words: Sequence[str | Path]) -> list[str]:
        """The command line that runs ``words`` in the session."""
        enter = ["nsenter", "--target", str(self._first), "--mount", "--pid", "--ipc", "--root", f"--wdns={self.home}"]
        return [*enter, "env", "-i", *self._setting(), *map(str, words)]

    def run(
        self, *words: str | Path, stdin: str = "", status: int | None = 0, seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        done = subprocess.run(
            self.command(words), input=stdin, capture_output=True, text=True, timeout=seconds, check=False
        )
        assert status in (None, done.returncode), f"{words} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def spawn(self, *words: str | Path) -> None:
        """Start it; it ends with the session."""
        with (self.home / "session.log").open("ab") as log:
            self._spawned.append(
                subprocess.Popen(
                    self.command(words), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            )

    def wait_for_spawned(self) -> None:
        """Wait until all that was started has ended by itself."""
        for spawned in self._spawned:
            spawned.wait(30)

    def screen(self, *words: str) -> str | None:
        """What ``screen.py`` printed, or nothing when what it looked for is not shown."""
        done = self.run("/usr/bin/python3", self.home / "screen.py", *words, status=None)
        assert done.returncode in (0, 3), done.stderr
        return (done.stdout or " ") if done.returncode == 0 else None

    def press(self, role: str, name: str, seconds: float = 60) -> None:
        """Press it, as soon as it is there."""
        wait_for(lambda: self.screen("press", role, name), f"{role} {name!r}", seconds)

    def picture(self, place: Path) -> None:
        """What the screen shows, into a file."""
        inside = self.home / "screen.png"
        self.run("import", "-window", "root", inside, status=None)
        if inside.exists():
            inside.replace(place)
        place.with_suffix(".txt").write_text(self.screen("names") or "")
