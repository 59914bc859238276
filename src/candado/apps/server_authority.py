"""Commands on the authority: its key, and what it signed.

Layer: ``apps``. They work on the data directory itself, also while the server runs.
"""

from pathlib import Path
from typing import Any, Final

import click

from candado.adapters.passwords import Argon2Passwords
from candado.apps.cli.output import rfc3339
from candado.apps.server_advice import as_usage
from candado.apps.server_approvals import approve_command, reject_command, requests_command
from candado.apps.server_ceremony import ceremony_command, transcript_command
from candado.apps.server_common import Invocation, command_options
from candado.apps.server_config import SOFTWARE_AUTHORITY
from candado.apps.server_files import read_file, write_new
from candado.apps.server_rotate import renew_others, rotate_command
from candado.apps.server_wiring import open_backend
from candado.apps.signer_wiring import SOFTWARE_WARNING, adopt_signer, make_authority, open_signer
from candado.crypto.crl import REASONS
from candado.crypto.x509 import Certificate, parse_csr
from candado.errors import (
    SignerSetupError,
    SignerUnavailableError,
    UsageError,
)
from candado.server.accounts import Accounts
from candado.server.audit import Event, record
from candado.server.authority import has_signed
from candado.server.model import Principal, shown_holder
from candado.server.pki import CertificateRecord, Pki, issued_certificates
from candado.server.revocations import PublishedList, Revocations, RevokedCertificate
from candado.types import UserId

__all__ = ["authority_commands"]

_FILE_BYTES_MAX: Final = 64 * 1024
_AFTER_MAX: Final = 2**53
_NEEDED: Final = "CKM_SHA256_RSA_PKCS to sign, CKM_RSA_PKCS_KEY_PAIR_GEN to make keys"


@click.group("ca")
def authority_commands() -> None:
    """The authority that signs users' certificates: its key, what it signed, what it revoked."""


authority_commands.add_command(ceremony_command)
authority_commands.add_command(transcript_command)
authority_commands.add_command(requests_command)
authority_commands.add_command(approve_command)
authority_commands.add_command(reject_command)
authority_commands.add_command(rotate_command)


@authority_commands.command("status")
@command_options
def _status(invocation: Invocation) -> None:
    """Show the authority's key, the token it is on, and what it signed. Signs a text for a test."""
    from candado.adapters.hsm_signer import HsmSigner

    config = invocation.config()

    async def work() -> dict[str, Any]:
        async with open_backend(config) as backend, open_signer(config, backend) as signer:
            pki = Pki(backend, signer)
            await signer.check()
            records = await issued_certificates(backend)
            found: dict[str, Any] = {
                "key": SOFTWARE_AUTHORITY,
                "place": str(config.authority_key_path),
                "fingerprint": pki.authority_fingerprint_hex,
                "issued": len(records),
                "valid": sum(record.revoked_at is None for record in records),
                "warnings": [SOFTWARE_WARNING],
            }
            if isinstance(signer, HsmSigner):
                facts = await signer.facts()
                found |= {"key": "pkcs11", "place": signer.place, "token": facts, "warnings": []}
                if facts["key"] != HsmSigner.NEVER_LEFT:
                    found["warnings"] = [f"the key {facts['key']}"]
            return found

    found = invocation.run(work())
    lines = [
        f"key:          {found['key']} ({found['place']})",
        f"fingerprint:  {found['fingerprint']}",
        f"certificates: {found['issued']} issued, {found['valid']} valid",
    ]
    lines += [f"{name + ':':<13} {value}" for name, value in found.get("token", {}).items()]
    lines += [f"warning: {warning}" for warning in found["warnings"]]
    invocation.show("ca", found, "\n".join(lines))


