"""A table runner for conversations: state and event in, next state and commands out.

Layer: ``protocol``; pure. A machine is an Enum of states and one table ``(state, event type) -> Step``. A step names
the states it may lead to and a function that returns the next one with the commands to carry out, so that the picture
of a machine (``mermaid``) and the tests of its table come from the code that runs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from candado.errors import MisuseError

__all__ = ["Machine", "Step", "TraceLine", "mermaid"]

StateT = TypeVar("StateT", bound=Enum)
CommandT = TypeVar("CommandT")


@dataclass(frozen=True, slots=True)
class Step(Generic[StateT]):
    """One cell of a table: the name of the method that decides, and the states it may lead to."""

    method: str
    targets: tuple[StateT, ...]


@dataclass(frozen=True, slots=True)
class TraceLine(Generic[StateT]):
    """One transition that happened; names only, so that no secret of an event or command is kept."""

    before: StateT
    event: str
    after: StateT
    commands: tuple[str, ...]


class Machine(Generic[StateT, CommandT]):
    """Base of all machines.

    A subclass hands its table to ``__init__`` and has one method per ``Step.method``, which takes the event and returns
    ``(next state, commands)``.
    """

    def __init__(self, start: StateT, table: Mapping[tuple[StateT, type[Any]], Step[StateT]]) -> None:
        self._state = start
        self._table = table
        self.trace: list[TraceLine[StateT]] = []

    @property
    def state(self) -> StateT:
        """The state the machine is in."""
        return self._state

    def on(self, event: object) -> list[CommandT]:
        """Take an event, move, and return the commands to carry out in order.

        Raises:
            MisuseError: the event does not belong to the state; the machine has not moved.
        """
        step = self._table.get((self._state, type(event)))
        if step is None:
            raise MisuseError(f"{type(event).__name__} does not belong to state {self._state.name}")
        decide: Callable[[object], tuple[StateT, Sequence[CommandT]]] = getattr(self, step.method)
        after, commands = decide(event)
        if after not in step.targets:
            raise MisuseError(f"{step.method} led to {after.name}, which its table does not name")
        names = tuple(type(command).__name__ for command in commands)
        self.trace.append(TraceLine(self._state, type(event).__name__, after, names))
        self._state = after
        return list(commands)


def mermaid(table: Mapping[tuple[StateT, type[Any]], Step[StateT]], start: StateT) -> str:
    """The table as a mermaid state diagram; one line per state, event and target, in the table's order."""
    lines = ["stateDiagram-v2", f"    [*] --> {start.name}"]
    lines.extend(
        f"    {state.name} --> {target.name}: {event.__name__}"
        for (state, event), step in table.items()
        for target in step.targets
    )
    sources = {state for state, _ in table}
    ends = dict.fromkeys(target for step in table.values() for target in step.targets if target not in sources)
    lines.extend(f"    {state.name} --> [*]" for state in ends)
    return "\n".join(lines) + "\n"
