"""``link`` and ``drop``: links into encrypted folders, for who makes them and for who has one.

Layer: ``apps``. The words of a link are printed once, or written to a file, and never travel in JSON.
"""

import contextlib
import os
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from candado.apps.cli.cmd_transfer import Conflict, conflict_option, finish_copy
from candado.apps.cli.common import SECRET_FILE, Command, Group, Run, pass_run, with_account
from candado.apps.cli.errors import EXIT_PARTLY, error_json, exit_status
from candado.apps.cli.localpath import upload_source
from candado.apps.cli.output import human_size, printable, table
from candado.apps.cli.progress import Meter, progress_of
from candado.apps.cli.secrets import find_secret, new_secret_file
from candado.errors import FormatError, SecretNeededError, UsageError
from candado.types import SecretText

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from candado.client.account import Account
    from candado.client.fill import CopyReport
    from candado.client.links import MadeLink
    from candado.client.transfer import Source
    from candado.client.visit import DropReport, Visit
    from candado.formats.linkaddress import LinkAddress
    from candado.ports.client import LinkRemote

__all__ = ["drop", "expires_option", "link", "link_words"]

T = TypeVar("T")


def _day(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """A day as the server takes it; "" for none."""
    try:
        return date.fromisoformat(value).isoformat() if value else ""
    except ValueError:
        raise click.BadParameter("a day looks like 2030-12-31", ctx=ctx, param=param) from None


expires_option = click.option(
    "--expires", metavar="DAY", default="", callback=_day, help="Last day (UTC), such as 2030-12-31."
)
_password_option = click.option("--password-file", type=SECRET_FILE, metavar="F", help="Password of the link.")


def link_words(*, member: bool, shared: bool | None, is_drop: bool, last_day: str) -> str:
    """What a link is, in a list."""
    said = ["takes sealed files" if is_drop else "anyone with the link and its words"]
    if not is_drop and not member:
        said.append("opens NOTHING: revoke it")
    if shared is False:
        said.append("has a key but is OVER on the server: revoke it")
    if last_day:
        said.append(f"until {last_day}")
    return ", ".join(said)


@click.group(cls=Group)
def link() -> None:
    """Links into encrypted folders, for people without an account."""


@link.command(cls=Command)
@click.argument("remote")
@click.option("--drop", is_flag=True, help="For uploads only: it takes sealed files and shows nothing.")
@_password_option
@expires_option
@click.option("--label", default="", metavar="TEXT", help="A name for the list of links.")
@click.option("--words-out", type=click.Path(path_type=Path), metavar="F", help="Write the words to a new file.")
@click.option("--words-in-url", is_flag=True, help="Put the words into the address: whoever has it reads.")
@pass_run
def create(
    run: Run,
    remote: str,
    password_file: Path | None,
    expires: str,
    label: str,
    words_out: Path | None,
    *,
    drop: bool,
    words_in_url: bool,
) -> None:
    r"""Make a link to an encrypted folder.

    Who gets the address and the twelve words reads the folder. Send the words another way than the address. What stands
    behind the # of the address is never sent to the server.

    \b
    Examples:
      candado link create Documents --expires 2030-12-31
      candado link create Inbox --drop
    """
    from candado.client.links import create_link

    if drop and (words_out is not None or words_in_url):
        raise UsageError("a link for uploads has no words", advice="Leave out --words-out and --words-in-url.")
    if (run.json or run.jsonl) and words_out is None and not drop and not words_in_url:
        raise UsageError("the words are never printed as JSON", advice="Add --words-out FILE.")
    password = find_secret("CANDADO_LINK_PASSWORD", password_file, os.environ)
    with new_secret_file(words_out) as words_file, progress_of(run, "making a link") as progress:
        made: MadeLink = with_account(
            run,
            lambda account: create_link(
                account, remote, drop=drop, password=password, last_day=expires, label=label, progress=progress
            ),
        )
        if made.words is not None:
            words_file.write(made.words)
    _tell(run, made, words_out, words_in_url=words_in_url)


def _tell(run: Run, made: "MadeLink", words_out: Path | None, *, words_in_url: bool) -> None:
    """Print a new link, and its words where nothing else has them."""
    from candado.formats.linkaddress import format_link

    address = made.address.with_words(made.words) if words_in_url and made.words is not None else made.address
    url = format_link(address)
    shows_words = made.words is not None and not words_in_url and words_out is None

    def text() -> None:
        print(url)
        if shows_words and made.words is not None:
            print(made.words.reveal())
        if made.words is None:
            run.say("Whoever has this address can leave files; they become files of the folder at your next sync.")
        elif words_in_url:
            run.say("Whoever has this address reads the folder: send it only where nobody else looks.")
        else:
            run.say("Who has this address and the twelve words reads the folder: send them by different ways.")

    run.emit(
        "candado.link/1",
        {
            "path": made.path,
            "url": url,
            "token": made.address.token,
            "drop": made.words is None,
            "expires": made.last_day or None,
            "words_file": None if words_out is None else str(words_out),
            "rekeyed_folders": made.rekeyed_folders,
        },
        text,
    )


@link.command("list", cls=Command)
@click.argument("remote", required=False)
@pass_run
def list_(run: Run, remote: str | None) -> None:
    r"""List links; what the members of the folder and what the server says are compared.

    \b
    Examples:
      candado link list
      candado link list Documents
    """
    from candado.client.links import LinkReport, list_links

    found: list[LinkReport] = with_account(run, lambda account: list_links(account, remote))

    def members(one: LinkReport) -> dict[str, Any]:
        share = one.share
        return {
            "path": one.path,
            "token": one.token,
            "member": one.member,
            "shared": share is not None,
            "drop": one.is_drop,
            "password": share is not None and share.has_password,
            "label": "" if share is None else share.label,
            "expires": (share.last_day or None) if share is not None else None,
        }

    def words(one: LinkReport) -> str:
        share = one.share
        day = "" if share is None else share.last_day
        return link_words(member=one.member, shared=share is not None, is_drop=one.is_drop, last_day=day)

    run.emit_list(
        "candado.links/1",
        "links",
        [members(one) for one in found],
        lambda: table(
            (one.path, one.token, printable(one.share.label if one.share else ""), words(one)) for one in found
        ),
    )


@link.command(cls=Command)
@click.argument("url", metavar="URL|TOKEN")
@pass_run
def revoke(run: Run, url: str) -> None:
    r"""Take a link back: a new key for everything that is written from now on.

    \b
    Examples:
      candado link revoke https://cloud.example.org/s/TOKEN
    """
    from candado.client.links import revoke_link

    with progress_of(run, "taking a link back") as progress, _as_usage():
        done = with_account(run, lambda account: revoke_link(account, url, progress=progress))
    run.emit(
        "candado.link-revoke/1",
        {
            "path": done.path,
            "token": done.token,
            "was_member": done.was_member,
            "had_share": done.had_share,
            "rekeyed_folders": done.rekeyed_folders,
        },
        f"The link into {printable(done.path)} opens nothing any more.\n"
        "Not taken back: whoever had it could have kept copies of what was readable before.",
    )


@link.command("open", cls=Command)
@click.argument("url")
@click.option("--to", "local", type=click.Path(path_type=Path), default=".", metavar="DIR", help="Local folder.")
@click.option("--words-file", type=SECRET_FILE, metavar="F", help="The twelve words; - is stdin.")
@_password_option
@conflict_option
@pass_run
def open_(
    run: Run, url: str, local: Path, words_file: Path | None, password_file: Path | None, conflict: Conflict
) -> int:
    r"""Fetch and open everything behind a link, on this device; no account is needed.

    \b
    Examples:
      candado link open 'https://cloud.example.org/s/TOKEN#by=...' --to got --words-file words.txt
    """
    from candado.client.fetch import get
    from candado.client.visit import enter

    address = _address(url)
    words = find_secret("CANDADO_LINK_WORDS", words_file, os.environ) or address.words or _ask_words(run)
    visits: list[Visit] = []
    target = local.absolute()

    async def work(account: "Account", remote: "LinkRemote", progress: Meter | None) -> "CopyReport":
        from candado.apps.wiring import open_tree, transfers_of

        del remote
        visits.append(await enter(account, address, words))
        with contextlib.closing(open_tree(target)) as tree:
            return await get(account, "/", tree, "", conflict=conflict, transfers=transfers_of(run), progress=progress)

    with progress_of(run, "download") as progress:
        report = _visit(run, address, password_file, lambda account, remote: work(account, remote, progress))
    visit = visits[0]
    if visit.vouched is None:
        run.warn("the address names no key: the server's word was taken for who made this link")
    elif not visit.vouched:
        run.warn(f"the last state was signed by {printable(visit.signer)}, for whom this address does not vouch")
    return finish_copy(run, report, "downloaded", None)


@click.command(cls=Command)
@click.argument("sources", metavar="FILE...", nargs=-1, required=True)
@click.argument("url")
@_password_option
@pass_run
def drop(run: Run, sources: tuple[str, ...], url: str, password_file: Path | None) -> int:
    r"""Leave files behind a link for uploads: sealed on this device, for the members of the folder alone.

    The receipt of each file is what its takeover can be recognised by.

    \b
    Examples:
      candado drop scan.pdf 'https://cloud.example.org/s/TOKEN#by=...'
    """
    from candado.client.visit import drop as leave

    address = _address(url)

    async def work(account: "Account", remote: "LinkRemote", progress: Meter | None) -> "DropReport":
        with contextlib.ExitStack() as stack:
            items = [_source(stack, source) for source in sources]
            return await leave(account, remote, address, items, progress=progress)

    with progress_of(run, "dropping") as progress:
        report = _visit(run, address, password_file, lambda account, remote: work(account, remote, progress))
    people = report.recipients
    if not people.pinned:
        run.warn("the address names no key: the server's word was taken for whom the files are sealed")
    document = {
        "recipients": [member.user_id for member in people.members],
        "pinned": people.pinned,
        "left_out_members": people.left_out,
        "dropped": [
            {"path": one.path, "id": one.sealed_name, "bytes": one.size_bytes, "receipt": one.receipt}
            for one in report.dropped
        ],
        "errors": [{**error_json(error), "path": path} for path, error in report.failures],
    }

    def text() -> None:
        for one in report.dropped:
            print(f"{printable(one.path)}  {human_size(one.size_bytes)}  receipt {one.receipt}")
        for path, error in report.failures:
            run.warn(f"{printable(path)}: {printable(error.message)} [{error.code}]")
        names = ", ".join(printable(member.user_id) for member in people.members)
        run.say(f"Sealed for {names}; nobody else can open it.")

    run.emit("candado.drop/1", document, text)
    if report.failures and not report.dropped and len(report.failures) == 1:
        return exit_status(report.failures[0][1])
    return EXIT_PARTLY if report.failures else 0


def _source(stack: contextlib.ExitStack, source: str) -> "tuple[str, Source]":
    from candado.apps.wiring import open_tree
    from candado.client.transfer import TreeSource

    real, is_folder = upload_source(source)
    if is_folder:
        raise UsageError("a folder cannot be dropped", path=source, advice="Drop its files, or an archive of it.")
    tree = stack.enter_context(contextlib.closing(open_tree(real.parent)))
    return Path(source).absolute().name, TreeSource(tree, real.name)


def _visit(
    run: Run,
    address: "LinkAddress",
    password_file: Path | None,
    work: "Callable[[Account, LinkRemote], Coroutine[Any, Any, T]]",
) -> T:
    from candado.apps.cli.loop import run_to_end
    from candado.apps.wiring import open_link

    password = find_secret("CANDADO_LINK_PASSWORD", password_file, os.environ)

    async def opened() -> T:
        async with open_link(run, address, password) as (account, remote):
            return await work(account, remote)

    return run_to_end(opened())


def _address(url: str) -> "LinkAddress":
    from candado.formats.linkaddress import parse_link

    with _as_usage():
        return parse_link(url)


@contextlib.contextmanager
def _as_usage() -> "Any":
    try:
        yield
    except FormatError as exc:
        raise UsageError(exc.message, advice="Use the whole address as you got it, in single quotes.") from exc


def _ask_words(run: Run) -> SecretText:
    if not run.interactive:
        raise SecretNeededError(
            "the twelve words of the link are needed and there is nobody to ask",
            advice="Give --words-file FILE or CANDADO_LINK_WORDS_FILE.",
        )
    return SecretText(click.prompt("The twelve words of the link", hide_input=True, err=True))