@authority_commands.command("init")
@command_options
def _init(invocation: Invocation) -> None:
    """Make the key that the setting `authority` names, and the test key beside it on a token.

    For a data directory whose authority has signed nothing yet, such as after the setting was changed. What is there
    already is taken as it is; a key is never replaced.
    """
    config = invocation.config()

    async def work() -> dict[str, Any]:
        async with open_backend(config) as backend:
            made = await make_authority(config, may_make=not await has_signed(backend))
            key = await adopt_signer(config, backend)
        return {"made": made, "fingerprint": key.fingerprint_hex}

    found = invocation.run(work())
    how = "made" if found["made"] else "was there"
    invocation.show("ca-init", found, f"authority key {how}: {found['fingerprint']}")


@authority_commands.command("list")
@click.argument("user", required=False)
@command_options
def _list(invocation: Invocation, user: str | None) -> None:
    """List the certificates that were signed, of everybody or of one user."""
    config = invocation.config()

    async def work() -> list[CertificateRecord]:
        async with open_backend(config) as backend:
            return await issued_certificates(backend)

    found = [record for record in invocation.run(work()) if user in (None, record.user_id)]
    shown = [_record(record) for record in found]
    lines = [f"{r['serial']}\t{r['user']}\t{r['not_after']}\t{r['state']}" for r in shown]
    invocation.show_table("ca-list", {"certificates": shown}, lines)


@authority_commands.command("issue")
@click.argument("csr", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="File for the certificate instead of stdout.")
@command_options
def _issue(invocation: Invocation, csr: Path, out: Path | None) -> None:
    """Sign a request that came by another way than over HTTP, such as on a medium; its common name is the user's id.

    The user must exist and have no certificate yet.
    """
    config = invocation.config()
    text = read_file(csr, size_max=_FILE_BYTES_MAX).decode("ascii", "replace")

    async def work() -> str:
        async with open_backend(config) as backend, open_signer(config, backend) as signer:
            with as_usage(str(csr)):
                user = parse_csr(text).common_name
                await Accounts(backend, Argon2Passwords()).get(user)
                return await Pki(backend, signer).register(Principal(UserId(user)), text)

    pem = invocation.run(work())
    _write_text(invocation, "ca-issue", "certificate", pem, out)


@authority_commands.command("renew")
@click.argument("user", required=False)
@click.option("--expiring", type=click.IntRange(0, 7300), help="Everybody whose certificate ends within so many days.")
@click.option("--rotated", is_flag=True, help="Everybody whose certificate is signed by an earlier key.")
@command_options
def _renew(invocation: Invocation, user: str | None, expiring: int | None, rotated: bool) -> None:
    """Give users another certificate for the same key: USER, all that end soon, or all of an earlier authority's key.

    Nothing else changes for anybody. What was done stays done when a later one fails; the next run goes on.
    """
    if (user is not None) + (expiring is not None) + rotated != 1:
        raise UsageError("name a user, or --expiring DAYS, or --rotated")
    config = invocation.config()

    async def work() -> list[Certificate]:
        async with open_backend(config) as backend, open_signer(config, backend) as signer:
            pki = Pki(backend, signer)
            if user is not None:
                return [await pki.renew(UserId(user))]
            if rotated:
                return (await renew_others(backend, signer))[0]
            end = backend.clock.now() + (expiring or 0) * 86_400.0
            valid = [one for one in await issued_certificates(backend) if one.revoked_at is None]
            due = dict.fromkeys(one.user_id for one in valid if one.not_after <= end)
            return [await pki.renew(one) for one in due]

    shown = [
        {"user": shown_holder(one.common_name), "serial": str(one.serial), "not_after": rfc3339(one.not_after)}
        for one in invocation.run(work())
    ]
    lines = [f"renewed: {one['user']}, serial {one['serial']}, until {one['not_after']}" for one in shown]
    invocation.show("ca-renew", {"renewed": shown}, "\n".join(lines) or "nothing was due")


