"""The command line itself: the table of commands, and what happens around every one of them.

Layer: ``apps``. The table names a module and an attribute; only the module of the command that is called is imported.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from candado.apps.cli.common import Group, ReaderGoneError, Run, global_options
from candado.apps.cli.errors import EXIT_USAGE, report
from candado.errors import CandadoError, InterruptedByUserError, UsageError

__all__ = ["COMMANDS", "cli", "run"]

_SECTIONS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "This device": {
        "login": ("login", "Sign in to a server."),
        "logout": ("login", "Sign out; --wipe forgets everything on this device."),
        "init": ("init", "Make an identity, or join with the twelve words."),
        "whoami": ("login", "Show who is signed in."),
        "status": ("login", "Show the state of this device and its folders."),
        "config": ("config", "Show the settings of this device."),
        "key": ("init", "Show the twelve words again."),
    },
    "Files": {
        "encrypt": ("write", "Make a folder an end-to-end encrypted one."),
        "ls": ("read", "List a folder."),
        "tree": ("read", "List a folder and all below it."),
        "stat": ("read", "Show what is known of one file or folder."),
        "cat": ("transfer", "Print a file."),
        "find": ("read", "Find names below a folder."),
        "du": ("read", "Sizes of folders."),
        "get": ("transfer", "Download."),
        "put": ("transfer", "Upload."),
        "mkdir": ("write", "Make a folder."),
        "rm": ("write", "Remove files or folders."),
        "mv": ("write", "Move or rename."),
        "cp": ("write", "Copy."),
        "export": ("export", "Write encrypted folders into a bundle that opens without a server."),
        "recover": ("recover", "Decrypt a bundle, or what is left of a server, without any server."),
        "sync": ("sync", "Bring a local and an encrypted folder to the same state."),
    },
    "People": {
        "share": ("share", "Share an encrypted folder with a person."),
        "unshare": ("share", "End a share and change the key."),
        "shares": ("share", "List shares."),
        "link": ("link", "Links into encrypted folders: make, list, take back, open."),
        "drop": ("link", "Leave sealed files behind a link."),
        "fingerprint": ("trust", "Show the fingerprint of a key."),
        "trust": ("trust", "Keys of other people."),
        "recovery": ("recovery", "The recovery key of an organisation."),
    },
    "Health": {
        "issues": ("sync", "Open problems with advice."),
        "unlock": ("write", "Free a lock that this device left behind."),
        "audit": ("audit", "Show an exported audit log with the names that this device knows."),
        "server-view": ("view", "Show what the server's administrator can read."),
    },
    "Organisation": {
        "organisation": ("organisation", "The key under which an organisation signs policies (offline)."),
    },
    "About": {
        "demo": ("misc", "The whole story on this machine, on real files."),
        "completion": ("misc", "Print a completion script for a shell."),
        "help": ("misc", "Help on a command or a topic."),
        "version": ("misc", "Show the version."),
    },
}
COMMANDS: Final = {name: entry for section in _SECTIONS.values() for name, entry in section.items()}


class _Root(Group):
    """The root group: knows all names, imports what is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names in the order of the help."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of the command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"candado.apps.cli.cmd_{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by section, from the table, so that help imports none of them."""
        del ctx
        for title, names in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in names.items()])


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    del param
    if value and not ctx.resilient_parsing:
        from candado.apps.cli.cmd_misc import VERSION

        print(f"candado {VERSION}")
        ctx.exit()


cli = _Root(
    "candado",
    help="End-to-end encrypted folders on Nextcloud-compatible clouds.\n\n"
    "Examples:\n\n\b\n"
    "  candado login https://cloud.example.org --user alice --password-file F\n"
    "  candado init\n"
    "  candado sync ~/Documents Documents --encrypt",
    params=[
        click.Option(
            ["-V", "--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Show the version.",
        ),
        *global_options(),
    ],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="candado help flags: flags that every command takes.   candado help secrets: where passwords come from.",
)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; its exit status. Every error is printed here and nowhere else."""
    state = Run()
    as_json = "--json" in arguments or "--jsonl" in arguments
    try:
        result = cli.main(list(arguments), prog_name="candado", standalone_mode=False, obj=state)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except click.ClickException as exc:
        where = exc.ctx.command_path if isinstance(exc, click.UsageError) and exc.ctx is not None else "candado"
        report(
            UsageError(exc.format_message(), advice=f"See `{where} --help`."), as_json=as_json, verbose=state.verbose
        )
        return EXIT_USAGE
    except (KeyboardInterrupt, click.Abort):
        return report(InterruptedByUserError(), as_json=as_json, verbose=0)
    except (BrokenPipeError, ReaderGoneError):
        # The reader went away: Python must not complain when it flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except CandadoError as exc:
        return report(exc, as_json=as_json, verbose=state.verbose)
    except Exception as exc:  # noqa: BLE001 -- the last resort: no stack trace without -vv
        fault = CandadoError(f"an unexpected fault: {type(exc).__name__}", safe="Nothing is known to be damaged.")
        fault.__cause__ = exc
        return report(fault, as_json=as_json, verbose=state.verbose)
