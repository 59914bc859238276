"""``fingerprint`` and ``trust``: keys of people.

Layer: ``apps``.
"""

import sys
from typing import TYPE_CHECKING, Any

import click

from candado.apps.cli.common import Command, Group, Run, pass_run, warn_of_recovery, with_account
from candado.apps.cli.output import printable, rfc3339, table
from candado.errors import UsageError
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
@click.argument("user", required=False)
@click.option(
    "--folder", metavar="REMOTE", help="Forget an encrypted folder that was removed, made anew or restored on purpose."
)
@click.option("--log", is_flag=True, help="Forget the server's log of keys, when an older backup was restored.")
@pass_run
def forget(run: Run, user: str | None, folder: str | None, *, log: bool) -> None:
    r"""Forget the key of USER, after the person said that it was changed on purpose.

    With --folder: forget an encrypted folder, after a person said that it was removed or made anew on purpose, or that
    an older backup of the server was restored. Local files stay, and the next sync deletes none of them; the next state
    that the server shows is met as for the first time. This is a decision of a person: where nobody can be asked it
    needs --yes.

    \b
    Examples:
      candado trust forget bob
      candado trust forget --folder Documents
    """
    if sum((user is not None, folder is not None, log)) != 1:
        raise UsageError("name a USER, a --folder or --log, one of them", advice="See `candado trust forget --help`.")
    if log:
        _forget_log(run)
        return
    if folder is not None:
        _forget_folder(run, folder)
        return
    from candado.client.trust import forget as drop

    person = check_user_id(user or "")
    run.confirm(f"Forget the key of {printable(person)} and trust the next one that the server shows?")

    async def work(account: Any) -> None:
        drop(account, person)

    with_account(run, work)
    run.emit("candado.forgotten/1", {"user": person}, f"The key of {printable(person)} is forgotten.")


def _forget_folder(run: Run, folder: str) -> None:
    from candado.client.trust import forget_folder as drop
    from candado.client.view import clear_path

    path = clear_path(folder)
    run.confirm(
        f"Forget what this device knows of {printable(path)}? Local files stay, but an older or another folder that "
        "the server shows there would not be noticed once.",
        needs_yes=True,
    )

    async def work(account: Any) -> None:
        drop(account, path)

    with_account(run, work)
    run.emit(
        "candado.forgotten/1",
        {"folder": path},
        f"{printable(path)} is forgotten. The next `candado sync LOCAL {printable(path)}` compares both sides anew: it "
        "deletes nothing, uploads what only this device has, and keeps both versions of what differs. With --encrypt "
        "it makes the folder anew when it is gone. Look at `candado shares` before: who was taken out since then may "
        "be a member again.",
    )


def _forget_log(run: Run) -> None:
    from candado.client.transparency import forget_log as drop

    run.confirm(
        "Forget the server's log of keys? Another log that the server shows next would not be noticed once.",
        needs_yes=True,
    )

    async def work(account: Any) -> None:
        drop(account)

    with_account(run, work)
    run.emit("candado.forgotten/1", {"log": True}, "The log of keys is forgotten; the next one is met anew.")


@trust.command("accept-history")
@click.argument("remote")
@pass_run
def accept_history(run: Run, remote: str) -> None:
    r"""Accept a folder whose history of keys an app has shortened.

    Some apps write the history of a folder's keys without the older ones. It can also mean that somebody wants a
    member who was removed to read again. Ask the members first. Only the one state that the server shows now is
    accepted, and every other check stays.

    \b
    Examples:
      candado trust accept-history Documents
    """
    from candado.client.trust import accept_history as accept
    from candado.client.trust import short_history

    async def work(account: Any) -> str:
        short = await short_history(account, remote)
        if short is None:
            return ""
        run.say(f"{printable(short.path)}: {short.message}\nThe state that a member signed: {short.digest}")
        run.confirm("Did a member's app write this, and is it to be accepted?", needs_yes=True)
        await accept(account, short)
        digest: str = short.digest
        return digest

    digest = with_account(run, work)
    said = "is accepted from here on" if digest else "was not shortened; nothing was changed"
    run.emit(
        "candado.history/1",
        {"path": remote, "accepted": bool(digest), "digest": digest},
        f"The history of keys of {printable(remote)} {said}.",
    )


@trust.command("organisation")
@click.argument("value", metavar="FINGERPRINT")
@pass_run
def trust_organisation(run: Run, value: str) -> None:
    r"""Trust the organisation's key that the server names; its fingerprint as words or hex.

    Get the fingerprint from your organisation on another channel, not from this server. Whoever has that key can
    announce a recovery key, which new folders of yours then carry. This is a decision of a person: where nobody can be
    asked it needs --yes.

    \b
    Examples:
      candado trust organisation 139fc9cf...
    """
    from candado.client.policies import trust_organisation as take
    from candado.client.recovery import current_key, refresh, refresh_quietly
    from candado.crypto.x509 import fingerprint_words

    async def work(account: Any) -> dict[str, Any]:
        await refresh_quietly(account, fresh=True)
        run.confirm("Trust this key, and what the organisation signs with it?", needs_yes=True)
        key = take(account, value)
        await refresh(account, fresh=True)
        recovery = current_key(account)
        warn_of_recovery(run, account)
        return {
            "fingerprint": key.fingerprint_hex,
            "words": fingerprint_words(key.fingerprint_hex),
            "recovery": None if recovery is None else recovery.state,
        }

    document = with_account(run, work)
    run.emit("candado.trust-organisation/1", document, f"The organisation's key {document['words']} is trusted.")
