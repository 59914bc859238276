"""Attacks on freshness and context: A35 to A37, A43 to A47, A49, A81 (the lock), A94."""

from dataclasses import replace

import pytest
from tests.attacks.scene import (
    K1,
    K2,
    NESTED,
    NESTED_NAME,
    OTHER_ROOT,
    ROOT,
    SECOND,
    SECOND_NAME,
    Scene,
    at_nested,
    at_root,
    event_codes,
    refused,
)
from tests.sim import World
from tests.sim.naive import naive_open

from candado.errors import (
    ContextError,
    CounterConflictError,
    CounterRollbackError,
    ForkError,
    LimitExceededError,
    LockedError,
    MisuseError,
    NotAMemberError,
)
from candado.folder.model import Accepted, FolderPin, NestedPosition
from candado.types import COUNTER_MAX, Counter, FileId

FOLDERS = {NESTED_NAME: "plans", SECOND_NAME: "photos"}


@pytest.mark.parametrize("old", [0, 1, 2, 3, 4])
def test_a35_every_older_state_of_a_root_is_refused_also_after_a_restart(
    scene: Scene, known: Accepted, old: int
) -> None:
    raw = scene.root(scene.content(old, "old.txt"))
    assert naive_open(scene.who("alice"), raw.text).names == {"old.txt"}
    restored = FolderPin.from_json(known.pin.to_json())
    error = refused(scene, raw, at_root(restored), CounterRollbackError, "fresh.rollback")
    assert isinstance(error, CounterRollbackError)
    assert (error.expected, error.got) == ("5", str(old))


def test_a35_the_same_state_again_is_accepted(scene: Scene) -> None:
    raw = scene.root(scene.content(5, "budget.txt"))
    first = scene.accepted(raw)
    again = scene.show(raw, at_root(first.pin))
    assert (again.pin, again.transition.first_sight, event_codes(again)) == (first.pin, False, [])


@pytest.mark.parametrize("signer", ["alice", "bob"])
def test_a36_two_states_with_one_counter_are_a_fork(scene: Scene, known: Accepted, signer: str) -> None:
    raw = scene.root(scene.content(5, "other.txt"), signer=signer)
    assert naive_open(scene.who("alice"), raw.text).names == {"other.txt"}
    error = refused(scene, raw, at_root(known.pin), ForkError, "fresh.fork")
    assert isinstance(error, ForkError)
    assert error.expected == known.pin.digest
    assert error.got not in {"", known.pin.digest}


def test_a26_a_hidden_removal_is_a_fork_as_soon_as_it_is_seen(scene: Scene) -> None:
    """Alone a device cannot know what it is not shown; what it wrote meanwhile and the removal can never both be."""
    first = scene.accepted(scene.root(scene.content(5, "budget.txt"), members=("alice", "bob", "rob")))
    hidden = scene.root(scene.content(6, "budget.txt", keys=(K1, K2)), metadata_key=K2)
    own = scene.root(scene.content(6, "mine.txt"), members=("alice", "bob", "rob"), signer="alice")
    written = scene.accepted(own, at_root(first.pin))
    assert "rob" in naive_open(scene.who("alice"), own.text).members
    refused(scene, hidden, at_root(written.pin), ForkError, "fresh.fork")
    assert scene.show(hidden, at_root(first.pin)).transition.members_removed == ("rob",)


def test_a37_a_nested_folder_alone_rolled_back_is_refused(scene: Scene, known: Accepted) -> None:
    newest = scene.show(scene.nested(scene.content(4, "new.txt")), at_nested(known.folder))
    raw = scene.nested(scene.content(3, "old.txt"))
    assert naive_open(scene.who("alice"), raw.text, K1).names == {"old.txt"}
    refused(scene, raw, at_nested(known.folder, newest.pin), CounterRollbackError, "fresh.partial")


def test_a37_a_nested_fork_is_refused(scene: Scene, known: Accepted) -> None:
    newest = scene.show(scene.nested(scene.content(4, "new.txt")), at_nested(known.folder))
    raw = scene.nested(scene.content(4, "other.txt"))
    assert naive_open(scene.who("alice"), raw.text, K1).counter == 4
    refused(scene, raw, at_nested(known.folder, newest.pin), ForkError, "fresh.fork")


@pytest.mark.parametrize("counter", [1, 5, 6, 999])
def test_a43_another_root_in_the_place_of_a_known_one_is_refused(scene: Scene, known: Accepted, counter: int) -> None:
    raw = scene.root(scene.content(counter, "theirs.txt", keys=(K2,)), metadata_key=K2)
    assert naive_open(scene.who("alice"), raw.text).next_write_key == K2
    refused(scene, raw, at_root(known.pin), ContextError, "ctx.root")


