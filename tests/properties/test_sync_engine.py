"""Random lives of two devices with real disks, a simulated server, and power cuts: all converges, nothing is lost."""

import asyncio
import itertools
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sim import World, stock
from tests.unit.client.sync_cut import Power, PowerCutError
from tests.unit.client.sync_world import Device

PATHS = [*"abc", *("/".join(p) for p in itertools.product("abc", "xy")), "a/x/q", "b/x/q"]
devices = st.integers(0, 1)
number = st.integers(0, 30)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), devices, st.sampled_from(PATHS)),
        st.tuples(st.just("edit"), devices, number),
        st.tuples(st.just("folder"), devices, st.sampled_from(PATHS)),
        st.tuples(st.just("delete"), devices, number),
        st.tuples(st.just("rename"), devices, number, st.sampled_from(PATHS)),
        st.tuples(st.just("sync"), devices),
        st.tuples(st.just("cut"), devices, st.integers(0, 40), st.booleans()),
    ),
    max_size=16,
)


class Life:
    """Two devices of one person; remembers which contents nobody gave up."""

    def __init__(self, base: Path, *, is_stock: bool = False) -> None:
        self.world = World("alice")
        if is_stock:
            self.world.server.capabilities = stock()
        self.devices = [Device(self.world, base, "laptop"), Device(self.world, base, "phone")]
        self.kept: set[bytes] = set()
        self.serial = 0
        self.times = 1_700_000_000_000_000_000

    def write(self, device: Device, path: str) -> None:
        """New content with a time of its own: file system clocks tick too slowly for a test."""
        self.serial += 1
        content = b"%06d" % self.serial
        self.kept.add(content)
        device.write(path, content)
        self.times += 1_000_000_007
        os.utime(device.root / path, ns=(self.times, self.times))

    def release(self, device: Device, path: str) -> None:
        for other, content in device.files().items():
            if (other == path or other.startswith(path + "/")) and content is not None:
                self.kept.discard(content)

    async def start(self) -> None:
        for device in self.devices:
            self.write(device, f"anchor {device.name}")
        await self.devices[0].sync(encrypt=True)

    async def do(self, verb: str, which: int, *args: Any) -> None:
        device = self.devices[which]
        if verb == "sync":
            await self.sync(device)
        elif verb == "cut":
            await self.cut(device, *args)
        elif verb in ("write", "folder"):
            place = device.root / args[0]
            if not place.parent.is_dir() or place.is_dir():
                return
            if verb == "folder" and not place.exists():
                place.mkdir()
            elif verb == "write":
                self.release(device, args[0])
                self.write(device, args[0])
        else:
            self.change(device, verb, *args)

    def change(self, device: Device, verb: str, index: int, target: str = "") -> None:
        own = [path for path in device.files() if not path.startswith("anchor")]
        if not own:
            return
        path = own[index % len(own)]
        place = device.root / path
        if verb == "delete":
            self.release(device, path)
            shutil.rmtree(place) if place.is_dir() else place.unlink()
        elif verb == "rename":
            new = device.root / target
            if new.parent.is_dir() and not new.exists() and not f"{target}/".startswith(path + "/"):
                place.rename(new)
        elif place.is_file():
            self.release(device, path)
            self.write(device, path)

    async def sync(self, device: Device) -> None:
        report = await device.sync(max_delete=None)
        assert report.errors == []

    async def cut(self, device: Device, at: int, after: bool) -> None:
        try:
            await device.sync_until(Power(at, after=after))
        except PowerCutError:
            # A lock whose answer was lost is known to nobody; the server frees it in time.
            self.world.clock.advance(self.world.server.lock_seconds + 1)

    async def settle(self) -> None:
        for _ in range(3):
            reports = [await device.sync() for device in self.devices]
            assert [problem for report in reports for problem in report.errors] == []
        writes = [device.remote.requests for device in self.devices]
        for device in self.devices:
            plan = await device.sync(dry_run=True)
            assert plan.operations == ()
        assert [device.remote.requests for device in self.devices] <= [count + 8 for count in writes]


async def live(script: list[tuple[Any, ...]], *, is_stock: bool) -> None:
    base = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        life = Life(base, is_stock=is_stock)
        await life.start()
        for step in script:
            await life.do(*step)
        await life.settle()
        laptop, phone = (device.files() for device in life.devices)
        assert laptop == phone
        assert life.kept <= {content for content in laptop.values() if content is not None}
        life.world.server.drop_expired()
        assert not life.world.server.locks
    finally:
        shutil.rmtree(base)


@pytest.mark.parametrize("is_stock", [False, True])
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(script=steps)
def test_two_devices_converge_through_power_cuts_and_lose_nothing(
    is_stock: bool, script: list[tuple[Any, ...]]
) -> None:
    asyncio.run(live(script, is_stock=is_stock))
