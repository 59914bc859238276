"""The recovery key of an organisation: never silent, only for owners who agreed, and what a server slips in is refused."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.sim import Hostile, World, rsa_key, stock
from tests.sim.organisation import Organisation
from tests.unit.client.devices import Device, Power, PowerCut
from tests.unit.client.sync_world import Device as SyncDevice

from candado.client import covering, edit, inspect, policies, recovery, sharing
from candado.client.covering import Covered
from candado.client.enrol import init_first, init_further
from candado.client.lock import recover_sessions
from candado.crypto.keywrap import unwrap_key
from candado.crypto.sealing import SealedParts, open_text
from candado.crypto.x509 import fingerprint_words
from candado.errors import (
    CandadoError,
    EscrowError,
    ForbiddenError,
    MalformedError,
    NotFoundError,
    PolicyRefusedError,
    TransportError,
    UntrustedCertificateError,
    UsageError,
)
from candado.folder.model import Identity
from candado.folder.recoveryrecords import RootUse, UseRecord, UseState, sign_use_record
from candado.formats.metadata import parse_sealed
from candado.ports.client import RemoteRecovery
from candado.types import FileId, MetadataKey, UserId

BOB = UserId("bob")


@pytest.fixture
def world() -> World:
    return World("alice", "bob")


@pytest.fixture
def office(world: World) -> Organisation:
    return Organisation(world)


async def _enrolled(world: World, user: str, *, pin: bool = True) -> Device:
    """A device that pinned the organisation's key as ``init`` does."""
    device = Device(world, user)
    if pin:
        await recovery.refresh(device.account, fresh=True, enrolling=True)
    return device


@pytest.fixture
async def alice(world: World, office: Organisation) -> Device:
    office.announce()
    return await _enrolled(world, "alice")


def _members(world: World, path: str = "/Secret", user: str = "alice") -> list[str]:
    """Members by the document that the server stores."""
    node = world.server.at(user, path)
    text = world.server.tree.metadata[node.file_id][0]
    return [str(one.user_id) for one in parse_sealed(text).users or ()]


def _opened_by_recovery(world: World, office: Organisation, path: str = "/Secret") -> bytes:
    """The inner document, opened with the private half of the recovery key alone."""
    node = world.server.at("alice", path)
    sealed = parse_sealed(world.server.tree.metadata[node.file_id][0])
    (entry,) = (one for one in sealed.users or () if one.user_id == office.member_id)
    key = MetadataKey(unwrap_key(rsa_key(office.name), entry.wrapped_key))
    return open_text(key, SealedParts(sealed.block.ciphertext, sealed.block.nonce, sealed.block.tag))


def _codes(device: Device) -> list[str]:
    wanted = ("recovery.", "organisation.", "policy.", "escrow.")
    return sorted({issue.code for issue in device.account.issues() if issue.code.startswith(wanted)})


# --- the organisation's key -------------------------------------------------------------------------------


async def test_init_pins_the_key_that_the_server_announces(world: World, office: Organisation) -> None:
    office.announce()
    world.server.users["alice"].certificate = None
    first = Device(world, "alice", enrolled=False)
    words = await init_first(first.account)
    assert policies.pinned_key(first.account) == office.key.public
    assert _codes(first) == ["organisation.pinned"]
    second = Device(world, "alice", enrolled=False)
    await init_further(second.account, words)
    assert policies.pinned_key(second.account) == office.key.public


async def test_init_does_not_fail_where_the_organisation_cannot_be_asked(world: World, office: Organisation) -> None:
    office.announce()
    world.server.users["alice"].certificate = None
    liar = Hostile(world.remote("alice"))
    liar.fail("recovery", TransportError(), times=9)
    device = Device(world, "alice", remote=liar.port, enrolled=False)
    await init_first(device.account)
    assert policies.pinned_key(device.account) is None
    liar.honest()
    await recovery.refresh(device.account, fresh=True)
    assert policies.pinned_key(device.account) is None
    assert _codes(device) == ["organisation.new"]


