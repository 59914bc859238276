"""The audit log in a file: whole lines only, no record twice, none left out, whatever happens to the disk."""

import asyncio
import json
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from candado.adapters.audit_file import AuditFile
from candado.errors import BusyError, CandadoError, DiskFullError, LocalStorageError
from candado.formats.auditlines import LineFormat
from candado.ports.auditsink import SinkLine


def line(number: int, more: str = "") -> SinkLine:
    return SinkLine(json.dumps({"seq": number, "x": more}).encode(), number)


START = SinkLine(b'{"start":{"edge":[],"origin":"o","seq":3}}')


async def test_lines_are_appended_and_the_last_record_says_where_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    file = AuditFile(path, "native")
    assert await file.open() is None
    assert file.is_fresh
    await file.send([START, line(3), line(4)])
    await file.send([line(5)])
    assert file.size_bytes == path.stat().st_size > 0
    await file.close()
    await file.close()
    assert path.read_bytes() == b"".join(one.text + b"\n" for one in (START, line(3), line(4), line(5)))
    assert path.stat().st_mode & 0o777 == 0o600
    again = AuditFile(path, "native")
    assert await again.open() == 6
    assert not again.is_fresh
    await again.send([SinkLine(b'{"checkpoint":"text"}')])
    await again.close()
    assert await again.open() == 6
    await again.close()


@pytest.mark.parametrize("torn", [b'{"seq": 5, "x', b"{", b"\0\0\0"])
async def test_a_torn_line_at_the_end_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(line(4).text + b"\n" + torn)
    file = AuditFile(path, "native")
    assert await file.open() == 5
    assert path.read_bytes() == line(4).text + b"\n"
    await file.close()


async def test_a_file_with_nothing_but_a_torn_line_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"sta')
    file = AuditFile(path, "native")
    assert await file.open() is None
    assert file.is_fresh
    await file.close()


@pytest.mark.parametrize("content", [b"root:x:0:0\n", b"root", b'{"a": 1}\n', b"x" * 300_000, b"x\n" * 200_000])
async def test_a_file_of_somebody_else_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "passwd"
    path.write_bytes(content)
    with pytest.raises(LocalStorageError, match="no audit log"):
        await AuditFile(path, "native").open()
    assert path.read_bytes() == content


async def test_a_link_is_not_followed_and_a_missing_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "other")
    for path in (tmp_path / "link", tmp_path / "gone" / "audit.jsonl", tmp_path):
        with pytest.raises(CandadoError):
            await AuditFile(path, "native").open()
    with pytest.raises(LocalStorageError):
        await AuditFile(tmp_path / "audit.jsonl", "native").send([line(1)])


async def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    first, second = AuditFile(path, "native"), AuditFile(path, "native")
    await first.open()
    with pytest.raises(BusyError):
        await second.open()
    await first.close()
    assert await second.open() is None
    await second.close()


async def test_a_file_is_set_aside_under_the_number_of_its_last_record(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    file = AuditFile(path, "native")
    await file.open()
    await file.send([line(7)])
    await file.rotate(7)
    assert file.is_fresh
    await file.send([line(8)])
    assert (tmp_path / "audit-000000000007.jsonl").read_bytes() == line(7).text + b"\n"
    assert path.read_bytes() == line(8).text + b"\n"
    (tmp_path / "audit-000000000008.jsonl").write_bytes(b"somebody's")
    with pytest.raises(LocalStorageError):
        await file.rotate(8)
    assert (tmp_path / "audit-000000000008.jsonl").read_bytes() == b"somebody's"
    assert path.read_bytes() == line(8).text + b"\n"
    await file.close()


@pytest.mark.parametrize("line_format", ["ocsf", "ecs", "cef"])
async def test_the_other_formats_are_gone_on_with_as_well(tmp_path: Path, line_format: LineFormat) -> None:
    from candado.formats.auditlines import render
    from candado.formats.auditrecord import AuditRecord

    record = AuditRecord(12, "2026-01-02T03:04:05.678Z", 4001, "share.made", target="n:7")
    path = tmp_path / "audit.log"
    file = AuditFile(path, line_format)
    assert await file.open() is None
    await file.send([SinkLine(render(line_format, b"", record, version="1"), 12)])
    await file.close()
    assert await file.open() == 13
    await file.close()


async def test_a_disk_that_hangs_holds_up_one_call_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    file = AuditFile(path, "native")
    await file.open()
    going_on = threading.Event()
    real = file._append

    def hang(data: bytes) -> None:
        going_on.wait()
        real(data)

    file._append = hang  # type: ignore[method-assign]
    sending = asyncio.ensure_future(file.send([line(1)]))
    await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    with pytest.raises(BusyError):
        await file.send([line(1)])
    await file.close()
    going_on.set()
    assert file._hanging is not None
    await asyncio.wait([file._hanging])
    file._append = real  # type: ignore[method-assign]
    assert await file.open() == 2
    await file.close()


FULL = """
import asyncio, json, resource, sys
from pathlib import Path
from candado.adapters.audit_file import AuditFile
from candado.errors import DiskFullError
from candado.ports.auditsink import SinkLine

async def main(path):
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 4000))
    file = AuditFile(path, "native")
    await file.open()
    sent = 0
    try:
        while True:
            await file.send([SinkLine(json.dumps({"seq": sent}).encode(), sent), SinkLine(json.dumps({"seq": sent + 1}).encode(), sent + 1)])
            sent += 2
    except DiskFullError:
        pass
    whole = path.read_bytes().endswith(b"\\n")
    await file.close()
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
    again = await file.open()
    await file.send([SinkLine(json.dumps({"seq": again}).encode(), again)])
    await file.close()
    numbers = [json.loads(one)["seq"] for one in path.read_text().splitlines()]
    print(json.dumps([sent > 10, whole, numbers == list(range(sent + 1))]))

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_full_disk_leaves_whole_lines_and_it_goes_on_when_there_is_space(tmp_path: Path) -> None:
    # The limit for the size of files is the whole process's, so it is another process's.
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path / "audit.jsonl")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == [True, True, True]


async def test_a_device_without_space_is_a_full_disk(tmp_path: Path) -> None:
    file = AuditFile(tmp_path / "audit.jsonl", "native")
    await file.open()
    full = os.open("/dev/full", os.O_WRONLY)
    real, file._fd = file._fd, full
    with pytest.raises(DiskFullError):
        await file.send([line(1)])
    file._fd = real
    os.close(full)
    await file.send([line(1)])
    await file.close()
    assert await file.open() == 2
    await file.close()
