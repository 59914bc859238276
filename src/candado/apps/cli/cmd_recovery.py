"""``recovery``: the group; each command is in a module of its own that is imported when it is called.

Layer: ``apps``.
"""

import importlib
from typing import Final

import click

from candado.apps.cli.common import Group

__all__ = ["recovery"]

_COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "create": ("recovery_key", "Make a recovery key and its sheets, on a machine without network."),
    "test": ("recovery_key", "Prove that sheets give the recovery key."),
    "use": ("recovery_use", "Use it offline: decrypt a bundle, or give a user access again."),
    "request": ("recovery_access", "Ask for access after all keys were lost."),
    "apply": ("recovery_access", "Take the access that was given."),
    "install": ("recovery_admin", "Announce the recovery key on the server."),
    "status": ("recovery_folders", "Show the recovery key, and which folders carry it."),
    "accept": ("recovery_folders", "Let the recovery key into folders of yours."),
    "drop": ("recovery_folders", "Take it out of them."),
    "off": ("recovery_admin", "Switch the recovery key off."),
    "report": ("recovery_admin", "Hand in the record of a use."),
}


class _Recovery(Group):
    """The group: knows all names, imports what is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names in the order of the help."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of the command."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"candado.apps.cli.cmd_{_COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands from the table, so that help imports none of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_Recovery)
def recovery() -> None:
    """The recovery key of an organisation: made and used offline, never in secret."""