async def test_a_key_that_appears_later_is_taken_by_a_person_only(world: World, office: Organisation) -> None:
    device = await _enrolled(world, "alice", pin=False)
    office.install()
    assert await recovery.refresh(device.account, fresh=True) is None
    announced = policies.announced_key(device.account)
    assert announced is not None
    assert announced.fingerprint == office.key.public.fingerprint_hex
    await edit.encrypt_folder(device.account, "/Secret")
    assert _members(world) == ["alice"]
    with pytest.raises(UntrustedCertificateError):
        policies.trust_organisation(device.account, "ab" * 32)
    assert policies.trust_organisation(device.account, announced.words.replace("-", " ")) == office.key.public
    assert policies.trust_organisation(device.account, announced.fingerprint) == office.key.public
    found = await recovery.refresh(device.account, fresh=True)
    assert found is not None
    assert (found.state, found.agreed, found.member_id) == ("on", True, office.member_id)
    assert _codes(device) == ["recovery.on"]
    assert policies.announced_key(device.account) is None


async def test_a_changed_key_of_the_organisation_is_refused_until_a_person_takes_it(
    world: World, office: Organisation, alice: Device
) -> None:
    office.install()
    await recovery.refresh(alice.account, fresh=True)
    other = Organisation(world, b"x")
    other.name = "rob"
    other.install()
    with pytest.raises(PolicyRefusedError) as caught:
        await recovery.refresh(alice.account, fresh=True)
    assert caught.value.event == "policy.signature"
    assert policies.pinned_key(alice.account) == office.key.public
    assert recovery.wrapped_for(alice.account) is not None
    assert "organisation.changed" in _codes(alice)
    policies.trust_organisation(alice.account, other.key.public.fingerprint_hex)
    assert recovery.current_key(alice.account) is None
    found = await recovery.refresh(alice.account, fresh=True)
    assert found is not None
    assert (found.member_id, found.agreed) == (other.member_id, False)


async def test_without_an_organisation_nothing_is_asked_again_or_shown(world: World) -> None:
    device = Device(world, "alice")
    assert await recovery.refresh(device.account, fresh=True) is None
    assert [one for one in world.server.log if one.method == "recovery"] == []
    world.server.capabilities = replace(world.server.capabilities, recovery=True)
    device = Device(world, "alice")
    for _ in range(3):
        assert await recovery.refresh(device.account) is None
    assert len([one for one in world.server.log if one.method == "recovery"]) == 1
    assert (recovery.warning(device.account), _codes(device)) == ("", [])


async def test_a_server_that_is_not_ours_is_used_as_ever(world: World) -> None:
    world.server.capabilities = stock()
    device = Device(world, "alice")
    await edit.encrypt_folder(device.account, "/Secret")
    assert _members(world) == ["alice"]
    with pytest.raises(UsageError):
        await covering.accept(device.account, "/Secret")


# --- new folders --------------------------------------------------------------------------------------------


async def test_new_folders_carry_the_key_and_it_opens_them(world: World, office: Organisation, alice: Device) -> None:
    office.install()
    await edit.encrypt_folder(alice.account, "/Secret")
    await alice.put("/Secret", {"plan.txt": b"text"})
    assert _members(world) == ["alice", office.member_id]
    assert b"plan.txt" in _opened_by_recovery(world, office)
    assert alice.account.book.peers() == {}
    warning = recovery.warning(alice.account)
    assert fingerprint_words(office.fingerprint) in warning
    assert "We can recover." in warning
    assert await covering.coverage(alice.account) == [Covered("/Secret", "alice", "covered", (office.member_id,))]


async def test_a_folder_with_the_key_is_shared_and_written_like_any_other(
    world: World, office: Organisation, alice: Device
) -> None:
    office.install()
    bob = await _enrolled(world, "bob")
    await edit.encrypt_folder(alice.account, "/Secret")
    await sharing.share(alice.account, "/Secret", BOB)
    await bob.put("/Secret", {"b.txt": b"two"})
    assert await alice.tree() == {"b.txt": b"two"}
    assert _members(world) == ["alice", office.member_id, "bob"]
    assert "recovery.member" in _codes(bob)
    shares = await sharing.list_shares(alice.account, "/Secret")
    assert [(one.user_id, one.is_recovery) for one in shares] == [("bob", False), (office.member_id, True)]
    await sharing.unshare(alice.account, "/Secret", BOB)
    assert _members(world) == ["alice", office.member_id]
    with pytest.raises(UsageError):
        await sharing.unshare(alice.account, "/Secret", office.member_id)


