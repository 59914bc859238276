"""Programs and libraries of other people that speak WebDAV, as packaged, against our server."""

import itertools
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cli_world import PASSWORD, Cloud
from tests.interop.test_nextcloudcmd import ODD_NAMES

_COUNT = itertools.count()
_OWN_BIN = Path(sys.prefix) / "interop" / "bin"
RCLONES = {"packaged by Debian": Path("/usr/bin/rclone"), "newest": _OWN_BIN / "rclone"}
SUITES = {"basic": 16, "copymove": 13, "props": 30, "locks": 3, "http": 4}
STEPS = re.findall(r"^def step_(\w+)", (Path(__file__).parent / "nc_client.py").read_text(), re.MULTILINE)


@pytest.fixture
def user(cloud: Cloud) -> str:
    return cloud.user(f"dav{next(_COUNT)}")


def _run(words: list[str | Path], folder: Path, *, status: int = 0, text: str = "", **environment: str) -> str:
    """What a program printed, which must end with ``status``."""
    done = subprocess.run(
        words,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", **environment},
        input=text,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == status, f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


# --- litmus -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["/remote.php/dav/files/{user}/", "/remote.php/webdav/"])
def test_litmus_passes_whole_and_warns_only_of_locks(cloud: Cloud, user: str, place: str, tmp_path: Path) -> None:
    url = cloud.url + place.format(user=user)
    told = _run(["litmus", "-k", url, user, f"{PASSWORD} {user}"], tmp_path).replace("\r", "\n")
    found = re.findall(r"summary for `(\w+)': of (\d+) tests run: (\d+) passed, (\d+) failed", told)
    assert {suite: (int(ran), int(passed), int(failed)) for suite, ran, passed, failed in found} == {
        suite: (count, count, 0) for suite, count in SUITES.items()
    }, told
    # Locks are not offered: the suite says so and leaves the rest of itself out.
    assert set(re.findall(r"WARNING: (.*)", told)) == {"server does not claim Class 2 compliance"}


# --- rclone -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rclone:
    """One rclone with one remote, and a folder of this device."""

    program: Path
    url: str
    user: str
    folder: Path

    def __call__(self, *words: str | Path, status: int = 0) -> str:
        password = f"{PASSWORD} {self.user}"
        hidden = _run([self.program, "obscure", password], self.folder, RCLONE_CONFIG="/nonexistent/rclone.conf")
        return _run(
            [self.program, *words],
            self.folder,
            status=status,
            RCLONE_CONFIG="/nonexistent/rclone.conf",
            RCLONE_RETRIES="1",
            RCLONE_CONFIG_CLOUD_TYPE="webdav",
            RCLONE_CONFIG_CLOUD_VENDOR="nextcloud",
            RCLONE_CONFIG_CLOUD_URL=f"{self.url}/remote.php/dav/files/{self.user}",
            RCLONE_CONFIG_CLOUD_USER=self.user,
            RCLONE_CONFIG_CLOUD_PASS=hidden.strip(),
        )

    def listed(self, place: str = "") -> dict[str, int]:
        """Size by path of everything on the remote, -1 for folders."""
        found: list[dict[str, Any]] = json.loads(self("lsjson", "-R", f"cloud:{place}"))
        return {node["Path"]: node["Size"] for node in found}


@pytest.fixture(params=RCLONES)
def rclone(request: pytest.FixtureRequest, cloud: Cloud, user: str, tmp_path: Path) -> Rclone:
    return Rclone(RCLONES[request.param], cloud.url, user, tmp_path)


def _write(place: Path, content: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


def _tree(folder: Path) -> dict[str, tuple[bytes, int] | None]:
    """Content and whole seconds of the time of change by path, None for folders."""
    return {
        place.relative_to(folder).as_posix(): None
        if place.is_dir()
        else (place.read_bytes(), int(place.stat().st_mtime))
        for place in sorted(folder.rglob("*"))
    }


def test_rclone_copies_a_tree_of_odd_names_there_and_back(rclone: Rclone) -> None:
    here = rclone.folder / "here"
    for number, name in enumerate(ODD_NAMES):
        _write(here / "names" / name / f"in {number}", name.encode())
        os.utime(here / "names" / name / f"in {number}", (1_600_000_000 + number,) * 2)
    _write(here / "/".join("abcdefghijklmnopqrst") / "bottom", b"")
    (here / "empty").mkdir()
    rclone("copy", "here", "cloud:there", "--create-empty-src-dirs")
    rclone("check", "here", "cloud:there")
    rclone("check", "here", "cloud:there", "--download")
    rclone("copy", "cloud:there", "back", "--create-empty-src-dirs")
    assert _tree(rclone.folder / "back") == _tree(here)
    sums = {
        line.split("  ", 1)[1]: line.split("  ", 1)[0] for line in rclone("hashsum", "sha1", "cloud:there").splitlines()
    }
    assert sums == {
        line.split("  ", 1)[1]: line.split("  ", 1)[0] for line in rclone("hashsum", "sha1", "here").splitlines()
    }
    rclone("purge", "cloud:there")
    assert rclone.listed() == {}


def test_rclone_syncs_changes_and_removals(rclone: Rclone) -> None:
    here = rclone.folder / "here"
    for path in ("a", "d/b", "d/e/c", "gone", "gone too/x"):
        _write(here / path, path.encode())
    rclone("sync", "here", "cloud:mirror")
    _write(here / "a", b"changed")
    (here / "gone").unlink()
    (here / "gone too" / "x").unlink()
    (here / "gone too").rmdir()
    _write(here / "new", b"n")
    rclone("sync", "here", "cloud:mirror")
    assert rclone.listed("mirror") == {"a": 7, "d": -1, "d/b": 3, "d/e": -1, "d/e/c": 5, "new": 1}
    rclone("check", "here", "cloud:mirror")
    _write(here / "a", b"Changed")
    assert rclone("check", "here", "cloud:mirror", status=1) == ""


def test_rclone_moves_and_renames_on_the_server(rclone: Rclone) -> None:
    for path in ("from/a b", "from/deep/c", "single"):
        _write(rclone.folder / "here" / path, path.encode())
    rclone("copy", "here", "cloud:")
    rclone("moveto", "cloud:single", "cloud:new folder/re#named?.txt")
    rclone("move", "cloud:from", "cloud:to/here", "--delete-empty-src-dirs")
    rclone("copyto", "cloud:to/here/a b", "cloud:to/copy")
    assert rclone.listed() == {
        "new folder": -1, "new folder/re#named?.txt": 6, "to": -1, "to/copy": 8,
        "to/here": -1, "to/here/a b": 8, "to/here/deep": -1, "to/here/deep/c": 11,
    }  # fmt: skip
    assert rclone("cat", "cloud:to/copy") == "from/a b"
    rclone("deletefile", "cloud:to/copy")
    rclone("mkdir", "cloud:empty/inner")
    rclone("rmdirs", "cloud:empty")
    rclone("delete", "cloud:to")
    assert [path for path, size in rclone.listed().items() if size >= 0] == ["new folder/re#named?.txt"]


def test_rclone_sends_large_files_in_chunks_and_reads_parts_of_files(rclone: Rclone) -> None:
    content = random.Random(8).randbytes(33_000_001)
    _write(rclone.folder / "here" / "big", content)
    rclone("copy", "here", "cloud:")
    rclone("check", "here", "cloud:", "--download")
    rclone("copy", "cloud:", "back", "--multi-thread-cutoff", "1M", "--multi-thread-streams", "4")
    assert (rclone.folder / "back" / "big").read_bytes() == content
    _write(rclone.folder / "text", b"0123456789")
    rclone("copyto", "text", "cloud:text")
    assert rclone("cat", "cloud:text", "--offset", "3", "--count", "4") == "3456"
    rclone("deletefile", "cloud:text")
    _write(rclone.folder / "here" / "big", content[::-1])
    rclone("copy", "here", "cloud:", "--ignore-times")
    rclone("check", "here", "cloud:", "--download")
    assert rclone.listed() == {"big": len(content)}


def test_rclone_knows_the_space_that_is_left(rclone: Rclone, cloud: Cloud) -> None:
    name = f"{rclone.user}-small"
    password = cloud.folder / f"{name}.password"
    password.write_text(f"{PASSWORD} {name}\n")
    cloud.admin("user", "add", name, "--password-file", password, "--quota", "1000000")
    rclone = replace(rclone, user=name)
    _write(rclone.folder / "here" / "f", b"x" * 1000)
    rclone("copy", "here", "cloud:")
    about = json.loads(rclone("about", "cloud:", "--json"))
    assert (about["used"], about["free"], about["total"]) == (1000, 999_000, 1_000_000)
    _write(rclone.folder / "here" / "too big", b"x" * 1_000_000)
    assert rclone("copy", "here", "cloud:", status=1) == ""
    assert rclone.listed() == {"f": 1000}


# --- cadaver ------------------------------------------------------------------------------------------------


@pytest.fixture
def cadaver(cloud: Cloud, user: str, tmp_path: Path) -> Callable[..., str]:
    login = tmp_path / ".netrc"
    login.write_text(f'machine 127.0.0.1\nlogin {user}\npassword "{PASSWORD} {user}"\n')
    login.chmod(0o600)
    url = f"{cloud.url}/remote.php/dav/files/{user}/"
    return lambda *lines: _run(["cadaver", url], tmp_path, text="\n".join([*lines, "quit", ""]))


def test_cadaver_does_what_its_script_says(cadaver: Callable[..., str], tmp_path: Path) -> None:
    content = random.Random(9).randbytes(100_000)
    _write(tmp_path / "local", content)
    told = cadaver(
        "mkcol folder", "put local folder/remote", "cd folder", "copy remote second", "move second third", "ls",
        "propset remote colour red", "propget remote colour", "copy remote fourth", "propget fourth colour",
        "propdel fourth colour", "get third fetched", "delete remote", "cd ..", "mkcol other", "move folder/third other/",
        "ls other", "rmcol folder", "ls", "cat other/missing",
    )  # fmt: skip
    assert (tmp_path / "fetched").read_bytes() == content
    failed = [line for line in told.splitlines() if "failed" in line]
    assert len(failed) == 1, told
    assert "404" in told
    assert told.count("succeeded.") >= 14
    assert "Value of colour is: red" in told
    assert "other" in told.rsplit("Listing collection", 1)[1]


# --- nc-py-api ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
def test_nc_py_api_gets_what_it_expects(cloud: Cloud, user: str, step: str, tmp_path: Path) -> None:
    other = cloud.user(f"{user}-other")
    script = Path(__file__).parent / "nc_client.py"
    people = [word for name in (user, other) for word in (name, f"{PASSWORD} {name}")]
    _run([_OWN_BIN / "python", "-W", "ignore::DeprecationWarning", script, step, cloud.url, *people], tmp_path)
