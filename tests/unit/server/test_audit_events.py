"""Which acts are recorded, and what an event says of each."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.unit.server.world import ALICE, BOB, World, add_users
from tests.vectors.keys import private_key

from candado.adapters.passwords import Argon2Passwords
from candado.adapters.signers import SoftwareSigner
from candado.crypto.x509 import make_csr
from candado.errors import AuthRequiredError, CandadoError, RateLimitedError, SignerUnavailableError
from candado.formats.auditrecord import AuditRecord, parse_line
from candado.ports.server import Rows
from candado.server.access import Authenticator
from candado.server.accounts import Accounts
from candado.server.audit import audited
from candado.server.auditlog import AuditLog, opaque
from candado.server.auditproofs import AuditProofs
from candado.server.authority import adopt_authority, pin_authority
from candado.server.devices import Devices
from candado.server.groups import Groups
from candado.server.pki import Pki
from candado.server.ratelimit import RateLimiter
from candado.server.shares import ShareChange, ShareRequest, Shares
from candado.server.sweep import sweep
from candado.types import SecretText

PASSWORDS = Argon2Passwords(time_cost=1, memory_kib=64)
WORD = SecretText("correct horse battery")


class Watcher:
    """What was recorded since it was asked last, with the world's users in clear again."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.log = AuditLog(world.backend)
        self.seen = 0

    async def new(self) -> list[AuditRecord]:
        await self.log.sequence()
        page = await AuditProofs(self.world.backend).records(self.seen, 1000)
        self.seen += len(page.records)
        found = [parse_line(line.encode()) for _, line in page.records]
        return [one for one in found if isinstance(one, AuditRecord)]

    async def told(self) -> list[tuple[str, str, str]]:
        """Event, target and reason of each."""
        return [(one.event, one.target, one.reason) for one in await self.new()]

    async def id_of(self, name: str) -> str:
        return opaque(await self.log.salt(), name)


@pytest.fixture
async def watcher(world: World) -> Watcher:
    await add_users(world.database)
    found = Watcher(world)
    await found.new()
    return found


async def test_accounts_and_groups(world: World, watcher: Watcher) -> None:
    accounts, groups = Accounts(world.backend, PASSWORDS), Groups(world.backend)
    await groups.add("Sales")
    await accounts.add("carol", WORD, is_admin=True, groups=("Sales",))
    await accounts.set_password("carol", WORD)
    await accounts.set_enabled("carol", enabled=False)
    await accounts.set_enabled("carol", enabled=True)
    await accounts.set_admin("bob", is_admin=True)
    await accounts.set_admin("carol", is_admin=False)
    await accounts.set_display_name("carol", "Carol")
    await accounts.set_email("carol", "carol@example.org")
    await accounts.set_quota("carol", 5)
    await groups.leave("Sales", "carol")
    await groups.delete("Sales")
    await accounts.delete("carol")
    carol, bob, sales = [await watcher.id_of(one) for one in ("user:carol", "user:bob", "group:Sales")]
    assert await watcher.told() == [
        ("group.made", sales, ""),
        ("user.made", carol, ""),
        ("group.joined", sales, ""),
        ("password.changed", carol, "password"),
        ("user.changed", carol, "disabled"),
        ("user.changed", carol, "enabled"),
        ("user.changed", bob, "administrator"),
        ("user.changed", carol, "no-administrator"),
        ("user.changed", carol, "name"),
        ("user.changed", carol, "address"),
        ("user.changed", carol, "quota"),
        ("group.left", sales, ""),
        ("group.removed", sales, ""),
        ("user.removed", carol, ""),
    ]


