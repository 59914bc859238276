"""Commands on the recovery key of an organisation: its public half, the policy about it, records of its use.

Layer: ``apps``. They work on the data directory itself, also while the server runs. Nothing here signs a policy: that
is done offline with ``candado recovery install --out``.
"""

from pathlib import Path
from typing import Any, Final

import click

from candado.adapters.organisation import read_public_key
from candado.apps.cli.output import rfc3339
from candado.apps.server_common import Invocation, command_options
from candado.apps.server_files import read_file
from candado.apps.server_wiring import open_backend
from candado.apps.signer_wiring import open_signer
from candado.crypto.x509 import fingerprint_words
from candado.errors import MalformedError
from candado.folder.orgtrust import VerifiedPolicy, verify_policy
from candado.folder.recoveryrecords import RECORD_BYTES_MAX, parse_ceremony_record
from candado.formats.orgpolicy import POLICY_BYTES_MAX
from candado.server.orgpolicies import OrganisationPolicies
from candado.server.pki import Pki
from candado.server.recovery import Recovery
from candado.server.recoveryuses import RecoveryUses, StoredUse

__all__ = ["recovery_commands"]

_PATH: Final = click.Path(path_type=Path)
_KEY = click.option(
    "--organisation-key", required=True, type=_PATH, help="The organisation's public key, organisation.pub."
)
_POLICY = click.option("--policy", "policy_file", required=True, type=_PATH, help="The signed policy.")


@click.group("recovery")
def recovery_commands() -> None:
    """The recovery key of the organisation: install its public half, switch it off, take records of its use."""


@recovery_commands.command("status")
@command_options
def _status(invocation: Invocation) -> None:
    """Show the organisation's key, the policy in force and the recovery key."""
    config = invocation.config()

    async def work() -> dict[str, Any]:
        async with open_backend(config) as backend, open_signer(config, backend, patient=True) as signer:
            recovery = Recovery(backend, Pki(backend, signer))
            key, policy = await recovery.announced()
            state = await recovery.state()
        found: dict[str, Any] = {"organisation": "", "state": "none", "certificate": bool(state.certificate)}
        if key is not None:
            found["organisation"] = key.fingerprint_hex
        return found if policy is None else found | _facts(policy)

    found = invocation.run(work())
    words = fingerprint_words(found["organisation"]) if found["organisation"] else "none"
    lines = [f"organisation: {words}", f"recovery key: {found['state']}"]
    if "member" in found:
        lines += [
            f"member:       {found['member']}  {found['words']}",
            f"policy:       {found['serial']}, signed {found['issued']}",
            f"text:         {found['text']}",
            f"certificate:  {'there' if found['certificate'] else 'MISSING'}",
        ]
    invocation.show("recovery", found, "\n".join(lines))


@recovery_commands.command("install")
@click.argument("public", metavar="PUBLIC_DIR", type=_PATH)
@_KEY
@_POLICY
@click.option("--replace-organisation", is_flag=True, help="The organisation has a new key.")
@command_options
def _install(
    invocation: Invocation, public: Path, organisation_key: Path, policy_file: Path, replace_organisation: bool
) -> None:
    """Certify the recovery key whose ceremony left PUBLIC_DIR, and announce it by the signed policy."""
    data = read_file(public / "record.json" if public.is_dir() else public, size_max=RECORD_BYTES_MAX)
    csr = parse_ceremony_record(data).request_pem
    _put(invocation, organisation_key, policy_file, csr, replace=replace_organisation)


@recovery_commands.command("off")
@_KEY
@_POLICY
@command_options
def _off(invocation: Invocation, organisation_key: Path, policy_file: Path) -> None:
    """Announce the signed policy that switches the recovery key off."""
    _put(invocation, organisation_key, policy_file, "", replace=False)


@recovery_commands.command("report")
@click.argument("record", metavar="RECORD", type=_PATH)
@command_options
def _report(invocation: Invocation, record: Path) -> None:
    """Take the signed RECORD of a use: it goes into the audit log, and whom it concerns is told."""
    config = invocation.config()
    try:
        text = read_file(record, size_max=RECORD_BYTES_MAX).decode()
    except UnicodeDecodeError as exc:
        raise MalformedError("the record is not UTF-8", path=str(record)) from exc

    async def work() -> StoredUse:
        async with open_backend(config) as backend:
            return await RecoveryUses(backend).report(text)

    stored = invocation.run(work())
    shown = {"id": stored.use_id, "state": stored.state, "concerned": stored.concerned}
    invocation.show("recovery-report", shown, f"use {stored.use_id}: {stored.state}, told to {stored.concerned}")


def _put(invocation: Invocation, key_path: Path, policy_file: Path, csr_pem: str, *, replace: bool) -> None:
    config = invocation.config()
    key = read_public_key(key_path)
    raw = read_file(policy_file, size_max=POLICY_BYTES_MAX + 1)
    verify_policy(raw, kind="recovery", pinned_key=key, pinned=None)

    async def work() -> VerifiedPolicy:
        async with open_backend(config) as backend, open_signer(config, backend) as signer:
            await OrganisationPolicies(backend).install_key(key, replace=replace)
            return await Recovery(backend, Pki(backend, signer)).install(raw, csr_pem)

    found = _facts(invocation.run(work()))
    invocation.show(
        "recovery",
        found,
        f"policy {found['serial']}, recovery key {found['state']}: {found['member']}  {found['words']}",
    )


def _facts(policy: VerifiedPolicy) -> dict[str, Any]:
    body = policy.recovery
    return {
        "organisation": policy.organisation,
        "state": body.state,
        "serial": policy.serial,
        "issued": rfc3339(policy.issued),
        "text": " ".join(policy.text.split()),
        "member": body.member_id,
        "fingerprint": body.key,
        "words": fingerprint_words(body.key),
    }
