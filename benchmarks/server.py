"""Ratios of candado-server to other WebDAV servers, measured in one run on this machine.

Every server gets the same requests from the same generator (``load``), 8 connections at once. Rounds are interleaved
after a warm-up; a ratio is taken round by round and the median is given. Usage:

    python benchmarks/server.py [--rounds N] [--place memory|disk|both] [--only NAME] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from bench import OPERATIONS, Bench, Cost
from load import MIB
from own import measure_own
from peers import PEERS, Candado, Peer, end_what_was_started, peak_mb


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
    end_what_was_started()
    peers = candidates(options.only)
    figures = {}
    for where, folder in places(options.place):
        base = Path(tempfile.mkdtemp(prefix="candado-bench-", dir=folder))
        base.chmod(0o755)
        try:
            costs = measure_place(base, peers, options.rounds, options.big_mib * MIB)
            report(where, costs, peers, options.big_mib * MIB)
            print("\n" + "\n".join(measure_own(base, options.rounds, options.big_mib * MIB)))
            figures[where] = {k: {p: [vars_of(c) for c in v] for p, v in d.items()} for k, d in costs.items()}
        finally:
            shutil.rmtree(base)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def vars_of(cost: Cost | float) -> object:
    return cost if isinstance(cost, float) else [cost.rate, cost.server_cpu, cost.client_cpu]


if __name__ == "__main__":
    main()
