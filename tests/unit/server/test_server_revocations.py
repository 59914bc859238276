"""Revoking keys: in force at once, on the list as soon as it can be signed, never taken back."""

import asyncio
import hashlib
from dataclasses import replace

import pytest
from tests.unit.server.world import ALICE, BOB, World, add_users
from tests.vectors.keys import private_key

from candado.crypto.crl import REASONS, check_revocation_list, parse_revocation_list
from candado.crypto.rsa import PrivateKey, PublicKey
from candado.crypto.x509 import make_csr, parse_certificate
from candado.errors import (
    BadRequestError,
    ForbiddenError,
    NoKeysError,
    NotFoundError,
    PeerWithoutKeysError,
    PreconditionFailedError,
    SignerUnavailableError,
)
from candado.server.model import ServerSettings, shown_holder
from candado.server.pki import Pki, issued_certificates
from candado.server.revocations import RENEWED_SECONDS, VALID_SECONDS, Revocations

KEYS = {"alice": private_key("alice"), "bob": private_key("bob")}


class Signer:
    """A signer of the port whose key can be away, or wait for a word."""

    def __init__(self, key: PrivateKey) -> None:
        self.key = key
        self.away = False
        self.gate: asyncio.Event | None = None
        self.asked = asyncio.Event()
        self.signed = 0

    @property
    def public_key_pem(self) -> str:
        return self.key.public.to_pem()

    async def sign(self, message: bytes) -> bytes:
        self.asked.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.away:
            raise SignerUnavailableError
        self.signed += 1
        return self.key.sign_pkcs1_sha256(message)

    async def check(self) -> None:
        await self.sign(b"test")

    async def close(self) -> None:
        return