def test_a43_a_known_root_shown_as_a_new_one_is_refused(scene: Scene) -> None:
    raw = scene.root(scene.content(5, "budget.txt"))
    known = scene.accepted(raw)
    scene.pins = replace(scene.pins, root_checksums=dict.fromkeys(known.pin.key_checksums, ROOT))
    assert naive_open(scene.who("alice"), raw.text).next_write_key == K1
    refused(scene, raw, at_root(None, file_id=OTHER_ROOT), ContextError, "ctx.root")
    assert scene.show(raw, at_root(known.pin)).pin == known.pin


def test_a44_the_document_of_a_sibling_is_refused(scene: Scene, known: Accepted) -> None:
    one = scene.nested(scene.content(9, "plan.txt"))
    first = scene.show(one, at_nested(known.folder))
    second = scene.show(
        scene.nested(scene.content(2, "photo.jpg")), at_nested(known.folder, file_id=SECOND, name=SECOND_NAME)
    )
    scene.pins = replace(scene.pins, documents={first.pin.digest: NESTED, second.pin.digest: SECOND})
    assert naive_open(scene.who("alice"), one.text, K1).names == {"plan.txt"}
    swapped = at_nested(known.folder, second.pin, file_id=SECOND, name=SECOND_NAME)
    refused(scene, one, swapped, ContextError, "ctx.nested")


def test_a45_a_known_folder_under_another_number_is_refused(scene: Scene, known: Accepted) -> None:
    raw = scene.nested(scene.content(9, "plan.txt"))
    first = scene.show(raw, at_nested(known.folder))
    refused(scene, raw, at_nested(known.folder, first.pin, file_id=FileId(777)), ContextError, "ctx.fileid")
    refused(scene, raw, at_nested(known.folder, file_id=ROOT), ContextError, "ctx.fileid")
    own_parent = replace(known.folder, file_id=SECOND, kind="nested")
    refused(scene, raw, at_nested(known.folder, parent=own_parent, file_id=SECOND), ContextError, "ctx.fileid")
    next_root = scene.root(scene.content(6))
    refused(scene, next_root, at_root(known.pin, file_id=FileId(777)), ContextError, "ctx.fileid")
    scene.pins = replace(scene.pins, places={(ROOT, NESTED_NAME): NESTED})
    assert naive_open(scene.who("alice"), raw.text, K1).counter == 9
    refused(scene, raw, at_nested(known.folder, file_id=FileId(777)), ContextError, "ctx.fileid")
    refused(scene, raw, at_nested(known.folder, first.pin, file_id=FileId(777)), ContextError, "ctx.fileid")
    refused(scene, raw, at_nested(known.folder, first.pin, name=SECOND_NAME), ContextError, "ctx.fileid")
    refused(scene, raw, at_nested(known.folder, file_id=ROOT), ContextError, "ctx.fileid")


def test_a46_a_folder_that_its_parent_does_not_list_is_refused(scene: Scene) -> None:
    lonely = scene.accepted(scene.root(scene.content(5, "budget.txt"))).folder
    raw = scene.nested(scene.content(1, "evil.txt"))
    assert naive_open(scene.who("alice"), raw.text, K1).names == {"evil.txt"}
    refused(scene, raw, at_nested(lonely), ContextError, "ctx.orphan")


def test_a46_a_folder_that_moves_to_another_root_is_refused(scene: Scene, known: Accepted) -> None:
    first = scene.show(scene.nested(scene.content(1, "a.txt")), at_nested(known.folder))
    other = scene.accepted(
        scene.root(scene.content(1, keys=(K2,), folders=FOLDERS), metadata_key=K2), at_root(None, file_id=OTHER_ROOT)
    )
    raw = scene.nested(scene.content(2, "a.txt"), metadata_key=K2)
    assert naive_open(scene.who("alice"), raw.text, K2).names == {"a.txt"}
    refused(scene, raw, at_nested(other.folder, first.pin), ContextError, "ctx.orphan")


def test_a46_a_folder_that_moves_within_its_root_is_shown(scene: Scene, known: Accepted) -> None:
    first = scene.show(scene.nested(scene.content(1, "a.txt")), at_nested(known.folder))
    plans = scene.show(
        scene.nested(scene.content(1, folders={NESTED_NAME: "moved"})),
        at_nested(known.folder, file_id=SECOND, name=SECOND_NAME),
    )
    moved = scene.show(scene.nested(scene.content(2, "a.txt")), at_nested(known.folder, first.pin, parent=plans.folder))
    assert event_codes(moved) == ["nested.moved"]
    assert moved.pin.parent_id == SECOND


def test_a46_a_root_shown_as_nested_and_the_reverse_are_refused_by_the_pin(scene: Scene, known: Accepted) -> None:
    nested = scene.show(scene.nested(scene.content(1, "a.txt")), at_nested(known.folder))
    as_root = replace(nested.pin, key_checksums=known.pin.key_checksums, members=known.pin.members)
    refused(scene, scene.root(scene.content(6)), at_root(as_root, file_id=NESTED), ContextError, "meta.kind")
    as_nested = replace(known.pin, counter=Counter(0))
    raw = scene.nested(scene.content(6))
    refused(scene, raw, at_nested(known.folder, as_nested, file_id=NESTED), ContextError, "meta.kind")


