"""Two graphical devices and one of ours, all of one person, a second person, and what must hold of them."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.cli_world import PASSWORD, Cloud, Device, running_cloud
from tests.interop.chroot import Chroot
from tests.interop.desktop import Desktop
from tests.interop.session import Session, wait_for

# In every name and every content that the server must not know.
CANARY = "canary"
_SETTLED_SECONDS = 90

Files = dict[str, bytes | None]


@dataclass
class World:
    """All of them; ``words`` are those that the first desktop showed."""

    cloud: Cloud
    first: Desktop
    second: Desktop
    work: Path
    words: str = ""
    ours: Device = field(init=False)
    bob: Device = field(init=False)
    _count: int = 0

    def fresh(self, name: str) -> Path:
        """A new empty folder on this machine."""
        self._count += 1
        place = self.work / f"{name}{self._count}"
        place.mkdir()
        return place

    def read(self, device: Device, name: str) -> Files:
        """What our client reads of a folder: content by path, None for folders."""
        target = self.fresh("read")
        device.run("get", name, target / "got", "-q")
        return files_of(target / "got")

    def settle(self, name: str, expected: Files) -> None:
        """Wait until every device of alice has exactly this in the folder; then nobody may know or hold anything."""
        wait_for(lambda: self.first.files(name) == expected, f"{name} on the first desktop", _SETTLED_SECONDS)
        wait_for(lambda: self.second.files(name) == expected, f"{name} on the second desktop", _SETTLED_SECONDS)
        wait_for(lambda: self.read(self.ours, name) == expected, f"{name} on our device", 20)
        self.check(name)

    def check(self, name: str) -> None:
        """The server knows no name and no content, is sound, and holds no lock; our client has nothing to complain of."""
        view = self.ours.run("server-view", name)
        assert "none of" in view.out, view.out
        for place in self.cloud.data.rglob("*"):
            assert CANARY not in place.name
            assert not place.is_file() or CANARY.encode() not in place.read_bytes(), f"clear text in {place}"
        assert "sound" in self.cloud.admin("check", "--read-data").splitlines()
        issues = self.ours.run("issues", "--json").json["issues"]
        assert [issue for issue in issues if issue["severity"] != "notice"] == []
        wait_for(lambda: not self.locks(), "the last lock to be given back", 30)

    def locks(self) -> list[tuple[object, ...]]:
        """The locks that the server knows."""
        database = sqlite3.connect(f"file:{self.cloud.data / 'candado.db'}?mode=ro", uri=True)
        try:
            return database.execute("SELECT node_id, user_id FROM locks").fetchall()
        finally:
            database.close()

    def pictures(self, target: Path) -> None:
        """What both screens show, and the end of the logs, for whoever has to find out what went wrong."""
        for desktop in (self.first, self.second):
            desktop.session.picture(target / f"{desktop.session.name}.png")
            log = desktop.session.home / "client.log"
            if log.exists():
                (target / f"{desktop.session.name}.log").write_bytes(log.read_bytes()[-2_000_000:])


def files_of(top: Path) -> Files:
    """Content by path below a folder, None for folders."""
    return {
        place.relative_to(top).as_posix(): None if place.is_dir() else place.read_bytes()
        for place in sorted(top.rglob("*"))
    }


@contextmanager
def desktop_world(root: Path, work: Path) -> Iterator[World]:
    """Start everything, up to encryption on all devices of alice; end all of it."""
    (work / "cloud").mkdir()
    chroot = Chroot(root, work)
    with ExitStack() as stack:
        cloud = stack.enter_context(running_cloud(work / "cloud"))
        cloud.user("alice")
        first, second = (
            Desktop(stack.enter_context(Session(chroot, name)), "alice", cloud.url) for name in ("first", "second")
        )
        world = World(cloud, first, second, work)
        try:
            _enrol(world)
        except BaseException:
            world.pictures(work)
            raise
        yield world


def _enrol(world: World) -> None:
    cloud = world.cloud
    # Begun first: the older release looks for the confirmation after half a minute only.
    world.second.set_up_in_the_browser(f"{PASSWORD} alice")
    secret = cloud.admin("app-password", "alice", "--label", "desktop").split()[-1]
    world.first.set_up_with_password(secret)
    world.first.wait_until_connected()
    world.words = world.first.make_keys()
    (cloud.folder / "alice.words").write_text(f"{world.words}\n")
    world.ours, world.bob = cloud.further("alice"), cloud.ready("bob")
    world.second.wait_until_connected()
    world.second.enter_words(world.words)
