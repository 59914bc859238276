"""``candado demo``: the whole story on this machine, on real files, with real processes.

Layer: ``apps``. Every device is the real command line with a state directory of its own, the server is the real
server; what the story claims it checks, and it ends with 0 only when all of it held.
"""

import json
import shutil
import tempfile
import time
import urllib.request
from base64 import b64encode
from pathlib import Path

from candado.apps.demo_stage import (
    DemoFailedError,
    Device,
    ServerProcess,
    Story,
    build_tree,
    find_in_files,
    regular_files,
    same_bytes,
)

__all__ = ["run_demo"]

_MARKER = b"PASSPORT-SCAN-CANARY-7f1d2c9a-no-server-may-read-this"
_MARKER_NAME = "passport scan of Alice.txt"


def run_demo(folder: Path | None, *, keep: bool = False) -> int:
    """Tell the story on ``folder`` (copied, never touched) or on a tree that is on every machine; exit status."""
    stage = Path(tempfile.mkdtemp(prefix="candado-demo-"))
    story = Story()
    try:
        _tell(story, stage, folder)
    except DemoFailedError as failure:
        print(f"\nThe demo FAILED: {failure}\nEverything is kept in {stage} for inspection.", flush=True)
        return 1
    elapsed = time.monotonic() - story.started
    print(
        f"\nAll {story.checks} checks held. {elapsed:.0f} s in all, of which candado worked "
        f"{story.product_seconds:.0f} s; the rest was copying, comparing and searching.",
        flush=True,
    )
    if keep:
        print(f"Everything is kept in {stage}.")
    else:
        shutil.rmtree(stage)
    return 0


def _tell(story: Story, stage: Path, folder: Path | None) -> None:
    laptop_tree = stage / "laptop" / "Documents"
    story.chapter("A tree of real files")
    left_out = build_tree(laptop_tree, folder)
    (laptop_tree / _MARKER_NAME).write_bytes(_MARKER + b"\n")
    names = regular_files(laptop_tree)
    size = sum((laptop_tree / name).stat().st_size for name in names)
    story.say(
        f"{len(names)} files, {size / 1e6:.1f} MB on alice's laptop" + (f" (a copy of {folder})" if folder else "")
    )
    for line in left_out:
        story.say(f"left out, as any sync does: {line}")

    server = ServerProcess(story, stage / "server")
    _set_up_server(story, server, stage)
    with server:
        laptop = Device(story, "alice's laptop", stage / "laptop" / "home")
        phone = Device(story, "alice's phone", stage / "phone" / "home")
        bob = Device(story, "bob's laptop", stage / "bob" / "home")
        _enrol(story, stage, server, laptop, phone, bob)
        _sync_to_phone(story, stage, laptop, phone)
        _administrator_looks(story, server, laptop)
        _share_with_bob(story, stage, laptop, bob)
        _edit_everywhere(story, stage, laptop, phone, bob)
        _revoke_bob(story, stage, server, laptop, phone, bob)
    story.chapter("The administrator checks the storage")
    verdict = server.admin("check").strip()
    story.check(
        "every row has its body, every body its row, every size is right", holds=verdict == "sound", detail=verdict
    )


def _set_up_server(story: Story, server: ServerProcess, stage: Path) -> None:
    story.chapter("An administrator sets up the server: SQLite and a directory")
    server.admin("init")
    for user in ("alice", "bob"):
        password = stage / f"{user}.password"
        password.write_text(f"correct horse {user} staple\n")
        password.chmod(0o600)
        server.admin("user", "add", user, "--password-file", password)


def _enrol(story: Story, stage: Path, server: ServerProcess, laptop: Device, phone: Device, bob: Device) -> None:
    story.chapter("Two people, three devices")
    words = stage / "alice.words"
    laptop.run("login", server.url, "--user", "alice", "--password-file", stage / "alice.password")
    laptop.run("init", "--phrase-out", words)
    phone.run("login", server.url, "--user", "alice", "--password-file", stage / "alice.password")
    phone.run("init", "--phrase-file", words)
    bob.run("login", server.url, "--user", "bob", "--password-file", stage / "bob.password")
    bob.run("init", "--phrase-out", stage / "bob.words")
    mine, hers = (d.run("fingerprint", "--json", show=False).json for d in (laptop, phone))
    story.check("laptop and phone hold the same identity", holds=mine == hers)


def _sync_to_phone(story: Story, stage: Path, laptop: Device, phone: Device) -> None:
    source, copy = stage / "laptop" / "Documents", stage / "phone" / "Documents"
    story.chapter("Laptop -> server -> phone")
    up = laptop.run("sync", source, "Documents", "--encrypt", "--json").json
    story.say(f"uploaded {up['uploaded']} files, {up['bytes_up'] / 1e6:.1f} MB in {up['seconds']:.1f} s")
    story.check("every file went up", holds=up["uploaded"] == len(regular_files(source)) and not up["errors"])
    copy.mkdir(parents=True)
    down = phone.run("sync", copy, "Documents", "--json").json
    story.say(f"downloaded {down['downloaded']} files, {down['bytes_down'] / 1e6:.1f} MB in {down['seconds']:.1f} s")
    _check_equal(story, "laptop and phone", source, copy)
    again = phone.run("sync", copy, "Documents", "--json").json
    quiet = (again["uploaded"], again["downloaded"], again["deleted"], again["renamed"], again["conflicts"])
    story.check(f"a second sync has nothing to do ({again['requests']} requests)", holds=quiet == (0, 0, 0, 0, 0))


def _check_equal(story: Story, who: str, left: Path, right: Path) -> None:
    compared, different = same_bytes(left, right)
    story.check(
        f"{who} are equal: {len(regular_files(left))} files, {compared / 1e6:.1f} MB compared byte for byte",
        holds=not different,
        detail=f"different: {different[:5]}",
    )


