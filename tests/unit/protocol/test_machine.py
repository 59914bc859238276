"""The table runner."""

from dataclasses import dataclass
from enum import Enum, auto

import pytest

from candado.errors import MisuseError
from candado.protocol.machine import Machine, Step, TraceLine, mermaid


class Light(Enum):
    OFF = auto()
    ON = auto()
    BROKEN = auto()


@dataclass(frozen=True)
class Press:
    hard: bool = False


@dataclass(frozen=True)
class Beep:
    pass


TABLE = {(Light.OFF, Press): Step("press", (Light.ON, Light.BROKEN)), (Light.ON, Press): Step("lie", (Light.OFF,))}


class Lamp(Machine[Light, Beep]):
    def press(self, event: Press) -> tuple[Light, list[Beep]]:
        return (Light.BROKEN if event.hard else Light.ON), [Beep()]

    def lie(self, _event: Press) -> tuple[Light, list[Beep]]:
        return Light.BROKEN, []


def test_an_event_moves_the_machine_and_is_traced_by_names_only() -> None:
    lamp = Lamp(Light.OFF, TABLE)
    assert lamp.on(Press(hard=True)) == [Beep()]
    assert lamp.state is Light.BROKEN
    assert lamp.trace == [TraceLine(Light.OFF, "Press", Light.BROKEN, ("Beep",))]


def test_an_event_that_does_not_belong_to_the_state_changes_nothing() -> None:
    lamp = Lamp(Light.OFF, TABLE)
    with pytest.raises(MisuseError, match="Beep does not belong to state OFF"):
        lamp.on(Beep())
    assert (lamp.state, lamp.trace) == (Light.OFF, [])


def test_a_step_that_leads_elsewhere_than_its_table_says_is_a_bug() -> None:
    lamp = Lamp(Light.OFF, TABLE)
    lamp.on(Press())
    with pytest.raises(MisuseError, match="lie led to BROKEN"):
        lamp.on(Press())
    assert lamp.state is Light.ON


def test_the_picture_is_drawn_from_the_table() -> None:
    assert mermaid(TABLE, Light.OFF) == (
        "stateDiagram-v2\n"
        "    [*] --> OFF\n"
        "    OFF --> ON: Press\n"
        "    OFF --> BROKEN: Press\n"
        "    ON --> OFF: Press\n"
        "    BROKEN --> [*]\n"
    )
