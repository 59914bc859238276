"""Attacks on entries, names, versions and parsers: A54, A55, A59 to A61, A64 to A66, A68, A69, A85, A88, A91 to A93."""

import base64
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from tests.attacks.scene import K1, Scene, at_nested, at_root, entry, event_codes, refused, sealed_name
from tests.sim import World
from tests.sim.naive import naive_open

from candado.crypto.keywrap import key_checksum
from candado.errors import (
    CandadoError,
    ContextError,
    DowngradeError,
    FormatError,
    LimitExceededError,
    LocalNameError,
    MalformedError,
    NotFoundError,
    UnsupportedVersionError,
)
from candado.folder.model import Accepted, RawText
from candado.folder.names import check_clear_name, collision_key, unique_name
from candado.formats.metadata import format_content, parse_content
from candado.types import FileKey, SealedName

BAD_NAMES = [
    "..", ".", "", "/", "a/b", "../x", "../../etc/passwd", "/etc/x", "a\\b", "..\\x", "C:\\x", "\\\\host\\x",
    "a\x00b", "\x00", "a\nb", "a\rb", "\x1b[2J", "a\tb", "\x7f", "dir/", "/..", "x/../y", "\x01",
]  # fmt: skip


def _inner(scene: Scene, **changes: Any) -> dict[str, Any]:
    document = json.loads(format_content(scene.content(6, "good.txt")))
    return {**document, **changes}


def _raw_entry(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "filename": name,
        "mimetype": "text/plain",
        "key": base64.b64encode(b"k" * 16).decode(),
        "nonce": base64.b64encode(b"n" * 12).decode(),
        "authenticationTag": base64.b64encode(b"t" * 16).decode(),
        **changes,
    }


def test_a54_two_entries_under_one_key_are_read_and_reported(scene: Scene, known: Accepted) -> None:
    twins = {sealed_name("one"): entry("one", "same"), sealed_name("two"): entry("two", "same")}
    accepted = scene.show(scene.root(scene.content(6, files=twins)), at_root(known.pin))
    assert event_codes(accepted) == ["file.key-reuse"]
    with_mk = {sealed_name("one"): replace(entry("one"), key=FileKey(K1.reveal()))}
    accepted = scene.show(scene.root(scene.content(6, files=with_mk)), at_root(known.pin))
    assert event_codes(accepted) == ["file.key-reuse"]


@pytest.mark.parametrize(
    "changes",
    [
        *({"nonce": base64.b64encode(b"n" * size).decode()} for size in (0, 1, 8, 11, 13, 15, 17)),
        *({"key": base64.b64encode(b"k" * size).decode()} for size in (0, 15, 17, 24, 32)),
        *({"authenticationTag": base64.b64encode(b"t" * size).decode()} for size in (0, 4, 8, 12, 17)),
        {"key": "not base64"},
        {"chunked": True},
    ],
)
def test_a55_an_entry_with_bad_parameters_is_left_out_reported_and_kept(
    scene: Scene, known: Accepted, changes: dict[str, Any]
) -> None:
    bad = _raw_entry("bad.txt", **changes)
    document = _inner(scene)
    document["files"]["ba" * 16] = bad
    raw = scene.root(json.dumps(document).encode())
    assert naive_open(scene.who("alice"), raw.text).names == {"good.txt", "bad.txt"}
    accepted = scene.show(raw, at_root(known.pin))
    assert event_codes(accepted) == ["file.params"]
    assert {each.filename for each in accepted.folder.files.values()} == {"good.txt"}
    assert json.loads(format_content(accepted.folder.content))["files"]["ba" * 16] == bad


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("kind", ["files", "folders"])
def test_a59_a60_a_name_that_could_leave_the_folder_is_left_out_reported_and_kept(
    scene: Scene, known: Accepted, name: str, kind: str
) -> None:
    document = _inner(scene)
    document[kind]["ba" * 16] = _raw_entry(name) if kind == "files" else name
    raw = scene.root(json.dumps(document).encode())
    assert name in naive_open(scene.who("alice"), raw.text).names
    accepted = scene.show(raw, at_root(known.pin))
    assert event_codes(accepted) == ["name.unsafe"]
    assert {each.filename for each in accepted.folder.files.values()} == {"good.txt"}
    assert dict(accepted.folder.folders) == {}
    assert json.loads(format_content(accepted.folder.content))[kind] == document[kind]


@pytest.mark.parametrize("name", [*BAD_NAMES, "\x85", "\ud800", "x" * 256, "é" * 128])
def test_a59_a60_such_a_name_is_never_written(name: str) -> None:
    with pytest.raises(LocalNameError):
        check_clear_name(name)


@pytest.mark.parametrize("name", ["a", "Grüße.txt", ".hidden", "a b", "~", "CON", "x" * 255, "é" * 127, "a:b", "..."])
def test_a59_an_ordinary_name_may_be_written(name: str) -> None:
    check_clear_name(name)


