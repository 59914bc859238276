"""``version``, ``completion``, ``help``, ``demo``.

Layer: ``apps``.
"""

import platform
from pathlib import Path

import click

from candado.apps.cli.common import Command, Run, global_options, pass_run
from candado.errors import UsageError

__all__ = ["VERSION", "completion", "demo", "help", "version"]

VERSION = "0.1.0"

_TOPICS = {
    "secrets": (
        "Secrets never stand on the command line. Each is looked for in this order:\n"
        "  login password   --password-file, CANDADO_PASSWORD_FILE, CANDADO_PASSWORD_COMMAND, CANDADO_PASSWORD_FD,\n"
        "                   NC_PASSWORD (with NC_USER), ~/.netrc, a question on the terminal\n"
        "  the twelve words --phrase-file, CANDADO_PHRASE_FILE, CANDADO_PHRASE_COMMAND, CANDADO_PHRASE_FD, a question\n"
        "  a member's key   of recover: --private-key-file, CANDADO_PRIVATE_KEY_FILE, _COMMAND, _FD\n"
        "  local passphrase CANDADO_PASSPHRASE_FILE, CANDADO_PASSPHRASE_COMMAND, CANDADO_PASSPHRASE_FD, a question\n"
        "A file's last line break does not count. The device secret, which seals all else on this device, is kept in\n"
        "the desktop's keyring when there is one, else in a file sealed under the local passphrase, else (with\n"
        "--insecure-storage, or with CANDADO_HOME set where nobody can be asked) in a plain file of mode 0600."
    ),
    "places": (
        "  $CANDADO_HOME               everything of this device, when set: config.toml and state/\n"
        "  $XDG_CONFIG_HOME/candado    config.toml; --config FILE or $CANDADO_CONFIG name another file\n"
        "  $XDG_STATE_HOME/candado     sealed state, quarantine\n"
        "Inside a synced folder: .candado-trash keeps removed and replaced files for 30 days; .candado-tmp-* is work\n"
        "in progress; .candadoignore holds patterns of what is left out, as in .gitignore."
    ),
    "exit": (
        "  0 done                                   12 wrong phrase, password or passphrase\n"
        "  1 failed, see message                    13 refused by a server rule or missing right\n"
        "  2 usage error                            14 integrity failure\n"
        "  3 finished, some items failed            15 untrusted or changed key or certificate\n"
        "  4 path not found                         16 server or format not supported\n"
        "  5 finished, conflict copies were made    17 no space or quota\n"
        " 10 no keys yet, or not logged in          18 stopped by a safety limit\n"
        " 11 lock held by someone else              20 network or server trouble, try again\n"
        "                                          130 interrupted"
    ),
}


def _flags_text() -> str:
    rows = []
    for option in global_options():
        names = ", ".join(option.opts)
        rows.append(f"  {names + (' ' + option.metavar if option.metavar else ''):28}{option.help}")
    return "Flags that every command takes, before or after its name:\n" + "\n".join(rows)


@click.command(cls=Command)
@pass_run
def version(run: Run) -> None:
    """Show the version of candado and of Python."""
    python = platform.python_version()
    run.emit(
        "candado.version/1",
        {"version": VERSION, "python": python, "machine": platform.machine()},
        f"candado {VERSION} (Python {python})",
    )


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    r"""Print a completion script.

    \b
    Examples:
      candado completion bash > ~/.local/share/bash-completion/completions/candado
      candado completion fish > ~/.config/fish/completions/candado.fish
    """
    from click.shell_completion import get_completion_class

    from candado.apps.cli.root import cli

    maker = get_completion_class(shell)
    if maker is None:
        raise UsageError(f"there is no completion for {shell}")
    print(maker(cli, {}, "candado", "_CANDADO_COMPLETE").source())


@click.command("help", cls=Command)
@click.argument("topic", nargs=-1)
@click.pass_context
def help(ctx: click.Context, topic: tuple[str, ...]) -> None:  # noqa: A001 -- the command's name
    """Help on a command, or on a topic: flags, secrets, places, exit."""
    from candado.apps.cli.root import cli

    if not topic:
        print(cli.get_help(ctx.find_root()))
        return
    if topic == ("flags",):
        print(_flags_text())
        return
    if len(topic) == 1 and topic[0] in _TOPICS:
        print(_TOPICS[topic[0]])
        return
    command: click.Command | None = cli
    inner = ctx.find_root()
    for word in topic:
        command = command.get_command(inner, word) if isinstance(command, click.Group) else None
        if command is None:
            raise UsageError(f"there is no help on {' '.join(topic)!r}", advice="Topics: flags, secrets, places, exit.")
        inner = click.Context(command, info_name=word, parent=inner)
    print(command.get_help(inner) if command is not None else "")


@click.command(cls=Command)
@click.argument("folder", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--keep", is_flag=True, help="Keep the demo's folders.")
def demo(folder: Path | None, *, keep: bool) -> int:
    r"""Tell the whole story on this machine: a server, two people, three devices, real files.

    FOLDER is copied, never touched; without it a tree that is on every machine is used.

    \b
    Examples:
      candado demo
      candado demo ~/Documents
    """
    from candado.apps.demo import run_demo

    return run_demo(folder, keep=keep)