@authority_commands.command("revoke")
@click.argument("who")
@click.option("--reason", type=click.Choice(sorted(REASONS)), required=True, help="Stands in the list.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@command_options
def _revoke(invocation: Invocation, who: str, reason: str, yes: bool) -> None:
    """Revoke the key of a user, or of the certificate with this serial number, for good.

    At a terminal it is asked first.
    Nobody is given the certificate any more, the key never gets another one, and it goes onto the list of revoked keys.
    What the key can open already stays readable for whoever has it: members must take the user out of their folders.
    """
    config = invocation.config()
    if not yes:
        invocation.confirm(f"Revoke the key of {who} for good?", path=who)

    async def work() -> tuple[list[RevokedCertificate], str]:
        async with open_backend(config) as backend, open_signer(config, backend, patient=True) as signer:
            revocations = Revocations(backend, signer)
            hit = await revocations.revoke(who, reason)
            try:
                await revocations.refresh()
            except (SignerUnavailableError, SignerSetupError) as error:
                return hit, error.code
            return hit, ""

    hit, fault = invocation.run(work())
    shown = [{"serial": one.serial, "user": shown_holder(one.user_id), "key": one.key_fingerprint_hex} for one in hit]
    lines = [f"revoked: {shown_holder(one.user_id)}, serial {one.serial}" for one in hit]
    if fault:
        lines.append(
            f"warning: the list could not be signed ({fault}); a server that runs signs it when the token is back"
        )
    invocation.show("ca-revoke", {"revoked": shown, "published": not fault, "fault": fault or None}, "\n".join(lines))


@authority_commands.command("crl")
@click.option("--renew", is_flag=True, help="Sign a new list even if the present one is complete and fresh.")
@click.option(
    "--after",
    type=click.IntRange(0, _AFTER_MAX),
    default=0,
    help="Sign one with a number above this, which clients have seen.",
)
@click.option("--out", type=click.Path(path_type=Path), help="File for the list instead of stdout.")
@command_options
def _crl(invocation: Invocation, renew: bool, after: int, out: Path | None) -> None:
    """Print the list of revoked keys in force; sign a new one if that is due."""
    config = invocation.config()

    async def work() -> PublishedList:
        async with open_backend(config) as backend, open_signer(config, backend) as signer:
            return await Revocations(backend, signer).refresh(force=renew, after=after)

    made = invocation.run(work())
    more = {"number": made.number, "this_update": rfc3339(made.this_update), "revoked": made.count}
    _write_text(invocation, "ca-crl", "revocation_list", made.pem, out, more)


def _record(record: CertificateRecord) -> dict[str, Any]:
    return {
        "serial": record.serial,
        "user": shown_holder(record.user_id),
        "fingerprint": record.fingerprint_hex,
        "issued": rfc3339(record.issued_at),
        "not_after": rfc3339(record.not_after),
        "revoked": None if record.revoked_at is None else rfc3339(record.revoked_at),
        "state": "valid" if record.revoked_at is None else "revoked",
    }


def _write_text(
    invocation: Invocation, schema: str, name: str, text: str, out: Path | None, more: dict[str, Any] | None = None
) -> None:
    """Show a PEM text, or put it into a file that is not there yet."""
    if out is None:
        invocation.show(schema, {name: text, **(more or {})}, text.rstrip("\n"))
        return
    write_new(out, text)
    invocation.show(schema, {"file": str(out), **(more or {})}, f"written to {out}")


@authority_commands.command("selftest")
@command_options
def _selftest(invocation: Invocation) -> None:
    """Try all that signing needs: module, token, PIN, mechanisms, key. On a token a test key signs."""
    config = invocation.config()

    async def work() -> None:
        async with open_backend(config) as backend, open_signer(config, backend) as signer:
            await signer.check()
            await backend.database.write(lambda rows: record(rows, Event("authority.tested")))

    invocation.run(work())
    needed = "a key in a file" if config.authority_uri is None else _NEEDED
    invocation.show("ca-selftest", {"ok": True, "needs": needed}, f"signs and verifies; needs {needed}")
