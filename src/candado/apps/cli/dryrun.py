"""``-n`` of the commands that change things: the flag, and how the steps of a dry run are told.

Layer: ``apps``.
"""

from typing import TYPE_CHECKING, Any

import click

from candado.apps.cli.output import printable

if TYPE_CHECKING:
    from candado.client.rehearsal import Rehearsal

__all__ = ["dry_run_option", "plan_json", "print_steps", "rehearsal_of"]

dry_run_option = click.option("-n", "--dry-run", is_flag=True, help="Print what would be done and change nothing.")


def rehearsal_of(*, dry_run: bool) -> "Rehearsal | None":
    """Where the steps of a dry run are noted; None for a real run."""
    from candado.client.rehearsal import Rehearsal

    return Rehearsal() if dry_run else None


def print_steps(rehearsal: "Rehearsal | None") -> None:
    """The steps of a dry run, one a line."""
    for step in [] if rehearsal is None else rehearsal.steps:
        target = f" -> {printable(step.to)}" if step.to is not None else ""
        print(f"{step.do}: {printable(step.path)}{target}")


def plan_json(rehearsal: "Rehearsal | None") -> dict[str, Any]:
    """What a dry run adds to the answer of its command."""
    return {} if rehearsal is None else {"dry_run": True, "plan": [step.to_json() for step in rehearsal.steps]}
