"""Commands on new keys that wait for administrators.

Layer: ``apps``. Whoever decides proves who it is by the login password of an account that may administrate.
"""

from pathlib import Path
from typing import Any

import click

from candado.adapters.passwords import Argon2Passwords
from candado.apps.cli.output import rfc3339
from candado.apps.server_common import Invocation, command_options, password_option, read_password
from candado.apps.server_wiring import open_backend
from candado.server.access import Authenticator
from candado.server.approvals import Approvals, KeyRequest
from candado.server.ratelimit import RateLimiter

__all__ = ["approve_command", "reject_command", "requests_command"]

_ADMIN = click.option("--admin", required=True, help="Your account, which may administrate.")


@click.command("requests")
@command_options
def requests_command(invocation: Invocation) -> None:
    """List new keys of users who had one, and who approved them."""
    config = invocation.config()

    async def work() -> list[KeyRequest]:
        async with open_backend(config) as backend:
            return await Approvals(backend).all()

    shown = [_shown(one, config.new_key_approvals) for one in invocation.run(work())]
    lines = [f"{r['key']}\t{r['user']}\t{r['requested']}\t{r['outcome']}\t{','.join(r['approved_by'])}" for r in shown]
    invocation.show_table("ca-requests", {"requests": shown}, lines)


@click.command("approve")
@click.argument("key")
@_ADMIN
@password_option
@command_options
def approve_command(invocation: Invocation, key: str, admin: str, password_file: Path | None) -> None:
    """Approve the new key whose fingerprint begins with KEY (8 digits or more).

    Ask the person by another way than this server whether the key is theirs, and compare the fingerprint. The
    certificate is signed when enough administrators have approved and the user's client asks again.
    """
    _decide(invocation, key, admin, password_file, approve=True)


@click.command("reject")
@click.argument("key")
@_ADMIN
@password_option
@command_options
def reject_command(invocation: Invocation, key: str, admin: str, password_file: Path | None) -> None:
    """Reject the new key whose fingerprint begins with KEY, for good."""
    _decide(invocation, key, admin, password_file, approve=False)


def _decide(invocation: Invocation, key: str, admin: str, password_file: Path | None, *, approve: bool) -> None:
    config, password = invocation.config(), read_password(password_file)

    async def work() -> KeyRequest:
        async with open_backend(config) as backend:
            authenticator = Authenticator(backend, Argon2Passwords(), RateLimiter(backend))
            principal = await authenticator.sign_in(admin, password, "127.0.0.1")
            return await Approvals(backend).decide(key, principal, approve=approve)

    shown = _shown(invocation.run(work()), config.new_key_approvals)
    text = f"{'approved' if approve else 'rejected'}: {shown['user']}, key {shown['key'][:16]}"
    if approve and shown["missing"]:
        text += f"; {shown['missing']} more must approve"
    invocation.show("ca-request", shown, text)


def _shown(one: KeyRequest, needed: int) -> dict[str, Any]:
    return {
        "key": one.key_fingerprint_hex,
        "user": one.user_id,
        "requested": rfc3339(one.requested_at),
        "outcome": one.outcome,
        "approved_by": list(one.approved_by),
        "missing": max(0, needed - len(one.approved_by)) if one.outcome == "open" else 0,
    }
