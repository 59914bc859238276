"""A throw-away S3 server for tests, SeaweedFS: one for each test process, a new bucket for each test.

It keeps its data below a folder of its own and listens on the loopback only. Its wheel is in the development lock.
"""

import contextlib
import functools
import itertools
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from candado.adapters.s3 import S3Objects
from candado.adapters.s3_place import S3Place, find_keys
from candado.ports.ambient import Random

START_SECONDS = 60
# A test process that is killed, by a time-out or at the end of a run, takes with it what the thread that it began in started.
ENDS_WITH_US = ("setpriv", "--pdeathsig", "KILL")
_NUMBERS = itertools.count()
_LOGGED = "log"


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on now; kept until all are found, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def answers(port: int) -> bool:
    """Whether something speaks HTTP there and is ready: any answer but those of a server in its start."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
            return bool(answer.status < 500)
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


class S3Server:
    """An S3 server of this run: where it is, and the only key that may use it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.endpoint = f"http://127.0.0.1:{port}"
        self.key = "T" + secrets.token_hex(9).upper()
        self.secret = secrets.token_hex(20)
        self._shared = ""

    def client(self, bucket: str) -> S3Store:
        """A client for a bucket."""
        return S3Store(
            bucket, endpoint=self.endpoint, access_key_id=self.key, secret_access_key=self.secret, region="us-east-1",
            client_options={"allow_http": True},
        )  # fmt: skip

    def bucket(self) -> str:
        """The name of a new bucket, made with a signed address."""
        name = f"bucket-{os.getpid()}-{next(_NUMBERS)}"
        client = self.client(name)
        request = urllib.request.Request(obstore.sign(client, "PUT", "", timedelta(minutes=1)), method="PUT")
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200
        return name

    def address(self, bucket: str, prefix: str = "", *, endpoint: str = "") -> str:
        """What ``--storage`` takes for a bucket; the keys are in a file beside the server."""
        keys = self.folder / "keys"
        keys.touch(mode=0o600)
        keys.write_text(f"[default]\naws_access_key_id = {self.key}\naws_secret_access_key = {self.secret}\n")
        return f"s3://{bucket}/{prefix}?endpoint={endpoint or self.endpoint}&credentials={keys}"

    def fresh(self) -> str:
        """What ``--storage`` takes for a new prefix of the one bucket that most tests share."""
        if not self._shared:
            self._shared = self.bucket()
            obstore.put(self.client(self._shared), "probe", b"here")
        return self.address(self._shared, f"n{next(_NUMBERS)}/deep")

    def at(self, address: str, random: Random) -> S3Objects:
        """The adapter on a place, whoever it belongs to."""
        place = S3Place.parse(address)
        return S3Objects(place, find_keys(place, {}), random)

    async def objects(self, random: Random) -> S3Objects:
        """The adapter on a new prefix."""
        place = S3Place.parse(self.fresh())
        return await S3Objects.open(place, find_keys(place, {}), random)


class Seaweed(S3Server):
    """A running SeaweedFS."""

    def __init__(self) -> None:
        self._ports = free_ports(8)
        super().__init__(Path(tempfile.mkdtemp(prefix="candado-seaweed-")), self._ports[0])
        identity = {
            "name": "candado",
            "credentials": [{"accessKey": self.key, "secretKey": self.secret}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (self.folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        (self.folder / "data").mkdir()
        self.start()

    def start(self) -> None:
        """Start it, once more after ``kill``; returns when it answers."""
        names = (
            "s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
            "filer.port", "filer.port.grpc",
        )  # fmt: skip
        words = [
            *ENDS_WITH_US, str(Path(sys.executable).parent / "weed"), f"-logdir={self.folder}", "server", "-s3", "-s3.iam=false",
            "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false",
            f"-dir={self.folder / 'data'}", f"-s3.config={self.folder / 's3.json'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            "-master.volumeSizeLimitMB=64", "-volume.max=0", "-master.telemetry=false",
            *[f"-{name}={port}" for name, port in zip(names, self._ports, strict=True)],
        ]  # fmt: skip
        with (self.folder / _LOGGED).open("a") as log:
            self.process = subprocess.Popen(
                words, stdout=log, stderr=log, cwd=self.folder, env={**os.environ, "HOME": str(self.folder)}
            )
        until = time.monotonic() + START_SECONDS
        while not answers(self._ports[0]) or not self._shows_what_it_has():
            if self.process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"SeaweedFS did not start: {(self.folder / _LOGGED).read_text()[-2000:]}")
            threading.Event().wait(0.05)

    def _shows_what_it_has(self) -> bool:
        """Whether what was stored before a kill can be read again: it answers a while before."""
        with contextlib.suppress(BaseError, OSError):
            return not self._shared or obstore.get(self.client(self._shared), "probe").bytes() == b"here"
        return False

    def kill(self) -> None:
        """End it without a warning; ``start`` brings it back with what it had answered."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@functools.cache
def seaweed() -> Seaweed:
    """The server of this process, started when the first test asks; ``stop_seaweed`` ends it."""
    return Seaweed()


def stop_seaweed() -> None:
    """End the server of this process, if one was started."""
    if seaweed.cache_info().currsize:
        seaweed().stop()
        seaweed.cache_clear()