def test_a61_names_that_some_file_systems_confuse_have_one_collision_key() -> None:
    assert collision_key("A.txt") == collision_key("a.TXT")
    assert collision_key("é") == collision_key("e\u0301")
    assert collision_key("straße") == collision_key("STRASSE")
    assert collision_key("a.txt") != collision_key("b.txt")
    taken = {collision_key(name) for name in ("a.txt", "a (2).txt")}
    assert unique_name("A.txt", taken) == "A (3).txt"
    assert unique_name("b.txt", taken) == "b.txt"


@pytest.mark.parametrize("identifier", ["..", "a/b", "x?y", "x#y", "x%41", "", "a" * 65, "x.e2e-to-save", "ä", "a b"])
def test_a64_a_bad_identifier_is_left_out_reported_and_kept(scene: Scene, known: Accepted, identifier: str) -> None:
    document = _inner(scene)
    document["files"][identifier] = _raw_entry("bad.txt")
    raw = scene.root(json.dumps(document).encode())
    assert "bad.txt" in naive_open(scene.who("alice"), raw.text).names
    accepted = scene.show(raw, at_root(known.pin))
    assert event_codes(accepted) == ["id.bad"]
    assert json.loads(format_content(accepted.folder.content))["files"].keys() == document["files"].keys()


def test_a64_one_identifier_for_a_file_and_a_folder_is_refused(scene: Scene, known: Accepted) -> None:
    name = sealed_name("good.txt")
    raw = scene.root(scene.content(6, "good.txt", folders={name: "folder"}))
    assert naive_open(scene.who("alice"), raw.text).names == {"good.txt", "folder"}
    refused(scene, raw, at_root(known.pin), ContextError, "id.bad")


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "1", "3.0", "2.2", "2.0 ", "", 20, 1.2, None, True, [], {}])
def test_a65_another_version_of_a_known_folder_is_refused(scene: Scene, known: Accepted, version: Any) -> None:
    raw = scene.unsigned_change(scene.root(scene.content(6, "evil.txt")), lambda doc: doc.update(version=version))
    assert naive_open(scene.who("alice"), raw.text).names == {"evil.txt"}
    with pytest.raises((DowngradeError, MalformedError)) as caught:
        scene.show(raw, at_root(known.pin))
    if isinstance(caught.value, DowngradeError):
        assert caught.value.event == "ver.downgrade"


def test_a65_between_2_0_and_2_1_a_member_may_change(scene: Scene, known: Accepted) -> None:
    newer = scene.show(scene.root(scene.content(6), version="2.1"), at_root(known.pin))
    older = scene.show(scene.root(scene.content(7), version="2.0"), at_root(newer.pin))
    assert (newer.pin.version, older.pin.version) == ("2.1", "2.0")


def test_a66_an_unsigned_old_document_is_refused_on_a_new_device_too(scene: Scene) -> None:
    legacy = {"metadata": {"metadataKey": "AAAA", "version": 1.2, "checksum": "00"}, "files": {}}
    for document in (legacy, {"metadata": {"version": "1.0"}}, {**legacy, "version": "1.2"}):
        with pytest.raises((UnsupportedVersionError, MalformedError)):
            scene.show(RawText(json.dumps(document), None), at_root(None))


async def test_a68_a_dropped_flag_is_visible_in_listings_for_the_pins_to_contradict() -> None:
    world = World()
    honest, liar = world.remote("alice"), world.hostile("alice")
    file_id = await honest.make_folder("/docs", token=None)
    await honest.mark_encrypted(file_id)
    assert (await liar.list_folder("/docs", depth=0))[0].is_encrypted
    liar.flag(file_id, encrypted=False)
    assert not (await liar.list_folder("/docs", depth=0))[0].is_encrypted
    liar.honest()
    assert (await liar.list_folder("/docs", depth=0))[0].is_encrypted


def test_a69_metadata_for_a_folder_known_as_nested_never_becomes_a_root(scene: Scene, known: Accepted) -> None:
    raw = scene.root(scene.content(1, "evil.txt"), members=("alice", "mallory"), signer="mallory")
    refused(scene, raw, at_nested(known.folder), ContextError, "meta.kind")


async def test_a85_a_vanished_root_is_not_a_signed_deletion(scene: Scene, known: Accepted) -> None:
    world = World()
    honest, liar = world.remote("alice"), world.hostile("alice")
    file_id = await honest.make_folder("/docs", token=None)
    world.server.tree.metadata[file_id] = ("{}", "x")
    liar.vanish(file_id)
    with pytest.raises(NotFoundError):
        await liar.metadata(file_id)
    assert [node.path for node in await liar.list_folder("/", depth=1)] == ["/"]
    assert not scene.show(scene.root(scene.content(6)), at_root(known.pin)).transition.deleted
    signed = scene.show(scene.root(scene.content(6, deleted=True)), at_root(known.pin))
    assert (signed.transition.deleted, event_codes(signed)) == (True, ["folder.deleted"])