def test_a47_the_folder_of_another_account_is_refused(scene: Scene, known: Accepted) -> None:
    raw = scene.root(scene.content(6, "theirs.txt"), members=("bob", "mallory"))
    assert naive_open(scene.who("bob"), raw.text).names == {"theirs.txt"}
    refused(scene, raw, at_root(known.pin), NotAMemberError)
    with pytest.raises(MisuseError):
        scene.show(raw, at_root(known.pin), identity=scene.who("bob"))


def test_a47_parent_and_root_of_different_roots_are_our_own_mistake(scene: Scene, known: Accepted) -> None:
    other = scene.accepted(
        scene.root(scene.content(1, keys=(K2,), folders=FOLDERS), metadata_key=K2), at_root(None, file_id=OTHER_ROOT)
    )
    raw = scene.nested(scene.content(1, "a.txt"))
    mixed = NestedPosition(NESTED, NESTED_NAME, other.folder, known.folder, None)
    with pytest.raises(MisuseError):
        scene.show(raw, mixed)


def test_a49_an_entry_counts_only_in_the_folder_whose_metadata_lists_it(scene: Scene, known: Accepted) -> None:
    one = scene.show(scene.nested(scene.content(1, "a.txt")), at_nested(known.folder))
    two = scene.show(scene.nested(scene.content(1, "b.txt")), at_nested(known.folder, file_id=SECOND, name=SECOND_NAME))
    assert one.folder.files.keys().isdisjoint(two.folder.files.keys())


async def test_a81_an_honest_server_grants_one_lock_and_a_lying_one_does_not_fool_the_counter() -> None:
    world = World()
    alice = world.remote("alice")
    file_id = await alice.make_folder("/docs", token=None)
    await alice.mark_encrypted(file_id)
    await alice.lock(file_id, Counter(1))
    with pytest.raises(LockedError):
        await alice.lock(file_id, Counter(1))
    world.server.expire_locks()
    world.server.tree.counters[file_id] = 5
    with pytest.raises(CounterConflictError):
        await alice.lock(file_id, Counter(5))
    liar = world.hostile("alice")
    liar.grant_any_lock()
    assert (await liar.lock(file_id, Counter(5))).reveal() in world.server.locks


@pytest.mark.parametrize("counter", [5 + 2**20 + 1, 2**31, COUNTER_MAX])
def test_a94_a_jump_of_the_counter_is_refused(scene: Scene, known: Accepted, counter: int) -> None:
    raw = scene.root(scene.content(counter, "budget.txt"))
    assert naive_open(scene.who("alice"), raw.text).counter == counter
    refused(scene, raw, at_root(known.pin), CounterRollbackError, "counter.range")


def test_a94_the_largest_allowed_jump_is_accepted(scene: Scene, known: Accepted) -> None:
    assert scene.show(scene.root(scene.content(5 + 2**20)), at_root(known.pin)).pin.counter == 5 + 2**20


def test_a94_a_first_sight_so_high_that_nobody_can_count_on_is_refused(scene: Scene) -> None:
    top = COUNTER_MAX - 2**20
    assert scene.show(scene.root(scene.content(top))).pin.counter == top
    refused(scene, scene.root(scene.content(top + 1)), at_root(None), CounterRollbackError, "counter.range")


@pytest.mark.parametrize("number", [-1, 2**53, 2**63, 2**64])
def test_a94_a_counter_out_of_range_is_refused(scene: Scene, known: Accepted, number: int) -> None:
    inner = b'{"counter":%d,"files":{},"folders":{},"keyChecksums":["%s"]}' % (
        number,
        known.pin.current_checksum.encode(),
    )
    raw = scene.root(inner)
    assert naive_open(scene.who("alice"), raw.text).counter == number
    refused(scene, raw, at_root(known.pin), LimitExceededError)


def test_a_pin_keeps_the_last_clear_path_and_a_nested_one_has_no_members_of_its_own(scene: Scene) -> None:
    raw = scene.root(scene.content(5, folders=FOLDERS))
    named = scene.accepted(raw, replace(at_root(None), path_hint="/docs"))
    assert scene.show(raw, at_root(named.pin)).pin == named.pin
    assert scene.show(raw, replace(at_root(named.pin), path_hint="/new")).pin.path_hint == "/new"
    assert scene.show(raw, at_root(None)).pin.path_hint == ""
    nested = scene.show(scene.nested(scene.content(1, keys=(K1, K2))), at_nested(named.folder)).pin
    assert (dict(nested.members), nested.key_checksums, dict(nested.former)) == ({}, (), {})
