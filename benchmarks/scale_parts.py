"""Two more figures of the plan in docs/ops/scaling.md: what one account can do alone, and what a sync without news asks."""

from __future__ import annotations

import itertools
import os
import re
import statistics
import subprocess
import urllib.request
from typing import TYPE_CHECKING

import load
from bench import Bench, for_seconds
from peers import BIN, Candado, Running, login

if TYPE_CHECKING:
    from pathlib import Path

USERS = tuple(f"user{number}" for number in range(8))
SECONDS = 2.0
_COUNTER = re.compile(r'candado_requests_total\{method="(\w+)",part="(\w+)",status="\w+"\} ([\d.]+)')


def one_account_and_eight(root: Path, url: str) -> str:
    """Small PUTs a second, 8 at once: all into one account, then each into the next of eight."""
    root.mkdir()
    server = Candado(1, url)
    server.make(root, *USERS)
    rates: dict[int, list[float]] = {1: [], 8: []}
    with server.serve(root, USERS[0]) as running:
        accounts = [
            Bench(Running(running.address, running.pid, f"/remote.php/dav/files/{user}", login(user), running.data), 0)
            for user in USERS
        ]
        numbers = itertools.count()
        for turn in range(6):
            count = (1, 8)[turn % 2]
            puts = (accounts[n % count].put(f"{n}.bin") for n in numbers)
            done = load.run(running.address, for_seconds(puts, SECONDS))
            if turn > 1:
                rates[count].append(done.count / done.wall)
    one, eight = (statistics.median(rates[count]) for count in (1, 8))
    return f"PUT of 4 KiB, 8 at once: {one:,.0f}/s into one account, {eight:,.0f}/s into eight"


def requests_of_a_quiet_sync(root: Path) -> list[str]:
    """How many requests our client makes when nothing has changed, by the size of what it keeps equal."""
    root.mkdir()
    server = Candado()
    server.make(root, "alice")
    found: list[str] = []
    with server.serve(root) as running:
        environment = {**os.environ, "CANDADO_HOME": str(root / "device"), "NO_COLOR": "1"}
        url = f"http://127.0.0.1:{running.address[1]}"

        def candado(*words: str) -> None:
            subprocess.run([BIN / "candado", *words], env=environment, check=True, capture_output=True)

        def counted() -> dict[str, float]:
            text = urllib.request.urlopen(f"{url}/metrics").read().decode()
            return {f"{part} {method}": float(value) for method, part, value in _COUNTER.findall(text)}

        candado("login", url, "--user", "alice", "--password-file", str(root / "password"), "--insecure-storage")
        candado("init", "--phrase-out", str(root / "words"))
        for folders, files in ((1, 10), (10, 1000)):
            local = root / f"local-{folders}"
            for number in range(files):
                place = local / f"folder-{number % folders}"
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{number}.txt").write_text("text")
            candado("sync", str(local), f"Secret-{folders}", "--encrypt")
            candado("sync", str(local), f"Secret-{folders}")
            before = counted()
            candado("sync", str(local), f"Secret-{folders}")
            asked = {name: int(count - before.get(name, 0)) for name, count in counted().items()}
            asked["plain GET"] = asked.get("plain GET", 0) - 1  # the one for the numbers themselves
            shown = ", ".join(f"{count} {name}" for name, count in asked.items() if count)
            found.append(f"a sync of {files:,} files in {folders} folders without news: {shown or 'nothing'}")
    return found
