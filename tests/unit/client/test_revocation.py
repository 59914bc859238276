"""Revoked keys: nobody is given a folder under one, members are told, and a server cannot take a revocation back (A111)."""

from dataclasses import replace

import pytest
from tests.sim import World, rsa_key, stock
from tests.unit.client.devices import Device

from candado.client import edit, sharing, trust
from candado.client.revocation import revoked_keys
from candado.errors import (
    CandadoError,
    CounterRollbackError,
    ForkError,
    MalformedError,
    PeerWithoutKeysError,
    UntrustedCertificateError,
)
from candado.types import UserId

BOB, CAROL = UserId("bob"), UserId("carol")


@pytest.fixture
def world() -> World:
    world = World("alice", "bob", "carol")
    world.server.capabilities = replace(world.server.capabilities, revocation_list=True)
    world.server.publish_revoked(number=1)
    return world


@pytest.fixture
async def alice(world: World) -> Device:
    device = Device(world)
    await edit.encrypt_folder(device.account, "/Secret")
    await device.put("/Secret", {"top": b"1"})
    return device


def _key(user: str) -> str:
    return rsa_key(user).public.fingerprint_hex


def _requests(world: World, method: str) -> int:
    return sum(request.method == method for request in world.server.log)


async def _refused(alice: Device, user: UserId) -> CandadoError:
    """What sharing raises; no lock was taken, so nothing was wrapped for anybody."""
    locks = _requests(alice.world, "lock")
    with pytest.raises(CandadoError) as caught:
        await sharing.share(alice.account, "/Secret", user)
    assert _requests(alice.world, "lock") == locks
    return caught.value


async def test_a_folder_is_not_shared_with_a_person_whose_key_was_revoked(world: World, alice: Device) -> None:
    await trust.fingerprint(alice.account, BOB)
    world.server.publish_revoked(_key("bob"), number=2)
    error = await _refused(alice, BOB)
    assert (error.code, error.message) == ("KEY_REVOKED", "The key of bob was revoked.")
    await sharing.share(alice.account, "/Secret", CAROL)


async def test_a_server_that_hides_the_revoked_certificate_does_not_hide_why(world: World, alice: Device) -> None:
    await trust.fingerprint(alice.account, BOB)
    world.server.publish_revoked(_key("bob"), number=1)
    world.server.users["bob"].certificate = None
    assert (await _refused(alice, BOB)).code == "KEY_REVOKED"
    world.server.users["carol"].certificate = None
    error = await _refused(alice, CAROL)
    assert isinstance(error, PeerWithoutKeysError)


async def test_a_member_whose_key_was_revoked_is_shown_and_taken_out_before_others_come_in(
    world: World, alice: Device
) -> None:
    await sharing.share(alice.account, "/Secret", BOB)
    world.server.publish_revoked(_key("bob"), number=2)
    world.clock.advance(3601)
    await alice.put("/Secret", {"more": b"2"})
    issue = next(issue for issue in alice.account.issues() if issue.code == "member.revoked")
    assert (issue.path, issue.severity, "bob" in issue.message) == ("/Secret", "problem", True)
    error = await _refused(alice, CAROL)
    assert (error.code, error.path, "bob" in error.message) == ("KEY_REVOKED", "/Secret", True)
    await sharing.unshare(alice.account, "/Secret", BOB)
    await sharing.share(alice.account, "/Secret", CAROL)


async def test_what_was_revoked_stays_so_when_the_list_is_withheld_or_shorter(world: World, alice: Device) -> None:
    world.server.publish_revoked(_key("bob"), number=4)
    await _refused(alice, BOB)
    world.server.publish_revoked(number=5)
    assert (await _refused(alice, BOB)).code == "KEY_REVOKED"
    world.server.revocation_list = None
    assert (await _refused(alice, BOB)).code == "KEY_REVOKED"
    assert "crl.missing" in alice.codes()
    again = Device(world, remote=alice.account.remote)
    again.state.spaces = alice.state.spaces
    assert await revoked_keys(again.start()) == {_key("bob")}