async def test_a_revoked_recovery_key_is_given_no_folder(world: World, office: Organisation, alice: Device) -> None:
    world.server.capabilities = replace(world.server.capabilities, revocation_list=True)
    office.install()
    await recovery.refresh(alice.account, fresh=True)
    world.server.publish_revoked(office.fingerprint, number=1)
    from candado.client.revocation import revoked_keys

    alice.start()
    alice.account.store.commit([("cache", "capabilities", None)])
    await revoked_keys(alice.account)
    await edit.encrypt_folder(alice.account, "/Secret")
    assert _members(world) == ["alice"]
    with pytest.raises(UsageError):
        await covering.accept(alice.account, "/Secret")


# --- folders that exist -------------------------------------------------------------------------------------


async def test_an_existing_folder_gets_the_key_only_when_its_owner_agrees(
    world: World, office: Organisation, alice: Device
) -> None:
    await edit.encrypt_folder(alice.account, "/Secret")
    await edit.mkdir(alice.account, "/Secret/deep")
    await alice.put("/Secret/deep", {"a.txt": b"one"})
    office.install()
    await alice.put("/Secret", {"b.txt": b"two"})
    await recovery.refresh(alice.account, fresh=True)
    assert _members(world) == ["alice"]
    assert await covering.coverage(alice.account) == [Covered("/Secret", "alice", "waiting")]
    pin = alice.account.book.roots()[0]
    done = await covering.accept(alice.account, "/Secret")
    assert done == Covered("/Secret", "alice", "covered", (office.member_id,))
    after = alice.account.book.roots()[0]
    assert _members(world) == ["alice", office.member_id]
    assert after.current_checksum != pin.current_checksum
    assert await alice.tree() == {"deep": None, "deep/a.txt": b"one", "b.txt": b"two"}
    counter = after.counter
    assert await covering.accept(alice.account, "/Secret") == done
    assert alice.account.book.roots()[0].counter == counter


async def test_members_who_do_not_own_a_folder_are_told_and_cannot_decide(
    world: World, office: Organisation, alice: Device
) -> None:
    bob = await _enrolled(world, "bob")
    await edit.encrypt_folder(alice.account, "/Secret")
    await sharing.share(alice.account, "/Secret", BOB)
    await bob.tree()
    office.install()
    await recovery.refresh(bob.account, fresh=True)
    for act in (covering.accept, covering.drop):
        with pytest.raises(ForbiddenError):
            await act(bob.account, "/Secret")
    assert [one.state for one in await covering.coverage(bob.account)] == ["other-owner"]
    await covering.accept(alice.account, "/Secret")
    await bob.tree()
    (told,) = (one.message for one in bob.account.issues() if one.code == "recovery.added")
    assert told.startswith("The owner let the recovery key of the organisation into this folder; its holders can read")
    assert told.endswith(f"signed by alice ({office.member_id})")
    assert [one.state for one in await covering.coverage(bob.account)] == ["covered"]


async def test_a_device_that_has_not_heard_of_the_policy_asks_before_it_refuses(
    world: World, office: Organisation, alice: Device
) -> None:
    bob = await _enrolled(world, "bob")
    await edit.encrypt_folder(alice.account, "/Secret")
    await sharing.share(alice.account, "/Secret", BOB)
    await bob.tree()
    office.install()
    await covering.accept(alice.account, "/Secret")
    assert recovery.current_key(bob.account) is None
    assert await bob.tree() == {}
    assert recovery.current_key(bob.account) is not None


