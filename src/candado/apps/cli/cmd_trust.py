"""``fingerprint`` and ``trust``: keys of people.

Layer: ``apps``.
"""

import sys
from typing import TYPE_CHECKING, Any

import click

from candado.apps.cli.common import Command, Group, Run, pass_run, with_account
from candado.apps.cli.output import printable, rfc3339, table
from candado.types import check_user_id

if TYPE_CHECKING:
    from candado.client.trust import Fingerprint

__all__ = ["fingerprint", "trust"]


def _members(shown: "Fingerprint") -> dict[str, Any]:
    return {
        "user": shown.user_id,
        "hex": shown.hex,
        "words": shown.words,
        "verified": shown.verified,
        "own": shown.own,
        "first_seen": None if shown.first_seen is None else rfc3339(shown.first_seen),
    }


def _state(shown: "Fingerprint") -> str:
    if shown.own:
        return "this account"
    if shown.verified:
        return "verified"
    return f"first seen {rfc3339(shown.first_seen)}" if shown.first_seen is not None else "not verified"


@click.command(cls=Command)
@click.argument("user", required=False)
@click.option("--qr", is_flag=True, help="Also show it as a QR code.")
@pass_run
def fingerprint(run: Run, user: str | None, *, qr: bool) -> None:
    r"""Show the fingerprint of a key: your own, or that of USER.

    Compare it with the person on another channel, such as the telephone. Words and hex say the same.

    \b
    Examples:
      candado fingerprint
      candado fingerprint bob
    """
    from candado.client.trust import fingerprint as find

    wanted = None if user is None else check_user_id(user)
    shown = with_account(run, lambda account: find(account, wanted))

    def text() -> None:
        print(f"{printable(shown.user_id)} ({_state(shown)})\n  {shown.words}\n  {shown.grouped}")
        if qr:
            import segno

            segno.make(shown.hex.upper(), micro=False).terminal(out=sys.stdout, compact=True)

    run.emit("candado.fingerprint/1", _members(shown), text)


@click.group(cls=Group)
def trust() -> None:
    """Keys of other people that this device knows."""


@trust.command("list")
@pass_run
def list_known(run: Run) -> None:
    """List the people whose keys this device has seen."""
    from candado.client.trust import known_peers

    async def work(account: Any) -> "list[Fingerprint]":
        return known_peers(account)

    found = with_account(run, work)

    def text() -> None:
        table((shown.user_id, _state(shown), shown.words) for shown in found)

    run.emit_list("candado.trust/1", "people", [_members(shown) for shown in found], text)


@trust.command()
@click.argument("user")
@click.argument("value", metavar="FINGERPRINT")
@pass_run
def verify(run: Run, user: str, value: str) -> None:
    r"""Say that you compared the fingerprint of USER with the person; as words or hex.

    \b
    Examples:
      candado trust verify bob ab12-...
    """
    from candado.client.trust import verify as mark

    shown = with_account(run, lambda account: mark(account, check_user_id(user), value))
    run.emit("candado.fingerprint/1", _members(shown), f"The key of {printable(user)} is verified.")


@trust.command()
@click.argument("user")
@pass_run
def forget(run: Run, user: str) -> None:
    """Forget the key of USER, after the person said that it was changed on purpose."""
    from candado.client.trust import forget as drop

    run.confirm(f"Forget the key of {printable(user)} and trust the next one that the server shows?")

    async def work(account: Any) -> None:
        drop(account, check_user_id(user))

    with_account(run, work)
    run.emit("candado.forgotten/1", {"user": user}, f"The key of {printable(user)} is forgotten.")
