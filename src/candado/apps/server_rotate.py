"""``candado-server ca rotate``: from one key of the authority to the next.

Layer: ``apps``. Order of writes: the new key is made and durable; both keys sign the hand-over; one transaction writes
it and makes the new key the authority's; only then does the configuration name it. A run that was broken off is
finished by the next one, which asks the database how far it came.
"""

import os
from dataclasses import replace
from typing import Any, Final

import click

from candado.adapters.signers import SoftwareSigner
from candado.apps.server_common import Invocation, command_options
from candado.apps.server_config import CONFIG_NAME, SOFTWARE_AUTHORITY, ServerConfig, parse_authority, rewrite_authority
from candado.apps.server_wiring import open_backend
from candado.apps.signer_wiring import make_authority, open_signer, open_successor
from candado.crypto.rsa import PublicKey
from candado.crypto.x509 import Certificate
from candado.errors import CandadoError, LocalStorageError, UsageError
from candado.ports.server import Signer
from candado.server.auditlog import AuditLog
from candado.server.authority import hand_over, known_authority, users_of_other_keys
from candado.server.model import Backend, shown_holder
from candado.server.pki import Pki
from candado.server.revocations import Revocations
from candado.types import UserId

__all__ = ["renew_others", "rotate_command"]

_NEXT: Final = "authority-next.pem"


@click.command("rotate")
@click.option("--to", "to", required=True, help="Where the new key is or shall be: software, or a PKCS#11 URI.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@command_options
def rotate_command(invocation: Invocation, to: str, yes: bool) -> None:
    """Hand the authority over to another key, and give everybody a certificate of it.

    The old key signs that the new one is its successor; our clients follow on their own and say so. A run that was
    broken off is finished by the same command. Restart the server afterwards.
    """
    config = invocation.config()
    if to != SOFTWARE_AUTHORITY:
        parse_authority(to, "--to")
    if os.environ.get("CANDADO_SERVER_AUTHORITY"):
        raise UsageError(
            "the environment says where the authority's key is, and it would go on saying so",
            advice=f"Unset CANDADO_SERVER_AUTHORITY and write the setting into {config.data / CONFIG_NAME}.",
        )
    if not yes:
        invocation.confirm("Hand the authority over to another key?", path=str(config.data))
    target = replace(config, authority=to)

    async def work() -> dict[str, Any]:
        async with open_backend(config) as backend:
            handed = await _hand_over(config, target, backend)
            _settle(target)
            async with open_signer(target, backend) as signer:
                # Devices that follow the hand-over look for a state of the log that the new key vouches for.
                await AuditLog(backend).tend(signer)
                return {"handed_over": handed, **await _renew(backend, signer)}

    found = invocation.run(work())
    lines = [
        f"authority: {found['fingerprint']}" + ("" if found["handed_over"] else " (was handed over before)"),
        f"certificates renewed: {found['renewed']}",
        *(f"not renewed: {one['user']} ({one['code']})" for one in found["left"]),
        "restart the server, so that it signs with this key",
    ]
    invocation.show("ca-rotate", found, "\n".join(lines))


async def _hand_over(config: ServerConfig, target: ServerConfig, backend: Backend) -> bool:
    """Both keys sign, one transaction; false when a run before did that."""
    file = config.data / _NEXT
    await make_authority(target, file=file)
    async with open_successor(target, file=file) as new:
        if PublicKey.from_pem(new.public_key_pem) == await known_authority(backend):
            return False
        await new.check()
        async with open_signer(config, backend) as old:
            await hand_over(backend, old, new)
    return True


def _settle(target: ServerConfig) -> None:
    """Let files and configuration name the new key; the old file gets another name and is never deleted by us."""
    data, file = target.data, target.authority_key_path
    try:
        if file.exists():
            old = PublicKey.from_pem(SoftwareSigner.load(file).public_key_pem).fingerprint_hex[:16]
            file.rename(data / f"authority-old-{old}.pem")
        if target.authority == SOFTWARE_AUTHORITY:
            (data / _NEXT).rename(file)
        path = data / CONFIG_NAME
        fresh = path.with_name(path.name + ".new")
        fresh.touch(mode=0o600)
        fresh.write_text(rewrite_authority(path.read_text("utf-8"), target.authority), "utf-8")
        fresh.chmod(path.stat().st_mode & 0o777)
        fresh.replace(path)
    except OSError as exc:
        raise LocalStorageError(
            f"the authority was handed over, but its files could not be put in their places: {exc.strerror}",
            path=str(data),
            safe="Certificates and the hand-over are in the database; no server signs with the old key any more.",
            advice="Mend what the message names and run the same command again; the server does not start before.",
        ) from exc


async def _renew(backend: Backend, signer: Signer) -> dict[str, Any]:
    """Certificates of the new key for everybody, and a new list of revoked keys."""
    renewed, left = await renew_others(backend, signer)
    await Revocations(backend, signer).refresh(force=True)
    key = PublicKey.from_pem(signer.public_key_pem)
    return {"fingerprint": key.fingerprint_hex, "renewed": len(renewed), "left": left}


async def renew_others(backend: Backend, signer: Signer) -> tuple[list[Certificate], list[dict[str, str]]]:
    """Certificates of this key for all that have one of an earlier key; those made, and for whom not and why."""
    pki, key = Pki(backend, signer), PublicKey.from_pem(signer.public_key_pem)
    renewed: list[Certificate] = []
    left: list[dict[str, str]] = []
    for user in await users_of_other_keys(backend, key):
        try:
            renewed.append(await pki.renew(UserId(user)))
        except CandadoError as error:
            left.append({"user": shown_holder(user), "code": error.code})
    return renewed, left
