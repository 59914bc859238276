"""The commands people type, against a real server over loopback."""

import asyncio
import itertools
import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.cli_world import PASSWORD, Cloud, Device, running_cloud

from candado.adapters.ambient import SystemClock, SystemRandom
from candado.adapters.http import HttpRemote
from candado.adapters.http_settings import HttpSettings
from candado.types import SecretText, UserId


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


def content(root: Path) -> dict[str, bytes]:
    """What a person sees in a folder."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not str(path.relative_to(root)).startswith(".candado")
    }


def error_of(device: Device, *words: str | Path, status: int) -> dict[str, object]:
    """The JSON error of a command that must fail with this status."""
    done = device.run(*words, "--json", expect=status)
    document = done.json
    assert document["schema"] == "candado.error/1"
    error: dict[str, object] = document["error"]
    assert {"code", "message", "hint", "retryable", "path", "safe"} <= set(error)
    assert all(error[name] for name in ("code", "message", "hint", "safe"))
    return error


def test_a_file_goes_from_one_device_to_another_and_the_server_sees_nothing(cloud: Cloud, tmp_path: Path) -> None:
    laptop = cloud.ready("anna")
    phone = cloud.further("anna")
    assert laptop.run("fingerprint", "--json").json == phone.run("fingerprint", "--json").json
    secret = tmp_path / "passport CANARYNAME.pdf"
    secret.write_bytes(b"CANARYBODY" * 1000)
    laptop.run("encrypt", "Secret")
    laptop.run("mkdir", "-p", "Secret/2026/taxes")
    assert laptop.run("put", secret, "Secret/2026", "--json").json["files"] == 1
    assert phone.run("ls", "Secret/2026", "--jsonl").out.count("\n") == 2
    assert phone.run("cat", "Secret/2026/passport CANARYNAME.pdf").out == "CANARYBODY" * 1000
    phone.run("get", "Secret", tmp_path / "copy")
    assert content(tmp_path / "copy") == {"2026/passport CANARYNAME.pdf": secret.read_bytes()}
    view = laptop.run("server-view", "Secret", "--json").json
    assert (view["clear_names_searched"], view["clear_names_found"]) == (3, 0)
    stored = b"".join(path.read_bytes() for path in cloud.data.rglob("*") if path.is_file())
    for canary in (b"CANARY", b"taxes", (cloud.folder / "anna.words").read_bytes().strip(), PASSWORD.encode()):
        assert canary not in stored


def test_names_are_found_listed_measured_moved_copied_and_removed(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("bruno")
    for name, size in (("a.txt", 10), ("b.pdf", 20)):
        (tmp_path / name).write_bytes(b"x" * size)
    device.run("encrypt", "D")
    device.run("mkdir", "D/sub")
    device.run("put", tmp_path / "a.txt", tmp_path / "b.pdf", "D/sub")
    device.run("mv", "D/sub/a.txt", "D/top.txt")
    device.run("cp", "D/top.txt", "D/sub")
    assert device.run("tree", "D").out == "sub/\n  b.pdf\n  top.txt\ntop.txt\n"
    assert device.run("find", "D", "--name", "*.PDF").out == "/D/sub/b.pdf\n"
    assert [row["bytes"] for row in device.run("du", "D", "--json").json["folders"]] == [40, 30]
    stat = device.run("stat", "D/sub/b.pdf", "--json").json
    assert (stat["kind"], stat["size"], stat["type"], len(stat["sealed_name"])) == ("file", 20, "file", 32)
    assert stat["file_id"] > 0
    assert device.run("ls", "--raw-names", "D/sub").out.split()[0::2] != ["-", "-"]
    device.run("rm", "D/sub", expect=2)
    device.run("rm", "-r", "D/sub")
    assert device.run("ls", "D").out == "top.txt\n"
    assert "for all members" in device.run("rm", "-r", "D").err
    assert error_of(device, "ls", "D", status=4)["code"] == "NOT_FOUND"


def test_big_files_and_pipes_pass_through_unharmed(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("carla")
    device.run("encrypt", "Big")
    big = bytes(range(256)) * 11_719 + b"end"
    sent = subprocess.run(
        device.command("put", "-", "Big/dump.bin"),
        env=device.environment,
        input=big,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert sent.returncode == 0, sent.stderr
    got = subprocess.run(
        device.command("cat", "Big/dump.bin"), env=device.environment, capture_output=True, check=False, timeout=60
    )
    assert (got.returncode, got.stdout == big) == (0, True)
    assert device.run("put", "-", "Big/empty", stdin="").status == 0
    assert device.run("get", "Big/empty", "-").out == ""
    assert [path.name for path in (device.home / "state").iterdir() if path.name.startswith("work-")] == []


def test_two_folders_become_equal_and_a_conflict_keeps_both(cloud: Cloud, tmp_path: Path) -> None:
    one, two = cloud.ready("dora"), cloud.further("dora")
    left, right = tmp_path / "left", tmp_path / "right"
    (left / "deep").mkdir(parents=True)
    (left / "deep" / "ä.txt").write_text("umlaut")
    (left / "plan.txt").write_text("A")
    dry = one.run("sync", left, "Docs", "--encrypt", "--dry-run", "--json", expect=None)
    assert dry.status in (0, 1, 4)
    report = one.run("sync", left, "Docs", "--encrypt", "--json").json
    assert (report["schema"], report["uploaded"], report["errors"]) == ("candado.sync/1", 2, [])
    assert {"downloaded", "deleted", "renamed", "conflicts", "bytes_up", "bytes_down", "requests", "seconds"} <= set(
        report
    )
    assert two.run("sync", right, "Docs", "--json").json["downloaded"] == 2
    assert content(right) == content(left)
    plan = two.run("sync", right, "Docs", "--dry-run", "--json").json
    assert (plan["uploaded"], plan["downloaded"]) == (0, 0)
    (left / "plan.txt").write_text("AA")
    (right / "plan.txt").write_text("AAA")
    one.run("sync", left, "Docs")
    assert two.run("sync", right, "Docs", "--json", expect=5).json["conflicts"] == 1
    one.run("sync", left, "Docs", expect=None)
    assert content(left) == content(right)
    assert {b"AA", b"AAA"} <= set(content(left).values())


def test_too_many_deletions_stop_before_anything_is_deleted(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("emil")
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(20):
        (tree / f"f{number}").write_text(str(number))
    device.run("sync", tree, "Docs", "--encrypt")
    for number in range(15):
        (tree / f"f{number}").unlink()
    error = error_of(device, "sync", tree, "Docs", status=18)
    assert (error["code"], "--max-delete" in str(error["hint"])) == ("SAFETY_LIMIT", True)
    assert error["path"] == str(tree)
    looked = device.run("sync", tree, "Docs", "--dry-run", expect=18)
    assert looked.out.count("delete there: f") == 15
    assert "[SAFETY_LIMIT]" in looked.err
    document = device.run("sync", tree, "Docs", "--dry-run", "--json", expect=18).json
    assert (len(document["plan"]), [problem["code"] for problem in document["errors"]]) == (15, ["SAFETY_LIMIT"])
    assert len(device.run("ls", "Docs").out.splitlines()) == 20
    assert device.run("sync", tree, "Docs", "--max-delete", "15", "--json").json["deleted"] == 15


def test_sharing_works_both_ways_and_ends(cloud: Cloud, tmp_path: Path) -> None:
    alice, bob = cloud.ready("fred"), cloud.ready("gina")
    (tmp_path / "x.txt").write_text("for both")
    alice.run("encrypt", "Shared")
    alice.run("put", tmp_path / "x.txt", "Shared")
    shown = alice.run("fingerprint", "gina", "--json").json
    assert (shown["own"], shown["verified"], shown["hex"]) == (
        False,
        False,
        bob.run("fingerprint", "--json").json["hex"],
    )
    assert error_of(alice, "trust", "verify", "gina", "00" * 32, status=15)["code"] == "UNTRUSTED_CERTIFICATE"
    alice.run("trust", "verify", "gina", shown["words"])
    assert [row["verified"] for row in alice.run("trust", "list", "--json").json["people"]] == [True]
    assert alice.run("share", "Shared", "gina", "--json").json["verified"] is True
    assert bob.run("cat", "Shared/x.txt").out == "for both"
    (row,) = alice.run("shares", "--json").json["shares"]
    assert (row["path"], row["user"], row["member"], row["shared"]) == ("/Shared", "gina", True, True)
    told = alice.run("unshare", "Shared", "gina")
    assert "Not taken back" in told.out
    assert bob.run("cat", "Shared/x.txt", expect=None).status != 0
    assert "gina" in alice.run("trust", "forget", "gina").out
    assert alice.run("trust", "list").out == ""


def test_a_person_without_keys_cannot_be_shared_with(cloud: Cloud) -> None:
    device = cloud.ready("hans")
    cloud.user("keyless")
    device.run("encrypt", "S")
    assert error_of(device, "share", "S", "keyless", status=10)["code"] == "PEER_WITHOUT_KEYS"
    assert error_of(device, "share", "S", "nobody-at-all", status=10)["code"] == "PEER_WITHOUT_KEYS"


def test_a_folder_with_content_is_not_encrypted(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("ines")

    async def fill() -> None:
        password = SecretText((cloud.folder / "ines.password").read_text().strip())
        remote = HttpRemote(
            cloud.url,
            "ines",
            UserId("ines"),
            password,
            clock=SystemClock(),
            random=SystemRandom(),
            settings=HttpSettings(),
        )
        await remote.make_folder("/Plain", token=None)
        await remote.put_bytes("/Plain/x", b"x", token=None)
        await remote.close()

    asyncio.run(fill())
    assert error_of(device, "encrypt", "Plain", status=1)["code"] == "FOLDER_NOT_EMPTY"
    (tmp_path / "local").mkdir()
    assert error_of(device, "sync", tmp_path / "local", "Plain", "--encrypt", status=1)["code"] == "FOLDER_NOT_EMPTY"
    assert error_of(device, "sync", tmp_path / "local", "Plain", status=1)["code"] == "NOT_ENCRYPTED"


def test_wrong_secrets_are_told_apart(cloud: Cloud, tmp_path: Path) -> None:
    user = cloud.user("jan")
    device = cloud.device(user)
    wrong = tmp_path / "wrong"
    wrong.write_text("not the password")
    assert (
        error_of(device, "login", cloud.url, "--user", user, "--password-file", wrong, status=12)["code"]
        == "AUTH_REQUIRED"
    )
    assert error_of(device, "ls", status=10)["code"] == "NOT_LOGGED_IN"
    device.login("--insecure-storage")
    assert error_of(device, "encrypt", "X", status=10)["code"] == "NO_KEYS"
    words = cloud.folder / "jan.words"
    device.run("init", "--phrase-out", words)
    assert (words.stat().st_mode & 0o777, len(words.read_text().split())) == (0o600, 12)
    other = cloud.device(user)
    other.login("--insecure-storage")
    assert error_of(other, "init", "--phrase-out", tmp_path / "more", status=1)["code"] == "KEYS_EXIST"
    assert not (tmp_path / "more").exists()
    listed = words.read_text().split()
    (tmp_path / "typo").write_text(" ".join([listed[0] + "x", *listed[1:]]))
    error = error_of(other, "init", "--phrase-file", tmp_path / "typo", status=12)
    assert error["code"] == "WRONG_MNEMONIC"
    (tmp_path / "order").write_text(" ".join([listed[1], listed[0], *listed[2:]]))
    assert error_of(other, "init", "--phrase-file", tmp_path / "order", status=12)["code"] == "WRONG_MNEMONIC"
    copied = "\n".join(f" {number}. {word.upper()} " for number, word in enumerate(listed, 1))
    other.run("init", "--phrase-file", "-", stdin=copied)
    error = error_of(device, "key", "show", "--password-file", wrong, "--phrase-out", tmp_path / "w", status=12)
    assert (error["code"], "password again" in str(error["hint"])) == ("AUTH_REQUIRED", True)
    assert not (tmp_path / "w").exists()
    shown = device.run("key", "show", "--password-file", cloud.folder / "jan.password")
    assert shown.out.split() == listed


def test_the_words_never_travel_in_json(cloud: Cloud) -> None:
    device = cloud.device(cloud.user("kai"))
    device.login("--insecure-storage")
    assert error_of(device, "init", status=2)["code"] == "USAGE"
    assert error_of(device, "key", "show", status=2)["code"] == "USAGE"


def test_secrets_do_not_appear_in_messages_logs_or_files_in_clear(cloud: Cloud, tmp_path: Path) -> None:
    user = cloud.user("lena")
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("passphraseCANARY long enough\n")
    device = cloud.device(user, CANDADO_PASSPHRASE_FILE=str(passphrase))
    log = tmp_path / "log"
    seen = [device.login("-vv", "--log-file", log)]
    seen.append(device.run("init", "--phrase-out", tmp_path / "words", "-vv", "--log-file", log))
    seen.append(device.run("encrypt", "Folder", "-vv", "--log-file", log, "--log-format", "json"))
    (tmp_path / "clearCANARY.txt").write_text("bodyCANARY")
    seen.append(
        device.run("put", tmp_path / "clearCANARY.txt", "Folder", "-vv", "--log-file", log, "--log-format", "json")
    )
    seen.append(device.run("cat", "Folder/none", "-vv", expect=4))
    assert "Traceback" in seen[-1].err
    words = (tmp_path / "words").read_text().split()
    # One word alone may stand in any message by chance; two that follow each other do not.
    pairs = [" ".join(pair) for pair in itertools.pairwise(words)]
    secrets = [PASSWORD, "passphraseCANARY", "bodyCANARY", *pairs]
    told = " ".join(("".join(done.out + done.err for done in seen) + log.read_text()).split())
    for secret in secrets:
        assert secret not in told
    assert "/lock/" in log.read_text()
    assert re.search(r"clearCANARY", log.read_text()) is None
    state = b"".join(path.read_bytes() for path in device.home.rglob("*") if path.is_file())
    for secret in [*secrets, "clearCANARY", "Folder"]:
        assert secret.strip().encode() not in state
    assert {path.stat().st_mode & 0o077 for path in device.home.rglob("*") if "state" in str(path)} == {0}
    passphrase.write_text("another")
    assert error_of(device, "ls", status=12)["code"] == "WRONG_PASSPHRASE"
    del device.environment["CANDADO_PASSPHRASE_FILE"]
    assert error_of(device, "ls", status=12)["code"] == "SECRET_NEEDED"


def test_logging_out_and_in_again_keeps_the_keys_and_wiping_does_not(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("mona")
    assert "plain file" in device.run("status").err
    assert device.run("logout", "--json").json == {"schema": "candado.logout/1", "wiped": False, "revoked": True}
    assert error_of(device, "ls", status=10)["code"] == "NOT_LOGGED_IN"
    device.environment["CANDADO_PASSPHRASE_FILE"] = str(tmp_path / "p")
    (tmp_path / "p").write_text("now sealed\n")
    assert device.login("--json").json["keychain"] == "passphrase"
    assert not (device.home / "state" / "device-secret").exists()
    assert device.run("status", "--json").json["has_keys"] is True
    assert device.run("status").err == ""
    assert device.run("logout", "--wipe", "--json").json == {
        "schema": "candado.logout/1",
        "wiped": True,
        "revoked": True,
    }
    assert [path.name for path in device.home.rglob("*")] == []
    device.login()
    assert device.run("status", "--json").json["has_keys"] is False


def test_a_device_belongs_to_one_account(cloud: Cloud) -> None:
    device = cloud.ready("nina")
    other = cloud.user("otto")
    device.user = other
    assert "--wipe" in device.login(expect=2).err
    assert device.run("whoami", "--json").json["user_id"] == "nina"


def test_a_server_that_is_gone_is_said_with_what_is_safe(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("paul")
    config = device.home / "config.toml"
    config.write_text(re.sub(r'url = ".*"', 'url = "http://127.0.0.1:1"', config.read_text()))
    done = device.run("ls", "--retries", "0", expect=20)
    assert re.search(r"\[TRANSPORT\]\n  where: .*\n  safe:  .*\n  next:  .*\n\Z", done.err)
    assert "Traceback" not in done.err


def test_an_interrupted_command_ends_with_130_and_leaves_no_lock(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("quinn")
    device.run("encrypt", "Slow")
    (tmp_path / "big").write_bytes(bytes(20_000_000))
    for number in (signal.SIGINT, signal.SIGTERM):
        process = subprocess.Popen(
            device.command("put", tmp_path / "big", "Slow", "--bwlimit", "200K", "--json"),
            env=device.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        _wait_for_a_body(cloud, process)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert json.loads(out)["error"]["code"] == "INTERRUPTED"
        assert device.run("status", "--json").json["interrupted"] == []
        assert _locks(cloud) == 0
    assert device.run("ls", "Slow").out == ""
    (tmp_path / "small").write_text("x")
    device.run("put", tmp_path / "small", "Slow")


def _wait_for_a_body(cloud: Cloud, process: "subprocess.Popen[Any]") -> None:
    """Until a body arrives under a lock; by then the client has written down that it holds one."""
    deadline = time.monotonic() + 60
    while not (_locks(cloud) and any((cloud.data / "blobs" / "incoming").iterdir())):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _locks(cloud: Cloud) -> int:
    """How many locks the server has granted and not taken back."""
    import sqlite3

    (database,) = [path for path in cloud.data.rglob("*") if path.suffix in (".db", ".sqlite", ".sqlite3")]
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as db:
        count: int = db.execute("SELECT count(*) FROM locks").fetchone()[0]
    db.close()
    return count


def test_a_killed_command_is_finished_by_the_next_one(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("rosa")
    device.run("encrypt", "Killed")
    (tmp_path / "big").write_bytes(bytes(20_000_000))
    process = subprocess.Popen(
        device.command("put", tmp_path / "big", "Killed", "--bwlimit", "200K"),
        env=device.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _wait_for_a_body(cloud, process)
    process.kill()
    process.wait()
    assert device.run("status", "--json").json["interrupted"] == ["/Killed"]
    assert device.run("unlock", "Killed", "--json").json["freed"] == ["/Killed"]
    assert device.run("unlock", "Killed", "--json").json["freed"] == []
    (tmp_path / "small").write_text("x")
    device.run("put", tmp_path / "small", "Killed")
    assert device.run("ls", "Killed").out == "small\n"


def test_a_reader_that_goes_away_ends_a_listing_quietly(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("sara")
    device.run("encrypt", "Many")
    device.run("put", Path(__file__).parent, "Many")
    shell = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$@" | true', "-", *device.command("tree", "Many", "-q")],
        env={**device.environment, "PYTHONUNBUFFERED": "1"}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (shell.returncode, "Traceback" in shell.stderr, "Error" in shell.stderr) == (0, False, False)
