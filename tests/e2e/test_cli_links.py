"""Links into encrypted folders with the real command line: made, opened, dropped into, taken back."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.cli_world import Cloud, Device, running_cloud

CONTENT = b"what nobody but the members reads\n"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture(scope="module")
def alice(cloud: Cloud) -> Device:
    return cloud.ready("alice")


@pytest.fixture(scope="module")
def bob(cloud: Cloud) -> Device:
    return cloud.ready("bob")


@pytest.fixture
def stranger(cloud: Cloud) -> Device:
    """A device that never signed in anywhere."""
    return cloud.device("nobody")


@pytest.fixture
def folder(alice: Device, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """An encrypted folder with a file at the top and one below."""
    name = re.sub(r"[^a-z]", "-", request.node.name)[:60]
    alice.run("encrypt", name)
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "note.txt").write_bytes(CONTENT)
    (tmp_path / "tree" / "sub" / "grüße.bin").write_bytes(CONTENT * 100_000)
    alice.run("put", tmp_path / "tree" / "note.txt", tmp_path / "tree" / "sub", name)
    return name


def view(alice: Device, folder: str, words: Path, *more: str) -> str:
    url: str = alice.run("link", "create", folder, "--words-out", words, "--json", *more).json["url"]
    return url


def test_a_stranger_opens_what_a_link_leads_to_with_its_words(
    alice: Device, stranger: Device, folder: str, tmp_path: Path
) -> None:
    words, got = tmp_path / "words", tmp_path / "got"
    url = view(alice, folder, words)
    assert re.fullmatch(rf"{alice.url}/s/[A-Za-z0-9]{{20}}#by=[0-9a-f]{{64}}&key=[0-9a-f]{{64}}", url)
    assert len(words.read_text().split()) == 12
    done = stranger.run("link", "open", url, "--to", got, "--words-file", words, "--json")
    assert (done.json["files"], done.json["errors"], done.err) == (2, [], "")
    assert (got / "note.txt").read_bytes() == CONTENT
    assert (got / "sub" / "grüße.bin").read_bytes() == CONTENT * 100_000
    assert not stranger.home.exists() or not any(stranger.home.rglob("*.sqlite"))
    # A device that is signed in and a member keeps working: the folder is of version 2.1 now.
    assert alice.run("cat", f"{folder}/note.txt").out.encode() == CONTENT


def test_wrong_words_a_wrong_key_and_a_wrong_maker_open_nothing(
    alice: Device, stranger: Device, folder: str, tmp_path: Path
) -> None:
    words, wrong, got = tmp_path / "words", tmp_path / "wrong", tmp_path / "got"
    url = view(alice, folder, words)
    wrong.write_text(" ".join(["abandon"] * 12))
    told = stranger.run("link", "open", url, "--to", got, "--words-file", wrong, expect=12).err
    assert ("open it again" in told, "candado init" in told) == (True, False)
    other = "0" * 64
    for name in ("key", "by"):
        bad = re.sub(rf"{name}=[0-9a-f]{{64}}", f"{name}={other}", url)
        refused = stranger.run("link", "open", bad, "--to", got, "--words-file", words, "--json", expect=15)
        assert refused.json["error"]["code"] == "UNTRUSTED_CERTIFICATE"
    cut = url.replace("#by=", "#b=")
    assert "damaged" in stranger.run("link", "open", cut, "--to", got, "--words-file", words, expect=2).err
    assert not got.exists()
    bare = url.partition("#")[0]
    opened = stranger.run("link", "open", bare, "--to", got, "--words-file", words)
    assert "the address names no key" in opened.err
    assert (got / "note.txt").read_bytes() == CONTENT


def test_a_link_with_a_password_an_end_and_its_words_in_the_address(
    alice: Device, stranger: Device, folder: str, tmp_path: Path
) -> None:
    secret, got = tmp_path / "secret", tmp_path / "got"
    secret.write_text("a password for the link\n")
    made = alice.run(
        "link", "create", folder, "--password-file", secret, "--expires", "2090-05-06", "--label", "For Eve",
        "--words-in-url", "--json",
    ).json  # fmt: skip
    assert (made["expires"], made["drop"]) == ("2090-05-06", False)
    assert stranger.run("link", "open", made["url"], "--to", got, "--json", expect=None).status != 0
    stranger.run("link", "open", made["url"], "--to", got, "--password-file", secret)
    assert (got / "note.txt").read_bytes() == CONTENT
    (listed,) = alice.run("link", "list", folder, "--json").json["links"]
    assert listed == {
        "path": f"/{folder}",
        "token": made["token"],
        "member": True,
        "shared": True,
        "drop": False,
        "password": True,
        "label": "For Eve",
        "expires": "2090-05-06",
    }
    (shared,) = alice.run("shares", folder, "--json").json["shares"]
    assert (shared["user"], shared["link"], shared["expires"]) == (f"s:{made['token']}", True, "2090-05-06")
    assert "anyone with the link and its words, until 2090-05-06" in alice.run("shares", folder).out


def test_a_link_that_was_taken_back_opens_nothing_that_is_written_after(
    alice: Device, stranger: Device, folder: str, tmp_path: Path
) -> None:
    words, got = tmp_path / "words", tmp_path / "got"
    url = view(alice, folder, words)
    done = alice.run("link", "revoke", url, "--json").json
    assert (done["was_member"], done["had_share"], done["rekeyed_folders"]) == (True, True, 2)
    assert alice.run("link", "list", folder, "--json").json["links"] == []
    assert stranger.run("link", "open", url, "--to", got, "--words-file", words, "--json", expect=None).status != 0
    assert not got.exists()
    assert alice.run("link", "revoke", url, "--json", expect=4).json["error"]["code"] == "NOT_FOUND"
    assert alice.run("link", "revoke", "https://example.org/nothing", expect=2).err


def test_what_a_stranger_drops_becomes_a_marked_file_at_the_next_sync_of_any_member(
    alice: Device, bob: Device, stranger: Device, folder: str, tmp_path: Path
) -> None:
    alice.run("share", folder, "bob")
    url = alice.run("link", "create", folder, "--drop", "--json").json["url"]
    assert "words" not in url
    assert "key=" not in url
    local = tmp_path / "bob"
    bob.run("sync", local, folder)
    one, two = tmp_path / "scan.pdf", tmp_path / "note.txt"
    one.write_bytes(CONTENT * 50_000)
    two.write_bytes(b"")
    dropped = stranger.run("drop", one, two, url, "--json").json
    assert (dropped["recipients"], dropped["pinned"], dropped["left_out_members"]) == (["alice", "bob"], True, 0)
    assert [(item["path"], item["bytes"]) for item in sorted(dropped["dropped"], key=lambda item: -item["bytes"])] == [
        ("scan.pdf", len(CONTENT) * 50_000),
        ("note.txt", 0),
    ]
    assert all(re.fullmatch(r"[0-9a-f]{64}", item["receipt"]) for item in dropped["dropped"])
    done = bob.run("sync", local, folder, "--json").json
    assert (done["downloaded"], done["errors"]) == (2, [])
    names = sorted(path.name for path in local.iterdir() if path.is_file())
    assert names == ["note (dropped).txt", "note.txt", "scan (dropped).pdf"]
    assert (local / "scan (dropped).pdf").read_bytes() == CONTENT * 50_000
    assert (local / "note.txt").read_bytes() == CONTENT
    again = bob.run("sync", local, folder, "--json").json
    assert (again["downloaded"], again["uploaded"], again["errors"]) == (0, 0, [])
    assert "scan (dropped).pdf" in alice.run("ls", folder).out
    (listed,) = alice.run("link", "list", folder, "--json").json["links"]
    assert (listed["drop"], listed["member"]) == (True, False)
    (tmp_path / "words").write_text(" ".join(["abandon"] * 12))
    assert "it is for uploads" in stranger.run("link", "open", url, "--words-file", tmp_path / "words", expect=10).err


def test_whoever_drops_seals_for_the_maker_alone_when_somebody_else_signed_the_members(
    alice: Device, bob: Device, stranger: Device, folder: str, tmp_path: Path
) -> None:
    alice.run("share", folder, "bob")
    url = alice.run("link", "create", folder, "--drop", "--json").json["url"]
    (tmp_path / "new").write_bytes(b"x")
    bob.run("put", tmp_path / "new", folder)
    dropped = stranger.run("drop", tmp_path / "new", url, "--json").json
    assert (dropped["recipients"], dropped["pinned"], dropped["left_out_members"]) == (["alice"], True, 1)
    bad = re.sub(r"by=[0-9a-f]{64}", f"by={'1' * 64}", url)
    assert stranger.run("drop", tmp_path / "new", bad, "--json", expect=15).json["error"]["code"] == (
        "UNTRUSTED_CERTIFICATE"
    )
    bare = stranger.run("drop", tmp_path / "new", url.partition("#")[0])
    assert "the server's word was taken" in bare.err
    assert "Sealed for alice, bob" in bare.err


def test_the_server_never_hears_what_stands_behind_the_hash(
    cloud: Cloud, alice: Device, stranger: Device, folder: str, tmp_path: Path
) -> None:
    made = alice.run("link", "create", folder, "--words-in-url", "--json").json
    stranger.run("link", "open", made["url"], "--to", tmp_path / "got", "-vv")
    words = re.findall(r"words=([a-z-]+)", made["url"])[0].encode()
    stored = [path for path in cloud.data.rglob("*") if path.is_file()]
    assert stored
    for path in [*stored, cloud.folder / "server.log"]:
        content = path.read_bytes()
        assert words not in content
        assert words.replace(b"-", b" ") not in content
        assert words.replace(b"-", b"") not in content
