"""Outputs of the audit log on a real server: a receiver that hangs, commands, retention, holds, a full disk."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.server_process import PASSWORD, Caller, answer_of, make_data, serving
from tests.vectors.keys import private_key

from candado.adapters.signers import SoftwareSigner
from candado.crypto.rsa import PublicKey
from candado.crypto.x509 import make_csr
from candado.protocol.auditcheck import LogReport, check_log

WRAPPED = "|".join(["QUJD" * 400, "A" * 22 + "==", "A" * 54 + "=="])
PRIVATE_KEY = "/apps/end_to_end_encryption/api/v2/private-key"


def made(folder: Path) -> Path:
    """A data directory without users."""
    answer_of("init", "--data", folder / "data")
    return folder / "data"


def with_sinks(data: Path, *tables: str) -> Path:
    with (data / "config.toml").open("a") as file:
        file.write("\n".join("[[audit_sink]]\n" + table for table in tables))
    return data


def file_sink(path: Path, more: str = "") -> str:
    return f'name = "disk"\nkind = "file"\npath = "{path}"\n{more}\n'


def verified(path: Path, data: Path) -> LogReport:
    key = PublicKey.from_pem(SoftwareSigner.load(data / "authority.pem").public_key_pem)
    return check_log(lambda: path.read_bytes().splitlines(), key)


def events_of(path: Path) -> list[str]:
    found = [json.loads(line) for line in path.read_bytes().splitlines()]
    return [one["event"] for one in found if "event" in one]


@contextlib.asynccontextmanager
async def hanging(took: list[bytes], released: asyncio.Event) -> AsyncIterator[int]:
    """A receiver that takes requests and answers none until it is released; then it answers."""

    connected: list[asyncio.Task[None]] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connected.append(task)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                body = await reader.readexactly(size)
                await released.wait()
                took.append(body)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        released.set()
        server.close()
        await asyncio.wait(connected)


async def until(look: Callable[[], Any]) -> Any:
    """Ask again and again; the answer that is something."""
    while True:
        found = await look()
        if found:
            return found


async def test_a_receiver_that_hangs_holds_key_acts_and_nothing_else(tmp_path: Path) -> None:
    took: list[bytes] = []
    released = asyncio.Event()
    async with hanging(took, released) as port:
        http = f'name = "siem"\nkind = "http"\nurl = "http://127.0.0.1:{port}/"\ntimeout_seconds = 1\nlag_seconds = 1\n'
        data = with_sinks(await asyncio.to_thread(make_data, tmp_path, "alice"), http, file_sink(tmp_path / "a.jsonl"))
        with serving(data) as server:
            async with Caller(server.url, "alice") as alice, Caller(server.url, None) as nobody:

                async def warned() -> list[str]:
                    ready = json.loads((await nobody.send("GET", "/readyz")).body)
                    return [text for text in ready["warnings"] if "fails (TRANSPORT); acts on keys are refused" in text]

                assert await until(warned)
                refused = await alice.ocs("POST", PRIVATE_KEY, body={"privateKey": WRAPPED})
                assert (refused.status, json.loads(refused.body)["ocs"]["data"]["code"]) == (503, "AUDIT_BEHIND")
                assert refused.headers["Retry-After"] == "5"
                assert (await alice.dav("PUT", "plain.txt", body=b"x")).status == 201
                assert (await alice.dav("GET", "plain.txt")).body == b"x"
                metrics = (await nobody.send("GET", "/metrics")).text
                assert 'candado_audit_output_failing{output="siem"} 1.0' in metrics
                assert 'candado_audit_output_failing{output="disk"} 0.0' in metrics
                assert took == []
    shown = (tmp_path / "server.log").read_text()
    assert "the audit output siem fails: TRANSPORT" in shown
    assert PASSWORD not in shown


def test_the_commands_show_hold_export_and_remove(tmp_path: Path) -> None:
    data = made(tmp_path)
    words: list[str | Path] = ["--data", data]
    assert answer_of("audit", "sinks", *words) == {"schema": "candado.server.audit-sinks/1", "sinks": []}
    with_sinks(data, file_sink(tmp_path / "audit.jsonl"))
    (state,) = answer_of("audit", "sinks", "--deliver", *words)["sinks"]
    assert (state["name"], state["kind"], state["on_failure"], state["state"]) == ("disk", "file", "closed", "ok")
    assert state["next"] == len(events_of(tmp_path / "audit.jsonl"))
    answer_of("audit", "hold", "add", "case-7", "--since", "2026-01-31", "--until", "2099-01-31", *words)
    (held,) = answer_of("audit", "hold", "list", *words)["holds"]
    assert (held["since"], held["until"]) == ("2026-01-31T00:00:00Z", "2099-01-31T23:59:59Z")
    cases: list[tuple[list[str | Path], int]] = [
        (["hold", "add", "case-7"], 1),
        (["hold", "add", "Case_7"], 2),
        (["hold", "add", "b", "--since", "2026-02-01", "--until", "2026-01-01T00:00:01Z"], 2),
        (["hold", "remove", "other"], 4),
        (["sinks", "--drop", "other"], 4),
        (["sinks", "--drop", "disk"], 2),
        (["export", tmp_path / "audit.jsonl"], 1),
        (["export", tmp_path / "no" / "such"], 1),
        (["export", tmp_path / "x", "--first", "1000"], 4),
    ]
    for wrong, status in cases:
        answer_of("audit", *wrong, *words, status=status)
    answer_of("audit", "sinks", "--deliver", *words)
    assert answer_of("audit", "retain", "--days", "1", "--dry-run", *words)["removed"] is False
    found = answer_of("audit", "export", tmp_path / "whole.jsonl", *words)
    report = verified(tmp_path / "whole.jsonl", data)
    assert (report.first, report.end, report.signed, report.findings) == (0, found["end"], found["end"], ())
    assert "audit.held" in events_of(tmp_path / "whole.jsonl")
    found = answer_of("audit", "export", tmp_path / "some.cef", "--format", "cef", "--first", "2", *words)
    assert len((tmp_path / "some.cef").read_bytes().splitlines()) == found["end"] - 2
    answer_of("audit", "hold", "remove", "case-7", *words)
    (data / "config.toml").write_text((data / "config.toml").read_text().split("[[audit_sink]]")[0])
    assert answer_of("audit", "sinks", "--drop", "disk", *words)["sinks"] == []


def test_old_events_are_removed_and_the_rest_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from candado.adapters import ambient

    data = made(tmp_path)
    answer_of("audit", "hold", "list", "--data", data)
    real = ambient.SystemClock.now
    monkeypatch.setattr(ambient.SystemClock, "now", lambda self: real(self) + 10 * 86_400)
    found = answer_of("audit", "retain", "--days", "7", "-y", "--data", data)
    assert (found["first"], found["removed"]) == (0, True)
    left = answer_of("audit", "export", tmp_path / "after.jsonl", "--data", data)
    assert left["first"] == found["end"] > 0
    report = verified(tmp_path / "after.jsonl", data)
    assert (report.first, report.signed, report.findings) == (found["end"], left["end"], ())
    tombstone = next(
        json.loads(line) for line in (tmp_path / "after.jsonl").read_bytes().splitlines() if b"tombstone" in line
    )
    assert tombstone["details"]["end"] == found["end"]


def test_a_full_disk_is_told_holds_key_acts_and_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from candado.adapters import ambient

    data = with_sinks(made(tmp_path), file_sink(Path("/dev/full")))  # the kernel says ENOSPC
    words: list[str | Path] = ["--data", data]
    (state,) = answer_of("audit", "sinks", "--deliver", *words, status=8)["sinks"]
    assert (state["state"], state["next"]) == ("ok, DISK_FULL", 0)
    real = ambient.SystemClock.now
    monkeypatch.setattr(ambient.SystemClock, "now", lambda self: real(self) + 400)
    key = private_key("alice")
    (tmp_path / "password").write_text(PASSWORD)
    answer_of("user", "add", "alice", "--password-file", tmp_path / "password", *words)
    (tmp_path / "alice.csr").write_text(make_csr(key, "alice"))
    issue: list[str | Path] = ["ca", "issue", tmp_path / "alice.csr", *words]
    refused = answer_of(*issue, status=20)["error"]
    assert (refused["code"], "disk" in refused["message"]) == ("AUDIT_BEHIND", True)
    assert answer_of("ca", "list", *words)["certificates"] == []
    text = (data / "config.toml").read_text()
    (data / "config.toml").write_text(text.replace("/dev/full", str(tmp_path / "audit.jsonl")))
    assert [one["state"] for one in answer_of("audit", "sinks", "--deliver", *words)["sinks"]] == ["ok"]
    answer_of(*issue)
    assert [one["state"] for one in answer_of("audit", "sinks", "--deliver", *words)["sinks"]] == ["ok"]
    found = events_of(tmp_path / "audit.jsonl")
    assert [event for event in found if event.startswith(("sink.", "certificate."))] == [
        "sink.failed",
        "sink.recovered",
        "certificate.issued",
    ]