async def test_what_the_owner_agreed_to_for_the_future_is_carried_out_with_the_next_write(
    world: World, office: Organisation, alice: Device
) -> None:
    await edit.encrypt_folder(alice.account, "/Secret")
    await edit.mkdir(alice.account, "/Secret/deep")
    office.install()
    await covering.agree_to_future(alice.account)
    assert [one.state for one in await covering.coverage(alice.account)] == ["agreed"]
    await alice.put("/Secret/deep", {"a.txt": b"one"})
    assert _members(world) == ["alice", office.member_id]
    assert await alice.tree() == {"deep": None, "deep/a.txt": b"one"}


async def test_a_key_that_another_app_left_out_comes_back_with_the_owners_next_use(
    world: World, office: Organisation, alice: Device
) -> None:
    office.install()
    await edit.encrypt_folder(alice.account, "/Secret")
    await covering.accept(alice.account, "/Secret")
    other = await _enrolled(world, "alice")
    await covering.drop(other.account, "/Secret")
    assert _members(world) == ["alice"]
    await alice.tree()
    assert "recovery.removed" in _codes(alice)
    root = alice.account.book.roots()[0].file_id
    assert await covering.cover_owed(alice.reader(), root)
    assert _members(world) == ["alice", office.member_id]
    assert not await covering.cover_owed(alice.reader(), root)
    assert not await covering.cover_owed(alice.reader(), FileId(999))


async def test_the_owner_takes_the_key_out_and_it_stays_out(world: World, office: Organisation, alice: Device) -> None:
    office.install()
    await edit.encrypt_folder(alice.account, "/Secret")
    await covering.agree_to_future(alice.account)
    before = alice.account.book.roots()[0].current_checksum
    assert await covering.drop(alice.account, "/Secret")
    assert _members(world) == ["alice"]
    assert alice.account.book.roots()[0].current_checksum != before
    assert not await covering.drop(alice.account, "/Secret")
    await alice.put("/Secret", {"a.txt": b"one"})
    assert _members(world) == ["alice"]
    assert [one.state for one in await covering.coverage(alice.account)] == ["withdrawn"]
    await covering.accept(alice.account, "/Secret")
    assert _members(world) == ["alice", office.member_id]


async def test_switching_off_stops_wrapping_and_tells_what_still_carries_the_key(
    world: World, office: Organisation, alice: Device
) -> None:
    office.install()
    await edit.encrypt_folder(alice.account, "/Secret")
    await covering.agree_to_future(alice.account)
    office.install("off")
    await edit.encrypt_folder(alice.account, "/Later")
    assert _members(world, "/Later") == ["alice"]
    assert await covering.coverage(alice.account) == [
        Covered("/Later", "alice", "none"),
        Covered("/Secret", "alice", "former", (office.member_id,)),
    ]
    assert recovery.warning(alice.account) == ""
    await alice.put("/Secret", {"a.txt": b"one"})
    assert _members(world) == ["alice", office.member_id]
    with pytest.raises(UsageError):
        await covering.accept(alice.account, "/Later")
    await covering.drop(alice.account, "/Secret")
    assert _members(world) == ["alice"]
    bob = await _enrolled(world, "bob")
    assert await recovery.refresh(bob.account, fresh=True) is not None


async def test_another_recovery_key_needs_a_decision_that_was_shown(
    world: World, office: Organisation, alice: Device
) -> None:
    office.install()
    await edit.encrypt_folder(alice.account, "/Secret")
    await covering.agree_to_future(alice.account)
    former = office.member_id
    office.renew("rob")
    office.install()
    await edit.encrypt_folder(alice.account, "/Later")
    assert _members(world, "/Later") == ["alice"]
    assert "recovery.changed" in _codes(alice)
    with pytest.raises(UsageError):
        await covering.accept(alice.account, "/Secret")
    with pytest.raises(UntrustedCertificateError):
        recovery.agree_to_key(alice.account, "ab" * 32)
    found = recovery.agree_to_key(alice.account, fingerprint_words(office.fingerprint))
    assert (found.member_id, found.agreed) == (office.member_id, True)
    assert "recovery.changed" not in _codes(alice)
    await alice.put("/Secret", {"a.txt": b"one"})
    assert _members(world) == ["alice", former]
    await covering.accept(alice.account, "/Secret")
    assert _members(world) == ["alice", office.member_id]
    bob = await _enrolled(world, "bob")
    await sharing.share(alice.account, "/Secret", BOB)
    assert await bob.tree() == {"a.txt": b"one"}
    with pytest.raises(NotFoundError):
        recovery.agree_to_key(Device(world, "bob").account, "ab" * 32)


