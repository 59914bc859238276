"""The authority's key changes on a device only when the key it knows has signed its successor (A04, A111)."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.sim import World, rsa_key, stock
from tests.unit.client.devices import Device

from candado.client import edit, sharing, trust
from candado.client.revocation import revoked_keys
from candado.crypto.handover import assemble_handover, handover_to_sign, parse_handover
from candado.crypto.rsa import PrivateKey
from candado.errors import MalformedError, UntrustedCertificateError
from candado.types import UserId

BOB, CAROL = UserId("bob"), UserId("carol")


@pytest.fixture
def world() -> World:
    world = World("alice", "bob", "carol")
    world.server.capabilities = replace(world.server.capabilities, handovers=True, revocation_list=True)
    world.server.publish_revoked(number=1)
    return world


@pytest.fixture
async def alice(world: World) -> Device:
    device = Device(world)
    await edit.encrypt_folder(device.account, "/Secret")
    await device.put("/Secret", {"top": b"1"})
    return device


def _codes(device: Device) -> list[str]:
    return [issue.code for issue in device.account.issues()]


async def test_a_device_follows_a_hand_over_by_the_key_it_pinned_and_says_so(world: World, alice: Device) -> None:
    new = rsa_key("successor")
    world.server.hand_over(new)
    world.server.publish_revoked(number=2)
    await sharing.share(alice.account, "/Secret", BOB)
    pins = alice.account.pins()
    assert pins.authority == new.public
    assert [key.fingerprint_hex for key in pins.former_authorities] == [rsa_key("authority").public.fingerprint_hex]
    assert _codes(alice).count("authority.rotated") == 1
    own = alice.account.require_identity().certificate
    new.public.verify_pkcs1_sha256(own.signature, own.signed_part)
    # The same after a restart, without another question.
    asked = sum(request.method == "handovers" for request in world.server.log)
    alice.start()
    assert alice.account.pins().authority == new.public
    assert await revoked_keys(alice.account) == frozenset()
    assert sum(request.method == "handovers" for request in world.server.log) == asked


async def test_several_hand_overs_are_followed_at_once(world: World, alice: Device) -> None:
    for name in ("second", "third", "fourth"):
        world.server.hand_over(rsa_key(name))
    await trust.fingerprint(alice.account, BOB)
    assert alice.account.pins().authority == rsa_key("fourth").public
    assert len(alice.account.pins().former_authorities) == 3


async def test_a_later_device_reads_folders_with_certificates_of_the_key_before(world: World, alice: Device) -> None:
    await sharing.share(alice.account, "/Secret", BOB)
    world.server.hand_over(rsa_key("successor"))
    bob = Device(world, "bob")
    assert await bob.tree() == {"top": b"1"}
    assert "cert.untrusted" not in _codes(bob)


async def test_a_stranger_in_a_document_is_met_after_the_hand_over(world: World, alice: Device) -> None:
    await sharing.share(alice.account, "/Secret", BOB)
    bob = Device(world, "bob")
    assert await bob.tree() == {"top": b"1"}
    world.server.hand_over(rsa_key("successor"))
    await sharing.share(alice.account, "/Secret", CAROL)
    assert await bob.tree() == {"top": b"1"}
    assert bob.account.pins().authority == rsa_key("successor").public


def _forged(world: World, by_old: PrivateKey, by_new: PrivateKey) -> str:
    thief = rsa_key("thief")
    signed = handover_to_sign(world.server.authority.public, thief.public, time=1.0)
    return assemble_handover(signed, by_old=by_old.sign_pkcs1_sha256(signed), by_new=by_new.sign_pkcs1_sha256(signed))


@pytest.mark.parametrize(
    "who", ["not by the old key", "not by the new key", "of another chain", "no text of this kind"]
)
async def test_a_successor_that_the_pinned_key_did_not_name_is_refused(world: World, alice: Device, who: str) -> None:
    thief, before = rsa_key("thief"), alice.account.pins().authority
    texts: dict[str, Callable[[], str]] = {
        "not by the old key": lambda: _forged(world, thief, thief),
        "not by the new key": lambda: _forged(world, world.server.authority, world.server.authority),
        "of another chain": lambda: _other_chain(thief),
        "no text of this kind": lambda: "candado authority hand-over 2\n",
    }
    world.server.handovers.append(texts[who]())
    world.server.authority = thief
    world.enrol("carol")
    with pytest.raises(UntrustedCertificateError):
        await sharing.share(alice.account, "/Secret", CAROL)
    assert alice.account.pins().authority == before
    assert "authority.rotated" not in _codes(alice)


def _other_chain(thief: PrivateKey) -> str:
    stranger = rsa_key("stranger")
    signed = handover_to_sign(stranger.public, thief.public, time=1.0)
    return assemble_handover(signed, by_old=stranger.sign_pkcs1_sha256(signed), by_new=thief.sign_pkcs1_sha256(signed))


async def test_a_server_that_announces_no_hand_overs_is_not_asked(world: World) -> None:
    world.server.capabilities = replace(stock(), e2ee_enabled=True)
    device = Device(world)
    await edit.encrypt_folder(device.account, "/Secret")
    assert not [request for request in world.server.log if request.method == "handovers"]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("time 1\n", "time 01\n"),
        lambda text: text + "\n",
        lambda text: text.replace("by-old", "by-olf"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "x" * 10_000,
        lambda text: text.replace("to ", "to AAAA"),
    ],
)
def test_a_hand_over_of_another_form_is_malformed(world: World, change: Callable[[str], str]) -> None:
    good = _forged(world, world.server.authority, rsa_key("thief"))
    assert parse_handover(good).new == rsa_key("thief").public
    with pytest.raises(MalformedError):
        parse_handover(change(good))
