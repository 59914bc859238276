"""The graphical stock client, unmodified and as packaged, with encrypted folders on our server and beside our client.

Each test has encrypted folders of its own; the devices are set up once for each release, which is a test by itself.
"""

import asyncio
import base64
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from candado.crypto.keywrap import unwrap_key
from candado.crypto.sealing import SealedParts, open_text
from candado.crypto.x509 import parse_certificate
from candado.formats.metadata import parse_sealed
from candado.types import MetadataKey
from tests.e2e.cli_world import PASSWORD
from tests.e2e.recovery_office import Office
from tests.e2e.server_process import Caller
from tests.interop.chroot import HOME, RELEASES
from tests.interop.desktop_world import CANARY, Files, World, desktop_world, files_of
from tests.interop.session import wait_for
from tests.interop.test_rules import RULES, rule

pytestmark = pytest.mark.timeout(400)

NOISE = random.Random(11).randbytes(2_000_000)
BIG = random.Random(12).randbytes(12_000_000)  # the client sends it in chunks


@pytest.fixture(scope="module", params=RELEASES)
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with desktop_world(HOME / str(request.param), tmp_path_factory.mktemp(str(request.param))) as running:
        yield running


@pytest.fixture
def world(prepared: World, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    failed = request.session.testsfailed
    yield prepared
    if request.session.testsfailed > failed:
        prepared.pictures(tmp_path)


def _name(text: str) -> str:
    return f"{text} {CANARY}"


def _content(text: str) -> bytes:
    return f"{CANARY} {text}".encode()


TREE: Files = {
    _name("a"): _content("a"),
    _name("empty"): b"",
    _name("ünï 漢字 & #?%41;'"): _content("odd"),
    "noise": NOISE,
    _name("d"): None,
    _name("d") + "/b": _content("b"),
    _name("d") + "/" + _name("e"): None,
    _name("d") + "/" + _name("e") + "/deep": _content("deep"),
    "hollow": None,
}


def _write(top: Path, files: Files) -> None:
    for path, content in files.items():
        place = top / path
        if content is None:
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)


def _local(world: World, files: Files) -> Path:
    top = world.fresh("local")
    _write(top, files)
    return top


def _desktop_folder(world: World, name: str, files: Files) -> None:
    """An encrypted folder that the first desktop makes and fills, known to all devices."""
    world.first.make_encrypted(name)
    _write(world.first.folder / name, files)
    world.settle(name, files)


def _our_folder(world: World, name: str, files: Files) -> None:
    """An encrypted folder that our client makes and fills, known to all devices."""
    world.ours.run("sync", _local(world, files), name, "--encrypt")
    world.settle(name, files)


def test_the_twelve_words_of_the_desktop_client_open_the_account_for_us(world: World) -> None:
    kept = f"alice_e2e-certificate:{world.cloud.url}/:0"
    stored = world.first.session.run("secret-tool", "lookup", "user", kept, "server", "Nextcloud").stdout
    certificate = parse_certificate(base64.b64decode(stored).decode())
    assert world.ours.run("fingerprint", "--json").json["hex"] == certificate.public_key.fingerprint_hex


def test_what_the_desktop_client_writes_is_read_by_its_second_device_and_by_us(world: World) -> None:
    _desktop_folder(world, "Written", {**TREE, "big": BIG})


def test_what_the_desktop_client_writes_is_exported_and_recovered_without_the_server(world: World) -> None:
    _desktop_folder(world, "Exported", TREE)
    bundle, out = world.fresh("bundle"), world.fresh("out")
    world.ours.run("export", "Exported", bundle)
    assert not [place for place in bundle.rglob("*") if CANARY in place.name]
    nowhere = world.cloud.device("nobody")
    nowhere.run("recover", bundle, out, "--phrase-file", world.cloud.folder / "alice.words")
    assert files_of(out) == {"Exported": None, **{f"Exported/{path}": content for path, content in TREE.items()}}
    assert not nowhere.home.exists()


def test_what_we_change_in_a_folder_of_the_desktop_client_is_seen_there(world: World) -> None:
    _desktop_folder(
        world, "Changed", {**TREE, "gone": _content("gone"), "old/x/y": _content("y"), "old": None, "old/x": None}
    )
    ours, added = world.ours, {"new": None, "new/n": None, "new/n/f": _content("f")}
    ours.run("put", _local(world, {_name("a"): _content("a changed")}) / _name("a"), "Changed", "--conflict", "replace")
    ours.run("put", _local(world, added) / "new", "Changed")
    ours.run("put", _local(world, {"in": _content("in")}) / "in", "Changed/" + _name("d") + "/" + _name("e"))
    ours.run("mv", "Changed/" + _name("d") + "/b", "Changed/" + _name("d") + "/" + _name("renamed"))
    ours.run("mv", "Changed/noise", "Changed/hollow/noise")
    ours.run("rm", "Changed/gone")
    ours.run("rm", "-r", "Changed/old")
    expected = {**TREE, **added, _name("a"): _content("a changed"), "hollow/noise": NOISE}
    expected[_name("d") + "/" + _name("e") + "/in"] = _content("in")
    expected[_name("d") + "/" + _name("renamed")] = expected.pop(_name("d") + "/b")
    del expected["noise"]
    world.settle("Changed", expected)


