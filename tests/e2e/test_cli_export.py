"""``export`` and ``recover`` as a person uses them; the second without any server, account or state."""

import os
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.cli_world import PYTHON, Cloud, Device, running_cloud

CONTENT = {
    "passport.txt": b"P1234567",
    "empty": b"",
    "film.bin": bytes(range(256)) * (12 << 10),
    "2024/taxes/form.txt": b"paid",
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def alice(cloud: Cloud) -> Device:
    """A device with a filled folder."""
    device = cloud.ready("alice")
    source = cloud.folder / "source"
    for name, content in CONTENT.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    device.run("encrypt", "Papers")
    device.run("put", *sorted(source.iterdir()), "Papers")
    return device


def bare(*words: str | Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """A command on a machine that has nothing of us: no home, no configuration, no network."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    done = subprocess.run(
        [PYTHON, "-m", "candado.apps.cli", *map(str, words)],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == expect, done.stdout + done.stderr
    return done


def files_of(dest: Path) -> dict[str, bytes]:
    return {path.relative_to(dest).as_posix(): path.read_bytes() for path in dest.rglob("*") if path.is_file()}


def test_a_bundle_is_made_from_the_server_and_opened_without_it(cloud: Cloud, alice: Device, tmp_path: Path) -> None:
    done = alice.run("export", "Papers", tmp_path / "bundle", "--json")
    assert {name: done.json[name] for name in ("roots", "folders", "bodies", "missing", "errors")} == {
        "roots": ["/Papers"],
        "folders": 3,
        "bodies": 4,
        "missing": [],
        "errors": [],
    }
    done2 = bare("recover", tmp_path / "bundle", tmp_path / "out", "--phrase-file", cloud.folder / "alice.words")
    assert files_of(tmp_path / "out") == {f"Papers/{name}": content for name, content in CONTENT.items()}
    assert "made by alice" in done2.stderr
    assert "recovered 4 files" in done2.stderr
    source, here = cloud.folder / "source" / "passport.txt", tmp_path / "out/Papers/passport.txt"
    assert int(here.stat().st_mtime) == int(source.stat().st_mtime)
    again = bare("recover", tmp_path / "bundle", tmp_path / "out", "--phrase-file", cloud.folder / "alice.words")
    assert "recovered 0 files, 0B, 4 were there already" in again.stderr
    refused = alice.run("export", "Papers", tmp_path / "bundle", expect=1)
    assert "There is a finished bundle here." in refused.err


def test_everything_goes_into_one_tar_file(cloud: Cloud, alice: Device, tmp_path: Path) -> None:
    (tmp_path / "all.tar.part").mkdir()  # stands in the way of the packing only
    alice.run("export", "/", tmp_path / "all.tar", "--tar", expect=1)
    (tmp_path / "all.tar.part").rmdir()
    assert alice.run("export", "/", tmp_path / "all.tar", "--tar", "--json").json["packed"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.tar"]
    with tarfile.open(tmp_path / "all.tar") as tar:
        names = tar.getnames()
    assert names[-3:] == ["index.jsonl", "candado-bundle.sig", "candado-bundle.json"]
    bare("recover", tmp_path / "all.tar", tmp_path / "out", "--phrase-file", cloud.folder / "alice.words")
    assert files_of(tmp_path / "out") == {f"Papers/{name}": content for name, content in CONTENT.items()}


def test_wrong_words_and_missing_parts_are_told(cloud: Cloud, alice: Device, tmp_path: Path) -> None:
    alice.run("export", "Papers", tmp_path / "bundle", "--no-bodies")
    (tmp_path / "wrong").write_text("able " * 12)
    done = bare("recover", tmp_path / "bundle", tmp_path / "out", "--phrase-file", tmp_path / "wrong", expect=12)
    assert "[WRONG_MNEMONIC]" in done.stderr
    assert not (tmp_path / "out").exists()
    done = bare(
        "recover", tmp_path / "bundle", tmp_path / "out", "--phrase-file", cloud.folder / "alice.words", expect=3
    )
    assert "4 of 4 files have no body: " in done.stderr
    assert "Papers/2024/taxes/form.txt" in done.stderr
    done = bare("recover", tmp_path / "bundle", tmp_path / "out", expect=12)
    assert "the twelve words are needed" in done.stderr


def test_an_export_that_is_killed_is_gone_on_with(cloud: Cloud, alice: Device, tmp_path: Path) -> None:
    process = subprocess.Popen(
        alice.command("export", "Papers", tmp_path / "bundle", "--bwlimit", "1M", "--transfers", "1"),
        env=alice.environment, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    bodies = tmp_path / "bundle" / "bodies"
    while process.poll() is None and not (bodies.exists() and any(bodies.rglob("*/*"))):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    assert not (tmp_path / "bundle" / "candado-bundle.json").exists()
    done = bare(
        "recover", tmp_path / "bundle", tmp_path / "out", "--phrase-file", cloud.folder / "alice.words", expect=4
    )
    assert "its export was cut" in done.stderr
    report = alice.run("export", "Papers", tmp_path / "bundle", "--json").json
    assert report["kept"] >= 1
    assert report["bodies"] == 4
    bare("recover", tmp_path / "bundle", tmp_path / "out", "--phrase-file", cloud.folder / "alice.words")
    assert files_of(tmp_path / "out") == {f"Papers/{name}": content for name, content in CONTENT.items()}
