"""Access again after all keys were lost, on the simulator: asked for online, given offline, taken online."""

import asyncio
import copy
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.sim import World, rsa_key
from tests.unit.client.devices import Device, Power, PowerCut

from candado.client import edit, trust
from candado.client.handed import handed_key
from candado.client.recoveryuse import make_regrant, open_roots
from candado.client.regrant import Restored, apply_regrant, make_request
from candado.client.session import WriteSession
from candado.client.sharing import share, unshare
from candado.crypto.x509 import make_csr, parse_certificate
from candado.errors import (
    ContextError,
    CorruptStateError,
    KeyChangedError,
    NotAMemberError,
    NotEncryptedError,
    NotFoundError,
    SignerError,
    TransportError,
    UntrustedCertificateError,
    UsageError,
)
from candado.folder.escrow import recovery_member
from candado.folder.members import rotate_key, set_recovery
from candado.folder.model import Member, RawText
from candado.folder.recoveryrecords import recovery_user_id
from candado.folder.regrants import Regrant, Request, parse_regrant, parse_request
from candado.folder.trust import signers
from candado.ports.client import RawMetadata
from candado.types import FileId, UserId

RECOVERY = rsa_key("recovery")
NAME = recovery_user_id(RECOVERY.public)
ALICE = UserId("alice")
FILES = {"a.txt": b"one", "in/b": b"two", "in/deep/c": b"three"}
TREE = {**FILES, "in": None, "in/deep": None}
RECORD = "ab" * 16


def _meet(device: Device) -> Device:
    """As if the device had verified a policy that announces the recovery key."""
    device.account.store.commit(device.account.book.rows_recovery({NAME: RECOVERY.public.fingerprint_hex}))
    return device


async def _cover(device: Device, path: str) -> None:
    member = recovery_member(parse_certificate(device.world.server.issue(make_csr(RECOVERY, NAME))))
    async with WriteSession(device.reader(), path) as session:
        await session.rekey(lambda state, key: set_recovery(state, member, key))


@dataclass
class Loss:
    """A folder with a recovery key, shared with bob, whose owner alice lost everything and has new keys."""

    world: World
    old: Device
    bob: Device
    new: Device


async def _lose() -> Loss:
    world = World("alice", "bob")
    old, bob = _meet(Device(world)), _meet(Device(world, "bob"))
    await edit.encrypt_folder(old.account, "/Secret")
    await old.put("/Secret", FILES)
    await trust.verify(old.account, UserId("bob"), world.identity("bob").key.public.fingerprint_hex)
    await share(old.account, "/Secret", UserId("bob"))
    await _cover(old, "/Secret")
    assert await bob.tree("/Secret") == TREE
    world.enrol("alice", "alice-new")
    return Loss(world, old, bob, _meet(Device(world)))


@pytest.fixture(scope="module")
def pristine() -> Loss:
    return asyncio.run(_lose())


@pytest.fixture
def loss(pristine: Loss) -> Loss:
    # Locks of asyncio belong to the loop that made them, so every device starts anew.
    copied = copy.deepcopy(replace(pristine, old=pristine.old, bob=pristine.bob, new=pristine.new))
    for device in (copied.old, copied.bob, copied.new):
        device.start()
        _meet(device)
    return copied


async def _ask(device: Device, *paths: str) -> Request:
    made, text = await make_request(device.account, paths)
    request = parse_request(text)
    assert request == made
    return request


def _give(loss: Loss, request: Request) -> Regrant:
    opened, refused = open_roots(request, RECOVERY, now=loss.world.clock.now())
    assert refused == []
    return parse_regrant(make_regrant(request, opened, RECOVERY, record_id=RECORD, now=loss.world.clock.now()))


async def test_a_user_who_lost_everything_gets_the_folder_back(loss: Loss) -> None:
    with pytest.raises(ContextError, match="not this account's key") as caught:
        await loss.new.tree("/Secret")
    assert "candado recovery request" in caught.value.advice
    assert "own.cert-mismatch" in loss.new.codes()
    regrant = _give(loss, await _ask(loss.new))
    assert (regrant.account, regrant.record_id) == (ALICE, RECORD)
    assert await apply_regrant(loss.new.account, regrant) == [Restored("/Secret", 3)]
    assert await loss.new.tree("/Secret") == TREE
    root = (await loss.new.reader().open_root("/Secret")).folder
    assert root is not None
    assert root.signer == ALICE
    members = {member.user_id: member.key_fingerprint for member in root.members}
    assert members == {
        "alice": loss.world.identity("alice").key.public.fingerprint_hex,
        "bob": loss.world.identity("bob").key.public.fingerprint_hex,
        NAME: RECOVERY.public.fingerprint_hex,
    }
    assert handed_key(loss.new.account.store, root.file_id) is None
    assert "own.cert-mismatch" not in loss.new.codes()
    await loss.new.put("/Secret", {"new": b"4"})
    assert await loss.new.tree("/Secret") == {**TREE, "new": b"4"}