def test_a_folder_of_ours_is_opened_changed_and_added_to_by_the_desktop_client(world: World) -> None:
    _our_folder(world, "Ours", TREE)
    added: Files = {"added": None, "added/" + _name("s"): None, "added/" + _name("s") + "/t": _content("t")}
    changed: Files = {_name("a"): _content("changed"), _name("d") + "/" + _name("e") + "/more": NOISE[::-1]}
    _write(world.first.folder / "Ours", {**added, **changed})
    world.settle("Ours", {**TREE, **added, **changed})


def test_a_rule_that_wants_files_sealed_lets_the_desktop_client_seal_them(world: World) -> None:
    rule(world.cloud, "alice", RULES)
    try:
        _desktop_folder(world, "Ruled", {"report.pdf": b"%PDF-1.7 " + NOISE, _name("a"): _content("a"), "d": None})
    finally:
        rule(world.cloud, "alice", "version = 1\n")


def test_files_and_folders_renamed_and_deleted_in_the_desktop_client_are_so_everywhere(world: World) -> None:
    _our_folder(world, "Pruned", {**TREE, "big": BIG})
    top, gone = world.first.folder / "Pruned", _name("d") + "/" + _name("e")
    (top / _name("a")).unlink()
    shutil.rmtree(top / gone)
    # The client seals and sends a renamed file anew, with the digest of the clear text.
    (top / "noise").rename(top / "hollow" / _name("moved"))
    (top / "big").rename(top / _name("big"))
    kept = {path: content for path, content in TREE.items() if not path.startswith((_name("a"), "noise", gone))}
    world.settle("Pruned", {**kept, "hollow/" + _name("moved"): NOISE, _name("big"): BIG})


def test_an_encrypted_folder_deleted_in_the_desktop_client_is_gone(world: World) -> None:
    _desktop_folder(world, "Doomed", TREE)
    shutil.rmtree(world.first.folder / "Doomed")
    wait_for(lambda: not (world.second.folder / "Doomed").exists(), "it to be gone on the second desktop")
    wait_for(lambda: "Doomed" not in world.ours.run("ls", "-q").out, "it to be gone for us")
    wait_for(lambda: not world.locks(), "the last lock to be given back")


def test_a_person_with_keys_of_ours_is_let_in_and_out_by_the_desktop_client(world: World) -> None:
    _desktop_folder(world, "Shared", TREE)
    world.first.share("Shared", "bob")
    wait_for(lambda: "Shared" in world.bob.run("ls", "-q").out, "the share to reach bob")
    assert world.read(world.bob, "Shared") == TREE
    # Our device must see that bob was let in before it takes anything that bob signed: the signatures of a state are
    # checked with the members of the state that the device saw last.
    assert world.read(world.ours, "Shared") == TREE
    theirs: Files = {"bob": None, "bob/" + _name("b"): _content("of bob")}
    world.bob.run("put", _local(world, theirs) / "bob", "Shared")
    world.settle("Shared", {**TREE, **theirs})
    shares = world.ours.run("shares", "--json").json
    assert "bob" in json.dumps(shares)

    world.first.unshare("bob")
    wait_for(lambda: "Shared" not in world.bob.run("ls", "-q").out, "the end of the share to reach bob")
    late = {_name("late"): _content("not for bob")}
    _write(world.first.folder / "Shared", dict(late))
    world.settle("Shared", {**TREE, **theirs, **late})
    events = {issue["code"] for issue in world.ours.run("issues", "--json").json["issues"]}
    assert {"members.added", "members.removed", "mk.rotated"} <= events
    world.bob.run("ls", "Shared", expect=13)


def test_the_desktop_client_goes_on_in_a_folder_that_we_share_and_take_back(world: World) -> None:
    _our_folder(world, "Lent", TREE)
    world.ours.run("share", "Lent", "bob")
    during: Files = {_name("during"): _content("during"), "hollow/" + _name("in"): _content("in")}
    _write(world.first.folder / "Lent", during)
    world.settle("Lent", {**TREE, **during})
    assert world.read(world.bob, "Lent") == {**TREE, **during}
    world.ours.run("unshare", "Lent", "bob")
    after: Files = {_name("a"): _content("after"), "folder": None, "folder/" + _name("f"): _content("f")}
    _write(world.first.folder / "Lent", after)
    world.settle("Lent", {**TREE, **during, **after})
    world.bob.run("ls", "Lent", expect=13)


