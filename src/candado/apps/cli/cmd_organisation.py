"""``organisation``: the key under which an organisation signs what its clients follow. Works without a network.

Layer: ``apps``.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from candado.apps.cli.cmd_publish import publish
from candado.apps.cli.common import SECRET_FILE, Group, Run, pass_run
from candado.apps.cli.output import printable, rfc3339
from candado.apps.cli.secrets import find_secret
from candado.errors import CandadoError, SecretNeededError, UsageError
from candado.types import SecretText

if TYPE_CHECKING:
    from candado.adapters.organisation import OrganisationFolder
    from candado.crypto.ed25519 import VerifyingKey
    from candado.folder.orgtrust import VerifiedPolicy

__all__ = ["open_folder", "organisation", "policy_json", "read_text"]

_VARIABLE = "CANDADO_ORGANISATION_PASSPHRASE"
_FOLDER = click.Path(path_type=Path, file_okay=False)
_PASSPHRASE = click.option(
    "--passphrase-file",
    type=SECRET_FILE,
    metavar="F",
    help=f"The passphrase of the key; also {_VARIABLE}_FILE, _COMMAND, _FD.",
)


def open_folder(run: Run, path: Path, passphrase_file: Path | None, *, is_new: bool = False) -> "OrganisationFolder":
    """The folder of an organisation's key; the passphrase is found or asked for when it is needed."""
    from candado.adapters.ambient import SystemRandom
    from candado.adapters.organisation import OrganisationFolder

    def ask() -> SecretText:
        found = find_secret(_VARIABLE, passphrase_file, os.environ)
        if found is not None:
            return found
        if not run.interactive:
            raise SecretNeededError(
                "the passphrase of the organisation's key is needed and there is nobody to ask",
                advice=f"Give --passphrase-file FILE or {_VARIABLE}_FILE; see `candado help secrets`.",
            )
        question = "Passphrase of the organisation's key"
        return SecretText(click.prompt(question, hide_input=True, confirmation_prompt=is_new, err=True))

    return OrganisationFolder(path, ask, SystemRandom().token)


def read_text(path: Path) -> str:
    """The text of a policy in a file, without white space around it; MalformedError when it is not UTF-8."""
    from candado.adapters.organisation import read_bounded
    from candado.errors import MalformedError
    from candado.formats.orgpolicy import TEXT_CHARS_MAX

    try:
        return read_bounded(path, 4 * TEXT_CHARS_MAX).decode().replace("\r\n", "\n").strip()
    except UnicodeDecodeError as exc:
        raise MalformedError("the text of the policy is not UTF-8", path=str(path)) from exc


def policy_json(policy: "VerifiedPolicy") -> dict[str, Any]:
    """A policy as a member of our answers."""
    return {
        "kind": policy.kind,
        "serial": policy.serial,
        "issued": rfc3339(policy.issued),
        "text": policy.text,
        "body": policy.body,
        "organisation": policy.organisation,
        "digest": policy.digest,
    }


@click.group(cls=Group)
def organisation() -> None:
    """The key under which an organisation signs policies; kept offline by its administrators."""


organisation.add_command(publish)


@organisation.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
@_PASSPHRASE
@pass_run
def create(run: Run, folder: Path, passphrase_file: Path | None) -> None:
    r"""Make the organisation's key in DIR, sealed under a passphrase.

    Do this on a machine that is not connected. Clients pin the public half; whoever has the private half and the
    passphrase can announce a recovery key. The server needs only organisation.pub.

    \b
    Examples:
      candado organisation create /media/usb/organisation
    """
    key = open_folder(run, folder, passphrase_file, is_new=True).create()
    _show_key(run, "candado.organisation/1", folder, key)


@organisation.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
@pass_run
def show(run: Run, folder: Path) -> None:
    r"""Show the fingerprint of the organisation's key and what was signed with it.

    \b
    Examples:
      candado organisation show /media/usb/organisation
    """
    opened = open_folder(run, folder, None)
    _show_key(run, "candado.organisation/1", folder, opened.public(), opened.policies())


@organisation.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option("--kind", required=True, metavar="KIND", help="client-rules, or recovery.")
@click.option("--text-file", required=True, type=click.Path(path_type=Path), metavar="F", help="What people are told.")
@click.option(
    "--body-file",
    required=True,
    type=click.Path(path_type=Path),
    metavar="F",
    help="The body: JSON, or for client-rules a TOML file of rules.",
)
@click.option("--serial", type=click.IntRange(min=1), metavar="N", help="Another serial number than the next one.")
@click.option("--out", type=click.Path(path_type=Path), metavar="F", help="Also write the signed policy here.")
@_PASSPHRASE
@pass_run
def sign(
    run: Run,
    folder: Path,
    kind: str,
    text_file: Path,
    body_file: Path,
    serial: int | None,
    out: Path | None,
    passphrase_file: Path | None,
) -> None:
    r"""Sign a policy with the next serial number of its kind, and keep a copy in DIR.

    \b
    Examples:
      candado organisation sign DIR --kind client-rules --text-file T --body-file rules.toml --out policy.json
    """
    from candado.adapters.ambient import SystemClock
    from candado.adapters.keychain import write_private_file
    from candado.adapters.organisation import read_bounded
    from candado.formats.canonjson import load_json
    from candado.formats.clientrules import client_rules_body
    from candado.formats.fields import object_of
    from candado.formats.orgpolicy import POLICY_BYTES_MAX, POLICY_KINDS

    chosen = {str(one): one for one in POLICY_KINDS}.get(kind)
    if chosen is None:
        raise UsageError(f"no policy has the kind {kind!r}", advice=f"Kinds are: {', '.join(POLICY_KINDS)}.")
    try:
        content = read_bounded(body_file, POLICY_BYTES_MAX)
        if chosen == "client-rules" and body_file.suffix == ".toml":
            body = client_rules_body(content.decode("utf-8", "replace"))
        else:
            body = object_of(load_json(content, bytes_max=POLICY_BYTES_MAX), "the body of a policy")
    except CandadoError as error:
        error.path = str(body_file)
        raise
    opened = open_folder(run, folder, passphrase_file)
    policy = opened.sign(chosen, read_text(text_file), body, now=SystemClock().now(), serial=serial)
    if out is not None:
        write_private_file(out, policy.raw + b"\n")
    kept = folder / "policies" / f"{policy.kind}-{policy.serial}.json"
    run.emit(
        "candado.organisation.policy/1",
        {**policy_json(policy), "file": str(kept)},
        f"Signed: {policy.kind}, serial {policy.serial}, in {printable(str(kept))}.",
    )


def _show_key(
    run: Run, schema: str, folder: Path, key: "VerifyingKey", policies: "list[VerifiedPolicy] | None" = None
) -> None:
    from candado.crypto.x509 import fingerprint_grouped, fingerprint_words

    signed = policies or []
    members = {
        "folder": str(folder),
        "fingerprint": key.fingerprint_hex,
        "words": fingerprint_words(key.fingerprint_hex),
        "public_key": key.to_pem(),
        "policies": [policy_json(one) for one in signed],
    }

    def text() -> None:
        print(f"organisation's key in {printable(str(folder))}")
        print(f"  {members['words']}\n  {fingerprint_grouped(key.fingerprint_hex)}")
        for one in signed:
            print(f"  {one.kind} {one.serial}, signed {rfc3339(one.issued)}: {printable(one.text.splitlines()[0])}")

    run.emit(schema, members, text)
