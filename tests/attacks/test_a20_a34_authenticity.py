"""Attacks on signatures, members and metadata keys: A20 to A34."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from tests.attacks.scene import K1, K2, K3, NESTED_NAME, Scene, at_nested, at_root, event_codes, refused
from tests.sim.naive import naive_open, naive_signer

from candado.errors import ContextError, KeyHistoryError, SignerError
from candado.folder.model import Accepted, RawText
from candado.formats.canonjson import document_digest
from candado.formats.metadata import parse_sealed
from candado.types import UserId


@pytest.mark.parametrize("signature", [None, "", " ", "\n\t "])
def test_a20_a_missing_signature_is_refused_for_root_and_nested(
    scene: Scene, known: Accepted, signature: str | None
) -> None:
    raw = scene.root(scene.content(6, "evil.txt"))
    assert naive_open(scene.who("alice"), raw.text).names == {"evil.txt"}
    refused(scene, RawText(raw.text, signature), at_root(known.pin), SignerError, "sig.missing")
    nested = scene.nested(scene.content(1, "evil.txt"))
    assert naive_open(scene.who("alice"), nested.text, K1).names == {"evil.txt"}
    refused(scene, RawText(nested.text, signature), at_nested(known.folder), SignerError, "sig.missing")


@pytest.mark.parametrize("name", ["budget.txt", "evil.txt"])
@pytest.mark.parametrize("signer", ["mallory", "rob", "authority"])
def test_a21_a_signature_of_somebody_who_is_not_listed_is_refused(
    scene: Scene, known: Accepted, name: str, signer: str
) -> None:
    identity = scene.impostor("authority", "authority") if signer == "authority" else scene.who(signer)
    raw = scene.root(scene.content(6, name), signer=identity)
    assert naive_open(scene.who("alice"), raw.text).names == {name}
    refused(scene, raw, at_root(known.pin), SignerError, "sig.invalid")


def test_a21_somebody_who_adds_himself_and_signs_is_refused(scene: Scene, known: Accepted) -> None:
    raw = scene.root(scene.content(6, "budget.txt"), members=("alice", "bob", "mallory"), signer="mallory")
    assert naive_open(scene.who("alice"), raw.text).members == ("alice", "bob", "mallory")
    refused(scene, raw, at_root(known.pin), SignerError, "meta.signer-unknown")


@pytest.mark.parametrize("victim", ["alice", "bob"])
def test_a22_a_twin_of_a_members_certificate_is_refused(scene: Scene, known: Accepted, victim: str) -> None:
    twin = scene.impostor(victim, "mallory", serial=scene.who(victim).certificate.serial)
    raw = scene.root(scene.content(6, "evil.txt"), signer=twin)
    assert raw.signature is not None
    assert naive_signer(raw.text, raw.signature) == victim
    refused(scene, raw, at_root(known.pin), SignerError, "sig.invalid")


def _der(raw: RawText) -> bytes:
    return base64.b64decode(raw.signature or "")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda der: der + b"\x00",
        lambda der: der[:-1],
        lambda _der: b"",
        lambda _der: b"\x30\x00",
        lambda der: b"\x31" + der[1:],
        lambda _der: b"\x30" * 5000,
    ],
)
def test_a23_a_signature_of_another_form_is_refused(scene: Scene, known: Accepted, spoil: Any) -> None:
    good = scene.root(scene.content(6, "budget.txt"))
    raw = RawText(good.text, base64.b64encode(spoil(_der(good)) or b"\x05\x00").decode())
    assert naive_open(scene.who("alice"), raw.text).names == {"budget.txt"}
    refused(scene, raw, at_root(known.pin), SignerError, "sig.format")


def test_a23_a_signature_that_is_not_strict_base64_is_refused(scene: Scene, known: Accepted) -> None:
    good = scene.root(scene.content(6, "budget.txt"))
    for text in (f"{good.signature}\n", f" {good.signature}", "not base64!"):
        refused(scene, RawText(good.text, text), at_root(known.pin), SignerError, "sig.format")


def test_a24_harmless_re_encoding_still_verifies(scene: Scene, known: Accepted) -> None:
    good = scene.root(scene.content(6, "budget.txt"))
    document = json.loads(good.text)
    shuffled = dict(reversed(document.items())) | {"filedrop": []}
    text = json.dumps(shuffled, indent=4).replace("/", "\\/")
    accepted = scene.show(RawText(text, good.signature), at_root(known.pin))
    assert event_codes(accepted) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda doc: doc.update(extra=1),
        lambda doc: doc.update(version="2.1"),
        lambda doc: doc["users"][0].update(extra="x"),
        lambda doc: doc["metadata"].update(ciphertext=doc["metadata"]["ciphertext"] + "|x"),
    ],
)
def test_a24_any_change_of_the_signed_object_is_refused(scene: Scene, known: Accepted, change: Any) -> None:
    raw = scene.unsigned_change(scene.root(scene.content(6, "evil.txt")), change)
    assert naive_open(scene.who("alice"), raw.text).names == {"evil.txt"}
    refused(scene, raw, at_root(known.pin), SignerError, "sig.invalid")


def _after_removal(scene: Scene) -> Accepted:
    """Alice's device saw rob as a member and then his removal under a new key."""
    first = scene.accepted(scene.root(scene.content(5, "budget.txt"), members=("alice", "bob", "rob")))
    return scene.accepted(
        scene.root(scene.content(6, "budget.txt", keys=(K1, K2)), metadata_key=K2), at_root(first.pin)
    )