async def _file_id(caller: Caller, name: str) -> str:
    find = '<d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:prop><oc:fileid/></d:prop></d:propfind>'
    answer = await caller.dav("PROPFIND", name, body=find, Depth="0")
    return answer.text.partition("<oc:fileid>")[2].partition("<")[0]


def test_a_lock_of_somebody_else_delays_the_desktop_client_and_loses_nothing(world: World) -> None:
    _our_folder(world, "Held", {"before": _content("before")})
    log = world.first.session.home / "client.log"
    start = log.stat().st_size

    def was_refused() -> bool:
        with log.open("rb") as lines:
            lines.seek(start)
            return any(b"/lock/" in line and b"Locked" in line for line in lines)

    async def hold() -> None:
        async with Caller(world.cloud.url, "alice", f"{PASSWORD} alice") as caller:
            file_id = await _file_id(caller, "Held")
            answer = await caller.e2ee("POST", f"lock/{file_id}", X_NC_E2EE_COUNTER="1000000")
            token = json.loads(answer.body)["ocs"]["data"]["e2e-token"]
            _write(world.first.folder / "Held", {"new": None, "new/" + _name("n"): _content("n"), "file": NOISE})
            await asyncio.to_thread(wait_for, was_refused, "the desktop client to meet the lock")
            assert world.ours.run("tree", "Held", "-q").out.split() == ["before"]
            assert (await caller.e2ee("DELETE", f"lock/{file_id}?abort=true", e2e_token=token)).status == 200

    asyncio.run(hold())
    if world.first.session.chroot.root.name == "trixie":
        # 3.16.7 never ends the sync in which a new folder met the lock. Nothing is lost: its next start sends all.
        world.first.restart()
    world.settle("Held", {"before": _content("before"), "new": None, "new/" + _name("n"): _content("n"), "file": NOISE})


def _wrapped_for(world: World, office: Office, name: str) -> list[str]:
    """The members of a root by the document that the server stores, sorted; the recovery key opens it with what it has there."""

    async def document() -> str:
        async with Caller(world.cloud.url, "alice", f"{PASSWORD} alice") as caller:
            found = await caller.e2ee("GET", f"meta-data/{await _file_id(caller, name)}")
            return str(json.loads(found.text)["ocs"]["data"]["meta-data"])

    sealed = parse_sealed(asyncio.run(document()))
    for user in sealed.users or ():
        if user.user_id == office.member:
            key = MetadataKey(unwrap_key(office.key, user.wrapped_key))
            assert open_text(key, SealedParts(sealed.block.ciphertext, sealed.block.nonce, sealed.block.tag))
    return sorted(str(user.user_id) for user in sealed.users or ())


def test_the_desktop_client_writes_and_shares_a_folder_that_has_a_recovery_key(world: World) -> None:
    office = Office(world.cloud)
    office.install()
    for device in (world.ours, world.bob):
        device.run("recovery", "status")
        device.run("trust", "organisation", office.fingerprint, "--yes")
    _our_folder(world, "Escrowed", TREE)
    assert _wrapped_for(world, office, "Escrowed") == ["alice", office.member]
    written: Files = {_name("written"): _content("written"), "folder": None, "folder/" + _name("f"): _content("f")}
    _write(world.first.folder / "Escrowed", written)
    world.settle("Escrowed", {**TREE, **written})
    assert _wrapped_for(world, office, "Escrowed") == ["alice", office.member]

    world.first.share("Escrowed", "bob")
    wait_for(lambda: "Escrowed" in world.bob.run("ls", "-q").out, "the share to reach bob")
    assert world.read(world.bob, "Escrowed") == {**TREE, **written}
    world.settle("Escrowed", {**TREE, **written})
    members = _wrapped_for(world, office, "Escrowed")
    print("members after the desktop shared:", members)
    world.first.unshare("bob")
    wait_for(lambda: "Escrowed" not in world.bob.run("ls", "-q").out, "the end of the share to reach bob")
    world.settle("Escrowed", {**TREE, **written})
    print("members after the desktop took it back:", _wrapped_for(world, office, "Escrowed"))
    assert members == ["alice", "bob", office.member]

    # What the desktop client makes is not covered before its owner agreed, and then by our next use.
    _desktop_folder(world, "Theirs", {_name("t"): _content("t")})
    assert _wrapped_for(world, office, "Theirs") == ["alice"]
    states = {one["path"]: one["state"] for one in world.ours.run("recovery", "status", "--json").json["folders"]}
    assert (states["/Escrowed"], states["/Theirs"]) == ("covered", "waiting")
    world.ours.run("recovery", "accept", "Theirs", "--yes")
    late: Files = {_name("late"): _content("late")}
    _write(world.first.folder / "Theirs", late)
    world.settle("Theirs", {_name("t"): _content("t"), **late})
    assert _wrapped_for(world, office, "Theirs") == ["alice", office.member]
