"""The operations that are measured on every server."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import load
from load import MIB, Request, request
from peers import Running, cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENTRIES, SMALL_BYTES, BIG_BYTES = 1000, 4096, 1024**3
SECONDS = 0.6
FOUR = ("d:resourcetype", "d:getcontentlength", "d:getlastmodified", "d:getetag")
DESKTOP = (
    *FOUR,
    "oc:size oc:id oc:fileid oc:downloadURL oc:dDC oc:permissions oc:checksums oc:data-fingerprint oc:share-types",
    "nc:is-encrypted nc:metadata-files-live-photo nc:lock nc:lock-owner nc:lock-owner-type nc:lock-time nc:lock-timeout",
)
PIECE = os.getrandom(MIB)
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
        self.small = os.getrandom(SMALL_BYTES)

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
