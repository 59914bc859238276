"""Debian's davfs2: our files as a folder of the system, used with nothing but system calls.

Mount and daemon live in namespaces whose first process reads a pipe that we hold, so nothing of them can stay behind.
"""

import asyncio
import itertools
import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.e2e.cli_world import PASSWORD, Cloud
from tests.e2e.server_process import Caller
from tests.interop.session import wait_for
from tests.interop.test_nextcloudcmd import ODD_NAMES

_COUNT = itertools.count()
_INSIDE = """
set -euo pipefail
work=$1 url=$2
mount --make-rprivate /
for name in davfs2.conf secrets; do mount --bind "$work/$name" "/etc/davfs2/$name"; done
mount.davfs "$url" "$work/mnt" </dev/null
touch "$work/ready"
cat >/dev/null
umount "$work/mnt"  # waits until the daemon has sent everything and is gone, for which somebody has to reap it:
exit 0
"""
_CONFIG = """
# A newer kernel reads a folder in larger pieces than this release of davfs2 expects.
buf_size 256
dav_user root
dav_group root
cache_dir {work}/cache
ask_auth 0
delay_upload 0
"""


@pytest.fixture
def user(cloud: Cloud) -> str:
    return cloud.user(f"davfs{next(_COUNT)}")


@contextmanager
def mounted(url: str, user: str, work: Path, *lines: str) -> Iterator[Path]:
    """The top of a user's files, reached through the process that has mounted them."""
    (work / "mnt").mkdir(parents=True)
    (work / "cache").mkdir()
    (work / "davfs2.conf").write_text(_CONFIG.format(work=work) + "\n".join(lines) + "\n")
    (work / "secrets").write_text(f'{url} {user} "{PASSWORD} {user}"\n')
    for private in ("davfs2.conf", "secrets"):
        (work / private).chmod(0o600)
    command: list[str | Path] = [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "bash",
        "-c",
        _INSIDE,
        "-",
        work,
        url,
    ]
    told = work / "told"
    with told.open("w") as output:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output)
    assert process.stdin is not None
    try:
        wait_for(lambda: (work / "ready").exists() or process.poll() is not None, "the mount")
        assert process.poll() is None, told.read_text()
        yield Path(f"/proc/{process.pid}/root{work}/mnt")
        process.stdin.close()
        assert process.wait(120) == 0, told.read_text()
    finally:
        process.stdin.close()
        process.kill()
        process.wait()


def stored(cloud: Cloud, user: str, folder: str = "") -> dict[str, bytes | None]:
    """What the server has below a folder: content by path, None for folders; asked without davfs2."""

    async def walk(caller: Caller, place: str, found: dict[str, bytes | None]) -> None:
        listed = (await caller.dav("PROPFIND", place, Depth="1")).text
        prefix = f"/remote.php/dav/files/{user}/"
        for href in re.findall(rf"<d:href>{prefix}([^<]*)</d:href>", listed):
            if href.rstrip("/") == place.rstrip("/") or not href:
                continue
            found[unquote(href).rstrip("/")] = None if href.endswith("/") else (await caller.dav("GET", href)).body
            if href.endswith("/"):
                await walk(caller, href, found)

    async def run() -> dict[str, bytes | None]:
        found: dict[str, bytes | None] = {}
        async with Caller(cloud.url, user, f"{PASSWORD} {user}") as caller:
            await walk(caller, folder, found)
        return found

    return asyncio.run(run())


@pytest.mark.parametrize("lines", [(), ("use_locks 0",)], ids=["as packaged", "without locks"])
def test_a_mount_reads_writes_renames_and_removes(
    cloud: Cloud, user: str, tmp_path: Path, lines: tuple[str, ...]
) -> None:
    url = f"{cloud.url}/remote.php/dav/files/{user}/"
    big = random.Random(4).randbytes(20_000_001)
    with mounted(url, user, tmp_path / "one", *lines) as top:
        (top / "folder").mkdir()
        (top / "folder" / "small").write_bytes(b"hello")
        (top / "folder" / "big").write_bytes(big)
        (top / "folder" / "empty").write_bytes(b"")
        for number, name in enumerate(ODD_NAMES):
            (top / name).write_bytes(str(number).encode())
        shutil.copytree(top / "folder", top / "copied")
        (top / "copied" / "small").rename(top / "moved")
        (top / "copied" / "empty").unlink()
        with (top / "moved").open("ab") as file:
            file.write(b" world")
        (top / "folder" / "small").write_bytes(b"another")
        (top / "folder").rename(top / "renamed")
        (top / "gone").mkdir()
        (top / "gone").rmdir()
    expected = {
        "copied": None, "copied/big": big, "moved": b"hello world",
        "renamed": None, "renamed/small": b"another", "renamed/big": big, "renamed/empty": b"",
        **{name: str(number).encode() for number, name in enumerate(ODD_NAMES)},
    }  # fmt: skip
    assert stored(cloud, user) == expected
    with mounted(url, user, tmp_path / "two", *lines) as top:
        assert sorted(os.listdir(top)) == sorted([*(path for path in expected if "/" not in path), "lost+found"])
        assert {path: (top / path).read_bytes() for path, body in expected.items() if body is not None} == {
            path: body for path, body in expected.items() if body is not None
        }
        assert shutil.disk_usage(top).free > 0
        shutil.rmtree(top / "renamed")
        (top / "moved").unlink()
    assert sorted(path for path in stored(cloud, user) if path.startswith(("renamed", "moved"))) == []


def test_two_mounts_see_what_the_other_did(cloud: Cloud, user: str, tmp_path: Path) -> None:
    url = f"{cloud.url}/remote.php/webdav/"
    fresh = ("use_locks 0", "dir_refresh 0", "file_refresh 0")
    with mounted(url, user, tmp_path / "one", *fresh) as one, mounted(url, user, tmp_path / "two", *fresh) as two:
        (one / "shared").write_bytes(b"from one")
        wait_for((two / "shared").exists, "the file of the other mount")
        wait_for(lambda: (two / "shared").read_bytes() == b"from one", "its content")
        (two / "shared").write_bytes(b"from two")
        wait_for(lambda: (one / "shared").read_bytes() == b"from two", "the change of the other mount")
    assert stored(cloud, user) == {"shared": b"from two"}
