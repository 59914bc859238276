"""The organisation's public key and the policies it signed, as this server keeps and serves them.

Layer: ``server``. The server makes none of it: an administrator brings what was signed elsewhere. It is verified before
it is stored, so that a slip is told to the administrator and not to every client; clients verify by themselves.

Settings of the database: ``organisation`` (public key, PEM) and ``policy:KIND`` (the newest policy of a kind). A policy
is replaced only by one with a higher serial, read and written in one transaction: of two administrators who come at
once one is refused, or both are in force one after the other.
"""

from typing import Final

from candado.crypto.ed25519 import VerifyingKey
from candado.errors import AlreadyExistsError, CandadoError, NotFoundError, PolicyRefusedError, PreconditionFailedError
from candado.folder.orgtrust import VerifiedPolicy, verify_policy
from candado.formats.orgpolicy import PolicyKind
from candado.ports.server import Rows
from candado.server.audit import Actor, Event, key_ref, record
from candado.server.model import Backend

__all__ = ["OrganisationPolicies", "current_policy", "organisation_key", "store_policy"]

_ORGANISATION: Final = "organisation"
_SETTING: Final = "SELECT value FROM settings WHERE name = $1"
_STORE: Final = """INSERT INTO settings (name, value) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value"""


class OrganisationPolicies:
    """Use cases on the organisation's key and policies."""

    def __init__(self, backend: Backend) -> None:
        self._database = backend.database

    async def key(self) -> VerifyingKey | None:
        """The organisation's public key; None before it was installed."""
        return await self._database.read(organisation_key)

    async def install_key(self, key: VerifyingKey, *, replace: bool = False, actor: Actor | None = None) -> None:
        """Announce the organisation's key to clients; repeating it is harmless.

        Every enrolled client shows another key as a problem until its person decides, so only ``replace`` changes one.
        Policies of the old key go with it.

        Raises:
            AlreadyExistsError: another key is installed and ``replace`` is False.
        """

        async def work(rows: Rows) -> None:
            present = await organisation_key(rows)
            if present == key:
                return
            if present is not None and not replace:
                raise AlreadyExistsError(
                    "another organisation's key is installed",
                    path=present.fingerprint_hex,
                    advice="Add --replace-organisation; every person must then accept the new key on every device.",
                )
            await rows.run(_STORE, _ORGANISATION, key.to_pem())
            for kind in ("recovery", "client-rules"):
                await rows.run("DELETE FROM settings WHERE name = $1", f"policy:{kind}")
            await record(rows, Event("orgkey.installed", actor, key_ref(key.fingerprint_hex)))

        await self._database.write(work)

    async def install(self, kind: PolicyKind, raw: bytes | str, *, actor: Actor | None = None) -> VerifiedPolicy:
        """Verify and serve a policy; repeating it is harmless. Recovery policies go through ``server.recovery``.

        Raises:
            NotFoundError: no organisation's key is installed.
            PolicyRefusedError, FormatError: not a newer policy of this kind by that key.
        """

        async def work(rows: Rows) -> VerifiedPolicy:
            policy = await store_policy(rows, kind, raw)
            details: dict[str, str | int] = {"serial": policy.serial, "policy": kind, "digest": policy.digest}
            await record(rows, Event("orgpolicy.changed", actor, key_ref(policy.organisation), details=details))
            return policy

        return await self._database.write(work)

    async def current(self, kind: PolicyKind) -> VerifiedPolicy | None:
        """The policy that is served, or None."""
        return await self._database.read(lambda rows: current_policy(rows, kind))


async def organisation_key(rows: Rows) -> VerifyingKey | None:
    """The organisation's public key, within a transaction."""
    row = await rows.one(_SETTING, _ORGANISATION)
    return None if row is None else VerifyingKey.from_pem(str(row[0]))


async def current_policy(rows: Rows, kind: PolicyKind) -> VerifiedPolicy | None:
    """The policy of a kind that is served, within a transaction; None also when it cannot be verified any more."""
    key, row = await organisation_key(rows), await rows.one(_SETTING, f"policy:{kind}")
    if key is None or row is None:
        return None
    try:
        return verify_policy(str(row[0]), kind=kind, pinned_key=key, pinned=None)
    except CandadoError:
        return None


async def store_policy(rows: Rows, kind: PolicyKind, raw: bytes | str) -> VerifiedPolicy:
    """Verify a policy against the installed key and the served one, and serve it, within a transaction."""
    key = await organisation_key(rows)
    if key is None:
        raise NotFoundError(
            "no organisation's key is installed", advice="Give the organisation's public key with the policy."
        )
    present = await current_policy(rows, kind)
    try:
        policy = verify_policy(raw, kind=kind, pinned_key=key, pinned=None if present is None else present.pin)
    except PolicyRefusedError as error:
        raise PreconditionFailedError(f"the policy is not in force: {error.message}", path=error.event) from error
    await rows.run(_STORE, f"policy:{kind}", policy.raw.decode())
    return policy
