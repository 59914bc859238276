"""``candado recover`` as a command: where its secrets come from, what it says, and that it needs nothing of a device."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.unit.client.bundles import CONTENT, Stage, files_of, make_stage
from tests.unit.client.test_recover_parts import data_directory

from candado.adapters.bundle_tar import pack_bundle
from candado.apps.cli.root import run
from candado.crypto.mnemonic import seal_private_key
from candado.encoding import pem_encode
from candado.types import SecretText

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return make_stage(tmp_path_factory.mktemp("stage"))


@pytest.fixture(autouse=True)
def nobody_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CANDADO_HOME", "CANDADO_PHRASE_FILE", "CANDADO_PRIVATE_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nobody"))


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    path.write_text("words\n")
    return path


def key_file(stage: Stage, user: str, place: Path) -> Path:
    path = place / f"{user}.pem"
    path.write_text(pem_encode("PRIVATE KEY", stage.key(user).to_pkcs8_der()))
    return path


def recover(*arguments: object, expect: int = 0) -> None:
    assert run(["recover", *map(str, arguments)]) == expect


def answer(capture: Capture) -> Any:
    return json.loads(capture.readouterr().out)


def test_the_words_open_a_bundle_and_all_is_told(stage: Stage, words: Path, tmp_path: Path, capsys: Capture) -> None:
    recover(stage.bundle, tmp_path / "out", "--phrase-file", words, "--json")
    trusted = stage.world.server.authority.public.fingerprint_hex
    assert answer(capsys) == {
        "schema": "candado.recover/1",
        "source": "bundle",
        "exporter": "alice",
        "server": "https://cloud.example",
        "created": "2027-01-15T08:00:00Z",
        "authority": trusted,
        "authority_given": False,
        "files": 7,
        "folders": 3,
        "bytes": sum(map(len, CONTENT.values())),
        "kept": 0,
        "missing": [],
        "unverified": [],
        "renamed": [],
        "errors": [],
    }
    assert files_of(tmp_path / "out") == CONTENT
    assert not (tmp_path / "nobody").exists()
    spaced = ":".join(trusted[at : at + 2] for at in range(0, 64, 2)).upper()
    recover(stage.bundle, tmp_path / "out", "--phrase-file", words, "--authority-fingerprint", spaced, "--json")
    again = answer(capsys)
    assert (again["kept"], again["files"], again["authority_given"]) == (7, 0, True)


def test_a_members_key_comes_from_the_environment_too(
    stage: Stage, words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANDADO_PRIVATE_KEY_FILE", str(key_file(stage, "bob", tmp_path)))
    recover(stage.bundle, tmp_path / "out")
    monkeypatch.setenv("CANDADO_PRIVATE_KEY_FILE", str(words))  # the words on the command line win over it
    recover(stage.bundle, tmp_path / "out", "--phrase-file", words)
    assert files_of(tmp_path / "out") == CONTENT


def test_a_members_key_opens_a_tar(stage: Stage, tmp_path: Path, capsys: Capture) -> None:
    pack_bundle(stage.copy(tmp_path / "bundle"), tmp_path / "bundle.tar")
    recover(tmp_path / "bundle.tar", tmp_path / "out", "--private-key-file", key_file(stage, "bob", tmp_path))
    assert files_of(tmp_path / "out") == CONTENT
    said = capsys.readouterr().err
    assert "The bundle was made by alice at https://cloud.example" in said
    assert "by its own word" in said


def test_a_tar_that_is_cut_off_needs_salvage(stage: Stage, tmp_path: Path, capsys: Capture) -> None:
    pack_bundle(stage.copy(tmp_path / "bundle"), tmp_path / "bundle.tar")
    with (tmp_path / "bundle.tar").open("r+b") as tar:
        tar.truncate((tmp_path / "bundle.tar").stat().st_size - 8192)
    key = key_file(stage, "alice", tmp_path)
    recover(tmp_path / "bundle.tar", tmp_path / "out", "--private-key-file", key, expect=16)
    assert "add --salvage" in capsys.readouterr().err
    recover(tmp_path / "bundle.tar", tmp_path / "out", "--private-key-file", key, "--salvage", expect=3)
    assert sorted(files_of(tmp_path / "out").values()) == sorted(CONTENT.values())


@pytest.mark.parametrize(
    ("more", "status", "text"),
    [
        ((), 12, "the twelve words are needed"),
        (("--authority-fingerprint", "12"), 2, "a fingerprint has 64 hexadecimal digits"),
        (("--authority-fingerprint", "0" * 64), 15, "names another authority than the one you trust"),
        (("--phrase-file", "WORDS", "--private-key-file", "WORDS"), 2, "not both"),
        (("--private-key-file", "WORDS"), 16, "not one PEM block"),
        (("--private-key-file", "none"), 4, "does not exist"),
        (("--phrase-file", "WORDS", "--user", "bob"), 4, "A part is missing"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(
    stage: Stage, words: Path, tmp_path: Path, capsys: Capture, more: tuple[str, ...], status: int, text: str
) -> None:
    given = [str(words) if word == "WORDS" else word for word in more]
    recover(stage.bundle, tmp_path / "out", *given, expect=status)
    assert text in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_wrong_words_are_told_with_where_they_came_from(stage: Stage, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "wrong").write_text("other words")
    recover(stage.bundle, tmp_path / "out", "--phrase-file", tmp_path / "wrong", expect=12)
    said = capsys.readouterr().err
    assert str(tmp_path / "wrong") in said
    assert "[WRONG_MNEMONIC]" in said


def test_a_source_that_is_not_there_or_holds_nothing_is_told(words: Path, tmp_path: Path, capsys: Capture) -> None:
    recover(tmp_path / "none", tmp_path / "out", "--phrase-file", words, expect=4)
    (tmp_path / "empty").mkdir()
    recover(tmp_path / "empty", tmp_path / "out", "--phrase-file", words, expect=4)
    assert "Parts are missing here: the metadata of folders" in capsys.readouterr().err


def test_nothing_is_written_into_what_is_read(stage: Stage, words: Path, tmp_path: Path, capsys: Capture) -> None:
    bundle = stage.copy(tmp_path / "bundle")
    before = files_of(bundle)
    for dest in (bundle, bundle / "in" / "it"):
        recover(bundle, dest, "--phrase-file", words, expect=2)
    assert "DEST is inside of SRC" in capsys.readouterr().err
    assert files_of(bundle) == before


def test_gaps_give_a_partial_result_that_names_them(stage: Stage, words: Path, tmp_path: Path, capsys: Capture) -> None:
    bundle = stage.copy(tmp_path / "bundle")
    (small,) = [path for path in (bundle / "bodies").rglob("*") if path.is_file() and path.stat().st_size == 19]
    small.write_bytes(bytes(19))
    (gone,) = [path for path in (bundle / "bodies").rglob("*") if path.is_file() and path.stat().st_size == 16]
    gone.unlink()
    recover(bundle, tmp_path / "out", "--phrase-file", words, expect=3)
    said = capsys.readouterr().err
    assert "1 of 6 files have no body: Secret/empty" in said
    assert "Secret/a.txt: the content of a file was altered [OPEN_FAILED]" in said
    recover(bundle, tmp_path / "out", "--phrase-file", words, "--salvage", expect=3)
    said = capsys.readouterr().err
    assert "1 files are NOT verified: Secret/a.txt.not-verified" in said
    assert "5 were there already" in said


def test_nothing_for_this_key_is_that_error(stage: Stage, tmp_path: Path) -> None:
    key = key_file(stage, "carol", tmp_path)
    recover(stage.bundle, tmp_path / "out", "--private-key-file", key, expect=13)


def test_a_manifest_that_cannot_be_read_needs_salvage(
    stage: Stage, words: Path, tmp_path: Path, capsys: Capture
) -> None:
    bundle = stage.copy(tmp_path / "bundle")
    (bundle / "candado-bundle.json").write_bytes(b"{}")
    recover(bundle, tmp_path / "out", "--phrase-file", words, expect=16)
    assert not (tmp_path / "out").exists()
    key = key_file(stage, "alice", tmp_path)
    recover(bundle, tmp_path / "out", "--private-key-file", key, "--salvage", expect=3)
    assert "the manifest of the bundle cannot be read" in capsys.readouterr().err
    assert sorted(files_of(tmp_path / "out").values()) == sorted(CONTENT.values())


def test_a_signature_that_does_not_hold_is_told_by_salvage(
    stage: Stage, words: Path, tmp_path: Path, capsys: Capture
) -> None:
    bundle = stage.copy(tmp_path / "bundle")
    (bundle / "candado-bundle.sig").unlink()
    recover(bundle, tmp_path / "out", "--phrase-file", words, "--salvage", expect=3)
    assert "The bundle is not signed. Nothing in it is verified." in capsys.readouterr().err


def test_the_data_directory_of_a_server_needs_the_user_whose_words_they_are(
    stage: Stage, words: Path, tmp_path: Path, capsys: Capture
) -> None:
    place = tmp_path / "data"
    data_directory(stage.world, place)
    sealed = seal_private_key(stage.key("bob"), SecretText("words"), salt=bytes(40), nonce=bytes(12))
    (place / "appdata_oc1/end_to_end_encryption/private-keys/bob.private.key").write_text(sealed)
    recover(place, tmp_path / "out", "--phrase-file", words, expect=2)
    assert "there are the keys of several users: alice, bob, carol" in capsys.readouterr().err
    recover(place, tmp_path / "out", "--phrase-file", words, "--user", "bob", "--json")
    assert answer(capsys)["source"] == "parts"
    assert files_of(tmp_path / "out") == CONTENT
    other = ("--authority-fingerprint", "0" * 64)
    recover(place, tmp_path / "other", "--phrase-file", words, "--user", "bob", *other, expect=15)
    shutil.rmtree(place / "appdata_oc1/identityproof")
    recover(place, tmp_path / "other", "--phrase-file", words, "--user", "bob", expect=15)
    assert "the authority's key is missing" in capsys.readouterr().err


_ELSEWHERE = """
import os, sys
for name in ("O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC", "O_NONBLOCK", "readv", "writev", "pwrite", "fchmod", "getuid"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("fcntl", "pwd", "grp", "termios", "resource"):
    sys.modules[name] = None
from candado.apps.cli.root import run
sys.exit(run(sys.argv[1:]))
"""


def test_it_runs_where_only_what_every_system_has_is_there(stage: Stage, tmp_path: Path) -> None:
    key = key_file(stage, "alice", tmp_path)
    words = ["recover", stage.bundle, tmp_path / "out", "--private-key-file", key, "--windows-names"]
    command = [sys.executable, "-c", _ELSEWHERE, *words]
    for expected in ("recovered 7 files", "7 were there already"):
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, expected in done.stderr) == (0, True), done.stderr
    assert files_of(tmp_path / "out") == CONTENT
