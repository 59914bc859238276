"""``share``, ``unshare``, ``shares``.

Layer: ``apps``.
"""

from typing import Any

import click

from candado.apps.cli.cmd_link import expires_option, link_words
from candado.apps.cli.common import Command, Run, pass_run, with_account
from candado.apps.cli.output import printable, rfc3339, table
from candado.apps.cli.progress import progress_of
from candado.types import check_user_id

__all__ = ["share", "shares", "unshare"]


@click.command(cls=Command)
@click.argument("remote")
@click.argument("user")
@click.option("--read-only", is_flag=True, help="The server refuses the person's writes.")
@expires_option
@click.option(
    "--require-verified", is_flag=True, help="Only when the fingerprint was compared: `candado trust verify`."
)
@pass_run
def share(run: Run, remote: str, user: str, *, read_only: bool, expires: str, require_verified: bool) -> None:
    r"""Share an encrypted folder with a person.

    \b
    Examples:
      candado fingerprint bob        compare it with bob first
      candado share Documents bob
    """
    from candado.client.sharing import share as give

    with progress_of(run, f"sharing with {user}") as progress:
        report = with_account(
            run,
            lambda account: give(
                account,
                remote,
                check_user_id(user),
                read_only=read_only,
                last_day=expires,
                require_verified=require_verified,
                progress=progress,
            ),
        )
    shown = report.fingerprint
    name = printable(user)
    if not shown.verified:
        run.say(
            f"The key of {name} was not compared yet: {shown.words}\n"
            f"Compare it on another channel, then: candado trust verify {name} {shown.hex}"
        )
    if not report.is_logged:
        run.say("This server keeps no log of keys (unlogged): nothing but a comparison shows a key put in its place.")
    run.emit(
        "candado.share/1",
        {
            "path": report.path,
            "user": report.user_id,
            "read_only": report.read_only,
            "expires": expires or None,
            "verified": shown.verified,
            "fingerprint": shown.hex,
            "rekeyed_folders": report.rekeyed_folders,
            "was_member": report.was_member,
            "logged": report.is_logged,
        },
        f"{printable(report.path)} is shared with {name}{' for reading' if read_only else ''}.",
    )


@click.command(cls=Command)
@click.argument("remote")
@click.argument("user")
@pass_run
def unshare(run: Run, remote: str, user: str) -> None:
    r"""End a share: a new key for everything that is written from now on.

    \b
    Examples:
      candado unshare Documents bob
    """
    from candado.client.sharing import unshare as take

    with progress_of(run, f"taking back from {user}") as progress:
        report = with_account(run, lambda account: take(account, remote, check_user_id(user), progress=progress))
    name = printable(user)
    run.emit(
        "candado.unshare/1",
        {
            "path": report.path,
            "user": report.user_id,
            "was_member": report.was_member,
            "had_share": report.had_share,
            "rekeyed_folders": report.rekeyed_folders,
            "readable_files": report.readable_files,
        },
        f"{name} cannot read anything that is written into {printable(report.path)} from now on.\n"
        f"Not taken back: {name} could have kept copies of what was readable before; {report.readable_files} files "
        "keep their keys until they are written anew.",
    )


@click.command(cls=Command)
@click.argument("remote", required=False)
@pass_run
def shares(run: Run, remote: str | None) -> None:
    r"""Who can read which folder; what the members say and what the server says are compared.

    \b
    Examples:
      candado shares
      candado shares Documents
    """
    from candado.client.sharing import Share, list_shares

    found = with_account(run, lambda account: list_shares(account, remote))

    def members(one: Share) -> dict[str, Any]:
        return {
            "path": one.path,
            "user": one.user_id,
            "owner": one.is_owner,
            "member": one.member,
            "shared": one.shared,
            "read_only": one.read_only,
            "verified": one.verified,
            "first_seen": None if one.first_seen is None else rfc3339(one.first_seen),
            "link": one.is_link,
            "recovery": one.is_recovery,
            "expires": one.last_day or None,
        }

    def words(one: Share) -> str:
        if one.is_recovery:
            return "recovery key of the organisation; its holders can read this folder"
        if one.is_link:
            return link_words(member=one.member, shared=one.shared, is_drop=one.is_drop, last_day=one.last_day)
        said = ["owner" if one.is_owner else "member"]
        if one.shared is not None:
            said = ["read only" if one.read_only else "read and write"]
        if not one.member:
            said.append("has NO key: share again")
        if one.shared is False:
            said.append("has a key but NO share on the server")
        said.append("verified" if one.verified else "key not compared")
        if one.last_day:
            said.append(f"until {one.last_day}")
        return ", ".join(said)

    run.emit_list(
        "candado.shares/1",
        "shares",
        [members(one) for one in found],
        lambda: table((one.path, one.user_id, words(one)) for one in found),
    )
