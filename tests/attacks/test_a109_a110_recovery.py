"""Attacks with recovery keys: A109 (announced by nobody who may) and A110 (a ghost among the members).

Every attack has an effect control: a client without checks takes the ghost in, and the same document is accepted once a
verified policy announces the key and the owner signed.
"""

from dataclasses import replace

import pytest
from tests.attacks.scene import K1, K2, Scene, at_root, event_codes, refused
from tests.sim import rsa_key
from tests.sim.naive import naive_open

from candado.errors import ContextError, EscrowError, SignerError, UntrustedCertificateError
from candado.folder.escrow import is_recovery_id, recovery_member, recovery_members
from candado.folder.members import set_recovery
from candado.folder.model import Accepted, AccountPins, FolderPin, RawText, RootPosition
from candado.formats.metadata import SealedUser
from candado.formats.orgpolicy import recovery_member_id
from candado.types import MetadataKey, UserId

KEY = rsa_key("recovery")
GHOST = UserId(recovery_member_id(KEY.public.fingerprint_hex))


def _ghost(
    scene: Scene,
    metadata_key: MetadataKey = K2,
    *,
    name: str = GHOST,
    key_name: str = "recovery",
    issuer: str = "authority",
) -> SealedUser:
    return scene.user(
        "mallory", metadata_key, as_user=name, certificate=scene.certificate(name, key_name, issuer=issuer)
    )


def _with_ghost(scene: Scene, *, signer: str = "bob", ghost: SealedUser | None = None) -> RawText:
    """The root's next state under a new key, with a recovery key among the members."""
    members: list[str | SealedUser] = ["alice", "bob", ghost or _ghost(scene)]
    return scene.root(scene.content(6, "budget.txt", keys=(K1, K2)), members=members, signer=signer, metadata_key=K2)


def _announced(scene: Scene) -> AccountPins:
    return replace(scene.pins, recovery={GHOST: KEY.public.fingerprint_hex})


def _at(pin: FolderPin | None, owner: str = "alice") -> RootPosition:
    return replace(at_root(pin, owned=owner == "alice"), owner_id=owner)


def test_a110_a_recovery_key_that_no_policy_announces_is_refused(scene: Scene, known: Accepted) -> None:
    raw = _with_ghost(scene)
    assert naive_open(scene.who("alice"), raw.text).members == ("alice", "bob", GHOST)
    for position in (_at(known.pin, "bob"), _at(None, "bob")):
        error = refused(scene, raw, position, EscrowError, "escrow.unsigned")
        assert error.code == "ESCROW_UNSIGNED"
        assert GHOST in error.message


def test_a109_with_a_policy_and_the_owners_signature_it_is_taken_in_and_shown(scene: Scene, known: Accepted) -> None:
    accepted = scene.show(_with_ghost(scene), _at(known.pin, "bob"), pins=_announced(scene))
    assert accepted.transition.members_added == (GHOST,)
    assert accepted.new_peers == {}
    assert [(event.code, event.user_id) for event in accepted.events if "recovery" in event.code] == [
        ("recovery.added", GHOST)
    ]
    assert "members.added" not in event_codes(accepted)
    first = scene.show(_with_ghost(scene), _at(None, "bob"), pins=_announced(scene))
    assert [(event.code, event.user_id) for event in first.events if "recovery" in event.code] == [
        ("recovery.member", GHOST)
    ]


def test_a109_a_member_who_is_not_the_owner_cannot_let_it_in(scene: Scene, known: Accepted) -> None:
    raw = _with_ghost(scene, signer="bob")
    assert naive_open(scene.who("alice"), raw.text).members == ("alice", "bob", GHOST)
    error = refused(scene, raw, _at(known.pin), EscrowError, "escrow.not-owner", pins=_announced(scene))
    assert "bob" in error.message
    by_alice = _with_ghost(scene, signer="alice")
    assert scene.show(by_alice, _at(known.pin), pins=_announced(scene)).transition.members_added == (GHOST,)


def test_a109_another_key_under_the_announced_name_is_refused(scene: Scene, known: Accepted) -> None:
    raw = _with_ghost(scene, ghost=_ghost(scene, key_name="mallory"))
    assert naive_open(scene.who("alice"), raw.text).members == ("alice", "bob", GHOST)
    refused(scene, raw, _at(known.pin, "bob"), EscrowError, "escrow.unsigned", pins=_announced(scene))


def test_a109_an_announced_key_without_the_authority_is_refused(scene: Scene, known: Accepted) -> None:
    raw = _with_ghost(scene, ghost=_ghost(scene, issuer="mallory"))
    assert naive_open(scene.who("alice"), raw.text).members == ("alice", "bob", GHOST)
    refused(scene, raw, _at(known.pin, "bob"), UntrustedCertificateError, pins=_announced(scene))


