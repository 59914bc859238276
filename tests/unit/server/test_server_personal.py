"""What a user is shown of the own keys and encrypted folders, and giving up the keys."""

import base64

import pytest
from tests.unit.server.test_server_revocations import KEYS, Signer
from tests.unit.server.world import ALICE, BOB, World
from tests.vectors.keys import private_key

from candado.crypto.x509 import make_csr
from candado.errors import ForbiddenError, NoKeysError
from candado.server.personal import EncryptedFolder, OwnKeys, Personal
from candado.server.pki import Pki
from candado.server.revocations import Revocations
from candado.types import UserId

WRAPPED = "|".join(base64.b64encode(bytes(size)).decode() for size in (64, 12, 40))


@pytest.fixture
def personal(world: World) -> Personal:
    return Personal(world.backend)


async def test_encrypted_folders_are_listed_with_path_size_and_shares_and_nothing_below_them(
    world: World, personal: Personal
) -> None:
    await world.files.make_folder(ALICE, "plain", token=None)
    first = await world.encrypted_root("plain/Secret")
    second = await world.encrypted_root("Über <b>")
    token = await world.lock(second, 2)
    await world.files.make_folder(ALICE, "Über <b>/inner", token=token)
    await world.put("Über <b>/body", b"12345", token=token)
    await world.sessions.unlock(ALICE, second.file_id, token=token)
    await world.share(first, BOB.user_id)
    now = world.clock.now()
    assert await personal.encrypted_folders(ALICE.user_id) == [
        EncryptedFolder(first.file_id, "/plain/Secret", 0, now, 1),
        EncryptedFolder(second.file_id, "/Über <b>", 5, now, 0),
    ]
    # What is shared with him is somebody else's.
    assert await personal.encrypted_folders(BOB.user_id) == []
    assert await personal.encrypted_folders(UserId("nobody")) == []


async def test_a_folder_without_metadata_was_never_changed(world: World, personal: Personal) -> None:
    folder = await world.files.make_folder(ALICE, "empty", token=None)
    await world.metadata.mark_encrypted(ALICE, folder.file_id)
    assert await personal.encrypted_folders(ALICE.user_id) == [EncryptedFolder(folder.file_id, "/empty", 0, None, 0)]


async def test_keys_are_shown_as_far_as_there_are_any(world: World, personal: Personal) -> None:
    signer = Signer(private_key("authority"))
    pki = Pki(world.backend, signer)
    nothing = OwnKeys(None, None, is_revoked=False, has_private_key=False)
    assert await personal.keys(ALICE.user_id) == nothing
    await pki.register(ALICE, make_csr(KEYS["alice"], "alice"))
    keys = await personal.keys(ALICE.user_id)
    assert keys.certificate is not None
    assert keys.certificate.public_key == KEYS["alice"].public
    assert (keys.stored_at, keys.is_revoked, keys.has_private_key) == (world.clock.now(), False, False)
    await pki.store_private_key(ALICE.user_id, WRAPPED)
    assert (await personal.keys(ALICE.user_id)).has_private_key
    await Revocations(world.backend, signer).revoke("alice", "key-compromise")
    assert (await personal.keys(ALICE.user_id)).is_revoked


async def test_keys_are_given_up_together_and_stay_on_record(world: World, personal: Personal) -> None:
    pki = Pki(world.backend, Signer(private_key("authority")))
    for who in (ALICE, BOB):
        await pki.register(who, make_csr(KEYS[who.user_id], who.user_id))
        await pki.store_private_key(who.user_id, WRAPPED)
    await personal.reset_keys(ALICE.user_id)
    await personal.reset_keys(ALICE.user_id)
    assert await personal.keys(ALICE.user_id) == OwnKeys(None, None, is_revoked=False, has_private_key=False)
    with pytest.raises(NoKeysError):
        await pki.private_key(ALICE.user_id)
    assert await world.rows("SELECT user_id, revoked FROM certificates ORDER BY user_id") == [
        ("alice", world.clock.now()),
        ("bob", None),
    ]
    assert (await personal.keys(BOB.user_id)).has_private_key
    # The way is free for new keys, and the old one is no stranger.
    await pki.register(ALICE, make_csr(KEYS["alice"], "alice"))
    with pytest.raises(ForbiddenError):
        await pki.register(ALICE, make_csr(KEYS["bob"], "bob"))
