"""People with real keys around one simulated server."""

from functools import cache

from candado.crypto.mnemonic import seal_private_key
from candado.crypto.rsa import PrivateKey
from candado.crypto.x509 import make_csr, parse_certificate
from candado.folder.model import AccountPins, Identity, PeerPin
from candado.types import SecretText, UserId
from tests.sim.ambient import FakeClock, SeededRandom
from tests.sim.hostile import Hostile
from tests.sim.remote import SimRemote
from tests.sim.server import SimServer

WORDS = "lamp river stone cloud apple train forest window pencil garden silver bridge"


@cache
def rsa_key(name: str) -> PrivateKey:
    """A real key, made once per process and name."""
    del name
    return PrivateKey.generate()


class World:
    """A server and enrolled users; see ``tests.sim``."""

    def __init__(self, *users: str, seed: str | int = 0) -> None:
        self.clock = FakeClock()
        self.random = SeededRandom(seed)
        self.server = SimServer(self.clock, self.random, authority=rsa_key("authority"))
        self._identities: dict[str, Identity] = {}
        for user in users or ("alice", "bob"):
            self.server.add_user(user)
            self.enrol(user)

    def enrol(self, user: str, key_name: str | None = None) -> Identity:
        """Give a user a certificate for a cached key (another ``key_name`` makes a key change)."""
        key = rsa_key(key_name or user)
        pem = self.server.issue(make_csr(key, user))
        if user in self.server.users:
            self.server.users[user].certificate = pem
        self._identities[user] = Identity(UserId(user), key, parse_certificate(pem))
        return self._identities[user]

    def wrap_key(self, user: str, words: str = WORDS) -> SecretText:
        """Store the user's wrapped private key on the server (slow: a real key derivation); returns the words."""
        mnemonic = SecretText(words)
        self.server.users[user].private_key = seal_private_key(
            self.identity(user).key, mnemonic, salt=self.random.token(40), nonce=self.random.token(12)
        )
        return mnemonic

    def identity(self, user: str) -> Identity:
        return self._identities[user]

    def pins(self, user: str, *, peers: tuple[str, ...] = ()) -> AccountPins:
        """Pins of a device that knows the authority, itself and the named peers."""
        return AccountPins(
            user_id=UserId(user),
            authority=self.server.authority.public,
            own_key_fingerprint=self.identity(user).key.public.fingerprint_hex,
            peers={
                UserId(peer): PeerPin(self.identity(peer).key.public.fingerprint_hex, self.clock.now(), verified=False)
                for peer in peers
            },
        )

    def remote(self, user: str, password: str = "app-password") -> SimRemote:
        return SimRemote(self.server, user, password)

    def hostile(self, user: str) -> Hostile:
        return Hostile(self.remote(user))