def test_a25_a_removed_member_who_adds_himself_back_is_refused(scene: Scene) -> None:
    current = _after_removal(scene)
    assert dict(current.pin.former) == {UserId("rob"): scene.who("rob").key.public.fingerprint_hex}
    raw = scene.root(
        scene.content(7, "evil.txt", keys=(K1, K2, K3)),
        members=("alice", "bob", "rob"),
        signer="rob",
        metadata_key=K3,
    )
    assert naive_open(scene.who("alice"), raw.text).members == ("alice", "bob", "rob")
    refused(scene, raw, at_root(current.pin), SignerError, "sig.removed-member")


def test_a25_a_branch_of_a_removed_member_is_a_fork_or_a_rollback_later(scene: Scene) -> None:
    first = scene.accepted(scene.root(scene.content(5, "budget.txt"), members=("alice", "bob", "rob")))
    own_branch = scene.root(scene.content(6, "evil.txt"), members=("alice", "bob", "rob"), signer="rob")
    offline = scene.accepted(own_branch, at_root(first.pin))
    honest = scene.root(scene.content(6, "budget.txt", keys=(K1, K2)), metadata_key=K2)
    with pytest.raises(Exception, match="counter") as caught:
        scene.show(honest, at_root(offline.pin))
    assert getattr(caught.value, "event", None) == "fresh.fork"


def test_a27_a_member_added_by_a_member_is_accepted_and_shown(scene: Scene, known: Accepted) -> None:
    raw = scene.root(
        scene.content(6, "budget.txt", keys=(K1, K2)), members=("alice", "bob", "mallory"), metadata_key=K2
    )
    accepted = scene.show(raw, at_root(known.pin))
    assert accepted.transition.members_added == ("mallory",)
    shown = [(event.code, event.user_id, event.detail) for event in accepted.events]
    assert ("members.added", "mallory", "signed by bob") in shown
    assert ("mk.rotated", "bob", "") in shown


@pytest.mark.parametrize(
    "change",
    [
        lambda users, extra: users.append(extra),
        lambda users, extra: users.__setitem__(1, extra),
        lambda users, _extra: users.pop(),
        lambda users, _extra: users.reverse(),
    ],
)
def test_a28_a_changed_list_of_users_under_the_old_signature_is_refused(
    scene: Scene, known: Accepted, change: Any
) -> None:
    donor = json.loads(scene.root(scene.content(1), members=("alice", "mallory"), signer="mallory").text)
    raw = scene.unsigned_change(
        scene.root(scene.content(6, "budget.txt")), lambda doc: change(doc["users"], donor["users"][1])
    )
    assert naive_open(scene.who("alice"), raw.text).names == {"budget.txt"}
    refused(scene, raw, at_root(known.pin), SignerError, "sig.invalid")


def test_a29_an_entry_that_holds_another_key_than_the_document_is_refused(scene: Scene, known: Accepted) -> None:
    raw = scene.root(scene.content(6, "budget.txt"), members=[scene.user("alice", K2), "bob"])
    error = refused(scene, raw, at_root(known.pin), KeyHistoryError, "meta.key-mismatch")
    assert "bob" in error.message


def test_a29_a_key_that_is_missing_from_its_own_history_is_refused(scene: Scene, known: Accepted) -> None:
    raw = scene.root(scene.content(6, "budget.txt", keys=(K1,)), metadata_key=K2)
    assert naive_open(scene.who("alice"), raw.text).next_write_key == K2
    refused(scene, raw, at_root(known.pin), KeyHistoryError, "meta.key-mismatch")


@pytest.mark.parametrize("signer", ["rob", "mallory"])
def test_a31_a_nested_folder_signed_by_somebody_else_is_refused(scene: Scene, signer: str) -> None:
    current = _after_removal(scene)
    folder = scene.accepted(
        scene.root(scene.content(7, keys=(K1, K2), folders={NESTED_NAME: "plans"}), metadata_key=K2),
        at_root(current.pin),
    ).folder
    raw = scene.nested(scene.content(2, "evil.txt"), signer=signer, metadata_key=K1)
    assert naive_open(scene.who("alice"), raw.text, K1).names == {"evil.txt"}
    refused(scene, raw, at_nested(folder), SignerError, "sig.invalid", known_keys=[K1])