async def test_sign_ins_and_devices(world: World, watcher: Watcher) -> None:
    accounts, devices = Accounts(world.backend, PASSWORDS), Devices(world.backend)
    gate = Authenticator(world.backend, PASSWORDS, RateLimiter(world.backend))
    await accounts.add("carol", WORD)
    secrets = [await devices.make("carol", f"laptop {n}") for n in range(3)]
    await watcher.new()
    await gate.sign_in("carol", WORD, "192.0.2.1")
    with pytest.raises(AuthRequiredError):
        await gate.sign_in("carol", SecretText("wrong"), "192.0.2.1")
    with pytest.raises(AuthRequiredError):
        await gate.sign_in("a password typed as a name", WORD, "192.0.2.1")
    for _ in range(2):
        with pytest.raises(AuthRequiredError):
            await gate.check(b"Bearer nothing", "192.0.2.1")
        await gate.check(b"Bearer " + secrets[0].reveal().encode(), "192.0.2.1")
    await devices.ask_wipe("carol", 2)
    assert await devices.wiped(secrets[1])
    assert not await devices.wiped(secrets[1])
    await devices.revoke("carol", 1)
    await devices.revoke("carol", 1)
    assert await devices.revoke_all("carol") == 1
    carol = await watcher.id_of("user:carol")
    found = await watcher.new()
    assert [(one.event, one.actor, one.target, one.outcome, one.reason) for one in found] == [
        ("signin.accepted", carol, "", "done", "password"),
        ("signin.refused", "nobody", carol, "refused", "password"),
        ("signin.refused", "nobody", "nobody", "refused", "unknown-user"),
        ("signin.refused", "nobody", "nobody", "refused", "token"),
        ("signin.accepted", carol, "d:1", "done", ""),
        ("device.wipe-asked", "server", "d:2", "done", ""),
        ("device.wiped", "server", "d:2", "done", ""),
        ("apppassword.revoked", "server", "d:1", "done", ""),
        ("apppassword.revoked", "server", "d:3", "done", ""),
    ]
    assert found[4].device == "d:1"
    assert all(one.details == {"owner": carol} for one in found[5:])


async def test_of_a_flood_of_wrong_passwords_the_log_keeps_few(world: World, watcher: Watcher) -> None:
    gate = Authenticator(world.backend, PASSWORDS, RateLimiter(world.backend))
    for _ in range(30):
        with pytest.raises((AuthRequiredError, RateLimitedError)):
            await gate.sign_in("nosuch", WORD, "192.0.2.1")
    told = [one.event for one in await watcher.new()]
    assert told == ["signin.refused"] * 20 + ["signin.limited"]


async def _folder(world: World) -> int:
    made = await world.files.make_folder(ALICE, "Secret", token=None)
    await world.metadata.mark_encrypted(ALICE, made.file_id)
    return int(made.file_id)


async def test_an_encrypted_folder_from_its_mark_to_its_end(world: World, watcher: Watcher) -> None:
    node = await _folder(world)
    for counter, text in ((1, '{"a":1}'), (2, '{"a":2}')):
        token = await world.sessions.lock(ALICE, node, counter=counter)
        act = world.metadata.create if counter == 1 else world.metadata.update
        await act(ALICE, node, text=text, signature="x", token=token)
        await world.sessions.unlock(ALICE, node, token=token)
    token = await world.sessions.lock(ALICE, node, counter=3)
    await world.sessions.unlock(ALICE, node, token=token, abort=True)
    await world.sessions.lock(ALICE, node, counter=3)
    world.clock.time += 5000
    await sweep(world.backend)
    await world.metadata.unmark(ALICE, node)
    found = await watcher.new()
    assert {one.target for one in found} == {f"n:{node}"}
    assert [(one.event, one.reason, one.counter) for one in found] == [
        ("folder.marked", "", None),
        ("session.locked", "", None),
        ("metadata.written", "", (0, 1)),
        ("session.unlocked", "", None),
        ("session.locked", "", None),
        ("metadata.written", "", (1, 2)),
        ("session.unlocked", "", None),
        ("session.locked", "", None),
        ("session.rolled-back", "asked", None),
        ("session.locked", "", None),
        ("session.rolled-back", "expired", None),
        ("folder.unmarked", "", None),
    ]