async def test_a_folder_that_carries_a_former_key_is_opened_by_a_new_device(
    world: World, office: Organisation, alice: Device
) -> None:
    office.install()
    await edit.encrypt_folder(alice.account, "/Secret")
    former = office.member_id
    office.renew("rob")
    office.install()
    second = await _enrolled(world, "alice")
    assert await second.tree() == {}
    assert await covering.coverage(second.account) == [Covered("/Secret", "alice", "former", (former,))]


# --- a server that lies -------------------------------------------------------------------------------------


@pytest.fixture
async def fooled(world: World, office: Organisation, alice: Device) -> Device:
    """Alice's device after it accepted serial 5."""
    office.serial = 4
    office.install()
    await recovery.refresh(alice.account, fresh=True)
    return alice


async def _refused(device: Device, kind: type[CandadoError], event: str) -> None:
    """The answer is refused, what was in force stays, and a folder made now gets nobody else."""
    before = recovery.current_key(device.account), recovery.wrapped_for(device.account)
    with pytest.raises(kind) as caught:
        await recovery.refresh(device.account, fresh=True)
    assert getattr(caught.value, "event", "") == event
    assert (recovery.current_key(device.account), recovery.wrapped_for(device.account)) == before
    refusals = [issue for issue in device.account.issues() if issue.severity == "refused"]
    assert [issue.code for issue in refusals] == [event or caught.value.code]
    await edit.encrypt_folder(device.account, "/Secret")
    expected = ["alice"] if before[1] is None else ["alice", before[1].user_id]
    assert _members(device.world) == expected


async def test_a109_an_older_policy_is_refused(office: Organisation, fooled: Device) -> None:
    office.install(policy=office.policy("off", serial=4))
    await _refused(fooled, PolicyRefusedError, "policy.rollback")


async def test_a109_a_second_policy_of_one_serial_is_refused(office: Organisation, fooled: Device) -> None:
    office.install(policy=office.policy("off", serial=5))
    await _refused(fooled, PolicyRefusedError, "policy.fork")


async def test_a109_a_policy_by_another_key_is_refused(world: World, office: Organisation, alice: Device) -> None:
    mallory = Organisation(world, b"m")
    mallory.name = "mallory"
    world.server.recovery = RemoteRecovery(office.key.public.to_pem(), mallory.policy(), mallory.certificate())
    await _refused(alice, PolicyRefusedError, "policy.signature")
    assert recovery.current_key(alice.account) is None


async def test_a109_a_policy_that_nobody_signed_is_refused(office: Organisation, alice: Device) -> None:
    forged = office.policy().replace("We can recover.", "We shall recover.")
    office.install(policy=forged)
    await _refused(alice, PolicyRefusedError, "policy.signature")


async def test_a109_bytes_that_are_no_policy_are_refused(office: Organisation, alice: Device) -> None:
    office.install(policy="{}")
    await _refused(alice, MalformedError, "")


async def test_a109_a_certificate_for_another_key_is_refused(world: World, office: Organisation, alice: Device) -> None:
    office.install(certificate=office.certificate(key_name="mallory"))
    await edit.encrypt_folder(alice.account, "/Secret")
    assert _members(world) == ["alice"]
    assert "escrow.unsigned" in _codes(alice)


async def test_a109_a_certificate_of_another_authority_is_refused(
    world: World, office: Organisation, alice: Device
) -> None:
    honest = world.server.authority
    world.server.authority = rsa_key("mallory")
    office.install()
    world.server.authority = honest
    await edit.encrypt_folder(alice.account, "/Secret")
    assert _members(world) == ["alice"]
    assert "UNTRUSTED_CERTIFICATE" in {issue.code for issue in alice.account.issues()}


