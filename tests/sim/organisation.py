"""An organisation around a simulated server: its key, its recovery key, what it signs and installs."""

from dataclasses import replace

from candado.crypto.ed25519 import SigningKey
from candado.crypto.x509 import make_csr
from candado.folder.orgtrust import sign_policy
from candado.formats.orgpolicy import PolicyText, RecoveryBody, RecoveryState, recovery_member_id
from candado.ports.client import RemoteRecovery
from candado.types import SecretBytes, UserId
from tests.sim.world import World, rsa_key

__all__ = ["Organisation"]


class Organisation:
    """Signs with ``key``; its recovery key is the cached RSA key named ``recovery`` until ``renew``."""

    def __init__(self, world: World, seed: bytes = b"o") -> None:
        self.world = world
        self.key = SigningKey(SecretBytes(seed * 32))
        self.serial = 0
        self.former: tuple[str, ...] = ()
        self.name = "recovery"
        world.server.capabilities = replace(world.server.capabilities, recovery=True)

    @property
    def fingerprint(self) -> str:
        return rsa_key(self.name).public.fingerprint_hex

    @property
    def member_id(self) -> UserId:
        return UserId(recovery_member_id(self.fingerprint))

    def policy(self, state: RecoveryState = "on", *, serial: int | None = None, text: str = "We can recover.") -> str:
        """A signed policy; the next serial without one."""
        self.serial = self.serial + 1 if serial is None else serial
        body = RecoveryBody(state, self.fingerprint, "cd" * 32, self.former)
        organisation = self.key.public.fingerprint_hex
        return sign_policy(
            self.key, PolicyText("recovery", self.serial, 1, organisation, text, body.to_json())
        ).decode()

    def certificate(self, *, key_name: str | None = None) -> str:
        """Certificate of the authority for the member name."""
        return self.world.server.issue(make_csr(rsa_key(key_name or self.name), self.member_id))

    def announce(self) -> None:
        """Only the organisation's key."""
        self.world.server.recovery = RemoteRecovery(self.key.public.to_pem(), "", "")

    def install(
        self, state: RecoveryState = "on", *, policy: str | None = None, certificate: str | None = None
    ) -> None:
        """What an administrator does."""
        self.world.server.recovery = RemoteRecovery(
            self.key.public.to_pem(),
            self.policy(state) if policy is None else policy,
            self.certificate() if certificate is None else certificate,
        )

    def renew(self, name: str) -> None:
        """Another recovery key from now on."""
        self.former = (self.fingerprint, *self.former)
        self.name = name
