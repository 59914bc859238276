"""The recovery key from the ceremony to the person who lost everything, with real commands on a real server."""

import json
from pathlib import Path

import aiohttp
from tests.e2e.cli_world import PASSWORD, Cloud, Device, running_cloud

from candado.crypto.rsa import PublicKey
from candado.formats.canonjson import load_json

PEOPLE = ("--person", "Ana", "--person", "Bo")


def _offline(cloud: Cloud) -> Device:
    """A machine that never signs in anywhere."""
    return cloud.device("nobody")


def _install(cloud: Cloud, offline: Device, root: Device) -> Path:
    """The ceremony, the organisation's key, and the announcement of the public half."""
    folder = cloud.folder
    (folder / "pass").write_text("a passphrase of four words\n")
    (folder / "text").write_text("We can open folders when all keys are lost.\n")
    keepers = [word for name in ("Ana", "Bo", "Cy") for word in ("--custodian", name)]
    offline.run("recovery", "create", folder / "key", "--shares", "3", "--needed", "2", "--purpose", "Tests", *keepers)
    offline.run("recovery", "test", folder / "key", "--all")
    root.run("organisation", "create", folder / "org", "--passphrase-file", folder / "pass")
    root.run(
        "recovery", "install", folder / "key" / "public", "--organisation-key", folder / "org", "--text-file",
        folder / "text", "--passphrase-file", folder / "pass", "--password-file", folder / "root.password",
    )  # fmt: skip
    return folder / "key"


async def _forget_keys(cloud: Cloud, user: str) -> None:
    """What a stock app does when encryption is taken off an account."""
    path = "/ocs/v2.php/apps/end_to_end_encryption/api/v1"
    login = aiohttp.encode_basic_auth(user, f"{PASSWORD} {user}")
    headers = {"Authorization": login, "OCS-APIRequest": "true", "X-E2EE-SUPPORTED": "true"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for name in ("private-key", "public-key"):
            async with session.delete(f"{cloud.url}{path}/{name}") as answer:
                assert answer.status == 200


def _sheets(key: Path, *numbers: int) -> list[str | Path]:
    return [word for number in numbers for word in ("--sheet", key / f"sheet-{number}.txt")]


async def test_what_the_recovery_key_gives_back_after_all_keys_were_lost(tmp_path: Path) -> None:
    with running_cloud(tmp_path) as cloud:
        offline, root = _offline(cloud), cloud.device("root")
        password = tmp_path / "root.password"
        password.write_text(f"{PASSWORD} root\n")
        cloud.admin("user", "add", "root", "--admin", "--password-file", password)
        root.login("--insecure-storage")
        key = _install(cloud, offline, root)
        alice, bob = cloud.ready("alice"), cloud.ready("bob")
        (tmp_path / "a.txt").write_text("one")
        alice.run("encrypt", "Secret")
        alice.run("put", tmp_path / "a.txt", "Secret")
        alice.run("share", "Secret", "bob")
        alice.run("export", "Secret", tmp_path / "bundle")
        manifest = load_json((tmp_path / "bundle" / "candado-bundle.json").read_bytes(), bytes_max=1 << 20)
        assert isinstance(manifest, dict)
        authority = PublicKey.from_pem(str(manifest["authority"])).fingerprint_hex
        checked = ("--public", key, "--authority-fingerprint", authority, *PEOPLE)
        offline.run(
            "recovery", "use", tmp_path / "bundle", "--decrypt", tmp_path / "out", *_sheets(key, 1, 3), *checked,
            "--purpose", "case 17", "--record", tmp_path / "use17.json",
        )  # fmt: skip
        assert (tmp_path / "out" / "Secret" / "a.txt").read_text() == "one"
        root.run("recovery", "report", tmp_path / "use17.json", "--password-file", password)
        await _forget_keys(cloud, "alice")
        anew = cloud.device("alice")
        anew.login("--insecure-storage")
        anew.run("init", "--phrase-out", tmp_path / "new.words")
        assert anew.run("ls", "Secret", "--json", expect=None).json["error"]["code"] == "CONTEXT"
        anew.run("recovery", "request", tmp_path / "request.json")
        (tmp_path / "c.txt").write_text("three")
        bob.run("put", tmp_path / "c.txt", "Secret")
        offline.run(
            "recovery", "use", tmp_path / "request.json", "--regrant", tmp_path / "given", *_sheets(key, 2, 3), *checked,
            "--purpose", "lost words", "--record", tmp_path / "use18.json", "--yes",
        )  # fmt: skip
        root.run("recovery", "report", tmp_path / "use18.json", "--password-file", password)
        anew.run("recovery", "apply", tmp_path / "given")
        assert [anew.run("cat", f"Secret/{name}").out for name in ("a.txt", "c.txt")] == ["one", "three"]
        assert bob.run("ls", "Secret", "--json", expect=None).json["error"]["code"] == "KEY_CHANGED"
        shown = anew.run("fingerprint", "--json").json["hex"]
        bob.run("trust", "forget", "alice")
        bob.run("trust", "verify", "alice", shown)
        assert bob.run("cat", "Secret/c.txt").out == "three"
        told = [one["message"] for one in anew.run("issues", "--json").json["issues"] if "was used" in one["message"]]
        assert (len(told), all("by Ana and Bo" in one for one in told)) == (2, True)
        used = json.loads(cloud.admin("audit", "list", "--event", "recovery.used", "--json"))["records"]
        assert len(used) == 2