async def test_a109_a_policy_that_is_withheld_stays_in_force_and_is_told(
    world: World, office: Organisation, fooled: Device
) -> None:
    office.announce()
    found = await recovery.refresh(fooled.account, fresh=True)
    assert found is not None
    assert found.serial == 5
    assert "policy.missing" in _codes(fooled)
    world.server.capabilities = replace(world.server.capabilities, recovery=False)
    fooled.account.store.commit([("cache", "capabilities", None)])
    assert (await recovery.refresh(fooled.start(), fresh=True)) == found


async def test_a110_a_capability_alone_changes_nothing(world: World, office: Organisation, alice: Device) -> None:
    world.server.capabilities = replace(world.server.capabilities, recovery=True)
    await edit.encrypt_folder(alice.account, "/Secret")
    assert _members(world) == ["alice"]
    liar = Hostile(world.remote("alice"))
    liar.fail("recovery", NotFoundError(), times=9)
    second = Device(world, "alice", remote=liar.port)
    assert await recovery.refresh(second.account, fresh=True) is None


async def test_a110_a_ghost_that_a_member_lets_in_is_refused_and_the_members_stay(
    world: World, office: Organisation, alice: Device
) -> None:
    await edit.encrypt_folder(alice.account, "/Secret")
    await sharing.share(alice.account, "/Secret", BOB)
    # Bob's device believes an organisation of the server's making, and that the folder is his.
    office.install()
    bob = await _enrolled(world, "bob")
    await bob.tree()
    root = alice.account.book.roots()[0].file_id
    bob.account.store.commit(bob.account.book.rows_owned(root))
    await covering.accept(bob.account, "/Secret")
    assert _members(world) == ["alice", "bob", office.member_id]
    before = alice.account.book.folder(root)
    with pytest.raises(EscrowError) as caught:
        await alice.tree()
    assert caught.value.event == "escrow.not-owner"
    with pytest.raises(EscrowError):
        await alice.put("/Secret", {"a.txt": b"one"})
    assert alice.account.book.folder(root) == before
    stranger = Device(world, "alice")
    with pytest.raises(EscrowError) as unsigned:
        await stranger.tree()
    assert unsigned.value.event == "escrow.unsigned"


# --- uses ---------------------------------------------------------------------------------------------------


def _use(office: Organisation, state: UseState = "done", *, key: str = "", **changes: Any) -> str:
    signer = rsa_key(key or office.name)
    use = UseRecord(
        record_id="ab" * 16, kind="decrypt", state=state, persons=("Ada", "Bo"), purpose="Bob left", sheets=(1, 3),
        ceremony="0123456789", public_key=signer.public, begun=1_800_000_000,
        ended=1_800_000_100 if state == "done" else 0, server="https://cloud.example", account=UserId("alice"),
        bundle_sha256="cd" * 32, certificate_sha256="", roots=(RootUse(FileId(7), "ef" * 32),), files=3, bytes=10,
    )  # fmt: skip
    return sign_use_record(replace(use, **changes), signer)


def _told(device: Device) -> list[tuple[str, str]]:
    return [(one.code, one.message) for one in device.account.issues() if one.code.startswith("recovery.use")]


async def test_a_use_is_told_once_until_a_person_dismisses_it(
    world: World, office: Organisation, alice: Device
) -> None:
    office.install()
    world.server.recovery_uses["ab" * 16] = _use(office, "begun")
    await recovery.refresh(alice.account, fresh=True)
    ((code, message),) = _told(alice)
    assert code == "recovery.used-begun"
    assert message == (
        "The recovery key was used on 2027-01-15 by Ada and Bo to open your folders: 3 files in 1 folder. "
        "Purpose: Bob left. A use was begun; whether it ended is not known yet."
    )
    world.server.recovery_uses["ab" * 16] = _use(office)
    for _ in range(2):
        await recovery.refresh(alice.account, fresh=True)
    assert {code for code, _ in _told(alice)} == {"recovery.used-begun", "recovery.used-done"}
    assert inspect.status(alice.account).open_issues == 2
    for issue in alice.account.issues():
        alice.account.issue_book.dismiss(issue.issue_id)
    await recovery.refresh(alice.account, fresh=True)
    assert _told(alice) == []