async def test_shares_and_links(world: World, watcher: Watcher) -> None:
    shares = Shares(world.backend, world.files, PASSWORDS)
    await Groups(world.backend).add("Sales")
    node = (await world.files.make_folder(ALICE, "Plans", token=None)).file_id
    await watcher.new()
    one = await shares.create(ALICE, ShareRequest("Plans", 0, 31, "bob"))
    two = await shares.create(ALICE, ShareRequest("Plans", 1, 1, "Sales"))
    link = await shares.create(ALICE, ShareRequest("Plans", 3, 1, label="for Bob", password="long enough words"))
    await shares.update(ALICE, link.share_id, ShareChange(permissions=15))
    await shares.update(ALICE, one.share_id, ShareChange(permissions=1))
    await shares.delete(BOB, one.share_id)
    await shares.delete(ALICE, two.share_id)
    await shares.update(ALICE, link.share_id, ShareChange(expires=True, expires_at=world.clock.time + 10))
    world.clock.time += 20
    await sweep(world.backend)
    bob, sales = await watcher.id_of("user:bob"), await watcher.id_of("group:Sales")
    at = {"node": f"n:{node}"}
    expected: list[tuple[str, int, str, dict[str, Any]]] = [
        ("share.made", one.share_id, "", {**at, "permissions": 31, "with": bob}),
        ("share.made", two.share_id, "", {**at, "permissions": 1, "with": sales}),
        ("link.made", link.share_id, "", {**at, "permissions": 1, "password": 1}),
        ("link.changed", link.share_id, "", {**at, "permissions": 15}),
        ("share.changed", one.share_id, "", {**at, "permissions": 1}),
        ("share.ended", one.share_id, "left", at),
        ("share.ended", two.share_id, "asked", at),
        ("link.changed", link.share_id, "", {**at, "permissions": 15}),
        ("link.ended", link.share_id, "expired", at),
    ]
    assert [(e.event, e.target, e.reason, e.details) for e in await watcher.new()] == [
        (event, f"sh:{number}", reason, details) for event, number, reason, details in expected
    ]


async def test_keys_and_the_authority(world: World, watcher: Watcher) -> None:
    authority = private_key("authority")
    pki = Pki(world.backend, SoftwareSigner(authority))
    await pin_authority(world.backend, private_key("mallory").public)
    await adopt_authority(world.backend, authority.public)
    await pki.register(ALICE, make_csr(private_key("alice"), "alice"))
    await pki.register(BOB, make_csr(private_key("bob"), "bob"))
    for _ in range(2):
        await pki.certificates(ALICE, ["bob"])
    await pki.renew(BOB.user_id)
    await pki.delete_certificate(BOB.user_id)
    await pki.delete_certificate(BOB.user_id)
    alice, bob = await watcher.id_of("user:alice"), await watcher.id_of("user:bob")
    key = {name: f"k:{private_key(name).public.fingerprint_hex}" for name in ("authority", "alice", "bob", "mallory")}
    signing = [("authority.signing", "certificate", ""), ("authority.signed", "certificate", "")]
    found = await watcher.new()
    assert [(one.event, one.target, one.reason) for one in found] == [
        ("authority.adopted", key["mallory"], ""),
        ("authority.adopted", key["authority"], "replaced"),
        *signing,
        ("certificate.issued", key["alice"], ""),
        *signing,
        ("certificate.issued", key["bob"], ""),
        ("certificate.served", key["bob"], ""),
        *signing,
        ("certificate.renewed", key["bob"], ""),
        ("certificate.removed", key["bob"], "asked"),
    ]
    assert [one.details["subject"] for one in found if one.event.startswith("certificate.")] == [alice] + [bob] * 4
    served = next(one for one in found if one.event == "certificate.served")
    assert served.actor == alice


class _Away(SoftwareSigner):
    async def sign(self, message: bytes) -> bytes:
        raise SignerUnavailableError("the token is away")


async def test_a_signature_that_fails_is_on_record_and_so_is_who_wanted_it(world: World, watcher: Watcher) -> None:
    pki = Pki(world.backend, _Away(private_key("authority")))
    with audited(who="operator"), pytest.raises(SignerUnavailableError):
        await pki.register(ALICE, make_csr(private_key("alice"), "alice"))
    assert [(one.event, one.actor, one.outcome, one.reason) for one in await watcher.new()] == [
        ("authority.signing", "operator", "intent", ""),
        ("authority.signed", "operator", "failed", "SIGNER_UNAVAILABLE"),
    ]


class _FullDatabase:
    """A database on which nothing can be written any more."""

    def __init__(self, world: World) -> None:
        self.read = world.database.read

    async def write(self, work: Callable[[Rows], Awaitable[Any]], *, durable: bool = True) -> Any:
        raise CandadoError("no space")


async def test_without_a_record_of_the_intent_nothing_is_signed(world: World, watcher: Watcher) -> None:
    from candado.server.keyevents import sign_on_record

    class Counting(SoftwareSigner):
        signed = 0

        async def sign(self, message: bytes) -> bytes:
            self.signed += 1
            return await super().sign(message)

    signer = Counting(private_key("authority"))
    with pytest.raises(CandadoError):
        await sign_on_record(_FullDatabase(world), signer, b"x", "certificate")  # type: ignore[arg-type]
    assert signer.signed == 0
