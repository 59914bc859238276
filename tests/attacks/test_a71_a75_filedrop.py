"""Attacks through the file drop, which nobody signs: A71 to A75."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.attacks.scene import Scene, at_root, entry, event_codes, key, sealed_name
from tests.attacks.test_a54_a94_entries_and_parsers import BAD_NAMES

from candado.crypto.keywrap import wrap_key
from candado.errors import ContextError, MalformedError, NotAMemberError, OpenFailedError
from candado.folder.filedrop import DropMerge, drop_digest, merge_drops, open_drop
from candado.folder.model import Accepted, RawText
from candado.folder.sealing import kept_drops
from candado.formats.canonjson import JsonObject
from candado.formats.metadata import Entry, format_content, format_drop, format_drop_content
from candado.types import MetadataKey, SealedName, UserId

DROP = SealedName("d0" * 16)


def drop(scene: Scene, dropped: Entry | bytes, *users: str, drop_key: MetadataKey | None = None) -> JsonObject:
    """What a visitor of a drop link uploads: an entry sealed for members by their public keys alone."""
    secret = drop_key or key("drop")
    inner = dropped if isinstance(dropped, bytes) else format_drop_content(dropped)
    wrapped = [(UserId(user), wrap_key(scene.who(user).key.public, secret.reveal())) for user in users or ("alice",)]
    return format_drop(scene.block(inner, secret), wrapped)


def with_drops(
    scene: Scene, drops: Mapping[Any, Any], *names: str, folders: dict[SealedName, str] | None = None
) -> Accepted:
    """The root with drops planted by the server under the unchanged signature."""
    signed = scene.root(scene.content(5, *names, folders=folders))
    return scene.accepted(scene.unsigned_change(signed, lambda doc: doc.update(filedrop=drops)))


def merge(scene: Scene, accepted: Accepted, **options: Any) -> DropMerge:
    return merge_drops(accepted.folder, scene.who("alice"), **options)


def test_a71_an_injected_drop_is_never_a_normal_file_and_is_marked_when_taken_over(scene: Scene) -> None:
    accepted = with_drops(scene, {DROP: drop(scene, entry("invoice.pdf"))}, "budget.txt")
    assert {each.filename for each in accepted.folder.files.values()} == {"budget.txt"}
    merged = merge(scene, accepted)
    assert {name: each.filename for name, each in merged.migrated.items()} == {DROP: "invoice (dropped).pdf"}
    assert merged.content.files[sealed_name("budget.txt")] == accepted.folder.files[sealed_name("budget.txt")]
    assert (merged.kept, dict(merged.refused)) == ({}, {})


def test_a71_drops_do_not_change_the_digest_or_the_signature(scene: Scene) -> None:
    plain = scene.root(scene.content(5, "budget.txt"))
    first = scene.accepted(plain)
    dropped = scene.unsigned_change(plain, lambda doc: doc.update(filedrop={DROP: drop(scene, entry("a.txt"))}))
    assert scene.show(dropped, at_root(first.pin)).pin == first.pin


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a72_a_hostile_name_in_a_drop_is_refused_and_kept(scene: Scene, name: str) -> None:
    drops = {DROP: drop(scene, entry(name, "x"))}
    accepted = with_drops(scene, drops, "budget.txt")
    merged = merge(scene, accepted)
    assert {name: type(error) for name, error in merged.refused.items()} == {DROP: MalformedError}
    assert (dict(merged.migrated), merged.kept) == ({}, drops)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a73_a_drop_under_the_identifier_of_something_there_is_refused(scene: Scene, kind: str) -> None:
    taken = sealed_name("budget.txt") if kind == "file" else SealedName("f0" * 16)
    drops = {taken: drop(scene, entry("evil.txt"))}
    accepted = with_drops(scene, drops, "budget.txt", folders={SealedName("f0" * 16): "plans"})
    merged = merge(scene, accepted)
    errors = list(merged.refused.values())
    assert [error.event for error in errors if isinstance(error, ContextError)] == ["drop.clash"]
    assert (merged.content, merged.kept) == (accepted.folder.content, drops)


def test_a73_a_drop_under_the_identifier_of_an_unreadable_entry_is_refused(scene: Scene) -> None:
    content = scene.content(5, "budget.txt")
    inner = scene.root(content)
    assert inner.signature
    document = json.loads(format_content(content))
    document["files"][DROP] = {**document["files"][sealed_name("budget.txt")], "filename": "../x"}
    raw = scene.root(json.dumps(document).encode(), drops={DROP: drop(scene, entry("evil.txt"))})
    accepted = scene.accepted(raw)
    assert event_codes(accepted)[:1] == ["name.unsafe"]
    assert list(merge(scene, accepted).refused) == [DROP]


def test_a73_a_drop_under_a_taken_name_gets_a_new_one(scene: Scene) -> None:
    drops = {f"d{number}" * 16: drop(scene, entry("budget.txt", f"key {number}")) for number in range(3)}
    accepted = with_drops(scene, drops, "budget.txt", "budget (dropped).txt")
    merged = merge(scene, accepted, taken=["budget (dropped 3).txt"])
    assert sorted(each.filename for each in merged.migrated.values()) == [
        "budget (dropped 2).txt",
        "budget (dropped 4).txt",
        "budget (dropped 5).txt",
    ]
    for name, each in accepted.folder.files.items():
        assert merged.content.files[name] == each


@pytest.mark.parametrize("slot", ["not for me", "twice for me", "nobody", "garbage", "other key", "not gzip"])
def test_a74_one_bad_drop_among_fifty_good_ones_is_isolated(scene: Scene, slot: str) -> None:
    good = {f"{number:032x}": drop(scene, entry(f"{number}.txt")) for number in range(1, 51)}
    slots: dict[str, Any] = {
        "not for me": drop(scene, entry("x"), "bob"),
        "twice for me": drop(scene, entry("x"), "alice", "alice"),
        "nobody": {**drop(scene, entry("x")), "users": []},
        "garbage": {"ciphertext": 7},
        "other key": {**drop(scene, entry("x")), **_block_of(drop(scene, entry("x"), drop_key=key("another")))},
        "not gzip": drop(scene, b"[]"),
    }
    bad = slots[slot]
    accepted = with_drops(scene, {DROP: bad, **good}, "budget.txt")
    merged = merge(scene, accepted)
    assert len(merged.migrated) == 50
    assert merged.kept == {DROP: bad}
    if slot == "garbage":
        assert [(event.code, event.detail) for event in accepted.events if event.code == "drop.bad"] == [
            ("drop.bad", DROP)
        ]
        assert dict(merged.refused) == {}
    else:
        expected = {
            "not for me": NotAMemberError,
            "twice for me": MalformedError,
            "nobody": NotAMemberError,
            "other key": OpenFailedError,
            "not gzip": MalformedError,
        }
        assert {name: type(error) for name, error in merged.refused.items()} == {DROP: expected[slot]}


def _block_of(raw: JsonObject) -> JsonObject:
    return {name: value for name, value in raw.items() if name != "users"}


def test_a74_our_slot_is_found_wherever_it_stands(scene: Scene) -> None:
    accepted = with_drops(scene, {DROP: drop(scene, entry("a.txt"), "bob", "mallory", "alice")})
    assert list(merge(scene, accepted).migrated) == [DROP]


def test_a75_a_replayed_drop_is_taken_over_once(scene: Scene) -> None:
    drops = {DROP: drop(scene, entry("a.txt"))}
    accepted = with_drops(scene, drops)
    first = merge(scene, accepted)
    assert first.digests == {drop_digest(accepted.folder.drops[0])}
    for _ in range(10):
        again = merge(scene, accepted, imported=first.digests)
        assert (dict(again.migrated), again.kept, dict(again.refused)) == ({}, {}, {})


def test_a_drop_can_be_opened_alone_and_drops_survive_a_rewrite_untouched(scene: Scene) -> None:
    drops = {DROP: drop(scene, entry("a.txt"))}
    folder = with_drops(scene, drops).folder
    assert open_drop(folder.drops[0], scene.who("alice")) == entry("a.txt")
    assert kept_drops(folder) == drops
    assert kept_drops(replace(folder, document={"filedrop": []})) == {}
    assert kept_drops(replace(folder, document={})) == {}


def test_an_empty_list_stands_for_no_drops(scene: Scene) -> None:
    plain = scene.root(scene.content(5))
    accepted = scene.show(RawText(plain.text[:-1] + ',"filedrop":[]}', plain.signature))
    assert accepted.folder.drops == ()
