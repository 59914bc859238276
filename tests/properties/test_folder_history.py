"""Histories of one root: whatever members write is accepted in order by everybody, and nothing else ever is.

A rule-based machine lets alice, bob and carol write, add and remove each other, with and without a new key, while a device
watches. The server keeps every document and offers old ones, mixed ones and altered ones at any time.
"""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.sim import World

from candado.errors import CandadoError, CounterRollbackError, CryptoError, ForkError, FormatError, TamperError
from candado.folder.members import add_member, remove_member, rotate_key
from candado.folder.model import (
    Accepted,
    AccountPins,
    FolderPin,
    Member,
    OpenFolder,
    RawText,
    RootPosition,
)
from candado.folder.names import NAME_BYTES_MAX, check_clear_name, collision_key, unique_name
from candado.folder.opening import accept_metadata
from candado.folder.sealing import SealedWrite, new_content, next_counter, seal_root
from candado.formats.metadata import Entry
from candado.types import Counter, FileId, FileKey, MetadataKey, Nonce, SealedName, Tag, UserId

ROOT = FileId(1)
USERS = ("alice", "bob", "carol")
WORLD = World(*USERS, "mallory")
NOW = WORLD.clock.now() + 10.0


class Device:
    """One device of one user, which commits what it accepts."""

    def __init__(self, user: str) -> None:
        self.identity = WORLD.identity(user)
        self.pins: AccountPins = WORLD.pins(user)
        self.pin: FolderPin | None = None

    def accept(self, raw: RawText) -> Accepted:
        accepted = accept_metadata(
            RootPosition(ROOT, owned=False, pin=self.pin),
            raw,
            pins=self.pins,
            identity=self.identity,
            now=NOW,
        )
        self.pins = replace(self.pins, peers={**self.pins.peers, **accepted.new_peers})
        self.pin = FolderPin.from_json(accepted.pin.to_json())
        return accepted


