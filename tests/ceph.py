"""A throw-away Ceph with its S3 gateway for tests: one monitor, one store in memory, the gateway, all on the loopback.

Needs Debian's packages ``ceph-mon``, ``ceph-osd`` and ``radosgw``. A manager is left out: nothing here needs one. Where
tests run as root, Ceph runs as the user that its packages make.
"""

import functools
import os
import pwd
import shutil
import subprocess
import tempfile
import threading
import time
import uuid
from pathlib import Path

from tests.seaweed import ENDS_WITH_US, START_SECONDS, S3Server, answers, free_ports

_CONFIG = """[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{first},v1:127.0.0.1:{second}]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_mon_client_mode = crc
run_dir = {folder}
admin_socket = {folder}/$name.asok
log_file = {folder}/$name.log
mon_data = {folder}/mon
osd_data = {folder}/osd
rgw_data = {folder}
osd_objectstore = memstore
memstore_device_bytes = 2147483648
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
pid_file =
"""


class Ceph(S3Server):
    """A running Ceph."""

    def __init__(self) -> None:
        first, second, port = free_ports(3)
        super().__init__(Path(tempfile.mkdtemp(prefix="candado-ceph-")), port)
        self._user = "ceph" if os.getuid() == 0 else None
        self._running: list[subprocess.Popen[bytes]] = []
        fsid, addresses = str(uuid.uuid4()), f"[v2:127.0.0.1:{first},v1:127.0.0.1:{second}]"
        text = _CONFIG.format(fsid=fsid, first=first, second=second, folder=self.folder)
        (self.folder / "ceph.conf").write_text(text)
        for name in (".", "mon", "osd"):
            (self.folder / name).mkdir(exist_ok=True)
            if self._user is not None:
                account = pwd.getpwnam(self._user)
                os.chown(self.folder / name, account.pw_uid, account.pw_gid)
        try:
            self._start(fsid, addresses, port)
        except BaseException:
            self.stop()
            raise

    def _start(self, fsid: str, addresses: str, port: int) -> None:
        plan = str(self.folder / "monmap")
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", addresses, plan)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", plan)
        self._serve("ceph-mon", "-f", "-i", "a")
        disk = str(uuid.uuid4())
        self._run("ceph", "osd", "new", disk, "0")
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
        self._serve("ceph-osd", "-f", "-i", "0")
        keys = ("--access-key", self.key, "--secret-key", self.secret)
        self._run("radosgw-admin", "user", "create", "--uid", "candado", "--display-name", "candado", *keys)
        self._serve(
            "radosgw", "-f", "-n", "client.rgw", f"--rgw_frontends=beast endpoint=127.0.0.1:{port} tcp_nodelay=1"
        )
        until = time.monotonic() + START_SECONDS
        while not answers(port):
            if self._running[-1].poll() is not None or time.monotonic() > until:
                raise AssertionError(f"the gateway did not start: {(self.folder / 'output').read_text()[-2000:]}")
            threading.Event().wait(0.05)

    def _words(self, *words: str) -> list[str]:
        return [words[0], "-c", str(self.folder / "ceph.conf"), *words[1:]]

    def _run(self, *words: str) -> None:
        done = subprocess.run(
            self._words(*words),
            cwd=self.folder,
            user=self._user,
            capture_output=True,
            timeout=START_SECONDS,
            check=False,
        )
        assert done.returncode == 0, (words[0], done.stderr[-2000:])

    def _serve(self, *words: str) -> None:
        with (self.folder / "output").open("ab") as output:
            self._running.append(
                subprocess.Popen(
                    [*ENDS_WITH_US, *self._words(*words)],
                    cwd=self.folder,
                    user=self._user,
                    stdout=output,
                    stderr=output,
                )
            )

    def stop(self) -> None:
        """End it and remove its folder."""
        for process in reversed(self._running):
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@functools.cache
def ceph() -> Ceph:
    """The Ceph of this process, started when the first test asks; ``stop_ceph`` ends it."""
    return Ceph()


def stop_ceph() -> None:
    """End the Ceph of this process, if one was started."""
    if ceph.cache_info().currsize:
        ceph().stop()
        ceph.cache_clear()
