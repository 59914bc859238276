"""What a server tells of itself: enough to run it, and no name of a file, no password, no token."""

import asyncio
import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.e2e.cli_world import PASSWORD as CLIENT_PASSWORD
from tests.e2e.cli_world import Cloud
from tests.e2e.proxy_story import two_devices_and_a_person_share_a_folder
from tests.e2e.server_process import PASSWORD, Caller, make_data, run_server, serving

NAMES = ("Steuer 2025.pdf", "Bewerbung\u202e", "Ünïcode", "Docs", "linked-folder")
WRONG = "a wrong but telling password"


def configured(folder: Path, *lines: str) -> Path:
    data = make_data(folder, "alice", "bob")
    with (data / "config.toml").open("a") as file:
        file.write("\n".join(("log_requests = true", 'metrics_token = "scrape"', *lines)) + "\n")
    return data


def numbers(text: str) -> dict[str, float]:
    """Series with their labels, and their values."""
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


async def scraped(url: str) -> str:
    async with Caller(url, None) as nobody:
        return (await nobody.send("GET", "/metrics", Authorization="Bearer scrape")).text


async def tell_secrets(url: str) -> tuple[list[str], list[str]]:
    """A person does all that has secrets in it; what must be nowhere, and the ids of the answers."""
    secrets = [PASSWORD, CLIENT_PASSWORD, WRONG, *NAMES, *map(quote, NAMES)]
    async with Caller(url, "alice") as alice, Caller(url, None) as nobody, Caller(url, "alice", WRONG) as thief:
        sent = [await alice.dav("PUT", quote(name), body=b"x") for name in NAMES[:3]]
        await alice.dav("MOVE", quote(NAMES[0]), Destination=f"/remote.php/dav/files/alice/{quote(NAMES[0])}.old")
        folder = (await alice.dav("MKCOL", NAMES[4])).headers["OC-FileId"]
        form = {"path": f"/{NAMES[4]}", "shareType": "3", "password": "visitors say friend"}
        made = json.loads((await alice.ocs("POST", "/apps/files_sharing/api/v1/shares", body=form)).body)
        token = made["ocs"]["data"]["token"]
        paths = (f"/s/{token}", f"/public.php/dav/files/{token}/", f"/s/{token}/nothing")
        sent += [await nobody.send("GET", path) for path in paths]
        root = (await alice.dav("MKCOL", "E")).headers["OC-FileId"]
        await alice.e2ee("PUT", f"encrypted/{root}")
        lock = json.loads((await alice.e2ee("POST", f"lock/{root}", X_NC_E2EE_COUNTER="1")).body)
        lock_token = lock["ocs"]["data"]["e2e-token"]
        await alice.send("GET", f"/remote.php/dav/files/alice/E?e2e-token={lock_token}")
        assert (await alice.e2ee("DELETE", f"lock/{root}", e2e_token=lock_token)).status == 200
        started = json.loads((await nobody.send("POST", "/login/v2")).body)
        flow = started["login"].rpartition("/")[2]
        form = {"user": "alice", "password": WRONG}
        refused = await nobody.send("POST", f"/login/v2/flow/{flow}", body=form)
        assert refused.status == 403
        form = {"user": "alice", "password": PASSWORD}
        assert (await nobody.send("POST", f"/login/v2/flow/{flow}", body=form)).status == 200
        polled = await nobody.send("POST", "/login/v2/poll", body={"token": started["poll"]["token"]})
        app_password = json.loads(polled.body)["appPassword"]
        assert (await thief.dav("GET", "x")).status == 401
        assert (await nobody.send("GET", "/nothing/Docs/here")).status == 404
        secrets += ["visitors say friend", token, lock_token, flow, started["poll"]["token"], app_password, folder]
        secrets += [alice.headers["Authorization"], thief.headers["Authorization"].split()[1]]
    return secrets, [answer.headers["X-Request-Id"] for answer in sent]


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_neither_log_nor_numbers_hold_a_name_or_a_secret(tmp_path: Path, log_format: str) -> None:
    data = configured(tmp_path)
    with serving(data, "--workers", "2", "--log-format", log_format) as server:
        secrets, ids = asyncio.run(tell_secrets(server.url))
        if log_format == "json":
            cloud = Cloud(server.url, data, tmp_path)
            two_devices_and_a_person_share_a_folder(cloud, tmp_path / "password", tmp_path / "a", tmp_path / "b")
            secrets.append(run_server("app-password", "bob", "--label", "x", "--data", str(data)).stdout.split()[-1])
        series = asyncio.run(scraped(server.url))
        assert server.stop() == 0
    log = (tmp_path / "server.log").read_text()
    assert {secret: (secret in log, secret in series) for secret in secrets} == dict.fromkeys(secrets, (False, False))
    for user in ("alice", "rosa", "127.0.0.1"):
        assert user not in series
    assert [request_id for request_id in ids if log.count(request_id) != 1] == []
    refused = [line for line in log.splitlines() if "sign-in refused" in line]
    assert len(refused) == 2
    if log_format == "json":
        check_documents([json.loads(line) for line in log.splitlines()])