class History(RuleBasedStateMachine):
    """The true history, and alice's phone that sees what the server wants it to see."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0
        self.written: list[SealedWrite] = []
        self.phone = Device("alice")
        self.seen = -1

    def fresh(self, size: int) -> bytes:
        self.numbers += 1
        return self.numbers.to_bytes(size, "big")

    def write(self, writer: str, folder: OpenFolder | None, **options: Any) -> None:
        content = new_content() if folder is None else folder.content
        previous = None if folder is None else self.written[-1].pin
        checksums = options.pop("key_checksums", content.key_checksums)
        self.numbers += 1
        name = f"{self.numbers:032x}"
        entry = Entry(f"{name}.txt", "text/plain", FileKey(self.fresh(16)), Nonce(self.fresh(12)), Tag(bytes(16)))
        content = replace(
            content,
            counter=next_counter(content.counter, None),
            key_checksums=checksums,
            files={**content.files, SealedName(name): entry},
        )
        arguments: dict[str, Any] = {
            "members": () if folder is None else folder.members,
            "metadata_key": None if folder is None else folder.metadata_key,
            **options,
        }
        self.written.append(
            seal_root(
                content=content,
                version="2.0",
                file_id=ROOT,
                identity=WORLD.identity(writer),
                drops_raw={},
                nonce=Nonce(self.fresh(12)),
                now=NOW,
                previous=previous,
                **arguments,
            )
        )

    @property
    def head(self) -> OpenFolder:
        return self.written[-1].folder

    def raw(self, index: int) -> RawText:
        return RawText(self.written[index].text, self.written[index].signature_b64)

    @initialize()
    def begin(self) -> None:
        alice = WORLD.identity("alice")
        self.write(
            "alice", None, members=(Member(alice.user_id, alice.certificate),), metadata_key=MetadataKey(self.fresh(16))
        )

    def writer(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from([str(member.user_id) for member in self.head.members]))

    @rule(data=st.data())
    def somebody_writes(self, data: st.DataObject) -> None:
        self.write(self.writer(data), self.head)

    @rule(data=st.data(), user=st.sampled_from(USERS))
    def somebody_is_added(self, data: st.DataObject, user: str) -> None:
        assume(self.head.member(UserId(user)) is None)
        change = add_member(self.head, WORLD.identity(user).certificate, MetadataKey(self.fresh(16)))
        self.write(
            self.writer(data),
            self.head,
            members=change.members,
            metadata_key=change.metadata_key,
            key_checksums=change.key_checksums,
        )

    @rule(data=st.data(), user=st.sampled_from(USERS[1:]))
    def somebody_is_removed(self, data: st.DataObject, user: str) -> None:
        assume(self.head.member(UserId(user)) is not None)
        writer = self.writer(data)
        assume(writer != user)
        change = remove_member(self.head, UserId(user), MetadataKey(self.fresh(16)))
        self.write(
            writer,
            self.head,
            members=change.members,
            metadata_key=change.metadata_key,
            key_checksums=change.key_checksums,
        )

    @rule(data=st.data())
    def the_key_is_rotated(self, data: st.DataObject) -> None:
        change = rotate_key(self.head, MetadataKey(self.fresh(16)))
        self.write(self.writer(data), self.head, metadata_key=change.metadata_key, key_checksums=change.key_checksums)

    @rule()
    def the_phone_follows(self) -> None:
        for index in range(max(self.seen, 0), len(self.written)):
            accepted = self.phone.accept(self.raw(index))
            assert accepted.folder.content == self.written[index].folder.content
        self.seen = len(self.written) - 1

    @precondition(lambda self: self.seen > 0)
    @rule(data=st.data())
    def the_server_replays(self, data: st.DataObject) -> None:
        old = data.draw(st.integers(0, self.seen - 1))
        before = self.phone.pin
        with pytest.raises((TamperError, CryptoError)):
            self.phone.accept(self.raw(old))
        assert self.phone.pin == before

    @precondition(lambda self: self.seen > 0)
    @rule(data=st.data())
    def the_server_mixes_documents_and_signatures(self, data: st.DataObject) -> None:
        one, other = data.draw(st.lists(st.integers(0, self.seen), min_size=2, max_size=2, unique=True))
        with pytest.raises(CandadoError):
            self.phone.accept(RawText(self.raw(one).text, self.raw(other).signature))

    @precondition(lambda self: self.seen >= 0)
    @rule(data=st.data())
    def a_removed_member_writes_on(self, data: st.DataObject) -> None:
        assert self.phone.pin is not None
        former = [user for user in self.phone.pin.former if user != "alice"]
        assume(former)
        user = data.draw(st.sampled_from(former))
        folder = self.written[self.seen].folder
        member = Member(user, WORLD.identity(user).certificate)
        members = (*(each for each in folder.members if each.user_id != user), member)
        forged = seal_root(
            content=replace(folder.content, counter=Counter(folder.counter + 1)),
            members=members,
            metadata_key=folder.metadata_key,
            version="2.0",
            file_id=ROOT,
            identity=WORLD.identity(user),
            drops_raw={},
            nonce=Nonce(self.fresh(12)),
            now=NOW,
        )
        with pytest.raises(TamperError):
            self.phone.accept(RawText(forged.text, forged.signature_b64))

    @precondition(lambda self: self.seen >= 0)
    @rule(data=st.data())
    def two_members_write_at_once(self, data: st.DataObject) -> None:
        folder = self.written[self.seen].folder
        fork = seal_root(
            content=replace(folder.content, files={}),
            members=folder.members,
            metadata_key=folder.metadata_key,
            version="2.0",
            file_id=ROOT,
            identity=WORLD.identity(str(data.draw(st.sampled_from([each.user_id for each in folder.members])))),
            drops_raw={},
            nonce=Nonce(self.fresh(12)),
            now=NOW,
        )
        with pytest.raises((ForkError, TamperError)):
            self.phone.accept(RawText(fork.text, fork.signature_b64))

    @invariant()
    def the_phone_stands_where_it_was_led(self) -> None:
        if self.seen >= 0 and self.phone.pin is not None:
            assert self.phone.pin.counter == self.written[self.seen].pin.counter
            assert self.phone.pin.digest == self.written[self.seen].digest


TestHistory = History.TestCase


def _baseline() -> tuple[Device, RawText]:
    device = Device("alice")
    members = [Member(WORLD.identity(user).user_id, WORLD.identity(user).certificate) for user in ("alice", "bob")]
    arguments: dict[str, Any] = {
        "members": members,
        "metadata_key": MetadataKey(b"k" * 16),
        "version": "2.0",
        "file_id": ROOT,
        "drops_raw": {},
        "now": NOW,
    }
    first = seal_root(
        content=replace(new_content(), counter=Counter(1)),
        identity=WORLD.identity("alice"),
        nonce=Nonce(b"1" * 12),
        **arguments,
    )
    device.accept(RawText(first.text, first.signature_b64))
    second = seal_root(
        content=replace(new_content(), counter=Counter(2)),
        identity=WORLD.identity("bob"),
        nonce=Nonce(b"2" * 12),
        **arguments,
    )
    return device, RawText(second.text, second.signature_b64)


DEVICE, NEXT = _baseline()


@given(st.data())
def test_no_change_of_one_character_gives_another_state(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(NEXT.text) - 1))
    character = data.draw(st.sampled_from('aZ09+/="\\{}[]:, \x00é'))
    text = NEXT.text[:at] + character + NEXT.text[at + 1 :]
    device = Device("alice")
    device.pin, device.pins = DEVICE.pin, DEVICE.pins
    try:
        accepted = device.accept(RawText(text, NEXT.signature))
    except (TamperError, FormatError, CryptoError):
        return
    assert json.loads(text) == json.loads(NEXT.text)
    assert accepted.folder.counter == 2


@given(st.data())
def test_no_change_of_one_byte_of_the_signature_gives_another_signer(data: st.DataObject) -> None:
    der = bytearray(base64.b64decode(NEXT.signature or ""))
    at = data.draw(st.integers(0, len(der) - 1))
    der[at] ^= data.draw(st.integers(1, 255))
    device = Device("alice")
    device.pin, device.pins = DEVICE.pin, DEVICE.pins
    try:
        accepted = device.accept(RawText(NEXT.text, base64.b64encode(der).decode()))
    except (TamperError, FormatError, CryptoError):
        return
    assert accepted.folder.signer == "bob"


@given(
    st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")),
    st.none() | st.text(max_size=50),
)
def test_any_text_gives_an_error_of_the_tree_and_nothing_else(text: str, signature: str | None) -> None:
    device = Device("alice")
    device.pin, device.pins = DEVICE.pin, DEVICE.pins
    with pytest.raises((TamperError, FormatError, CryptoError)):
        device.accept(RawText(text, signature))


def test_the_baseline_is_accepted_and_then_only_once_more_as_itself() -> None:
    device = Device("alice")
    device.pin, device.pins = DEVICE.pin, DEVICE.pins
    first = device.accept(NEXT)
    assert device.accept(NEXT).pin == first.pin
    with pytest.raises(CounterRollbackError):
        device.accept(_older())


def _older() -> RawText:
    members = [Member(WORLD.identity(user).user_id, WORLD.identity(user).certificate) for user in ("alice", "bob")]
    write = seal_root(
        content=replace(new_content(), counter=Counter(1)),
        members=members,
        metadata_key=MetadataKey(b"k" * 16),
        version="2.0",
        file_id=ROOT,
        identity=WORLD.identity("alice"),
        drops_raw={},
        nonce=Nonce(b"3" * 12),
        now=NOW,
    )
    return RawText(write.text, write.signature_b64)


@given(
    st.text(min_size=1, max_size=80),
    st.sets(st.text(min_size=1, max_size=10), max_size=5),
    st.sampled_from(["", "dropped"]),
)
def test_a_unique_name_is_free_and_may_be_written_when_the_wanted_one_may(
    name: str, taken: set[str], label: str
) -> None:
    keys = {collision_key(each) for each in [*taken, name]}
    try:
        check_clear_name(name)
    except CandadoError:
        assume(False)
    unique = unique_name(name, keys, label=label)
    check_clear_name(unique)
    assert collision_key(unique) not in keys
    assert len(unique.encode()) <= NAME_BYTES_MAX


@given(st.text(max_size=40))
def test_collision_keys_are_stable(name: str) -> None:
    assert collision_key(collision_key(name)) == collision_key(name)
