"""A simulated cloud for tests: an honest in-memory server, a hostile wrapper, clocks, randomness, people, canaries.

How to use it::

    from tests.sim import Canaries, FakeClock, Hostile, SeededRandom, SimServer, World

    world = World()                       # users alice and bob (names can be given), certificates registered
    world.server                          # SimServer: the whole truth, see below
    world.clock, world.random             # FakeClock (sleep moves it on, never waits), SeededRandom
    world.identity("alice")               # folder.model.Identity with a real RSA-2048 key (cached per process)
    world.pins("alice")                   # folder.model.AccountPins of a device that knows nobody yet
    remote = world.remote("alice")        # SimRemote: implements candado.ports.client.Remote completely
    liar = world.hostile("alice")         # Hostile: the same, with lies; liar.port has the type Remote

SimServer: add_user(user, password=...), remote(user, password=...), snapshot() / restore(snapshot), log (list of Request:
user, method, detail), received (every byte the server ever saw, for canary scans), capabilities (a Capabilities value
that tests may replace: ``stock()`` gives that of a server without our extensions), quota_bytes, lock_seconds, add_drop(),
tree (visible state), locks, expire_locks(). Locks, staging (visible at unlock, atomically), counters, metadata rules,
shares and etags are as in the protocol documents.

The real client on top of it (state in memory, no HTTP): ``tests.sim.device.Device``; a client without any checks, which
falls for attacks: ``tests.sim.naive``.

Hostile verbs (each is one lie; several may be combined; ``honest()`` takes them all back):
    replace(method, fn)            fn(answer) -> answer, for any method of Remote
    fail(method, error, times=1)   raise instead of asking
    cut(method, after=False)       TransportError before or after the server did it (outcome unknown)
    drop_signature(file_id=None)   metadata without its signature
    replay(file_id, raw)           an old document of a folder;  remember(file_id) keeps the current one and returns it
    swap(a, b)                     documents of two folders exchanged
    vanish(file_id)                metadata answers 404 and the folder is missing in listings
    flag(file_id, encrypted)       the encryption flag in listings
    lie_store(method)              acknowledge a write (put, put_bytes, update_metadata, unlock ...) and drop it
    grant_any_lock()               every lock is granted, whatever the counter or other locks say
"""

from tests.sim.ambient import Canaries, FakeClock, SeededRandom
from tests.sim.hostile import Hostile
from tests.sim.remote import SimRemote
from tests.sim.server import Request, SimServer, stock
from tests.sim.world import World, rsa_key

__all__ = [
    "Canaries",
    "FakeClock",
    "Hostile",
    "Request",
    "SeededRandom",
    "SimRemote",
    "SimServer",
    "World",
    "rsa_key",
    "stock",
]