class Authority:
    """An authority with certificates for alice and bob."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.signer = Signer(private_key("authority"))
        self.backend = world.backend
        self.pki = Pki(world.backend, self.signer)
        self.revocations = Revocations(world.backend, self.signer)

    async def enrol(self, name: str) -> str:
        return await self.pki.register(ALICE if name == "alice" else BOB, make_csr(KEYS[name], name))


@pytest.fixture
async def authority(world: World) -> Authority:
    await add_users(world.backend.database)
    made = Authority(world)
    await made.enrol("alice")
    await made.enrol("bob")
    return made


def _fingerprint(name: str) -> str:
    return KEYS[name].public.fingerprint_hex


async def test_a_revoked_key_is_on_a_list_that_the_authority_signed(authority: Authority) -> None:
    first = await authority.revocations.refresh()
    assert (first.number, first.count) == (1, 0)
    (hit,) = await authority.revocations.revoke("bob", "left")
    assert (hit.user_id, hit.key_fingerprint_hex) == ("bob", _fingerprint("bob"))
    second = await authority.revocations.refresh()
    read = parse_revocation_list(await authority.revocations.published())
    check_revocation_list(read, PublicKey.from_pem(authority.signer.public_key_pem))
    now = authority.backend.clock.now()
    assert (read.number, read.this_update, read.next_update) == (second.number, now, now + VALID_SECONDS)
    (entry,) = read.entries
    assert (str(entry.serial), entry.revoked_at, entry.key_fingerprint_hex) == (hit.serial, now, _fingerprint("bob"))
    assert entry.reason == REASONS["left"]


async def test_nobody_is_given_a_revoked_certificate_but_its_user(authority: Authority) -> None:
    await authority.revocations.revoke("bob", "key-compromise")
    with pytest.raises(PeerWithoutKeysError):
        await authority.pki.certificates(ALICE, ["bob"])
    assert set(await authority.pki.certificates(BOB, ["alice"])) == {"alice", "bob"}
    states = {one.user_id: one.revoked_at is None for one in await issued_certificates(authority.backend)}
    assert states == {"alice": True, "bob": False}


async def test_a_revoked_key_never_gets_a_certificate_again_and_a_new_one_does(authority: Authority) -> None:
    (pem,) = [p for u, p in (await authority.pki.certificates(BOB, [])).items() if u == "bob"]
    (hit,) = await authority.revocations.revoke("bob", "key-compromise")
    await authority.pki.delete_certificate(BOB.user_id)
    with pytest.raises(ForbiddenError):
        await authority.enrol("bob")
    with pytest.raises(ForbiddenError):
        await authority.pki.store_certificate(BOB, pem)
    fresh = await authority.pki.register(BOB, make_csr(private_key("mallory"), "bob"))
    assert parse_certificate(fresh).public_key == private_key("mallory").public
    assert await authority.revocations.revoke(hit.serial, "left") == [hit]
    assert set(await authority.pki.certificates(ALICE, ["bob"])) == {"alice", "bob"}


async def test_a_key_that_its_user_gave_up_is_not_revoked(authority: Authority) -> None:
    await authority.pki.delete_certificate(BOB.user_id)
    with pytest.raises(NotFoundError):
        await authority.revocations.revoke("bob", "left")
    assert (await authority.revocations.refresh()).count == 0
    await authority.enrol("bob")  # as an app renews a certificate: the same key
    assert "bob" in await authority.pki.certificates(ALICE, ["bob"])


async def test_a_revocation_hits_every_certificate_of_the_key(authority: Authority) -> None:
    await authority.pki.delete_certificate(BOB.user_id)
    await authority.enrol("bob")
    hit = await authority.revocations.revoke("bob", "key-compromise")
    assert [one.user_id for one in hit] == ["bob", "bob"]
    assert (await authority.revocations.refresh()).count == 1


async def test_revoking_twice_or_at_once_is_one_revocation(authority: Authority) -> None:
    one, two = await asyncio.gather(
        authority.revocations.revoke("bob", "left"), authority.revocations.revoke("bob", "key-compromise")
    )
    assert one == two == await authority.revocations.revoke("bob", "left")
    assert (await authority.revocations.refresh()).count == 1


async def test_what_is_not_known_is_not_revoked(authority: Authority) -> None:
    with pytest.raises(NotFoundError):
        await authority.revocations.revoke("nobody", "left")
    with pytest.raises(BadRequestError):
        await authority.revocations.revoke("bob", "because")
    with pytest.raises(NotFoundError):
        await authority.revocations.published()


async def test_without_its_signer_a_revocation_is_in_force_and_the_list_follows(authority: Authority) -> None:
    before = await authority.revocations.refresh()
    authority.signer.away = True
    await authority.revocations.revoke("bob", "left")
    with pytest.raises(SignerUnavailableError):
        await authority.revocations.refresh()
    assert await authority.revocations.published() == before.pem
    with pytest.raises(PeerWithoutKeysError):
        await authority.pki.certificates(ALICE, ["bob"])
    authority.signer.away = False
    after = await authority.revocations.refresh()
    assert (after.count, after.number > before.number) == (1, True)


async def test_a_list_is_signed_when_it_is_due_and_not_before(authority: Authority) -> None:
    clock = authority.world.clock
    first = await authority.revocations.refresh()
    assert await authority.revocations.refresh() == first
    assert (await authority.revocations.refresh(force=True)).number == 2
    clock.time += RENEWED_SECONDS
    assert (await authority.revocations.refresh()).number == 3
    clock.time -= 10 * RENEWED_SECONDS  # the clock was set back: numbers go on, times are those of the clock
    late = await authority.revocations.refresh()
    assert (late.number, late.this_update) == (4, clock.time)
    assert (await authority.revocations.refresh(after=40)).number == 41
    assert (await authority.revocations.refresh(after=40)).number == 41


async def test_of_two_that_publish_at_once_the_higher_number_stays(authority: Authority) -> None:
    await authority.revocations.revoke("bob", "left")
    slow = Signer(authority.signer.key)
    slow.gate = asyncio.Event()
    late = asyncio.create_task(Revocations(authority.backend, slow).refresh())
    await slow.asked.wait()
    await authority.revocations.revoke("alice", "left")
    newer = await authority.revocations.refresh()
    slow.gate.set()
    assert await late == newer
    assert await authority.revocations.published() == newer.pem
    assert newer.count == 2


async def test_a_renewed_certificate_has_the_same_key_and_the_lifetime_of_the_profile(world: World) -> None:
    authority = Authority(world)
    authority.pki = Pki(
        replace(world.backend, settings=ServerSettings(certificate_seconds=400 * 86_400.0)), authority.signer
    )
    first = parse_certificate(await authority.enrol("bob"))
    assert first.not_after == world.clock.time + 400 * 86_400.0
    world.clock.time += 390 * 86_400.0
    fresh = await authority.pki.renew(BOB.user_id)
    assert (fresh.public_key, fresh.common_name) == (first.public_key, "bob")
    assert (fresh.serial != first.serial, fresh.not_after) == (True, world.clock.time + 400 * 86_400.0)
    assert await authority.pki.certificates(BOB, []) == {"bob": fresh.pem}
    states = {one.serial: one.revoked_at is None for one in await issued_certificates(world.backend)}
    assert states == {str(first.serial): False, str(fresh.serial): True}
    assert (await authority.revocations.refresh()).count == 0


async def test_what_is_revoked_or_gone_is_not_renewed(authority: Authority) -> None:
    await authority.revocations.revoke("bob", "left")
    signed = authority.signer.signed
    with pytest.raises(ForbiddenError):
        await authority.pki.renew(BOB.user_id)
    await authority.pki.delete_certificate(ALICE.user_id)
    with pytest.raises(NoKeysError):
        await authority.pki.renew(ALICE.user_id)
    assert authority.signer.signed == signed


async def test_of_two_who_renew_at_once_one_does(authority: Authority) -> None:
    slow = Signer(authority.signer.key)
    slow.gate = asyncio.Event()
    late = asyncio.create_task(Pki(authority.backend, slow).renew(BOB.user_id))
    await slow.asked.wait()
    fresh = await authority.pki.renew(BOB.user_id)
    slow.gate.set()
    with pytest.raises(PreconditionFailedError):
        await late
    assert await authority.pki.certificates(BOB, []) == {"bob": fresh.pem}


async def test_a_key_that_is_revoked_while_it_is_being_certified_gets_nothing(authority: Authority) -> None:
    await authority.pki.delete_certificate(BOB.user_id)
    slow = Signer(authority.signer.key)
    slow.gate = asyncio.Event()
    enrolling = asyncio.create_task(Pki(authority.backend, slow).register(BOB, make_csr(KEYS["bob"], "bob")))
    await slow.asked.wait()
    (record, *_) = [one for one in await issued_certificates(authority.backend) if one.user_id == "bob"]
    await authority.revocations.revoke(record.serial, "key-compromise")
    slow.gate.set()
    with pytest.raises(ForbiddenError):
        await enrolling
    with pytest.raises(PeerWithoutKeysError):
        await authority.pki.certificates(ALICE, ["bob"])


def test_a_link_is_shown_without_what_opens_it() -> None:
    assert shown_holder("alice") == "alice"
    assert shown_holder("s:secret-token") == f"link:{hashlib.sha256(b's:secret-token').hexdigest()[:12]}"