async def test_taking_it_twice_changes_nothing(loss: Loss) -> None:
    regrant = _give(loss, await _ask(loss.new))
    await apply_regrant(loss.new.account, regrant)
    assert await apply_regrant(loss.new.account, regrant) == [Restored("/Secret", 0)]
    with pytest.raises(NotFoundError, match="no folder here"):
        await make_request(loss.new.account, ())


async def test_what_was_written_since_it_was_asked_for_is_no_obstacle(loss: Loss) -> None:
    regrant = _give(loss, await _ask(loss.new, "/Secret"))
    await loss.bob.put("/Secret", {"in/later": b"5"})
    assert (await apply_regrant(loss.new.account, regrant))[0].error is None
    assert await loss.new.tree("/Secret") == {**TREE, "in/later": b"5"}


async def test_others_are_asked_to_compare_the_new_key_and_then_go_on(loss: Loss) -> None:
    await apply_regrant(loss.new.account, _give(loss, await _ask(loss.new)))
    with pytest.raises(KeyChangedError):
        await loss.bob.tree("/Secret")
    new_key = loss.world.identity("alice").key.public.fingerprint_hex
    trust.forget(loss.bob.account, ALICE)
    with pytest.raises(SignerError):  # a key that is only met counts for nothing
        await loss.bob.tree("/Secret")
    await trust.verify(loss.bob.account, ALICE, new_key)
    assert await loss.bob.tree("/Secret") == TREE
    await loss.bob.put("/Secret", {"bobs": b"6"})
    assert (await loss.new.tree("/Secret"))["bobs"] == b"6"


async def test_a_verified_key_of_somebody_who_was_no_member_counts_for_nothing(loss: Loss) -> None:
    root = (await loss.bob.reader().open_root("/Secret")).folder
    assert root is not None
    loss.world.server.add_user("carol")
    carol = loss.world.enrol("carol")
    await trust.verify(loss.bob.account, UserId("carol"), carol.key.public.fingerprint_hex)
    pin, pins = loss.bob.account.book.folder(root.file_id), loss.bob.account.pins()
    stranger = Member(UserId("carol"), carol.certificate)
    known = tuple(member for member in root.members if member.user_id != NAME)
    assert signers((*root.members, stranger), pin, pins) == known


async def test_a_folder_that_got_another_key_meanwhile_is_not_opened(loss: Loss) -> None:
    regrant = _give(loss, await _ask(loss.new))
    async with WriteSession(loss.bob.reader(), "/Secret") as session:
        await session.rekey(rotate_key)
    result = (await apply_regrant(loss.new.account, regrant))[0]
    assert isinstance(result.error, NotAMemberError)
    assert "given a new key since" in result.error.message
    assert await loss.bob.tree("/Secret") == TREE
    assert (await apply_regrant(loss.new.account, _give(loss, await _ask(loss.new))))[0].error is None
    assert await loss.new.tree("/Secret") == TREE


async def test_a_cut_at_any_moment_is_made_good_by_the_same_command(pristine: Loss) -> None:
    regrant: Regrant | None = None
    for moment in range(1, 200, 7):
        loss = copy.deepcopy(pristine)
        loss.new.start()
        _meet(loss.new)
        regrant = regrant or _give(loss, await _ask(loss.new))
        power = Power(moment)
        loss.new.start(power)
        try:
            await apply_regrant(loss.new.account, regrant)
        except PowerCut:
            pass
        else:
            break
        loss.new.start()
        _meet(loss.new)
        results = await apply_regrant(loss.new.account, regrant)
        assert [result.error for result in results] == [None], moment
        assert await loss.new.tree("/Secret") == TREE
    else:
        raise AssertionError("the cuts did not reach the end")


async def test_a_root_that_was_renamed_is_found_and_one_that_is_gone_is_told(loss: Loss) -> None:
    regrant = _give(loss, await _ask(loss.new))
    moved = replace(regrant, roots=(replace(regrant.roots[0], path="/Elsewhere"),))
    assert (await apply_regrant(loss.new.account, moved))[0] == Restored("/Elsewhere", 3)
    root = replace(regrant.roots[0], path="/Elsewhere", file_id=FileId(regrant.roots[0].file_id + 999))
    gone = replace(regrant, roots=(root,))
    assert isinstance((await apply_regrant(loss.new.account, gone))[0].error, NotFoundError)


async def test_a_regrant_for_another_account_or_key_is_refused(loss: Loss) -> None:
    regrant = _give(loss, await _ask(loss.new))
    for other in (replace(regrant, account=UserId("bob")), replace(regrant, new_key="0" * 64)):
        with pytest.raises(UsageError):
            await apply_regrant(loss.new.account, other)


async def test_a_regrant_by_a_key_that_is_no_member_is_refused(loss: Loss) -> None:
    regrant = replace(_give(loss, await _ask(loss.new)), public_key=rsa_key("mallory").public)
    assert isinstance((await apply_regrant(loss.new.account, regrant))[0].error, UntrustedCertificateError)


