"""Commands on tags, which access rules look at.

Layer: ``apps``.
"""

import click

from candado.apps.server_common import Invocation, command_options
from candado.apps.server_wiring import open_backend
from candado.server.tags import Tags
from candado.types import UserId

__all__ = ["tag_commands"]


@click.group("tag")
def tag_commands() -> None:
    """Tags on files and folders, for access rules: add, remove, list. Users neither set nor see them."""


@tag_commands.command("add")
@click.argument("user")
@click.argument("path")
@click.argument("tag")
@command_options
def _add(invocation: Invocation, user: str, path: str, tag: str) -> None:
    """Put TAG on what is at PATH of USER; it holds for everything below it, too."""
    _change(invocation, user, path, tag, put=True)


@tag_commands.command("remove")
@click.argument("user")
@click.argument("path")
@click.argument("tag")
@command_options
def _remove(invocation: Invocation, user: str, path: str, tag: str) -> None:
    """Take TAG off what is at PATH of USER."""
    _change(invocation, user, path, tag, put=False)


def _change(invocation: Invocation, user: str, path: str, tag: str, *, put: bool) -> None:
    async def work() -> list[str]:
        async with open_backend(invocation.config()) as backend:
            return await Tags(backend).change(UserId(user), path, tag, put=put)

    tags = invocation.run(work())
    said = f"{path} has the tags {', '.join(tags)}" if tags else f"{path} has no tags"
    invocation.show("tags", {"user": user, "path": path, "tags": tags}, said)


@tag_commands.command("list")
@click.argument("user")
@click.argument("path")
@command_options
def _list(invocation: Invocation, user: str, path: str) -> None:
    """List the tags of what is at PATH of USER, and those it has from the folders above it."""

    async def work() -> tuple[list[str], list[str]]:
        async with open_backend(invocation.config()) as backend:
            return await Tags(backend).on(UserId(user), path)

    tags, above = invocation.run(work())
    lines = [f"{tag}\there" for tag in tags] + [f"{tag}\tabove" for tag in above]
    invocation.show_table("tags", {"user": user, "path": path, "tags": tags, "from-above": above}, lines)
