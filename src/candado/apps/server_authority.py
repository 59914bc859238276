"""Commands on the authority: its key, and what it signed.

Layer: ``apps``. They work on the data directory itself, also while the server runs.
"""

from typing import Any

import click

from candado.apps.server_common import Invocation, command_options
from candado.apps.server_config import SOFTWARE_AUTHORITY
from candado.apps.server_wiring import open_backend
from candado.apps.signer_wiring import SOFTWARE_WARNING, adopt_signer, make_authority, open_signer
from candado.server.authority import has_signed
from candado.server.pki import Pki

__all__ = ["authority_commands"]

_NEEDED = "CKM_SHA256_RSA_PKCS to sign, CKM_RSA_PKCS_KEY_PAIR_GEN to make keys"


@click.group("ca")
def authority_commands() -> None:
    """The authority that signs users' certificates: status, init, selftest."""


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
            records = await pki.issued()
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


@authority_commands.command("selftest")
@command_options
def _selftest(invocation: Invocation) -> None:
    """Try all that signing needs: module, token, PIN, mechanisms, key. On a token a test key signs."""
    config = invocation.config()

    async def work() -> None:
        async with open_backend(config) as backend, open_signer(config, backend) as signer:
            await signer.check()

    invocation.run(work())
    needed = "a key in a file" if config.authority_uri is None else _NEEDED
    invocation.show("ca-selftest", {"ok": True, "needs": needed}, f"signs and verifies; needs {needed}")