def check_documents(lines: list[dict[str, Any]]) -> None:
    """Every line of the log is a document; those of requests say all of it."""
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    requests = [line for line in lines if line["logger"] == "candado.request"]
    assert len({line["request"] for line in requests}) == len(requests)
    keys = {"request", "route", "method", "status", "seconds", "received", "sent", "address"}
    assert all(keys <= set(line) for line in requests)
    assert [line["address"] for line in requests if line["address"] != "127.0.0.1"] == []
    uploads = [line for line in requests if (line["method"], line["route"]) == ("PUT", "dav/files")]
    assert all(line["status"] in (201, 204) and line["user"] in ("alice", "rosa") for line in uploads)
    assert {line["received"] for line in uploads[:3]} == {1}
    refused = [line["route"] for line in lines if line["message"] == "sign-in refused"]
    assert sorted(refused) == ["/login/v2/flow/{token}", "none"]


async def put_many(url: str, count: int) -> None:
    for n in range(count):
        async with Caller(url, "alice") as alice:  # connections of their own land on either worker
            assert (await alice.dav("PUT", f"f{n}", body=b"12345")).status == 201


def test_the_numbers_of_all_workers_are_added_up_and_outlive_them(tmp_path: Path) -> None:
    data = configured(tmp_path)
    with serving(data, "--workers", "2") as server:
        asyncio.run(put_many(server.url, 20))
        before = numbers(asyncio.run(scraped(server.url)))
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        workers = [int(pid) for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
        os.kill(workers[0], signal.SIGKILL)
        until = time.monotonic() + 30
        while (after := numbers(asyncio.run(scraped(server.url))))["candado_worker_starts_total"] < 3:
            assert time.monotonic() < until
            time.sleep(0.05)
    for found, starts in ((before, 2), (after, 3)):
        assert found["candado_workers"] == 2
        assert found["candado_worker_starts_total"] == starts
        assert found['candado_requests_total{method="PUT",part="dav",status="2xx"}'] == 20
        assert found['candado_request_seconds_count{route="dav/files"}'] == 20
        assert found['candado_request_seconds_bucket{le="+Inf",route="dav/files"}'] == 20
        assert found['candado_received_bytes_total{part="dav"}'] == 100
        assert found["candado_database_pending"] == 0
    assert before["candado_requests_active"] == 1


async def hold_a_lock(url: str) -> None:
    async with Caller(url, "alice") as alice, Caller(url, "bob") as bob:
        root = (await alice.dav("MKCOL", "E")).headers["OC-FileId"]
        await alice.e2ee("PUT", f"encrypted/{root}")
        lock = json.loads((await alice.e2ee("POST", f"lock/{root}", X_NC_E2EE_COUNTER="1")).body)
        token = lock["ocs"]["data"]["e2e-token"]
        assert (await alice.dav("PUT", "E/a", body=b"x" * 1000, e2e_token=token)).status == 201
        assert (await alice.e2ee("POST", f"lock/{root}", X_NC_E2EE_COUNTER="2")).status == 423
        await bob.send("MKCOL", "/remote.php/dav/uploads/bob/one")
        assert (await bob.dav("DELETE", "nothing")).status == 404
        assert (await bob.dav("MKCOL", "a/b")).status == 409


def test_numbers_tell_what_the_store_holds_and_what_was_refused(tmp_path: Path) -> None:
    data = configured(tmp_path)
    with serving(data) as server:
        asyncio.run(hold_a_lock(server.url))
        found = numbers(asyncio.run(scraped(server.url)))
    told = {
        name: value for name, value in found.items() if re.match(r"candado_(locks|staged|uploads|refus.*total)", name)
    }
    assert told == {
        "candado_locks": 1,
        "candado_staged_bytes": 1000,
        "candado_uploads": 1,
        'candado_refusals_total{status="423"}': 1,
        'candado_refusals_total{status="409"}': 1,
    }
    assert 0 <= found["candado_oldest_lock_seconds"] < 60
