"""Commands on users, groups and app passwords.

Layer: ``apps``. They work on the data directory itself, also while the server runs; it notices within a second.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click

from candado.adapters.ambient import SystemClock
from candado.adapters.passwords import Argon2Passwords
from candado.apps.cli.output import human_size, rfc3339
from candado.apps.server_advice import as_usage
from candado.apps.server_common import Invocation, command_options, password_option, read_password
from candado.apps.server_config import ServerConfig, parse_bytes
from candado.apps.server_wiring import open_backend
from candado.errors import UsageError
from candado.server.accounts import Account, Accounts
from candado.server.devices import Device, Devices
from candado.server.files import Files
from candado.server.groups import Groups
from candado.server.metadata import FolderMetadata
from candado.server.model import Quota
from candado.server.removal import Removal

__all__ = ["app_password", "group_commands", "user_commands"]


@asynccontextmanager
async def _accounts(config: ServerConfig) -> AsyncIterator[tuple[Accounts, Files, FolderMetadata]]:
    async with open_backend(config) as backend:
        yield Accounts(backend, Argon2Passwords()), Files(backend), FolderMetadata(backend)


def _document(account: Account, quota: Quota | None = None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "user": account.user_id,
        "display_name": account.display_name,
        "email": account.email,
        "quota_bytes": account.quota_bytes,
        "enabled": account.enabled,
        "admin": account.is_admin,
        "created": rfc3339(account.created_at),
    }
    if quota is not None:
        shown |= {"used_bytes": quota.used_bytes, "groups": list(account.groups)}
    return shown


@click.group("user")
def user_commands() -> None:
    """Users: add, invite, list, show, passwd, reset, quota, admin, passwords, disable, enable, delete."""


@user_commands.command("add")
@click.argument("name")
@click.option("--display-name", default="", help="Name shown to others.")
@click.option("--email", help="Address; only shown.")
@click.option("--group", "groups", multiple=True, help="Group to join; may be given again.")
@click.option("--quota", help="Space, such as 10G or none.")
@click.option("--admin", is_flag=True, help="May administrate.")
@password_option
@command_options
def _add(
    invocation: Invocation,
    name: str,
    display_name: str,
    email: str | None,
    groups: tuple[str, ...],
    quota: str | None,
    admin: bool,
    password_file: Path | None,
) -> None:
    r"""Create a user.

    \b
    candado-server user add alice --password-file pw --quota 10G --data /srv/candado
    """
    config = invocation.config()
    size = config.default_quota if quota is None else parse_bytes(quota)
    password = read_password(password_file)

    async def work() -> Account:
        async with _accounts(config) as (accounts, files, _):
            with as_usage(name):
                account = await accounts.add(
                    name,
                    password,
                    display_name=display_name,
                    email=email,
                    groups=groups,
                    quota_bytes=None if size < 0 else size,
                    is_admin=admin,
                )
            await files.ensure_home(account.user_id)
            return account

    account = invocation.run(work())
    invocation.show("user", _document(account), f"user {account.user_id} was added")


@user_commands.command("list")
@command_options
def _list(invocation: Invocation) -> None:
    """List all users."""
    config = invocation.config()

    async def work() -> list[Account]:
        async with _accounts(config) as (accounts, _, __):
            return await accounts.users()

    found = invocation.run(work())
    lines = [f"{a.user_id}\t{a.display_name}\t{'enabled' if a.enabled else 'disabled'}" for a in found]
    if invocation.as_json:
        invocation.show("users", {"users": [_document(a) for a in found]}, "")
    else:
        print("\n".join(lines))


@user_commands.command("show")
@click.argument("name")
@command_options
def _show(invocation: Invocation, name: str) -> None:
    """Show one user."""
    config = invocation.config()

    async def work() -> tuple[Account, Quota]:
        async with _accounts(config) as (accounts, files, _):
            account = await accounts.get(name)
            return account, await files.quota(account.user_id)

    account, quota = invocation.run(work())
    total = "unlimited" if quota.total_bytes is None else human_size(quota.total_bytes)
    lines = [
        f"user:    {account.user_id}",
        f"name:    {account.display_name}",
        f"email:   {account.email or '-'}",
        f"state:   {'enabled' if account.enabled else 'disabled'}{', admin' if account.is_admin else ''}",
        f"groups:  {', '.join(account.groups) or '-'}",
        f"space:   {human_size(quota.used_bytes)} of {total}",
        f"created: {rfc3339(account.created_at)}",
    ]
    invocation.show("user", _document(account, quota), "\n".join(lines))


@user_commands.command("passwd")
@click.argument("name")
@password_option
@command_options
def _passwd(invocation: Invocation, name: str, password_file: Path | None) -> None:
    """Set the login password; devices with app passwords stay signed in."""
    config, password = invocation.config(), read_password(password_file)

    async def work() -> None:
        async with _accounts(config) as (accounts, _, __):
            with as_usage(name):
                await accounts.set_password(name, password)

    invocation.run(work())
    invocation.show("done", {"user": name}, f"the password of {name} was changed")


def _switch(invocation: Invocation, name: str, *, enabled: bool) -> None:
    config = invocation.config()

    async def work() -> None:
        async with _accounts(config) as (accounts, _, __):
            await accounts.set_enabled(name, enabled=enabled)

    invocation.run(work())
    invocation.show(
        "done", {"user": name, "enabled": enabled}, f"user {name} was {'enabled' if enabled else 'disabled'}"
    )


@user_commands.command("disable")
@click.argument("name")
@command_options
def _disable(invocation: Invocation, name: str) -> None:
    """Keep a user out; nothing is deleted."""
    _switch(invocation, name, enabled=False)


@user_commands.command("enable")
@click.argument("name")
@command_options
def _enable(invocation: Invocation, name: str) -> None:
    """Let a disabled user in again."""
    _switch(invocation, name, enabled=True)


@user_commands.command("delete")
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@command_options
def _delete(invocation: Invocation, name: str, yes: bool) -> None:
    """Delete a user with all files, keys and shares. This cannot be undone. At a terminal it is asked first."""
    config = invocation.config()
    if not yes:
        invocation.confirm(f"Delete {name} with all files, keys and shares for ever?", path=name)

    async def work() -> None:
        async with _accounts(config) as (accounts, files, metadata):
            await Removal(SystemClock(), accounts, files, metadata).remove(name)

    invocation.run(work())
    invocation.show("done", {"user": name}, f"user {name} was deleted")


@click.command("app-password")
@click.argument("name")
@click.option("--label", required=True, help="What it is for, such as phone.")
@command_options
def app_password(invocation: Invocation, name: str, label: str) -> None:
    """Make an app password and print it once."""
    config = invocation.config()

    async def work() -> str:
        async with open_backend(config) as backend:
            return (await Devices(backend).make(name, label)).reveal()

    secret = invocation.run(work())
    invocation.show("app-password", {"user": name, "label": label, "app_password": secret}, secret)


@user_commands.group("passwords")
def _passwords() -> None:
    """Devices of a user: list, revoke, wipe."""


@_passwords.command("list")
@click.argument("name")
@command_options
def _passwords_list(invocation: Invocation, name: str) -> None:
    """List the app passwords of a user, without their secrets."""
    config = invocation.config()

    async def work() -> list[Device]:
        async with open_backend(config) as backend:
            return await Devices(backend).all(name)

    found = invocation.run(work())
    lines = [
        f"{d.device_id}  {rfc3339(d.created_at)}  {'-' if d.last_used_at is None else rfc3339(d.last_used_at)}"
        f"  {'to be wiped' if d.wipe_asked_at is not None else 'signed in'}  {d.label}"
        for d in found
    ]
    documents = [
        {
            "id": d.device_id,
            "label": d.label,
            "created": rfc3339(d.created_at),
            "last_used": None if d.last_used_at is None else rfc3339(d.last_used_at),
            "wipe": d.wipe_asked_at is not None,
        }
        for d in found
    ]
    invocation.show("app-passwords", {"user": name, "app_passwords": documents}, "\n".join(lines))


@_passwords.command("revoke")
@click.argument("name")
@click.argument("number", type=int, required=False)
@click.option("--all", "everything", is_flag=True, help="All of them, but those that are to wipe themselves.")
@command_options
def _passwords_revoke(invocation: Invocation, name: str, number: int | None, everything: bool) -> None:
    """Sign one device out, by its number in the list, or all of them."""
    config = invocation.config()
    if (number is None) is not everything:
        raise UsageError("name one app password by its number, or give --all", advice="Look at `user passwords list`.")

    async def work() -> int:
        async with open_backend(config) as backend:
            devices = Devices(backend)
            if number is None:
                return await devices.revoke_all(name)
            await devices.revoke(name, (await devices.get(name, number)).device_id)
            return 1

    count = invocation.run(work())
    invocation.show("done", {"user": name, "revoked": count}, f"app passwords of {name} that were revoked: {count}")


@_passwords.command("wipe")
@click.argument("name")
@click.argument("number", type=int)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@command_options
def _passwords_wipe(invocation: Invocation, name: str, number: int, yes: bool) -> None:
    """Sign one device out and have it remove what it keeps of the account. At a terminal it is asked first."""
    config = invocation.config()
    if not yes:
        invocation.confirm(f"Have device {number} of {name} remove the account and its files?", path=name)

    async def work() -> None:
        async with open_backend(config) as backend:
            await Devices(backend).ask_wipe(name, number)

    invocation.run(work())
    invocation.show("done", {"user": name, "wipe": number}, f"device {number} of {name} is asked to wipe itself")


@click.group("group")
def group_commands() -> None:
    """Groups: add, delete, list, join, leave."""


def _group_action(invocation: Invocation, action: str, group: str, user: str | None, text: str) -> None:
    config = invocation.config()

    async def work() -> None:
        async with open_backend(config) as backend:
            groups = Groups(backend)
            if action == "add":
                with as_usage(group):
                    await groups.add(group)
            elif action == "delete":
                await groups.delete(group)
            elif action == "join":
                await groups.join(group, user or "")
            else:
                await groups.leave(group, user or "")

    invocation.run(work())
    invocation.show("done", {"group": group, "user": user}, text)


@group_commands.command("add")
@click.argument("group")
@command_options
def _group_add(invocation: Invocation, group: str) -> None:
    """Create a group."""
    _group_action(invocation, "add", group, None, f"group {group} was added")


@group_commands.command("delete")
@click.argument("group")
@command_options
def _group_delete(invocation: Invocation, group: str) -> None:
    """Delete a group, not its members."""
    _group_action(invocation, "delete", group, None, f"group {group} was deleted")


@group_commands.command("join")
@click.argument("group")
@click.argument("user")
@command_options
def _group_join(invocation: Invocation, group: str, user: str) -> None:
    """Put a user into a group."""
    _group_action(invocation, "join", group, user, f"{user} is in {group}")


@group_commands.command("leave")
@click.argument("group")
@click.argument("user")
@command_options
def _group_leave(invocation: Invocation, group: str, user: str) -> None:
    """Take a user out of a group."""
    _group_action(invocation, "leave", group, user, f"{user} is no longer in {group}")


@group_commands.command("list")
@command_options
def _group_list(invocation: Invocation) -> None:
    """List groups and members."""
    config = invocation.config()

    async def work() -> list[dict[str, Any]]:
        async with open_backend(config) as backend:
            return [{"group": g.name, "members": list(g.members)} for g in await Groups(backend).all()]

    found = invocation.run(work())
    text = "\n".join(f"{g['group']}: {', '.join(g['members']) or '-'}" for g in found)
    invocation.show("groups", {"groups": found}, text)
