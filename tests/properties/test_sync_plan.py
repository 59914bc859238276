"""Random lives of two devices: plans converge, lose nothing, and have nothing to do the second time."""

import contextlib
import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from candado.protocol import plan_model as pm
from candado.protocol.plan_names import parent_of

from .sync_model import Cloud, Device, PowerCutError, below

PATHS = [*"abc", *("/".join(p) for p in itertools.product("abc", "xy")), "a/x/q", "b/x/q", "c/y/q"]
paths = st.sampled_from(PATHS)
devices = st.integers(0, 1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), devices, paths),
        st.tuples(st.just("edit"), devices, st.integers(0, 30)),
        st.tuples(st.just("folder"), devices, paths),
        st.tuples(st.just("delete"), devices, st.integers(0, 30)),
        st.tuples(st.just("rename"), devices, st.integers(0, 30), paths),
        st.tuples(st.just("sly"), devices, st.integers(0, 30)),
        st.tuples(st.just("sync"), devices, st.one_of(st.none(), st.integers(0, 6))),
    ),
    max_size=40,
)


class Life:
    """Two people at two devices; remembers which contents nobody gave up."""

    def __init__(self) -> None:
        clock = [10**9]
        cloud = Cloud()
        self.devices = [Device("laptop", cloud, clock), Device("phone", cloud, clock)]
        for device in self.devices:
            device.write(f"anchor {device.name}", b"here")
        self.kept: set[bytes] = set()
        self.serial = 0

    def content(self) -> bytes:
        self.serial += 1
        content = b"%06d" % self.serial
        self.kept.add(content)
        return content

    def release(self, device: Device, path: str) -> None:
        for p in [path, *below(device.nodes, path)]:
            node = device.nodes[p]
            if not node.is_folder:
                self.kept.discard(node.content)

    def do(self, verb: str, number: int, *args: object) -> None:
        device = self.devices[number]
        if verb == "sync":
            (cut,) = args
            device.cut_after = cut  # type: ignore[assignment]
            with contextlib.suppress(PowerCutError):
                device.sync()
            device.cut_after = None
            return
        own = sorted(p for p in device.nodes if not p.startswith("anchor"))
        if verb in ("write", "folder"):
            (path,) = args
            assert isinstance(path, str)
            parent = parent_of(path)
            if parent and (parent not in device.nodes or not device.nodes[parent].is_folder):
                return
            if verb == "folder" and path not in device.nodes:
                device.make_folder(path)
            elif verb == "write" and not (path in device.nodes and device.nodes[path].is_folder):
                if path in device.nodes:
                    self.release(device, path)
                device.write(path, self.content())
            return
        index, *rest = args
        assert isinstance(index, int)
        if not own:
            return
        path = own[index % len(own)]
        if verb == "delete":
            self.release(device, path)
            device.delete(path)
        elif verb == "rename":
            (target,) = rest
            assert isinstance(target, str)
            parent = parent_of(target)
            fits = not parent or (parent in device.nodes and device.nodes[parent].is_folder)
            if fits and target not in device.nodes and not (target + "/").startswith(path + "/"):
                device.rename(path, target)
        elif not device.nodes[path].is_folder:
            self.release(device, path)
            content = self.content()
            if verb == "edit":
                device.write(path, content)
            else:
                device.replace_slyly(path, content)

    def settle(self) -> None:
        for _ in range(4):
            done = [op for device in self.devices for op in device.sync()]
            if not done:
                return
        raise AssertionError(f"still busy after four rounds: {done}")


@settings(max_examples=7 * settings().max_examples, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_two_devices_end_up_equal_and_nothing_that_nobody_gave_up_is_lost(script: list[tuple[Any, ...]]) -> None:
    life = Life()
    for step in script:
        life.do(*step)
    life.settle()
    laptop, phone = life.devices
    cloud = {p: None if n.is_folder else n.content for p, n in laptop.cloud.nodes.items()}
    assert laptop.contents() == phone.contents() == cloud
    there = {content for content in cloud.values() if content is not None}
    slyly = any(step[0] == "sly" for step in script)
    recoverable = there | {*laptop.trash, *phone.trash} if slyly else there
    assert life.kept <= recoverable


@settings(max_examples=3 * settings().max_examples, suppress_health_check=[HealthCheck.too_slow])
@given(steps, st.sampled_from([pm.Mode.PUSH, pm.Mode.PULL]))
def test_a_one_way_sync_never_writes_against_its_direction(script: list[tuple[Any, ...]], mode: pm.Mode) -> None:
    life = Life()
    life.devices[1].mode = mode
    for step in script:
        if step[0] == "sync" and step[1] == 1:
            before = life.devices[1].contents(), dict(life.devices[1].cloud.nodes)
            life.do("sync", 1, None)
            after = life.devices[1].contents(), dict(life.devices[1].cloud.nodes)
            index = 0 if mode is pm.Mode.PUSH else 1
            assert before[index] == after[index]
            assert life.devices[1].sync() == []
        else:
            life.do(*step)


@pytest.mark.parametrize("mode", list(pm.Mode))
def test_an_untouched_pair_has_nothing_to_do(mode: pm.Mode) -> None:
    life = Life()
    life.devices[0].make_folder("a")
    life.devices[0].write("a/x", b"1")
    life.settle()
    life.devices[0].mode = mode
    assert life.devices[0].sync() == []