def test_a31_the_signature_of_another_folder_does_not_fit(scene: Scene, known: Accepted) -> None:
    one, two = scene.nested(scene.content(1, "one.txt")), scene.nested(scene.content(1, "two.txt"))
    refused(scene, RawText(one.text, two.signature), at_nested(known.folder), SignerError, "sig.invalid")


def test_a32_a_root_document_for_a_nested_folder_is_refused(scene: Scene, known: Accepted) -> None:
    raw = scene.root(scene.content(1, "evil.txt"), members=("alice", "mallory"), signer="mallory", metadata_key=K2)
    assert naive_open(scene.who("alice"), raw.text, K1).next_write_key == K2
    refused(scene, raw, at_nested(known.folder), ContextError, "meta.kind")


def test_a32_a_nested_document_for_a_root_is_refused(scene: Scene, known: Accepted) -> None:
    raw = scene.nested(scene.content(6, "evil.txt"))
    assert naive_open(scene.who("alice"), raw.text, K1).names == {"evil.txt"}
    refused(scene, raw, at_root(known.pin), ContextError, "meta.kind")


def test_a32_an_empty_list_of_users_is_tolerated_in_a_nested_folder(scene: Scene, known: Accepted) -> None:
    raw = scene.resigned(scene.nested(scene.content(1, "a.txt")), lambda doc: doc.update(users=[]), "bob")
    accepted = scene.show(raw, at_nested(known.folder))
    assert {each.filename for each in accepted.folder.files.values()} == {"a.txt"}


def test_a33_a_removal_without_a_new_key_is_accepted_and_asks_for_one_until_it_comes(scene: Scene) -> None:
    first = scene.accepted(scene.root(scene.content(5, "budget.txt"), members=("alice", "bob", "rob")))
    second = scene.accepted(scene.root(scene.content(6, "budget.txt")), at_root(first.pin))
    assert event_codes(second) == ["members.removed", "mk.not-rotated"]
    assert second.transition.must_rotate
    third = scene.accepted(scene.root(scene.content(7, "budget.txt")), at_root(second.pin))
    assert third.transition.must_rotate
    fourth = scene.accepted(
        scene.root(scene.content(8, "budget.txt", keys=(K1, K2)), metadata_key=K2), at_root(third.pin)
    )
    assert (fourth.transition.key_rotated, fourth.transition.must_rotate) == (True, False)
    assert not fourth.pin.must_rotate


def test_a33_a_shortened_history_is_refused_until_a_person_allows_it(scene: Scene) -> None:
    current = _after_removal(scene)
    raw = scene.root(scene.content(7, "budget.txt", keys=(K2,)), metadata_key=K2)
    assert naive_open(scene.who("alice"), raw.text).counter == 7
    refused(scene, raw, at_root(current.pin), KeyHistoryError, "mk.history")
    digest = document_digest(parse_sealed(raw.text).document)
    allowed = replace(scene.pins, history_overrides=frozenset({digest}))
    assert scene.show(raw, at_root(current.pin), pins=allowed).pin.counter == 7


def test_a34_an_older_key_is_refused(scene: Scene) -> None:
    current = _after_removal(scene)
    raw = scene.root(scene.content(7, "budget.txt", keys=(K1, K2)), metadata_key=K1)
    assert naive_open(scene.who("alice"), raw.text).next_write_key == K1
    refused(scene, raw, at_root(current.pin), KeyHistoryError, "mk.reuse")


def test_a82_a_nested_folder_left_under_the_old_key_is_read_and_marked_for_repair(scene: Scene) -> None:
    first = scene.accepted(scene.root(scene.content(5, folders={NESTED_NAME: "plans"})))
    rotated = scene.accepted(
        scene.root(scene.content(6, keys=(K1, K2), folders={NESTED_NAME: "plans"}), metadata_key=K2),
        at_root(first.pin),
    )
    stale = scene.nested(scene.content(3, "a.txt"))
    accepted = scene.show(stale, at_nested(rotated.folder), known_keys=[K3, K1])
    assert accepted.transition.old_key
    assert event_codes(accepted) == ["nested.old-key"]
    refused(scene, stale, at_nested(rotated.folder), KeyHistoryError, "meta.key-mismatch")
    foreign = scene.nested(scene.content(3, "a.txt"), metadata_key=K3)
    refused(scene, foreign, at_nested(rotated.folder), KeyHistoryError, "meta.key-mismatch", known_keys=[K3])