def _administrator_looks(story: Story, server: ServerProcess, laptop: Device) -> None:
    story.chapter("What the server's administrator sees")
    view = laptop.run("server-view", "Documents").stdout
    for line in view.splitlines()[:8]:
        story.say(line)
    needles = [_MARKER, _MARKER_NAME.encode(), b"holiday-video", b"asyncio", b"correct horse"]
    found = find_in_files(server.data, needles)
    story.check(
        "the whole storage was searched: no file name, no content, no password in clear",
        holds=not found,
        detail=str(found),
    )


def _share_with_bob(story: Story, stage: Path, laptop: Device, bob: Device) -> None:
    story.chapter("Alice shares with bob")
    laptop.run("fingerprint", "bob")
    laptop.run("share", "Documents", "bob")
    target = stage / "bob" / "Documents"
    target.mkdir(parents=True)
    bob.run("sync", target, "Documents", "--json")
    _check_equal(story, "laptop and bob's laptop", stage / "laptop" / "Documents", target)


def _edit_everywhere(story: Story, stage: Path, laptop: Device, phone: Device, bob: Device) -> None:
    story.chapter("Everybody edits")
    trees = {d: stage / d / "Documents" for d in ("laptop", "phone", "bob")}
    (trees["laptop"] / "from the laptop.txt").write_text("written on the laptop\n")
    (trees["phone"] / "from the phone.txt").write_text("written on the phone\n")
    (trees["bob"] / "from bob").mkdir()
    (trees["bob"] / "from bob" / "Grüße von Bob.txt").write_text("written by bob\n")
    (trees["phone"] / _MARKER_NAME).rename(trees["phone"] / "passport 2026.txt")
    for device, tree in ((laptop, "laptop"), (phone, "phone"), (bob, "bob"), (laptop, "laptop"), (phone, "phone")):
        device.run("sync", trees[tree], "Documents")
    _check_equal(story, "laptop and phone", trees["laptop"], trees["phone"])
    _check_equal(story, "laptop and bob's laptop", trees["laptop"], trees["bob"])
    story.check("the rename arrived", holds=(trees["laptop"] / "passport 2026.txt").read_bytes() == _MARKER + b"\n")
    (trees["laptop"] / "plan.txt").write_text("plan A\n")
    for device, tree in ((laptop, "laptop"), (phone, "phone")):
        device.run("sync", trees[tree], "Documents", show=False)
    (trees["laptop"] / "plan.txt").write_text("plan B of the laptop\n")
    (trees["phone"] / "plan.txt").write_text("plan C of the phone\n")
    laptop.run("sync", trees["laptop"], "Documents")
    phone.run("sync", trees["phone"], "Documents", expect=5)
    laptop.run("sync", trees["laptop"], "Documents", expect=None)
    kept = {path.read_text() for path in trees["laptop"].glob("plan*.txt")}
    story.check(
        "a conflict keeps both versions",
        holds=kept == {"plan B of the laptop\n", "plan C of the phone\n"},
        detail=str(kept),
    )
    bob.run("sync", trees["bob"], "Documents")
    _check_equal(story, "laptop and phone", trees["laptop"], trees["phone"])
    _check_equal(story, "laptop and bob's laptop", trees["laptop"], trees["bob"])


def _revoke_bob(story: Story, stage: Path, server: ServerProcess, laptop: Device, phone: Device, bob: Device) -> None:
    story.chapter("Alice revokes bob")
    before = _document(server, laptop, stage)
    told = laptop.run("unshare", "Documents", "bob")
    for line in (told.stdout + told.stderr).strip().splitlines():
        story.say(line)
    secret = b"written after bob was revoked"
    trees = {d: stage / d / "Documents" for d in ("laptop", "phone", "bob")}
    (trees["laptop"] / "after bob.txt").write_bytes(secret)
    laptop.run("sync", trees["laptop"], "Documents")
    phone.run("sync", trees["phone"], "Documents")
    _check_equal(story, "laptop and phone", trees["laptop"], trees["phone"])
    mine = regular_files(trees["bob"])
    refused = bob.run("sync", trees["bob"], "Documents", expect=None)
    for line in refused.stderr.strip().splitlines():
        story.say(line)
    story.check(f"bob's sync is refused (exit status {refused.status})", holds=refused.status != 0)
    story.check("bob got nothing new", holds=not find_in_files(trees["bob"], [secret]))
    story.check("bob lost nothing he had", holds=regular_files(trees["bob"]) == mine)
    after = _document(server, laptop, stage)
    members = [user["userId"] for user in after["users"]]
    story.check("the folder's document names alice only", holds=members == ["alice"], detail=str(members))
    keys = [[user["encryptedMetadataKey"] for user in document["users"]] for document in (before, after)]
    story.check("the folder has a new key, wrapped for alice only", holds=not set(keys[0]) & set(keys[1]))


def _document(server: ServerProcess, laptop: Device, stage: Path) -> dict[str, list[dict[str, str]]]:
    """The root folder's document as the server's administrator finds it."""
    file_id = laptop.run("stat", "Documents", "--json", show=False).json["file_id"]
    password = (stage / "alice.password").read_text().strip()
    request = urllib.request.Request(  # noqa: S310 - our own loopback server
        f"{server.url}/ocs/v2.php/apps/end_to_end_encryption/api/v2/meta-data/{file_id}?format=json",
        headers={
            "Authorization": "Basic " + b64encode(f"alice:{password}".encode()).decode(),
            "OCS-APIRequest": "true",
            "X-E2EE-SUPPORTED": "true",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own loopback server
        document: dict[str, list[dict[str, str]]] = json.loads(json.load(answer)["ocs"]["data"]["meta-data"])
    return document
