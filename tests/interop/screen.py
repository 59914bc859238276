"""Reads and presses what a graphical client shows. It runs inside of a session, by the Python of that system.

    screen.py names                      roles and names of all that is shown
    screen.py find ROLE NAME             only look
    screen.py press ROLE NAME            press it
    screen.py text ROLE NAME             print its text
    screen.py type ROLE NAME TEXT        replace its text
    screen.py focus ROLE                 give the last one of that role the keyboard

ROLE and NAME are regular expressions for the whole; exit status 3: it is not there (yet).
"""

import importlib
import re
import sys
from collections.abc import Iterator
from typing import Any

_gi: Any = importlib.import_module("gi")
_gi.require_version("Atspi", "2.0")
Atspi: Any = importlib.import_module("gi.repository.Atspi")
GLib: Any = importlib.import_module("gi.repository.GLib")


def _walk(node: Any) -> Iterator[Any]:
    yield node
    for index in range(node.get_child_count()):
        child = node.get_child_at_index(index)
        if child is not None:
            yield from _walk(child)


def _shown() -> list[Any]:
    """All that is on the screen; an application that ends meanwhile is left out."""
    desktop, found = Atspi.get_desktop(0), []
    for index in range(desktop.get_child_count()):
        try:
            nodes = list(_walk(desktop.get_child_at_index(index)))
            found += [node for node in nodes if node.get_state_set().contains(Atspi.StateType.SHOWING)]
        except GLib.GError:
            continue
    return found


def _press(node: Any) -> bool:
    names = [Atspi.Action.get_action_name(node, i) for i in range(Atspi.Action.get_n_actions(node))]
    wanted = next((i for i, name in enumerate(names) if name.lower() in {"press", "click"}), None)
    return wanted is not None and bool(Atspi.Action.do_action(node, wanted))


def _matching(role: str, name: str) -> list[Any]:
    return [
        node
        for node in _shown()
        if re.fullmatch(role, node.get_role_name()) and re.fullmatch(name, node.get_name() or "", re.DOTALL)
    ]


def _do(action: str, role: str = ".*", name: str = ".*", text: str = "") -> int:
    if action == "names":
        for node in _shown():
            print(node.get_role_name(), repr(node.get_name()))
        return 0
    found = _matching(role, name)
    if not found:
        return 3
    node = found[-1]
    if action == "find":
        return 0
    if action == "press":
        return 0 if any(_press(each) for each in reversed(found)) else 3
    if action == "text":
        for each in found:
            print(Atspi.Text.get_text(each, 0, -1))
        return 0
    if action == "type":
        return 0 if Atspi.EditableText.set_text_contents(node, text) else 3
    if action == "focus":
        return 0 if node.get_component_iface().grab_focus() else 3
    raise SystemExit(f"unknown action {action}")


def main(*words: str) -> int:
    """Do one thing; what is gone while it is looked at is not there."""
    Atspi.init()
    try:
        return _do(*words)
    except GLib.GError:
        return 3


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
