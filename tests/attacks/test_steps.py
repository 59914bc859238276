"""Check mutation: each numbered step of acceptance is taken out, and then an attack succeeds that it stops otherwise.

Step 1 (transport) and step 15 (commit) belong to the caller; what follows when step 15 is left out is shown here.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.attacks.scene import (
    K1,
    K2,
    NESTED_NAME,
    Scene,
    at_nested,
    at_root,
    event_codes,
    new_scene,
    sealed_name,
)

from candado.crypto import keywrap
from candado.crypto.sealing import SealedParts, open_text
from candado.errors import CandadoError, CounterRollbackError
from candado.folder import continuity, opening, trust
from candado.folder.model import Accepted, Position, RawText, Transition
from candado.formats import metadata
from candado.types import MetadataKey, Tag, UserId

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Removal:
    """A step, how to take it out, and an attack (document and position) that only this step stops."""

    label: str
    without: Callable[[Patch], None]
    attack: Callable[[Scene, Accepted], tuple[RawText, Position]]


def _too_long(scene: Scene, known: Accepted) -> tuple[RawText, Position]:
    good = scene.root(scene.content(6))
    return RawText(good.text + " " * (metadata.SEALED_BYTES_MAX + 1), good.signature), at_root(known.pin)


def _twice(scene: Scene, known: Accepted) -> tuple[RawText, Position]:
    good = scene.root(scene.content(6, "budget.txt"))
    hidden = json.dumps(json.loads(scene.root(scene.content(6, "evil.txt")).text)["users"])
    return RawText(f'{{"users":{hidden},{good.text[1:]}', good.signature), at_root(known.pin)


def _root_as_nested(scene: Scene, known: Accepted) -> tuple[RawText, Position]:
    return scene.root(scene.content(1, "evil.txt")), at_nested(known.folder)


def _old_version(scene: Scene, known: Accepted) -> tuple[RawText, Position]:
    raw = scene.root(scene.content(6, "evil.txt"))
    return scene.resigned(raw, lambda doc: doc.update(version="1.2"), "bob"), at_root(known.pin)


def _bob_twice(scene: Scene, _known: Accepted) -> tuple[RawText, Position]:
    twin = scene.user("mallory", K1, as_user="BOB", certificate=scene.certificate("BOB", "mallory"))
    return scene.root(scene.content(6), members=["alice", "bob", twin]), at_root(None)


def _foreign_own_entry(scene: Scene, _known: Accepted) -> tuple[RawText, Position]:
    stolen = scene.user("alice", K1, certificate=scene.certificate("alice", "mallory"))
    return scene.root(scene.content(6), members=[stolen, "bob"]), at_root(None)


def _unsigned(scene: Scene, known: Accepted) -> tuple[RawText, Position]:
    return RawText(scene.root(scene.content(6, "evil.txt")).text, None), at_root(known.pin)


def _self_invited(scene: Scene, known: Accepted) -> tuple[RawText, Position]:
    raw = scene.root(scene.content(6, "evil.txt"), members=("alice", "bob", "mallory"), signer="mallory")
    return raw, at_root(known.pin)


def _zero_key(scene: Scene, known: Accepted) -> tuple[RawText, Position]:
    zero = MetadataKey(bytes(16))
    return scene.root(scene.content(6, keys=(K1, zero)), metadata_key=zero), at_root(known.pin)


def _other_tag(scene: Scene, known: Accepted) -> tuple[RawText, Position]:
    raw = scene.root(scene.content(6))
    spoiled = scene.resigned(
        raw, lambda doc: doc["metadata"].update(authenticationTag="AAAAAAAAAAAAAAAAAAAAAA=="), "bob"
    )
    return spoiled, at_root(known.pin)


def _old_key(scene: Scene, known: Accepted) -> tuple[RawText, Position]:
    rotated = scene.show(scene.root(scene.content(6, keys=(K1, K2)), metadata_key=K2), at_root(known.pin))
    return scene.root(scene.content(7, keys=(K1, K2)), metadata_key=K1), at_root(rotated.pin)


def _rolled_back(scene: Scene, known: Accepted) -> tuple[RawText, Position]:
    return scene.root(scene.content(4, "old.txt")), at_root(known.pin)


def _orphan(scene: Scene, _known: Accepted) -> tuple[RawText, Position]:
    lonely = scene.show(scene.root(scene.content(5)), at_root(None)).folder
    return scene.nested(scene.content(1, "evil.txt")), at_nested(lonely)


def _one_name_twice(scene: Scene, known: Accepted) -> tuple[RawText, Position]:
    raw = scene.root(scene.content(6, "a.txt", folders={sealed_name("a.txt"): "a"}))
    return raw, at_root(known.pin)


def _lax_open(_key: Any, parts: SealedParts) -> bytes:
    return open_text(_key, SealedParts(parts.ciphertext, parts.nonce, Tag(parts.ciphertext[-16:])))


def _trusting(*_args: Any, **_options: Any) -> UserId:
    return UserId("bob")


def _nothing(*_args: Any, **_options: Any) -> tuple[()]:
    return ()


REMOVALS = [
    Removal("2 size", lambda p: p.setattr(metadata, "SEALED_BYTES_MAX", 2**30), _too_long),
    Removal("3 parse", lambda p: p.setattr(metadata, "load_json", lambda text, **_: json.loads(text)), _twice),
    Removal("4 kind", lambda p: p.setattr(opening, "check_kind", _nothing), _root_as_nested),
    Removal("5 version", lambda p: p.setattr(metadata, "_version", lambda doc: str(doc["version"])), _old_version),
    Removal("6 twins", lambda p: p.setattr(trust, "_check_unique", _nothing), _bob_twice),
    Removal("6 members", lambda p: p.setattr(trust, "_check_member", _nothing), _foreign_own_entry),
    Removal("7 signature", lambda p: p.setattr(opening, "check_signature", _trusting), _unsigned),
    Removal(
        "7 candidates", lambda p: p.setattr(opening, "signers", lambda members, _pin, _pins: members), _self_invited
    ),
    Removal("8 key", lambda p: p.setattr(keywrap, "_checked", lambda key: key), _zero_key),
    Removal("9 tag", lambda p: p.setattr(opening, "open_text", _lax_open), _other_tag),
    Removal("10 keys", lambda p: p.setattr(opening, "check_key_continuity", _nothing), _old_key),
    Removal("11 counter", lambda p: p.setattr(opening, "check_counter", _nothing), _rolled_back),
    Removal("12 place", lambda p: p.setattr(continuity, "_check_place", _nothing), _orphan),
    Removal("13 names", lambda p: p.setattr(opening, "check_names", _nothing), _one_name_twice),
]


@pytest.mark.parametrize("removal", REMOVALS, ids=lambda removal: removal.label)
def test_an_attack_is_stopped_by_exactly_this_step(removal: Removal, monkeypatch: Patch) -> None:
    scene = new_scene()
    known = scene.accepted(scene.root(scene.content(5, "budget.txt", folders={NESTED_NAME: "plans"})))
    raw, position = removal.attack(scene, known)
    with pytest.raises(CandadoError):
        scene.show(raw, position)
    removal.without(monkeypatch)
    assert scene.show(raw, position).folder.file_id == position.file_id


def test_without_step_14_a_change_of_members_goes_unseen(scene: Scene, monkeypatch: Patch) -> None:
    first = scene.accepted(scene.root(scene.content(5), members=("alice", "bob", "rob")))
    raw = scene.root(scene.content(6))
    assert event_codes(scene.show(raw, at_root(first.pin))) == ["members.removed", "mk.not-rotated"]
    monkeypatch.setattr(opening, "compare", lambda *_args, **_options: Transition())
    assert event_codes(scene.show(raw, at_root(first.pin))) == []


def test_without_step_15_an_older_state_would_be_accepted_later(scene: Scene, known: Accepted) -> None:
    newer = scene.show(scene.root(scene.content(7)), at_root(known.pin))
    between = scene.root(scene.content(6, "old.txt"))
    assert scene.show(between, at_root(known.pin)).pin.counter == 6
    with pytest.raises(CounterRollbackError):
        scene.show(between, at_root(newer.pin))
