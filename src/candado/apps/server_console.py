"""Commands for what the pages of administrators do: the server at a glance, locks, links to set a password.

Layer: ``apps``. They work on the data directory itself, also while the server runs.
"""

import dataclasses
from typing import Any

import click

from candado.adapters.passwords import Argon2Passwords
from candado.apps.cli.output import human_size, rfc3339
from candado.apps.server_advice import as_usage
from candado.apps.server_common import Invocation, command_options
from candado.apps.server_config import ServerConfig, parse_bytes
from candado.apps.server_users import user_commands
from candado.apps.server_wiring import open_backend
from candado.server.accounts import Accounts
from candado.server.files import Files
from candado.server.invitations import RESET_SECONDS, Invitation, Invitations
from candado.server.overview import HeldLock, Overview, Overviews

__all__ = ["invitation_address", "lock_commands", "lock_document", "overview_command"]


def invitation_address(base: str, invitation: Invitation) -> str:
    """The address to give to the person; without a base only its path."""
    assert invitation.token is not None
    return f"{base.rstrip('/')}/invitation/{invitation.token.reveal()}"


def lock_document(lock: HeldLock, now: float) -> dict[str, Any]:
    """A lock for programs."""
    return {
        "lock": lock.session,
        "folder": int(lock.folder_id),
        "name": lock.folder_name,
        "owner": lock.owner,
        "holder": lock.holder or None,
        "begun": rfc3339(lock.begun_at),
        "age_seconds": max(0, int(now - lock.begun_at)),
        "idle_seconds": max(0, int(now - lock.renewed_at)),
        "staged_bytes": lock.staged_bytes,
    }


@click.command("overview")
@command_options
def overview_command(invocation: Invocation) -> None:
    """Show users with and without keys, devices, encrypted folders, locks, and what waits for administrators."""
    config = invocation.config()

    async def work() -> Overview:
        async with open_backend(config) as backend:
            return await Overviews(backend).numbers()

    found = invocation.run(work())
    document = dataclasses.asdict(found)
    width = max(map(len, document)) + 1
    lines = [f"{name + ':':<{width}} {value}" for name, value in document.items()]
    invocation.show("overview", document, "\n".join(lines))


@click.group("lock")
def lock_commands() -> None:
    """Write sessions that are open: list, release."""


@lock_commands.command("list")
@command_options
def _list(invocation: Invocation) -> None:
    """List who holds the lock of which folder, and since when."""
    config = invocation.config()

    async def work() -> list[dict[str, Any]]:
        async with open_backend(config) as backend:
            now = backend.clock.now()
            return [lock_document(lock, now) for lock in await Overviews(backend).locks()]

    found = invocation.run(work())
    lines = [
        f"{one['lock']}\t{one['holder'] or 'a link'}\t{one['owner']}\t{one['name']}\t{one['begun']}"
        f"\t{one['idle_seconds']} s idle\t{human_size(one['staged_bytes'])}"
        for one in found
    ]
    invocation.show_table("locks", {"locks": found}, lines)


@lock_commands.command("release")
@click.argument("lock")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@command_options
def _release(invocation: Invocation, lock: str, yes: bool) -> None:
    """End the write session LOCK of the list; what was written under it is undone, what was there before stays.

    At a terminal it is asked first. The device that held it begins anew from its own files.
    """
    config = invocation.config()
    if not yes:
        invocation.confirm(f"End the write session {lock}, undoing what was written under it?", path=lock)

    async def work() -> dict[str, Any]:
        async with open_backend(config) as backend:
            return lock_document(await Overviews(backend).release(lock), backend.clock.now())

    found = invocation.run(work())
    invocation.show("lock", found, f"released: folder {found['folder']} of {found['owner']}")


@user_commands.command("invite")
@click.argument("name")
@click.option("--display-name", default="", help="Name shown to others.")
@click.option("--email", help="Address; only shown, no message is sent.")
@click.option("--group", "groups", multiple=True, help="Group to join; may be given again.")
@click.option("--quota", help="Space, such as 10G or none.")
@command_options
def _invite(
    invocation: Invocation,
    name: str,
    display_name: str,
    email: str | None,
    groups: tuple[str, ...],
    quota: str | None,
) -> None:
    """Create a user without a password, and print the link by which the person sets one, once within seven days."""
    config = invocation.config()
    size = config.default_quota if quota is None else parse_bytes(quota)

    async def work() -> Invitation:
        async with open_backend(config) as backend:
            passwords = Argon2Passwords()
            invitations = Invitations(backend, Accounts(backend, passwords), passwords)
            with as_usage(name):
                account, made = await invitations.invite(
                    name,
                    display_name=display_name,
                    email=email,
                    groups=groups,
                    quota_bytes=None if size < 0 else size,
                )
            await Files(backend).ensure_home(account.user_id)
            return made

    _show_link(invocation, config, invocation.run(work()))


@user_commands.command("reset")
@click.argument("name")
@click.option("--days", type=click.IntRange(1, 30), help="How long the link works; a day when not given.")
@command_options
def _reset(invocation: Invocation, name: str, days: int | None) -> None:
    """Print a link by which a user sets a new login password, once; the old one stays good until then."""
    config = invocation.config()
    seconds = RESET_SECONDS if days is None else days * 86_400.0

    async def work() -> Invitation:
        async with open_backend(config) as backend:
            passwords = Argon2Passwords()
            return await Invitations(backend, Accounts(backend, passwords), passwords).make(name, seconds=seconds)

    _show_link(invocation, config, invocation.run(work()))


def _show_link(invocation: Invocation, config: ServerConfig, made: Invitation) -> None:
    address = invitation_address(config.url, made)
    document = {"user": made.user_id, "link": address, "expires": rfc3339(made.expires_at)}
    invocation.show("invitation", document, address)


@user_commands.command("quota")
@click.argument("name")
@click.argument("size")
@command_options
def _quota(invocation: Invocation, name: str, size: str) -> None:
    """Change the space of a user: SIZE such as 10G, or none for unlimited. What is stored stays."""
    config, count = invocation.config(), parse_bytes(size)
    quota = None if count < 0 else count

    async def work() -> None:
        async with open_backend(config) as backend:
            with as_usage(name):
                await Accounts(backend, Argon2Passwords()).set_quota(name, quota)

    invocation.run(work())
    text = "unlimited" if quota is None else human_size(quota)
    invocation.show("done", {"user": name, "quota_bytes": quota}, f"the space of {name} is now {text}")


@user_commands.command("admin")
@click.argument("name")
@click.option("--revoke", is_flag=True, help="Take the right back.")
@command_options
def _admin(invocation: Invocation, name: str, revoke: bool) -> None:
    """Give a user the right to administrate; the last one who has it keeps it."""
    config = invocation.config()

    async def work() -> None:
        async with open_backend(config) as backend:
            await Accounts(backend, Argon2Passwords()).set_admin(name, is_admin=not revoke)

    invocation.run(work())
    verb = "does not administrate any more" if revoke else "may administrate"
    invocation.show("done", {"user": name, "admin": not revoke}, f"{name} {verb}")