@pytest.mark.parametrize("name", ["Recovery:ABCD", "RECOVERY:x", "\uff52ecovery:0123456789abcdef", "recovery:"])
def test_a110_a_name_that_looks_like_a_recovery_key_is_one(scene: Scene, known: Accepted, name: str) -> None:
    raw = _with_ghost(scene, ghost=_ghost(scene, name=name))
    assert naive_open(scene.who("alice"), raw.text).members == ("alice", "bob", name)
    refused(scene, raw, _at(known.pin, "bob"), EscrowError, "escrow.unsigned", pins=_announced(scene))
    assert is_recovery_id(name)


def test_a110_a_ghost_under_another_name_is_a_person_like_any_other_and_shown(scene: Scene, known: Accepted) -> None:
    helpdesk = scene.user("mallory", K2, as_user="admin", certificate=scene.certificate("admin", "recovery"))
    accepted = scene.show(_with_ghost(scene, ghost=helpdesk), _at(known.pin, "bob"))
    assert ("members.added", "admin") in [(event.code, event.user_id) for event in accepted.events]
    raw = scene.root(
        scene.content(6, keys=(K1, K2)), members=["alice", "bob", helpdesk], metadata_key=K2, signer="mallory"
    )
    refused(scene, raw, _at(known.pin, "bob"), SignerError, "sig.invalid")


def test_a109_a_stolen_recovery_key_cannot_write(scene: Scene, known: Accepted) -> None:
    taken = scene.show(_with_ghost(scene), _at(known.pin, "bob"), pins=_announced(scene))
    thief = scene.impostor(GHOST, "recovery")
    raw = scene.root(
        scene.content(7, "evil.txt", keys=(K1, K2)),
        members=["alice", "bob", _ghost(scene)],
        signer=thief,
        metadata_key=K2,
    )
    assert naive_open(scene.who("alice"), raw.text).members == ("alice", "bob", GHOST)
    refused(scene, raw, _at(taken.pin, "bob"), SignerError, "meta.signer-unknown", pins=_announced(scene))
    refused(scene, raw, _at(None, "bob"), SignerError, "meta.signer-unknown", pins=_announced(scene))


def test_a_recovery_key_that_was_accepted_stays_when_its_policy_is_gone(scene: Scene, known: Accepted) -> None:
    taken = scene.show(_with_ghost(scene), _at(known.pin, "bob"), pins=_announced(scene))
    raw = scene.root(scene.content(7, "b.txt", keys=(K1, K2)), members=["alice", "bob", _ghost(scene)], metadata_key=K2)
    assert scene.show(raw, _at(taken.pin, "alice")).transition.members_added == ()
    without = scene.root(scene.content(8, "b.txt", keys=(K1, K2)), metadata_key=K2)
    dropped = scene.show(without, _at(taken.pin, "bob"))
    assert ("recovery.removed", GHOST) in [(event.code, event.user_id) for event in dropped.events]
    assert dropped.transition.must_rotate


def test_the_visitor_of_a_link_reads_a_folder_that_has_a_recovery_key(scene: Scene) -> None:
    visitor = scene.impostor("s:TOKEN", "mallory")
    link = scene.user("mallory", K2, as_user="s:TOKEN", certificate=visitor.certificate.pem)
    raw = scene.root(
        scene.content(6, keys=(K1, K2)), members=["alice", link, _ghost(scene)], metadata_key=K2, signer="alice"
    )
    pins = replace(
        scene.pins, user_id=UserId("s:TOKEN"), own_key_fingerprint=visitor.key.public.fingerprint_hex, peers={}
    )
    accepted = scene.show(raw, _at(None, "bob"), pins=pins, identity=visitor)
    assert [member.user_id for member in accepted.folder.members] == ["alice", "s:TOKEN", GHOST]


def test_one_recovery_key_takes_the_place_of_another_under_a_new_key(scene: Scene, known: Accepted) -> None:
    taken = scene.show(_with_ghost(scene), _at(known.pin, "bob"), pins=_announced(scene)).folder
    new = recovery_member(scene.impostor(recovery_member_id(rsa_key("rob").public.fingerprint_hex), "rob").certificate)
    third = MetadataKey(b"third".ljust(16, b"."))
    change = set_recovery(taken, new, third)
    assert [member.user_id for member in change.members] == ["alice", "bob", new.user_id]
    assert change.metadata_key == third
    assert recovery_members(change.members) == (new,)
    gone = set_recovery(taken, None, third)
    assert [member.user_id for member in gone.members] == ["alice", "bob"]
    own = recovery_member(scene.impostor(GHOST, "bob").certificate)
    with pytest.raises(UntrustedCertificateError):
        set_recovery(taken, own, third)
    twice = [_ghost(scene), _ghost(scene)]
    raw = scene.root(scene.content(6, keys=(K1, K2)), members=["alice", "bob", *twice], metadata_key=K2)
    refused(scene, raw, _at(known.pin, "bob"), ContextError, "users.duplicate", pins=_announced(scene))
