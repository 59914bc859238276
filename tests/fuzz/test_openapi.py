"""Schemathesis calls everything that our OpenAPI document describes, with good, odd and broken values, on a real server."""

import os
import random
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.e2e.server_process import PASSWORD, Caller, make_data, serving

PROGRAM = Path(os.environ.get("CANDADO_FUZZ", "/nonexistent")).absolute()
SEED = "1" if os.environ.get("CI") else str(random.SystemRandom().randrange(2**32))
MEMORY_MAX = 260 * 1024 * 1024
KEPT = "what nobody would guess 7c1f"
# Left to our own tests: what a schema cannot say about values (two checks), methods of WebDAV in Allow, and that a method
# which a call of OCS does not have is 404, as an unknown call is, so that clients leave the feature out.
LEFT_OUT = "positive_data_acceptance,negative_data_rejection,unsupported_method,allow_header_conformance"
CONFIG = """
[checks.missing_required_header]
expected-statuses = [400, 401, 403, 404, 412, 429]
"""


@contextmanager
def without_rate_limits(database: Path) -> Iterator[None]:
    """Forget wrong passwords from time to time: each call is to be asked for itself."""
    done = threading.Event()

    def forget() -> None:
        with closing(sqlite3.connect(database, timeout=30, isolation_level=None)) as rows:
            while not done.wait(0.05):
                rows.execute("DELETE FROM rate_limits")

    thread = threading.Thread(target=forget)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("person", ["root", "alice"], ids=["administrator", "user"])
async def test_every_call_answers_as_the_document_says(person: str, tmp_path: Path) -> None:
    data = make_data(tmp_path, "alice", admin="root")
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    with serving(data) as server:
        async with Caller(server.url, "alice") as alice:
            await alice.dav("PUT", KEPT.replace(" ", "%20"), body=b"still there")
        command: list[str | Path] = [
            PROGRAM, "--config-file", config, "run", f"{server.url}/openapi.json", "--auth", f"{person}:{PASSWORD}",
            "-H", "Accept: application/json", "--phases", "examples,coverage,fuzzing", "--max-examples", "15",
            "--exclude-checks", LEFT_OUT, "--seed", SEED, "--no-shrink", "--continue-on-failure", "--warnings", "off",
        ]  # fmt: skip
        environment = {**os.environ, "NO_COLOR": "1", "HOME": str(tmp_path)}
        with without_rate_limits(data / "candado.db"):
            done = subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500, check=False
            )
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
        async with Caller(server.url, "alice") as alice:
            assert (await alice.dav("GET", KEPT.replace(" ", "%20"))).body == b"still there"
        assert server.memory_peak() < MEMORY_MAX
    log = (tmp_path / "server.log").read_text()
    assert "Traceback" not in log, log
    assert " ERROR " not in log, log