async def test_a_key_that_does_not_open_or_a_wrong_lost_key_is_refused(loss: Loss) -> None:
    regrant = _give(loss, await _ask(loss.new))
    root = regrant.roots[0]
    bad = replace(regrant, roots=(replace(root, wrapped_key=bytes(256)),))
    assert isinstance((await apply_regrant(loss.new.account, bad))[0].error, NotAMemberError)
    wrong = replace(regrant, roots=(replace(root, former_key="0" * 64),))
    error = (await apply_regrant(loss.new.account, wrong))[0].error
    assert getattr(error, "event", "") == "own.cert-mismatch"


async def test_without_a_network_it_is_tried_again_later(loss: Loss) -> None:
    regrant = _give(loss, await _ask(loss.new))

    class Dead:
        def __getattr__(self, name: str) -> Any:
            async def call(*args: Any, **kwargs: Any) -> Any:
                raise TransportError

            return call

    loss.new.account.remote = Dead()
    with pytest.raises(TransportError):
        await apply_regrant(loss.new.account, regrant)


async def test_only_folders_with_a_recovery_key_and_a_lost_own_key_are_asked_for(loss: Loss) -> None:
    remote = loss.new.account.remote
    await edit.encrypt_folder(loss.new.account, "/Fresh")
    await remote.make_folder("/Plain", token=None)
    await remote.mark_encrypted(await remote.make_folder("/Plain/Unfinished", token=None))
    assert [root.path for root in (await _ask(loss.new)).roots] == ["/Secret"]
    with pytest.raises(NotFoundError):
        await make_request(loss.new.account, ["/Fresh"])
    with pytest.raises(NotFoundError):
        await make_request(loss.new.account, ["/Nothing"])
    with pytest.raises(NotEncryptedError):
        await make_request(loss.new.account, ["/Plain"])


async def test_a_document_that_cannot_be_read_is_not_asked_for(loss: Loss) -> None:
    class Garbled:
        def __getattr__(self, name: str) -> Any:
            return getattr(loss.new.remote, name)

        async def metadata(self, file_id: FileId) -> RawMetadata:
            return RawMetadata("no document", None)

    garbled: Any = Garbled()
    loss.new.account.remote = garbled
    with pytest.raises(NotFoundError, match="no folder here"):
        await make_request(loss.new.account, ["/Secret"])


async def test_an_owner_can_take_a_member_with_lost_keys_out_and_in_again(loss: Loss) -> None:
    await edit.encrypt_folder(loss.bob.account, "/Work")
    await loss.bob.put("/Work", FILES)
    loss.world.enrol("alice")
    await share(loss.bob.account, "/Work", ALICE)
    new_key = loss.world.enrol("alice", "alice-new").key.public.fingerprint_hex
    await unshare(loss.bob.account, "/Work", ALICE)
    trust.forget(loss.bob.account, ALICE)
    await trust.verify(loss.bob.account, ALICE, new_key)
    await share(loss.bob.account, "/Work", ALICE)
    assert await loss.new.tree("/Work") == TREE


# --- what the station refuses -------------------------------------------------------------------------------


def _refused(loss: Loss, request: Request, error: type[Exception]) -> None:
    opened, refused = open_roots(request, RECOVERY, now=loss.world.clock.now())
    assert opened == []
    assert [type(one.error) for one in refused] == [error]


async def test_the_station_gives_nothing_to_who_was_no_member_or_is_one_already(loss: Loss) -> None:
    request = await _ask(loss.new)
    _refused(loss, replace(request, account=UserId("carol")), NotAMemberError)
    former = replace(request, certificate=loss.old.account.require_identity().certificate)
    _refused(loss, former, NotAMemberError)


async def test_the_station_refuses_a_document_that_was_altered_or_swapped_or_not_signed(loss: Loss) -> None:
    request = await _ask(loss.new)
    root = request.roots[0]
    _refused(loss, replace(request, roots=(replace(root, raw=RawText(root.raw.text, None)),)), SignerError)
    altered = RawText(root.raw.text.replace('"version":"2.0"', '"version":"2.1"'), root.raw.signature)
    assert altered != root.raw
    _refused(loss, replace(request, roots=(replace(root, raw=altered),)), SignerError)


async def test_another_recovery_key_opens_nothing(loss: Loss) -> None:
    request = await _ask(loss.new)
    opened, refused = open_roots(request, rsa_key("mallory"), now=loss.world.clock.now())
    assert opened == []
    assert isinstance(refused[0].error, NotAMemberError)


async def test_a_damaged_row_of_a_given_key_is_told(loss: Loss) -> None:
    loss.new.state.spaces["key/handed"] = {"1": b"short"}
    with pytest.raises(CorruptStateError):
        handed_key(loss.new.account.store, FileId(1))