async def test_a_use_for_another_persons_new_key_is_told_to_who_shares_the_folder(
    world: World, office: Organisation, alice: Device
) -> None:
    office.install()
    world.server.recovery_uses["ab" * 16] = _use(
        office, kind="regrant", persons=("Ada", "Bo", "Cy"), account=UserId("bob"), certificate_sha256="12" * 32
    )
    await recovery.refresh(alice.account, fresh=True)
    ((code, message),) = _told(alice)
    assert code == "recovery.used-done"
    assert message == (
        "The recovery key was used on 2027-01-15 by Ada, Bo and Cy to give bob access again to 1 folder. "
        "Purpose: Bob left."
    )


@pytest.mark.parametrize(
    ("how", "codes"),
    [
        ("another key", {"recovery.use-forged"}),
        ("another id", {"recovery.use-forged"}),
        ("no record", {"MALFORMED"}),
        ("gone", set[str]()),
    ],
)
async def test_a_record_that_the_recovery_key_did_not_sign_is_refused_and_not_told(
    world: World, office: Organisation, alice: Device, how: str, codes: set[str]
) -> None:
    office.install()
    forged = {
        "another key": _use(office, key="mallory"),
        "another id": _use(office, record_id="cd" * 16),
        "no record": "{}",
        "gone": _use(office),
    }
    world.server.recovery_uses["ab" * 16] = forged[how]
    if how == "gone":
        liar = Hostile(world.remote("alice"))
        liar.fail("recovery_use", NotFoundError(), times=9)
        alice.remote = liar.port
        alice.start()
    await recovery.refresh(alice.account, fresh=True)
    assert {issue.code for issue in alice.account.issues() if issue.severity == "refused"} == codes
    assert [code for code, _ in _told(alice) if code.startswith("recovery.used")] == []


async def test_an_identity_is_needed_before_a_certificate_is_believed(world: World, office: Organisation) -> None:
    office.install()
    device = Device(world, "alice", enrolled=False)
    with pytest.raises(CandadoError):
        await recovery.refresh(device.account, fresh=True, enrolling=True)
    assert isinstance(world.identity("alice"), Identity)


# --- sync ---------------------------------------------------------------------------------------------------


async def test_a_sync_that_has_nothing_to_write_covers_what_the_owner_agreed_to(
    world: World, office: Organisation, tmp_path: Path
) -> None:
    office.announce()
    device = SyncDevice(world, tmp_path, "laptop")
    device.root.mkdir()
    device.write("a.txt", b"one")
    await device.sync("/Secret", encrypt=True)
    await recovery.refresh(device.account, fresh=True, enrolling=True)
    office.install()
    await covering.agree_to_future(device.account)
    assert _members(world) == ["alice"]
    report = await device.sync("/Secret", dry_run=True)
    assert (report.errors, _members(world)) == ([], ["alice"])
    for _ in range(2):
        report = await device.sync("/Secret")
        assert (report.uploaded, report.downloaded, report.errors) == (0, 0, [])
        assert _members(world) == ["alice", office.member_id]
    assert (device.root / "a.txt").read_bytes() == b"one"


async def test_a_cut_at_any_moment_while_the_key_comes_in_leaves_the_folder_whole(
    world: World, office: Organisation, alice: Device
) -> None:
    await edit.encrypt_folder(alice.account, "/Secret")
    await alice.put("/Secret", {"a.txt": b"one"})
    office.install()
    await recovery.refresh(alice.account, fresh=True)
    seen: set[tuple[str, ...]] = set()
    for moment in itertools.count(1):
        power = Power(cut_at=moment)
        account = alice.start(power)
        try:
            await covering.accept(account, "/Secret")
        except PowerCut:
            alice.start()
            assert await alice.tree() == {"a.txt": b"one"}
            await recover_sessions(alice.account)
            world.server.expire_locks()  # of a lock whose answer was lost
            seen.add(tuple(_members(world)))
            await covering.drop(alice.account, "/Secret")
            assert _members(world) == ["alice"]
        else:
            break
    assert seen == {("alice",), ("alice", office.member_id)}
    alice.start()
    assert _members(world) == ["alice", office.member_id]
