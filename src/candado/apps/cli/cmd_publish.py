"""``organisation publish``: a policy that was signed before goes to the server, which shows it to every client.

Layer: ``apps``. A policy on recovery goes with the certificate request of its key (``candado recovery install``).
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from candado.apps.cli.common import SECRET_FILE, Command, Run, pass_run, with_account
from candado.errors import UsageError
from candado.types import SecretText

if TYPE_CHECKING:
    from candado.client.account import Account

__all__ = ["publish"]

_PATH = click.Path(path_type=Path)


@click.command(cls=Command)
@click.argument("policy", metavar="POLICY", type=_PATH)
@click.option("--organisation-key", required=True, type=_PATH, metavar="F", help="organisation.pub, or its folder.")
@click.option("--replace-organisation", is_flag=True, help="The organisation has a new key.")
@click.option("--password-file", type=SECRET_FILE, metavar="F", help="Login password of the administrator.")
@pass_run
def publish(
    run: Run, policy: Path, organisation_key: Path, password_file: Path | None, *, replace_organisation: bool
) -> None:
    r"""Put a signed POLICY with rules for clients in force; you must be an administrator of the server.

    Devices that trust the organisation's key follow it within an hour.

    \b
    Examples:
      candado organisation publish policy.json --organisation-key organisation.pub
    """
    from candado.adapters.organisation import read_bounded, read_public_key
    from candado.folder.orgtrust import verify_policy
    from candado.formats.orgpolicy import POLICY_BYTES_MAX, parse_signed_policy

    key = read_public_key(organisation_key / "organisation.pub" if organisation_key.is_dir() else organisation_key)
    raw = read_bounded(policy, POLICY_BYTES_MAX + 1)
    if parse_signed_policy(raw).policy.kind == "recovery":
        raise UsageError("this is a policy on recovery", advice="Run `candado recovery install` with it.")
    signed = verify_policy(raw, kind="client-rules", pinned_key=key, pinned=None)
    password = _password(run, password_file)

    async def work(account: "Account") -> None:
        remote = account.remote
        await remote.install_policy(
            signed.kind, key.to_pem(), signed.raw.decode(), password, replace=replace_organisation
        )

    with_account(run, work)
    run.emit(
        "candado.organisation.published/1",
        {"kind": signed.kind, "serial": signed.serial, "organisation": signed.organisation, "digest": signed.digest},
        f"In force: {signed.kind}, serial {signed.serial}, {len(signed.client_rules.rules.rules)} rules.",
    )


def _password(run: Run, password_file: Path | None) -> SecretText:
    from candado.apps.cli.config import Places, load_config
    from candado.apps.cli.secrets import login_password

    config = load_config(Places.of(os.environ))

    def ask() -> str:
        answer: str = click.prompt(f"Login password of {config.login}", hide_input=True, err=True)
        return answer

    return login_password(
        password_file, os.environ, url=config.url, login=config.login, ask=ask if run.interactive else None
    )
