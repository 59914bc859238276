"""Ratios of candado-server to other WebDAV servers, measured in one run on this machine.

Every server gets the same requests from the same generator (``load``), 8 connections at once. Rounds are interleaved
after a warm-up; a ratio is taken round by round and the median is given. Usage:

    python benchmarks/server.py [--rounds N] [--place memory|disk|both] [--only NAME] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import load
from load import MIB, Request, request
from peers import PEERS, Candado, Peer, Running, cpu_seconds, peak_mb

ENTRIES, SMALL_BYTES, BIG_BYTES = 1000, 4096, 1024**3
SECONDS = 0.6
FOUR = ("d:resourcetype", "d:getcontentlength", "d:getlastmodified", "d:getetag")
DESKTOP = (
    *FOUR,
    "oc:size oc:id oc:fileid oc:downloadURL oc:dDC oc:permissions oc:checksums oc:data-fingerprint oc:share-types",
    "nc:is-encrypted nc:metadata-files-live-photo nc:lock nc:lock-owner nc:lock-owner-type nc:lock-time nc:lock-timeout",
)
PIECE = os.urandom(MIB)
_NUMBERS = itertools.count(1)


def propfind_body(names: tuple[str, ...]) -> bytes:
    inner = "".join(f"<{name}/>" for name in " ".join(names).split())
    spaces = 'xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns" xmlns:nc="http://nextcloud.org/ns"'
    return f'<?xml version="1.0"?><d:propfind {spaces}><d:prop>{inner}</d:prop></d:propfind>'.encode()


@dataclass(frozen=True)
class Cost:
    """One operation in one round: how many a second, bytes a second of bodies, CPU seconds for each on both sides."""

    rate: float
    server_cpu: float
    client_cpu: float
    client_share: float


def for_seconds(requests: Iterator[Request], seconds: float) -> Iterator[Request]:
    until = time.perf_counter() + seconds
    for one in requests:
        yield one
        if time.perf_counter() > until:
            return


class Bench:
    """The operations on one running server."""

    def __init__(self, running: Running, big_bytes: int) -> None:
        self.on = running
        self.big_bytes = big_bytes
        self.small = os.urandom(SMALL_BYTES)

    def path(self, name: str) -> str:
        return f"{self.on.base}/{name}"

    def ask(self, method: str, name: str, **how: object) -> Request:
        return request(method, self.path(name), **{"headers": {**self.on.headers, **how.pop("headers", {})}, **how})

    def prepare(self) -> None:
        for folder in ("list/", "put/", "big/"):
            load.once(self.on.address, self.ask("MKCOL", folder, statuses=(201,)))
        load.run(self.on.address, (self.put(f"list/file-{n:05}.txt") for n in range(ENTRIES)))
        answer = load.once(self.on.address, self.listing(FOUR))
        assert answer.count(b"file-") >= ENTRIES, answer[:500]

    def put(self, name: str) -> Request:
        return self.ask("PUT", name, body=self.small, statuses=(200, 201, 204))

    def listing(self, names: tuple[str, ...]) -> Request:
        headers = {"Depth": "1", "Content-Type": "application/xml; charset=utf-8"}
        return self.ask("PROPFIND", "list/", headers=headers, body=propfind_body(names), statuses=(207,))

    def measure(self, work: Callable[[], load.Load]) -> Cost:
        before = cpu_seconds(self.on.pid)
        done = work()
        cpu = cpu_seconds(self.on.pid) - before
        return Cost(done.count / done.wall, cpu / done.count, done.client_cpu / done.count, done.client_cpu / done.wall)

    def timed(self, requests: Iterator[Request]) -> Cost:
        return self.measure(lambda: load.run(self.on.address, for_seconds(requests, SECONDS)))

    # --- operations --------------------------------------------------------------------------------------

    def small_put(self) -> Cost:
        return self.timed(self.put(f"put/{next(_NUMBERS)}.bin") for _ in itertools.count())

    def small_get(self) -> Cost:
        wanted = [self.ask("GET", f"list/file-{n:05}.txt") for n in range(ENTRIES)]
        return self.timed(itertools.cycle(wanted))

    def propfind(self) -> Cost:
        return self.timed(itertools.repeat(self.listing(FOUR)))

    def propfind_desktop(self) -> Cost:
        return self.timed(itertools.repeat(self.listing(DESKTOP)))

    def big_put(self) -> Cost:
        head = self.ask("PUT", "big/one.bin", statuses=(200, 201, 204), length=self.big_bytes)
        return self.measure(lambda: load.put_big(self.on.address, head, self.big_bytes, PIECE))

    def big_get(self) -> Cost:
        cost = self.measure(lambda: load.get_big(self.on.address, self.ask("GET", "big/one.bin"), self.big_bytes))
        load.once(self.on.address, self.ask("DELETE", "big/one.bin", statuses=(200, 204)))
        return cost


OPERATIONS: tuple[tuple[str, Callable[[Bench], Cost]], ...] = (
    ("PROPFIND, 1,000 entries", Bench.propfind),
    ("the same, as a desktop asks", Bench.propfind_desktop),
    ("PUT of 4 KiB", Bench.small_put),
    ("GET of 4 KiB", Bench.small_get),
    ("PUT of 1 GiB", Bench.big_put),
    ("GET of 1 GiB", Bench.big_get),
)


def candidates(only: str | None) -> list[Peer]:
    """Ours and the peers that are installed; what is missing is said."""
    found: list[Peer] = [Candado(1), Candado(2)]
    for kind in PEERS:
        lacks = kind().missing()
        if lacks:
            print(f"without {kind.name}: install {lacks}", file=sys.stderr)
        else:
            found.append(kind())
    return [peer for peer in found if only is None or peer.name.startswith(("candado", only))]


def measure_place(base: Path, peers: list[Peer], rounds: int, big_bytes: int) -> dict[str, dict[str, list[Cost]]]:
    """All operations on all servers, round by round; the first round is thrown away."""
    costs: dict[str, dict[str, list[Cost]]] = defaultdict(lambda: defaultdict(list))
    with contextlib.ExitStack() as stack:
        benches: dict[str, Bench] = {}
        for peer in peers:
            root = Path(tempfile.mkdtemp(dir=base))
            root.chmod(0o755)
            benches[peer.name] = Bench(stack.enter_context(peer.serve(root)), big_bytes)
            benches[peer.name].prepare()
        for number in range(rounds + 1):
            for name, operation in OPERATIONS:
                turn = number % len(peers)
                for peer in (*peers[turn:], *peers[:turn]):
                    cost = operation(benches[peer.name])
                    if number:
                        costs[name][peer.name].append(cost)
        for name, bench in benches.items():
            costs["memory"][name] = [peak_mb(bench.on.pid)]
    return costs


def ratios(ours: list[Cost], theirs: list[Cost]) -> list[float]:
    return sorted(a.rate / b.rate for a, b in zip(ours, theirs, strict=True))


def shown_rate(operation: str, rate: float, big_bytes: int) -> str:
    return f"{rate * big_bytes / 1e6:,.0f} MB/s" if "1 GiB" in operation else f"{rate:,.0f}/s"


def report(where: str, costs: dict, peers: list[Peer], big_bytes: int) -> None:
    ours, two, *others = [peer.name for peer in peers]
    print(f"\n## {where}\n")
    print(f"| What | {ours} | {two} | " + " | ".join(f"to {name}" for name in others) + " |")
    print("|---" * (3 + len(others)) + "|")
    for name, _ in OPERATIONS:
        found = costs[name]
        cells = [shown_rate(name, statistics.median(c.rate for c in found[peer]), big_bytes) for peer in (ours, two)]
        for other in others:
            values = ratios(found[ours], found[other])
            cells.append(f"**{statistics.median(values):.2f}** ({values[0]:.2f} to {values[-1]:.2f})")
        print(f"| {name} | " + " | ".join(cells) + " |")
    print("\nCPU of the server for one request, ms (share of a core that the generator took)\n")
    print("| What | " + " | ".join(peer.name for peer in peers) + " |")
    print("|---" * (1 + len(peers)) + "|")
    for name, _ in OPERATIONS:
        cells = []
        for peer in peers:
            runs = costs[name][peer.name]
            cpu = statistics.median(c.server_cpu for c in runs) * 1000
            cells.append(f"{cpu:.3g} ({statistics.median(c.client_share for c in runs):.0%})")
        print(f"| {name} | " + " | ".join(cells) + " |")
    print("| Peak memory of a process, MB | " + " | ".join(f"{costs['memory'][p.name][0]:.0f}" for p in peers) + " |")


def places(wished: str) -> list[tuple[str, Path | None]]:
    shm = Path("/dev/shm")
    known = {"memory": ("Files in memory (tmpfs)", shm if shm.is_dir() else None), "disk": ("Files on the disk", None)}
    return [known[name] for name in (("memory", "disk") if wished == "both" else (wished,))]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--place", choices=["memory", "disk", "both"], default="both")
    parser.add_argument("--only", help="the peer whose name begins so")
    parser.add_argument("--big-mib", type=int, default=1024)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    peers = candidates(options.only)
    figures = {}
    for where, folder in places(options.place):
        base = Path(tempfile.mkdtemp(prefix="candado-bench-", dir=folder))
        base.chmod(0o755)
        try:
            costs = measure_place(base, peers, options.rounds, options.big_mib * MIB)
            report(where, costs, peers, options.big_mib * MIB)
            figures[where] = {k: {p: [vars_of(c) for c in v] for p, v in d.items()} for k, d in costs.items()}
        finally:
            shutil.rmtree(base)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def vars_of(cost: Cost | float) -> object:
    return cost if isinstance(cost, float) else [cost.rate, cost.server_cpu, cost.client_cpu]


if __name__ == "__main__":
    main()
