"""``recovery install``, ``off`` and ``report``: what an administrator does with the public half and the records.

Layer: ``apps``. The organisation's key may be where no network is: with ``--out`` the policy is only signed and
written, with ``--policy`` one that was signed before is installed.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from candado.apps.cli.common import SECRET_FILE, Command, Run, pass_run, with_account
from candado.apps.cli.output import printable
from candado.errors import UsageError
from candado.types import SecretText

if TYPE_CHECKING:
    from candado.crypto.ed25519 import VerifyingKey
    from candado.folder.orgtrust import VerifiedPolicy

__all__ = ["install", "off", "report"]

_PATH = click.Path(path_type=Path)
_KEY = click.option(
    "--organisation-key",
    required=True,
    type=_PATH,
    metavar="F",
    help="The folder of the organisation's key; with --policy its public half, organisation.pub, is enough.",
)
_TEXT = click.option("--text-file", type=_PATH, metavar="F", help="What people are told.")
_OUT = click.option("--out", type=_PATH, metavar="F", help="Only sign, and write the policy here.")
_POLICY = click.option(
    "--policy", "policy_file", type=_PATH, metavar="F", help="Install a policy that was signed before."
)
_REPLACE = click.option("--replace-organisation", is_flag=True, help="The organisation has a new key.")
_PASSPHRASE = click.option("--passphrase-file", type=SECRET_FILE, metavar="F", help="Passphrase of that key.")
_PASSWORD = click.option("--password-file", type=SECRET_FILE, metavar="F", help="Login password of the administrator.")


@click.command(cls=Command)
@click.argument("public", metavar="PUBLIC_DIR", type=_PATH)
@_KEY
@_TEXT
@_OUT
@_POLICY
@_REPLACE
@_PASSPHRASE
@_PASSWORD
@pass_run
def install(
    run: Run,
    public: Path,
    organisation_key: Path,
    text_file: Path | None,
    out: Path | None,
    policy_file: Path | None,
    passphrase_file: Path | None,
    password_file: Path | None,
    *,
    replace_organisation: bool,
) -> None:
    r"""Announce the recovery key in PUBLIC_DIR to everybody, by a policy that the organisation's key signs.

    The server's authority certifies the key. From then on clients warn of it, new encrypted folders carry it, and
    existing ones do when their owners agree. You must be an administrator of the server.

    \b
    Examples:
      candado recovery install public --organisation-key /media/usb/organisation --text-file text.txt
      candado recovery install public --organisation-key DIR --text-file text.txt --out policy.json     (no network)
      candado recovery install public --organisation-key organisation.pub --policy policy.json
    """
    from candado.apps.cli.recovery_policy import read_public, sign_on

    record, _ = read_public(public)
    _check_way(out, policy_file, text_file)
    if policy_file is None:
        assert text_file is not None
        policy, key = sign_on(run, organisation_key, public, text_file, passphrase_file)
    else:
        policy, key = _read_policy(policy_file, organisation_key)
    if out is None:
        _send(run, policy, key, record.request_pem, password_file, replace=replace_organisation)
    _tell(run, policy, out)


@click.command(cls=Command)
@_KEY
@_TEXT
@_OUT
@_POLICY
@_PASSPHRASE
@_PASSWORD
@pass_run
def off(
    run: Run,
    organisation_key: Path,
    text_file: Path | None,
    out: Path | None,
    policy_file: Path | None,
    passphrase_file: Path | None,
    password_file: Path | None,
) -> None:
    r"""Switch the recovery key off: clients wrap no folder for it any more, and name those that still carry it.

    Folders that carry it can be opened with its sheets until their owners ran `candado recovery drop`.

    \b
    Examples:
      candado recovery off --organisation-key /media/usb/organisation --text-file text.txt
    """
    from candado.apps.cli.recovery_policy import sign_off

    _check_way(out, policy_file, text_file)
    if policy_file is None:
        assert text_file is not None
        policy, key = sign_off(run, organisation_key, text_file, passphrase_file)
    else:
        policy, key = _read_policy(policy_file, organisation_key)
    if policy.recovery.state != "off":
        raise UsageError("this policy switches the recovery key on", advice="Use `candado recovery install`.")
    if out is None:
        _send(run, policy, key, "", password_file, replace=False)
    _tell(run, policy, out)


@click.command(cls=Command)
@click.argument("record", metavar="RECORD", type=_PATH)
@_PASSWORD
@pass_run
def report(run: Run, record: Path, password_file: Path | None) -> None:
    r"""Hand in the signed RECORD of a use of the recovery key: it goes into the audit log, and the people are told.

    \b
    Examples:
      candado recovery report use/record.json
    """
    from candado.apps.cli.recovery_input import read_local
    from candado.errors import MalformedError
    from candado.folder.recoveryrecords import RECORD_BYTES_MAX, parse_use_record

    data = read_local(record, size_max=RECORD_BYTES_MAX)
    use = parse_use_record(data)
    try:
        text = data.decode()
    except UnicodeDecodeError as exc:  # pragma: no cover -- the record was read as JSON, which is UTF-8
        raise MalformedError("the record is not UTF-8", path=str(record)) from exc
    password = _password(run, password_file)
    with_account(run, lambda account: account.remote.report_recovery_use(text, password))
    run.emit(
        "candado.recovery-report/1",
        {"id": use.record_id, "state": use.state, "account": use.account},
        f"The use of the recovery key for {printable(use.account)} ({use.state}) is in the audit log; whom it concerns "
        "is told.",
    )


def _check_way(out: Path | None, policy_file: Path | None, text_file: Path | None) -> None:
    if (policy_file is None) == (text_file is None):
        raise UsageError("give --text-file to sign a policy, or --policy with one that was signed, one of the two")
    if out is not None and policy_file is not None:
        raise UsageError("--out signs a new policy, so --policy does not go with it")


def _read_policy(path: Path, key_path: Path) -> "tuple[VerifiedPolicy, VerifyingKey]":
    from candado.adapters.organisation import read_bounded, read_public_key
    from candado.folder.orgtrust import verify_policy
    from candado.formats.orgpolicy import POLICY_BYTES_MAX

    key = read_public_key(key_path / "organisation.pub" if key_path.is_dir() else key_path)
    raw = read_bounded(path, POLICY_BYTES_MAX + 1)
    return verify_policy(raw, kind="recovery", pinned_key=key, pinned=None), key


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


def _send(
    run: Run,
    policy: "VerifiedPolicy",
    key: "VerifyingKey",
    csr_pem: str,
    password_file: Path | None,
    *,
    replace: bool,
) -> None:
    password = _password(run, password_file)

    async def work(account: Any) -> None:
        await account.remote.install_recovery(key.to_pem(), policy.raw.decode(), csr_pem, password, replace=replace)

    with_account(run, work)


def _tell(run: Run, policy: "VerifiedPolicy", out: Path | None) -> None:
    from candado.adapters.keychain import write_private_file
    from candado.crypto.x509 import fingerprint_words

    body = policy.recovery
    if out is not None:
        write_private_file(out, policy.raw + b"\n")
    done = f"signed, in {printable(str(out))}" if out is not None else "in force on the server"
    run.emit(
        "candado.recovery-policy/1",
        {
            "state": body.state,
            "serial": policy.serial,
            "member": body.member_id,
            "fingerprint": body.key,
            "words": fingerprint_words(body.key),
            "organisation": policy.organisation,
            "organisation_words": fingerprint_words(policy.organisation),
            "installed": out is None,
        },
        f"Policy {policy.serial}, recovery key {body.state}: {done}.\n"
        f"Recovery key:      {body.member_id}  {fingerprint_words(body.key)}\n"
        f"Organisation's key: {fingerprint_words(policy.organisation)}",
    )
