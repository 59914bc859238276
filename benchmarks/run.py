"""Ratios of candado to its peer, measured in one run: whole commands over loopback, both sides on this machine.

Peer: rclone with its crypt layer over its own WebDAV server, its pause between requests switched off. Rounds are
interleaved and medians are given, because machines drift. Files live in memory (tmpfs) where there is one, so that the
disk is not what is measured. Usage: python benchmarks/run.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import candado

BIN = Path(sys.executable).parent
SMALL_COUNT, SMALL_BYTES, BIG_BYTES = 2000, 10 * 1024, 1024**3
MIB = 1024 * 1024


@dataclass(frozen=True)
class Cost:
    wall: float
    cpu: float
    server_cpu: float
    rss_mb: float


def cpu_of(pid: int) -> float:
    """User and system seconds of a process and its children that it waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return sum(int(x) for x in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def measure(command: list[str], env: dict[str, str], server_pid: int) -> tuple[Cost, str]:
    """Run a command to its end; it must succeed."""
    before = cpu_of(server_pid)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.perf_counter()
        child = subprocess.Popen(command, env=env, stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        text, errors = out.read().decode(), err.read().decode()
    if child.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed with {child.returncode}:\n{text}{errors}")
    cost = Cost(wall, usage.ru_utime + usage.ru_stime, cpu_of(server_pid) - before, usage.ru_maxrss / 1024)
    return cost, text


def make_inputs(root: Path) -> tuple[Path, Path]:
    noise = random.Random(1)
    small, big = root / "small", root / "big"
    small.mkdir()
    big.mkdir()
    for number in range(SMALL_COUNT):
        (small / f"file-{number:05}.bin").write_bytes(noise.randbytes(SMALL_BYTES))
    with (big / "one.bin").open("wb") as stream:
        for _ in range(BIG_BYTES // MIB):
            stream.write(noise.randbytes(MIB))
    return small, big


def same(left: Path, right: Path) -> None:
    names = sorted(p.name for p in left.iterdir())
    assert names == sorted(p.name for p in right.iterdir() if not p.name.startswith("."))
    for name in names[:: max(1, len(names) // 50)]:
        with (left / name).open("rb") as a, (right / name).open("rb") as b:
            while piece := a.read(MIB):
                assert piece == b.read(MIB), name


@contextlib.contextmanager
def process(command: list[str], env: dict[str, str] | None = None):
    child = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


class Candado:
    name = "candado"

    def __init__(self, root: Path) -> None:
        self.root = root
        # As an installer does; with PYTHONDONTWRITEBYTECODE set, a checkout would be compiled anew at every start.
        compileall.compile_dir(Path(candado.__file__).parent, quiet=1)
        self.password = root / "password"
        self.password.write_text("benchmark password\n")
        self.password.chmod(0o600)

    def device(self, name: str) -> dict[str, str]:
        return {**os.environ, "CANDADO_HOME": str(self.root / name), "NO_COLOR": "1"}

    def run(self, device: str, *words: str) -> None:
        subprocess.run(
            [BIN / "candado", *words],
            env=self.device(device),
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @contextlib.contextmanager
    def server(self):
        data = str(self.root / "server")
        for words in (["init"], ["user", "add", "alice", "--password-file", str(self.password)]):
            subprocess.run(
                [BIN / "candado-server", *words, "--data", data],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        with process([str(BIN / "candado-server"), "serve", "--data", data, "--listen", "127.0.0.1:0"]) as child:
            url = child.stdout.readline().removeprefix("listening on ").strip()
            words = ["login", url, "--user", "alice", "--password-file", str(self.password), "--insecure-storage"]
            self.run("one", *words)
            self.run("one", "init", "--phrase-out", str(self.root / "words"))
            self.run("two", *words)
            self.run("two", "init", "--phrase-file", str(self.root / "words"))
            yield child.pid

    def up(self, pid: int, source: Path, name: str) -> Cost:
        cost, text = measure(
            [str(BIN / "candado"), "sync", str(source), name, "--encrypt", "--json"], self.device("one"), pid
        )
        assert json.loads(text)["uploaded"] == len(list(source.iterdir())), text
        return cost

    def down(self, pid: int, name: str, target: Path) -> Cost:
        return measure([str(BIN / "candado"), "sync", str(target), name, "--json"], self.device("two"), pid)[0]


class RcloneCrypt:
    name = "rclone crypt"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "rclone.conf"
        self.env = {
            **os.environ,
            "RCLONE_CONFIG": str(self.config),
            "RCLONE_WEBDAV_PACER_MIN_SLEEP": "0",
            "RCLONE_TRANSFERS": "8",
            "RCLONE_CHECKERS": "8",
        }

    def rclone(self, *words: str) -> list[str]:
        return [str(BIN / "rclone"), *words]

    @contextlib.contextmanager
    def server(self):
        store = self.root / "store"
        store.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        secret = subprocess.run(
            self.rclone("obscure", "benchmark password"), check=True, capture_output=True, text=True
        )
        self.config.write_text(
            f"[dav]\ntype = webdav\nurl = http://127.0.0.1:{port}\nvendor = other\n"
            f"[secret]\ntype = crypt\nremote = dav:\npassword = {secret.stdout.strip()}\n"
        )
        with process(self.rclone("serve", "webdav", str(store), "--addr", f"127.0.0.1:{port}"), self.env) as child:
            for _ in range(200):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).read()
                    break
                time.sleep(0.05)
            yield child.pid

    def up(self, pid: int, source: Path, name: str) -> Cost:
        return measure(self.rclone("copy", str(source), f"secret:{name}"), self.env, pid)[0]

    def down(self, pid: int, name: str, target: Path) -> Cost:
        return measure(self.rclone("copy", f"secret:{name}", str(target)), self.env, pid)[0]


def one_round(peer: type, base: Path, small: Path, big: Path, costs: dict, memory: dict) -> None:
    root = Path(tempfile.mkdtemp(dir=base))
    it = peer(root)
    with it.server() as pid:
        for label, source in (("small", small), ("big", big)):
            costs[peer.name, label, "up"].append(it.up(pid, source, label))
            target = root / f"down-{label}"
            target.mkdir()
            costs[peer.name, label, "down"].append(it.down(pid, label, target))
            same(source, target)
            shutil.rmtree(target)
        memory[peer.name].append(peak_mb(pid))
    shutil.rmtree(root)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    tmpfs = Path("/dev/shm")
    base = Path(tempfile.mkdtemp(prefix="candado-bench-", dir=tmpfs if tmpfs.is_dir() else None))
    costs: dict[tuple[str, str, str], list[Cost]] = defaultdict(list)
    memory: dict[str, list[float]] = defaultdict(list)
    try:
        small, big = make_inputs(base)
        for number in range(options.rounds + 1):
            for peer in (Candado, RcloneCrypt):
                one_round(peer, base, small, big, costs, memory)
                if number == 0:  # warm-up: fresh memory is slow
                    costs, memory = (defaultdict(list), defaultdict(list)) if peer is RcloneCrypt else (costs, memory)
    finally:
        shutil.rmtree(base)
    report(costs, memory, options.json)


def report(costs: dict, memory: dict, target: Path | None) -> None:
    rows = []
    print(
        f"| {'what':<10} | {'peer':<12} | {'wall s':>7} | {'rate':>12} | {'client CPU s':>12} | {'server CPU s':>12} | {'client MB':>9} |"
    )
    for label in ("small", "big"):
        for way in ("up", "down"):
            for peer in (Candado.name, RcloneCrypt.name):
                runs = costs[peer, label, way]
                wall = statistics.median(c.wall for c in runs)
                rate = f"{SMALL_COUNT / wall:.0f} files/s" if label == "small" else f"{BIG_BYTES / 1e6 / wall:.0f} MB/s"
                cpu, server = (statistics.median(x) for x in ([c.cpu for c in runs], [c.server_cpu for c in runs]))
                rss = max(c.rss_mb for c in runs)
                print(
                    f"| {label + ' ' + way:<10} | {peer:<12} | {wall:7.3f} | {rate:>12} | {cpu:12.2f} | {server:12.2f} | {rss:9.0f} |"
                )
                rows.append(
                    {
                        "what": f"{label} {way}",
                        "peer": peer,
                        "wall_seconds": wall,
                        "client_cpu": cpu,
                        "server_cpu": server,
                        "client_mb": rss,
                    }
                )
            pairs = zip(costs[Candado.name, label, way], costs[RcloneCrypt.name, label, way], strict=True)
            ratios = sorted(theirs.wall / ours.wall for ours, theirs in pairs)
            print(
                f"    -> {label} {way}: {statistics.median(ratios):.2f} times the speed of rclone crypt (min {ratios[0]:.2f}, max {ratios[-1]:.2f})"
            )
    for peer, peaks in memory.items():
        print(f"peak memory of the {peer} server: {max(peaks):.0f} MB")
    if target:
        target.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
