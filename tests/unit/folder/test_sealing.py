"""Edits, sealing and what a device accepts of it: what we write, we accept, and it keeps to the one written form."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.sim import World

from candado.crypto.keywrap import key_checksum
from candado.errors import (
    CorruptStateError,
    LimitExceededError,
    MisuseError,
    UntrustedCertificateError,
)
from candado.folder.members import add_member, remove_member, rotate_key
from candado.folder.model import Accepted, FolderPin, Member, NestedPosition, RawText, RootPosition
from candado.folder.names import collision_key, unique_name
from candado.folder.opening import accept_metadata
from candado.folder.sealing import (
    SealedWrite,
    new_content,
    next_counter,
    seal_nested,
    seal_root,
)
from candado.formats.metadata import Entry
from candado.types import (
    COUNTER_MAX,
    Counter,
    FileId,
    FileKey,
    MetadataKey,
    Nonce,
    SealedName,
    Tag,
    UserId,
)

ROOT, NESTED = FileId(10), FileId(11)
NAME, SUB = SealedName("0a" * 16), SealedName("0b" * 16)
K1, K2, K3 = (MetadataKey(bytes([number]) * 16) for number in (1, 2, 3))
WORLD = World("alice", "bob", "s:link")
NOW = WORLD.clock.now() + 100.0


def member(user: str) -> Member:
    return Member(UserId(user), WORLD.identity(user).certificate)


def entry(name: str, number: int = 1) -> Entry:
    return Entry(name, "text/plain", FileKey(bytes([number]) * 16), Nonce(bytes(12)), Tag(bytes(16)))


def seal(counter: int = 1, users: tuple[str, ...] = ("alice", "bob"), **options: Any) -> SealedWrite:
    arguments: dict[str, Any] = {
        "content": replace(new_content(), counter=Counter(counter)),
        "members": [member(user) for user in users],
        "metadata_key": K1,
        "version": "2.0",
        "file_id": ROOT,
        "identity": WORLD.identity("alice"),
        "drops_raw": {},
        "nonce": Nonce(bytes(12)),
        "now": NOW,
        **options,
    }
    return seal_root(**arguments)


def seal_sub(root: SealedWrite, counter: int = 1, **options: Any) -> SealedWrite:
    arguments: dict[str, Any] = {
        "content": replace(new_content(), counter=Counter(counter)),
        "root": root.folder,
        "file_id": NESTED,
        "parent_id": ROOT,
        "sealed_name": SUB,
        "identity": WORLD.identity("alice"),
        "nonce": Nonce(bytes(12)),
        "now": NOW,
        **options,
    }
    return seal_nested(**arguments)


def accept(write: SealedWrite, user: str = "bob", position: Any = None) -> Accepted:
    return accept_metadata(
        position or RootPosition(ROOT, owned=False, pin=None),
        RawText(write.text, write.signature_b64),
        pins=WORLD.pins(user, peers=("alice", "bob", "s:link")),
        identity=WORLD.identity(user),
        now=NOW,
    )


def test_what_is_sealed_is_accepted_by_every_member_with_the_same_pin() -> None:
    content = replace(new_content(), counter=Counter(1), files={NAME: entry("Grüße.txt")}, folders={SUB: "Pläne"})
    write = seal(content=content, path_hint="/docs")
    for user in ("alice", "bob"):
        accepted = accept(write, user)
        assert replace(accepted.pin, path_hint="/docs") == write.pin
        assert accepted.folder.content == write.folder.content
        assert accepted.folder.metadata_key == K1
    root = accept(write)
    sub = seal_sub(write)
    nested = accept(sub, position=NestedPosition(NESTED, SUB, root.folder, root.folder, None))
    assert nested.pin == sub.pin
    assert nested.folder.content.key_checksums == (key_checksum(K1),)


def test_the_written_form_is_the_one_that_every_app_reads() -> None:
    document = json.loads(seal().text)
    assert document.keys() == {"metadata", "users", "version"}
    assert "|" not in document["metadata"]["ciphertext"]
    assert document["version"] == "2.0"
    assert seal().text.isascii()
    nested = json.loads(seal_sub(seal()).text)
    assert nested.keys() == {"metadata", "version"}


@pytest.mark.parametrize(
    ("version", "users", "written"),
    [
        ("2.0", ("alice",), "2.0"),
        ("2", ("alice",), "2.0"),
        ("2.1", ("alice",), "2.1"),
        ("2.0", ("alice", "s:link"), "2.1"),
    ],
)
def test_the_version_rises_for_a_public_link_and_never_falls(
    version: str, users: tuple[str, ...], written: str
) -> None:
    assert seal(users=users, version=version).pin.version == written


def test_drops_are_written_back_as_they_are() -> None:
    drops = {"d" * 32: {"any": ["thing"]}}
    write = seal(drops_raw=drops)
    assert json.loads(write.text)["filedrop"] == drops
    assert accept(write).pin.digest == write.digest


def test_a_writer_must_be_a_member_and_the_counter_must_grow() -> None:
    with pytest.raises(MisuseError):
        seal(users=("bob",))
    first = seal(counter=5)
    with pytest.raises(MisuseError):
        seal(counter=5, previous=first.pin)
    with pytest.raises(MisuseError):
        seal_sub(first, counter=3, previous=seal_sub(first, counter=3).pin)
    assert seal_sub(first, counter=4, previous=seal_sub(first, counter=3, path_hint="/d/s").pin).pin.path_hint == "/d/s"
    with pytest.raises(MisuseError):
        seal_sub(seal_sub(first))


def test_an_older_key_a_shorter_history_and_a_removal_under_the_old_key_are_never_written() -> None:
    first = seal(counter=1, path_hint="/docs")
    change = rotate_key(first.folder, K2)
    rekeyed = replace(first.folder.content, counter=Counter(2), key_checksums=change.key_checksums)
    second = seal(content=rekeyed, metadata_key=K2, previous=first.pin)
    assert (second.pin.path_hint, second.pin.key_checksums) == ("/docs", (key_checksum(K1), key_checksum(K2)))
    third = replace(rekeyed, counter=Counter(3))
    with pytest.raises(MisuseError, match="older metadata key"):
        seal(content=third, metadata_key=K1, previous=second.pin)
    with pytest.raises(MisuseError, match="shortened"):
        seal(content=replace(third, key_checksums=(key_checksum(K2),)), metadata_key=K2, previous=second.pin)
    with pytest.raises(MisuseError, match="new metadata key"):
        seal(content=third, metadata_key=K2, previous=second.pin, users=("alice",))
    with pytest.raises(MisuseError, match="new metadata key"):
        seal(content=third, metadata_key=K2, previous=replace(second.pin, must_rotate=True))
    removed = seal(content=third, metadata_key=K3, previous=second.pin, users=("alice",))
    assert dict(removed.pin.former) == {UserId("bob"): member("bob").key_fingerprint}
    back = seal(content=replace(removed.folder.content, counter=Counter(4)), metadata_key=K3, previous=removed.pin)
    assert dict(back.pin.former) == {}


# --- members ----------------------------------------------------------------------------------------------


def test_members_keep_their_order_and_every_change_brings_a_new_key() -> None:
    root = seal(users=("alice",)).folder
    added = add_member(root, WORLD.identity("bob").certificate, K2)
    assert [each.user_id for each in added.members] == ["alice", "bob"]
    assert (added.metadata_key, added.key_checksums) == (K2, (key_checksum(K1), key_checksum(K2)))
    both = seal().folder
    assert [each.user_id for each in remove_member(both, UserId("alice"), K2).members] == ["bob"]
    assert rotate_key(both, K2).members == both.members
    renewed = add_member(both, WORLD.identity("alice").certificate, K2)
    assert [each.user_id for each in renewed.members] == ["alice", "bob"]


def test_changes_of_members_that_make_no_sense_are_refused() -> None:
    both, alone = seal().folder, seal(users=("alice",)).folder
    with pytest.raises(MisuseError):
        remove_member(both, UserId("mallory"), K2)
    with pytest.raises(MisuseError):
        remove_member(alone, UserId("alice"), K2)
    with pytest.raises(MisuseError):
        rotate_key(both, K1)
    with pytest.raises(MisuseError):
        rotate_key(seal_sub(seal()).folder, K2)
    with pytest.raises(UntrustedCertificateError):
        add_member(alone, replace(WORLD.identity("alice").certificate, common_name="alice2"), K2)


# --- counters, pins, names, members of an opened folder ---------------------------------------------------


def test_the_next_counter_is_one_more_than_the_highest_known() -> None:
    assert next_counter(Counter(4), None) == 5
    assert next_counter(Counter(4), Counter(9)) == 10
    with pytest.raises(LimitExceededError):
        next_counter(Counter(COUNTER_MAX), None)


def test_a_pin_survives_its_text_form() -> None:
    for pin in (seal(path_hint="/Grüße").pin, seal_sub(seal()).pin, replace(seal().pin, must_rotate=True)):
        assert FolderPin.from_json(pin.to_json()) == pin


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"file_id": "1"},
        {"file_id": True},
        {"file_id": 0},
        {"counter": -1},
        {"members": []},
        {"members": {"a": 1}},
        {"key_checksums": {}},
        {"key_checksums": [1]},
        {"digest": None},
        {"sealed_name": "../x"},
    ],
)
def test_a_damaged_pin_is_never_read(change: dict[str, Any]) -> None:
    document = {**json.loads(seal().pin.to_json()), **change}
    with pytest.raises(CorruptStateError):
        FolderPin.from_json(json.dumps(document).encode())


def test_a_pin_that_is_not_an_object_or_lacks_a_member_is_never_read() -> None:
    document = json.loads(seal().pin.to_json())
    del document["digest"]
    for data in (b"", b"[]", b"{}", b"\xff", json.dumps(document).encode()):
        with pytest.raises(CorruptStateError):
            FolderPin.from_json(data)


def test_an_open_folder_finds_its_members_and_hides_its_key() -> None:
    folder = seal().folder
    assert folder.member(UserId("bob")) == member("bob")
    assert folder.member(UserId("mallory")) is None
    assert (folder.files, folder.folders) == ({}, {})
    assert "MetadataKey" not in repr(folder)
    assert K1.reveal().hex() not in repr(folder)


def test_unique_names_count_on_keep_the_extension_and_stay_within_the_limit() -> None:
    taken = {collision_key(name) for name in ("a", "a (2)", "x (dropped)")}
    assert unique_name("a", taken) == "a (3)"
    assert unique_name(".hidden", {".hidden"}) == ".hidden (2)"
    assert unique_name("x", taken, label="dropped") == "x (dropped 2)"
    long = unique_name("é" * 120 + ".text", {collision_key("é" * 120 + ".text")})
    assert long.endswith(" (2).text")
    assert len(unique_name("é" * 127, {collision_key("é" * 127)}).encode()) <= 255