async def test_a_list_that_is_no_longer_announced_is_missed(world: World, alice: Device) -> None:
    world.server.publish_revoked(_key("bob"), number=2)
    await _refused(alice, BOB)
    world.server.capabilities = replace(world.server.capabilities, revocation_list=False)
    world.clock.advance(3601)
    alice.start()
    assert (await _refused(alice, BOB)).code == "KEY_REVOKED"
    assert "crl.missing" in alice.codes()


async def test_an_older_list_and_another_one_of_the_same_number_are_refused(world: World, alice: Device) -> None:
    world.server.publish_revoked(number=7)
    await sharing.share(alice.account, "/Secret", BOB)
    world.server.publish_revoked(number=6)
    error = await _refused(alice, CAROL)
    assert isinstance(error, CounterRollbackError)
    assert (error.event, error.expected, error.got) == ("crl.rollback", "7 or more", "6")
    assert "ca crl --after 7" in error.advice
    world.server.publish_revoked(_key("bob"), number=7)
    error = await _refused(alice, CAROL)
    assert isinstance(error, ForkError)
    assert error.event == "crl.fork"
    assert {"crl.rollback", "crl.fork"} <= alice.codes()
    world.server.publish_revoked(number=8)
    await sharing.share(alice.account, "/Secret", CAROL)


async def test_a_list_of_another_authority_or_of_another_form_is_refused(world: World, alice: Device) -> None:
    world.server.publish_revoked(_key("bob"), number=1, signer=rsa_key("mallory"))
    assert isinstance(await _refused(alice, BOB), UntrustedCertificateError)
    world.server.revocation_list = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"
    assert isinstance(await _refused(alice, BOB), MalformedError)
    world.server.publish_revoked(number=1)
    await sharing.share(alice.account, "/Secret", BOB)


async def test_an_overdue_list_is_noted_and_used(world: World, alice: Device) -> None:
    world.server.publish_revoked(_key("bob"), number=1, days=1)
    world.clock.advance(2 * 86_400)
    assert (await _refused(alice, BOB)).code == "KEY_REVOKED"
    assert "crl.stale" in alice.codes()


async def test_a_bad_list_hinders_no_write_into_a_shared_folder_and_is_kept(world: World, alice: Device) -> None:
    await sharing.share(alice.account, "/Secret", BOB)
    world.server.publish_revoked(number=2, signer=rsa_key("mallory"))
    world.clock.advance(3601)
    alice.start()
    await alice.put("/Secret", {"more": b"2"})
    assert any(issue.severity == "refused" for issue in alice.account.issues())


async def test_the_list_is_asked_for_once_an_hour(world: World, alice: Device) -> None:
    await sharing.share(alice.account, "/Secret", BOB)
    assert _requests(world, "revocation_list") == 1
    for number in range(3):
        await alice.put("/Secret", {f"soon{number}": b"2"})
    assert _requests(world, "revocation_list") == 1
    world.clock.advance(3601)
    for number in range(3):
        await alice.put("/Secret", {f"late{number}": b"2"})
    assert _requests(world, "revocation_list") == 2


async def test_a_server_that_has_no_list_is_not_asked(world: World) -> None:
    world.server.capabilities = stock()
    alice = Device(world)
    await edit.encrypt_folder(alice.account, "/Secret")
    await sharing.share(alice.account, "/Secret", BOB)
    await alice.put("/Secret", {"top": b"1"})
    assert _requests(world, "revocation_list") == 0
    assert "crl.missing" not in alice.codes()


async def test_a_folder_that_is_not_shared_needs_no_list(world: World, alice: Device) -> None:
    await alice.put("/Secret", {"more": b"2"})
    assert _requests(world, "revocation_list") == 0
