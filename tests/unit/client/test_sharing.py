"""Sharing, taking back, trust: what each person can read, and what stops when a key changed."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.sim import World, rsa_key, stock
from tests.sim.remote import SimRemote
from tests.unit.client.devices import Device

from candado.client import edit, enrol, inspect, links, sharing, trust
from candado.client.reader import FolderReader
from candado.crypto.x509 import make_csr
from candado.errors import (
    CandadoError,
    ContextError,
    ForbiddenError,
    IncompleteKeysError,
    KeyChangedError,
    KeysExistError,
    MalformedError,
    NoKeysError,
    NotAMemberError,
    NotFoundError,
    PeerWithoutKeysError,
    StoreLieError,
    UntrustedCertificateError,
    UsageError,
    WrongMnemonicError,
)
from candado.types import SecretText, UserId

BOB = UserId("bob")
FILES = {"top": b"1", "a/x": b"2", "a/deep/y": b"3"}
TREE = {"top": b"1", "a": None, "a/x": b"2", "a/deep": None, "a/deep/y": b"3"}


@pytest.fixture(params=["ours", "stock"])
def world(request: pytest.FixtureRequest) -> World:
    world = World("alice", "bob", "carol")
    if request.param == "stock":
        world.server.capabilities = stock()
    return world


async def _alice(world: World) -> Device:
    device = Device(world)
    await edit.encrypt_folder(device.account, "/Secret")
    await device.put("/Secret", FILES)
    return device


async def test_a_shared_folder_is_read_and_written_by_both(world: World) -> None:
    alice, bob = await _alice(world), Device(world, "bob")
    report = await sharing.share(alice.account, "/Secret", BOB)
    assert (report.rekeyed_folders, report.was_member, report.fingerprint.verified) == (3, False, False)
    assert await bob.tree() == TREE
    await bob.put("/Secret/a", {"from-bob": b"4"})
    expected = TREE | {"a/from-bob": b"4"}
    assert await alice.tree() == expected
    assert await Device(world).tree() == expected
    assert "members.added" not in alice.codes()


async def test_after_unshare_the_person_reads_nothing_and_the_others_everything(world: World) -> None:
    alice, bob = await _alice(world), Device(world, "bob")
    await sharing.share(alice.account, "/Secret", BOB)
    await sharing.share(alice.account, "/Secret", UserId("carol"))
    assert await bob.tree() == TREE
    bob_reader = bob.reader()
    root = await bob_reader.open_root("/Secret")
    report = await sharing.unshare(alice.account, "/Secret", BOB)
    assert (report.was_member, report.had_share, report.rekeyed_folders, report.readable_files) == (True, True, 3, 3)
    await alice.put("/Secret", {"later": b"5"})
    with pytest.raises(CandadoError):
        await bob.tree()
    assert root.folder is not None
    text, _ = world.server.tree.metadata[root.file_id]
    assert '"bob"' not in text
    assert await Device(world, "carol").tree() == TREE | {"later": b"5"}
    with pytest.raises(NotFoundError):
        await sharing.unshare(alice.account, "/Secret", BOB)


async def test_a_person_taken_out_is_refused_by_the_metadata_even_when_the_share_stays(world: World) -> None:
    alice, bob = await _alice(world), Device(world, "bob")
    await sharing.share(alice.account, "/Secret", BOB)
    shares = dict(world.server.shares)
    await sharing.unshare(alice.account, "/Secret", BOB)
    world.server.shares = shares
    with pytest.raises(NotAMemberError):
        await bob.tree()
    rows = await sharing.list_shares(alice.account, "/Secret")
    assert [(row.user_id, row.member, row.shared) for row in rows] == [(BOB, False, True)]
    await sharing.unshare(alice.account, "/Secret", BOB)
    assert await sharing.list_shares(alice.account) == []


async def test_a_refused_share_takes_the_person_out_of_the_metadata_again(world: World) -> None:
    alice = Device(world, remote=world.hostile("alice"))
    await edit.encrypt_folder(alice.account, "/Secret")
    await alice.put("/Secret", FILES)
    alice.remote.fail("create_share", ForbiddenError())
    with pytest.raises(ForbiddenError):
        await sharing.share(alice.account, "/Secret", BOB)
    root = await alice.reader().open_root("/Secret")
    assert root.folder is not None
    assert [member.user_id for member in root.folder.members] == ["alice"]
    assert len(root.folder.content.key_checksums or ()) == 3
    assert await alice.tree() == TREE


async def test_sharing_with_somebody_without_keys_changes_nothing(world: World) -> None:
    alice = await _alice(world)
    world.server.users["bob"].certificate = None
    world.server.log.clear()
    with pytest.raises(PeerWithoutKeysError):
        await sharing.share(alice.account, "/Secret", BOB)
    assert {request.method for request in world.server.log} == {"list_folder", "certificates"}


async def test_a_replaced_key_stops_sharing_until_a_person_decides(world: World) -> None:
    alice = await _alice(world)
    first = await trust.fingerprint(alice.account, BOB)
    world.enrol("bob", "another key of bob")
    with pytest.raises(KeyChangedError):
        await sharing.share(alice.account, "/Secret", BOB)
    assert "key.changed" in alice.codes()
    assert alice.account.book.peers()[BOB].key_fingerprint == first.hex
    trust.forget(alice.account, BOB)
    await sharing.share(alice.account, "/Secret", BOB)
    assert await Device(world, "bob").tree() == TREE


async def test_a_key_is_verified_by_words_or_digits_and_by_nothing_else(world: World) -> None:
    alice = await _alice(world)
    with pytest.raises(UntrustedCertificateError):
        await sharing.share(alice.account, "/Secret", BOB, require_verified=True)
    shown = await trust.fingerprint(alice.account, BOB)
    own = await trust.fingerprint(Device(world, "bob").account)
    assert (shown.hex, shown.words, own.own) == (own.hex, own.words, True)
    with pytest.raises(UntrustedCertificateError):
        await trust.verify(alice.account, BOB, shown.hex[:-1] + ("0" if shown.hex[-1] != "0" else "1"))
    assert not trust.known_peers(alice.account)[0].verified
    assert (await trust.verify(alice.account, BOB, shown.words.upper().replace("-", " "))).verified
    trust.forget(alice.account, BOB)
    assert (await trust.verify(alice.account, BOB, shown.grouped)).verified
    report = await sharing.share(alice.account, "/Secret", BOB, require_verified=True)
    assert report.fingerprint.verified


async def test_a_certificate_that_the_pinned_authority_did_not_sign_is_refused(world: World) -> None:
    alice = await _alice(world)
    world.server.authority = rsa_key("another authority")
    world.enrol("bob")
    with pytest.raises(UntrustedCertificateError):
        await sharing.share(alice.account, "/Secret", BOB)
    assert alice.account.book.peers() == {}


async def test_a_folder_is_not_shared_with_oneself_or_from_inside(world: World) -> None:
    alice = await _alice(world)
    with pytest.raises(UsageError):
        await sharing.share(alice.account, "/Secret", UserId("alice"))
    with pytest.raises(CandadoError, match="not the top"):
        await sharing.share(alice.account, "/Secret/a", BOB)


async def test_a_read_only_share_lets_read_and_not_write(world: World) -> None:
    alice, bob = await _alice(world), Device(world, "bob")
    await sharing.share(alice.account, "/Secret", BOB, read_only=True)
    assert await bob.tree() == TREE
    with pytest.raises(ForbiddenError) as caught:
        await bob.put("/Secret", {"x": b"1"})
    assert caught.value.path == "/Secret"
    rows = await sharing.list_shares(alice.account)
    assert [(row.user_id, row.member, row.shared, row.read_only) for row in rows] == [(BOB, True, True, True)]


async def test_a_member_sees_the_owner_and_the_members_and_can_take_neither_owner_nor_itself_out(world: World) -> None:
    alice, bob = await _alice(world), Device(world, "bob")
    await sharing.share(alice.account, "/Secret", BOB)
    await sharing.share(alice.account, "/Secret", UserId("carol"))
    rows = await sharing.list_shares(bob.account, "/Secret")
    assert [(row.user_id, row.is_owner, row.member, row.shared, row.read_only) for row in rows] == [
        ("alice", True, True, None, None),
        ("carol", False, True, None, None),
    ]
    world.server.log.clear()
    for user in ("alice", "bob"):
        with pytest.raises(UsageError):
            await sharing.unshare(bob.account, "/Secret", UserId(user))
    assert "lock" not in [request.method for request in world.server.log]
    assert await alice.tree() == TREE


async def test_the_administrator_sees_sealed_names_only(world: World) -> None:
    alice = await _alice(world)
    await alice.put("/Secret", {"A name to look for.txt": b"9"})
    view = await inspect.server_view(alice.account, "/Secret")
    assert (view.members, view.clear_names, len(view.lines)) == (("alice",), 6, 7)
    text = " ".join(line.path for line in view.lines)
    assert "look" not in text
    assert inspect.status(alice.account).roots[0].path == "/Secret"
    assert (await inspect.whoami(alice.account)).display_name == "Alice"


# --- keys of an account -----------------------------------------------------------------------------------


def _fresh(world: World) -> Device:
    world.server.add_user("dora")
    return Device(world, "dora", enrolled=False)


async def test_the_words_of_the_first_device_let_the_second_join() -> None:
    world = World()
    first = _fresh(world)
    words = await enrol.init_first(first.account)
    second = Device(world, "dora", enrolled=False)
    assert enrol.show_mnemonic(first.account) == words
    spelled = "\n".join(f" {n}. {word.upper()}" for n, word in enumerate(words.reveal().split(), 1))
    await enrol.init_further(second.account, SecretText(spelled))
    assert second.account.require_identity().key.public == first.account.require_identity().key.public
    assert enrol.show_mnemonic(second.account) == words
    with pytest.raises(KeysExistError):
        await enrol.init_first(second.account)
    third = Device(world, "dora", enrolled=False)
    with pytest.raises(KeysExistError):
        await enrol.init_first(third.account)


async def test_wrong_words_join_nothing() -> None:
    world = World()
    words = await enrol.init_first(_fresh(world).account)
    other = Device(world, "dora", enrolled=False)
    listed = words.reveal().split()
    with pytest.raises(WrongMnemonicError):
        await enrol.init_further(other.account, SecretText(" ".join([*listed[:-1], listed[0]])))
    with pytest.raises(WrongMnemonicError, match="not 11"):
        await enrol.init_further(other.account, SecretText(" ".join(listed[:-1])))
    with pytest.raises(WrongMnemonicError, match="Word 3"):
        await enrol.init_further(other.account, SecretText(" ".join([*listed[:2], "xyzzyx", *listed[3:]])))
    assert other.account.identity is None


async def test_a_device_with_keys_makes_no_new_ones_when_the_server_hides_them() -> None:
    world = World()
    device = _fresh(world)
    await enrol.init_first(device.account)
    world.server.users["dora"].certificate = None
    world.server.users["dora"].private_key = None
    world.server.log.clear()
    with pytest.raises(ContextError) as caught:
        await enrol.init_first(device.start())
    assert caught.value.event == "own.keys-missing"
    with pytest.raises(NoKeysError):
        await enrol.init_further(Device(world, "dora", enrolled=False).account, SecretText("abandon " * 12))
    assert {request.method for request in world.server.log} == {"certificates", "private_key"}


async def test_a_certificate_for_another_key_is_refused_and_nothing_is_wrapped() -> None:
    world = World()
    world.server.add_user("dora")
    hostile = world.hostile("dora")
    device = Device(world, "dora", remote=hostile, enrolled=False)
    foreign = world.enrol("mallory-dora", "foreign").certificate.pem
    hostile.replace("register_certificate", lambda _: foreign)
    world.server.log.clear()
    with pytest.raises(ContextError) as caught:
        await enrol.init_first(device.account)
    assert caught.value.event == "own.cert-mismatch"
    assert "store_private_key" not in [request.method for request in world.server.log]
    assert device.account.identity is None
    assert device.account.load_pending() is None


async def test_an_incomplete_set_of_keys_is_reset_with_the_login_password_only() -> None:
    world = World()
    device = _fresh(world)
    await enrol.init_first(device.account)
    world.server.users["dora"].private_key = None
    other = Device(world, "dora", enrolled=False)
    with pytest.raises(IncompleteKeysError):
        await enrol.init_first(other.account)
    with pytest.raises(ForbiddenError):
        await enrol.reset(other.account, SecretText("not the password"))
    await enrol.reset(other.account, SecretText(world.server.users["dora"].password))
    assert other.account.identity is not None


async def test_a_private_key_that_was_acknowledged_and_not_stored_is_noticed() -> None:
    world = World()
    world.server.add_user("dora")
    hostile = world.hostile("dora")
    device = Device(world, "dora", remote=hostile, enrolled=False)
    hostile.lie_store("store_private_key")
    with pytest.raises(StoreLieError):
        await enrol.init_first(device.account)
    assert device.account.identity is None
    hostile.honest()
    await enrol.init_first(device.account)
    assert device.account.identity is not None


async def test_an_empty_answer_is_never_taken_for_no_keys() -> None:
    world = World()
    world.server.add_user("dora")
    hostile = world.hostile("dora")
    device = Device(world, "dora", remote=hostile, enrolled=False)
    world.enrol("dora")
    hostile.replace("certificates", lambda _: {UserId("dora"): ""})
    world.server.log.clear()
    with pytest.raises(MalformedError):
        await enrol.init_first(device.account)
    assert "register_certificate" not in [request.method for request in world.server.log]


# --- ends, and links -----------------------------------------------------------------------------------------


def _lists(world: World) -> int:
    return sum(request.method == "list_shares" for request in world.server.log)


async def test_a_member_whose_share_is_over_is_taken_out_with_the_next_write(world: World) -> None:
    alice = await _alice(world)
    bob = Device(world, "bob")
    day = datetime.fromtimestamp(world.clock.now() + 86400, UTC).strftime("%Y-%m-%d")
    await sharing.share(alice.account, "/Secret", BOB, last_day=day)
    assert await bob.tree() == TREE
    asked = _lists(world)
    await alice.put("/Secret/a", {"before": b"5"})
    assert _lists(world) == asked
    world.clock.advance(3 * 86400)
    (share_id,) = world.server.shares
    world.server.end_share(share_id)
    await alice.put("/Secret/a", {"after": b"6"})
    root = (await FolderReader(alice.account).open_root("/Secret")).folder
    assert root is not None
    assert [member.user_id for member in root.members] == ["alice"]
    assert "share.over" in alice.codes()
    assert await alice.tree() == TREE | {"a/before": b"5", "a/after": b"6"}
    assert await Device(world).tree() == TREE | {"a/before": b"5", "a/after": b"6"}


async def test_a_member_whose_share_was_prolonged_meanwhile_stays(world: World) -> None:
    alice = await _alice(world)
    day = datetime.fromtimestamp(world.clock.now() + 86400, UTC).strftime("%Y-%m-%d")
    await sharing.share(alice.account, "/Secret", BOB, last_day=day)
    world.clock.advance(3 * 86400)
    (share_id,) = world.server.shares
    world.server.shares[share_id] = replace(world.server.shares[share_id], last_day="2999-01-01")
    await alice.put("/Secret", {"more": b"5"})
    root = (await FolderReader(alice.account).open_root("/Secret")).folder
    assert root is not None
    assert [member.user_id for member in root.members] == ["alice", "bob"]
    assert "share.over" not in alice.codes()


async def test_a_link_whose_certificate_is_for_another_key_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A77: the server has the link certified for a key of its own."""
    alice = await _alice(world)
    before = (await FolderReader(alice.account).open_root("/Secret")).folder
    real = SimRemote.register_certificate

    async def swapped(remote: SimRemote, csr_pem: str, *, link: str = "") -> str:
        del csr_pem
        return await real(remote, make_csr(rsa_key("mallory"), f"s:{link}"), link=link)

    monkeypatch.setattr(SimRemote, "register_certificate", swapped)
    with pytest.raises(UntrustedCertificateError):
        await links.create_link(alice.account, "/Secret")
    assert world.server.shares == {}
    after = (await FolderReader(alice.account).open_root("/Secret")).folder
    assert before is not None
    assert after is not None
    assert (after.digest, after.metadata_key) == (before.digest, before.metadata_key)


async def test_a_link_is_a_member_of_a_folder_of_version_2_1_until_it_is_taken_back(world: World) -> None:
    alice = await _alice(world)
    made = await links.create_link(alice.account, "/Secret", label="Eve", last_day="2999-01-01")
    token = made.address.token
    root = (await FolderReader(alice.account).open_root("/Secret")).folder
    assert root is not None
    assert (root.version, [member.user_id for member in root.members]) == ("2.1", ["alice", f"s:{token}"])
    (listed,) = await links.list_links(alice.account)
    assert (listed.token, listed.member, listed.is_drop) == (token, True, False)
    with pytest.raises(UsageError):
        await sharing.unshare(alice.account, "/Secret", UserId(f"s:{token}"))
    world.server.shares.clear()
    (gone,) = await links.list_links(alice.account, "/Secret")
    assert (gone.share, gone.member) == (None, True)
    done = await links.revoke_link(alice.account, token)
    assert (done.was_member, done.had_share, done.rekeyed_folders) == (True, False, 3)
    after = (await FolderReader(alice.account).open_root("/Secret")).folder
    assert after is not None
    assert (after.version, [member.user_id for member in after.members]) == ("2.1", ["alice"])
    assert after.metadata_key != root.metadata_key