def test_a88_a_compression_bomb_is_refused(scene: Scene, known: Accepted) -> None:
    inner = b'{"counter":6,"pad":"' + b" " * (16 * 2**20) + b'","files":{}}'
    raw = scene.root(inner)
    assert naive_open(scene.who("alice"), raw.text).counter == 6
    refused(scene, raw, at_root(known.pin), LimitExceededError)


@pytest.mark.parametrize("member", ["users", "metadata", "version"])
@pytest.mark.parametrize("evil_last", [True, False])
def test_a91_a_member_twice_is_refused(scene: Scene, known: Accepted, member: str, evil_last: bool) -> None:
    good, evil = scene.root(scene.content(6, "budget.txt")), scene.root(scene.content(6, "evil.txt"))
    extra = f'"{member}":{json.dumps(json.loads(evil.text)[member])}'
    body = good.text[1:-1]
    text = "{" + (f"{body},{extra}" if evil_last else f"{extra},{body}") + "}"
    assert json.loads(text)
    refused(scene, RawText(text, good.signature), at_root(known.pin), MalformedError)


@pytest.mark.parametrize("place", ["counter", "files", "folders", "keyChecksums", "entry"])
def test_a91_a_member_twice_in_the_content_is_refused(scene: Scene, known: Accepted, place: str) -> None:
    text = json.dumps(_inner(scene))
    if place == "entry":
        spoiled = text.replace('"filename":', '"filename": "evil.txt", "filename":', 1)
    else:
        spoiled = text[:-1] + f', "{place}": {json.dumps(json.loads(text)[place])}' + "}"
    raw = scene.root(spoiled.encode())
    assert naive_open(scene.who("alice"), raw.text).counter == 6
    refused(scene, raw, at_root(known.pin), MalformedError)


WRONG: list[Any] = ["12", True, False, None, -1, [], {}, "", 0, "false", {"a": 1}, [[]]]


def _paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return (
        [at, *(path for key, child in children for path in _paths(child, (*at, key)))]
        if at
        else [path for key, child in children for path in _paths(child, (key,))]
    )


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    twin = dict(value) if isinstance(value, dict) else list(value)
    twin[path[0]] = _replaced(value[path[0]], path[1:], new)
    return twin


def test_a92_a_wrong_type_anywhere_never_gives_another_result_than_an_error(scene: Scene, known: Accepted) -> None:
    inner = _inner(scene, folders={"c0" * 16: "sub"})
    count = 0
    for path in _paths(inner):
        for wrong in WRONG:
            spoiled = _replaced(inner, path, wrong)
            count += 1
            try:
                parsed = parse_content(json.dumps(spoiled).encode())
            except FormatError:
                continue
            assert json.loads(format_content(parsed)) == _normal(spoiled)
    outer = json.loads(scene.root(scene.content(6)).text)
    for path in _paths(outer):
        for wrong in WRONG:
            count += 1
            raw = (
                RawText(json.dumps(_replaced(outer, path, wrong)), scene.root(scene.content(6)).signature)
                if count % 7 == 0
                else None
            )
            if raw is not None:
                with pytest.raises(CandadoError):
                    scene.show(raw, at_root(known.pin))
    assert count >= 250


def _normal(document: dict[str, Any]) -> dict[str, Any]:
    """What a rewrite may change: absent flags get their default, a missing or folder media type becomes a real one."""
    twin = json.loads(json.dumps({"deleted": False, **document}))
    if twin.get("keyChecksums", 0) is None:
        del twin["keyChecksums"]
    for name, each in twin["files"].items():
        if each.get("mimetype") == "" and name.isalnum():
            each["mimetype"] = "application/octet-stream"
    return twin  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"version":"2.0","n":' + "9" * 1_000_000 + "}",
        "{" + ",".join(f'"k{number}":0' for number in range(600_000)) + "}",
        '{"version":"2.0","x":1e400}',
        "",
        "null",
        "[]",
        "\ufeff{}",
        '{"version":"2.0"} {}',
        "{'a':1}",
    ],
)
def test_a93_hostile_json_is_refused_soon(scene: Scene, known: Accepted, text: str) -> None:
    started = time.process_time()
    with pytest.raises(CandadoError):
        scene.show(RawText(text, "x"), at_root(known.pin))
    assert time.process_time() - started < 2.0


def test_a93_a_document_beyond_the_limit_is_refused_before_it_is_parsed(scene: Scene, known: Accepted) -> None:
    refused(scene, RawText(" " * (32 * 2**20 + 1), "x"), at_root(known.pin), LimitExceededError)


def test_baseline_identifiers_of_other_apps_are_accepted(scene: Scene, known: Accepted) -> None:
    names = [SealedName("E2EE" + "A0" * 16), SealedName("abcdefghij0123456789"), SealedName("0f" * 16)]
    files = {name: entry(f"{number}.txt") for number, name in enumerate(names)}
    accepted = scene.show(scene.root(scene.content(6, files=files)), at_root(known.pin))
    assert (list(accepted.folder.files), event_codes(accepted)) == (sorted(names), [])
    assert accepted.pin.current_checksum == key_checksum(K1)
