"""The servers that are measured: ours and its peers, each started by us, on a free port, with files in a given folder."""

from __future__ import annotations

import base64
import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BIN = Path(sys.executable).parent
_TICK = os.sysconf("SC_CLK_TCK")
PASSWORD = "benchmark password"


def processes_of(pid: int) -> list[int]:
    """A process and everything below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text().split():
                found += processes_of(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, of those below it, and of those it waited for."""
    total = 0
    for one in processes_of(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(") ", 1)[1].split()
            total += int(fields[11]) + int(fields[12]) + (int(fields[13]) + int(fields[14]) if one == pid else 0)
    return total / _TICK


def peak_mb(pid: int) -> float:
    """The highest resident memory that one process of these ever had."""
    peaks = [0]
    for one in processes_of(pid):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{one}/status").read_text().splitlines()
            peaks += [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    return max(peaks) / 1024


def end_what_was_started() -> None:
    """Let a SIGTERM run what every ``with`` has to do at its end: no server stays behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def process(command: list[str], log: Path, **how: object) -> Iterator[subprocess.Popen[str]]:
    with log.open("a") as errors:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, **how)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(40)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdout.close()


def await_port(port: int) -> None:
    until = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


@dataclass(frozen=True)
class Running:
    """A server that runs: where, its root process, the path of its files, and what every request to it carries."""

    address: tuple[str, int]
    pid: int
    base: str
    headers: dict[str, str]
    data: Path


class Peer:
    """One kind of server."""

    name: str

    def missing(self) -> str | None:
        """What this machine lacks for it, None when nothing."""
        return None

    @contextlib.contextmanager
    def serve(self, root: Path) -> Iterator[Running]:
        raise NotImplementedError


def login(user: str) -> dict[str, str]:
    """The headers of a user of ours."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()}


class Candado(Peer):
    """Ours: users, passwords, quota, rows; everything durable before it is acknowledged."""

    def __init__(self, workers: int = 1, database: str = "") -> None:
        self.workers = workers
        self.name = "candado" if workers == 1 else f"candado, {workers} workers"
        self.database = database

    def make(self, root: Path, *users: str) -> Path:
        """A data directory with users."""
        data, password = root / "data", root / "password"
        password.write_text(PASSWORD + "\n")
        password.chmod(0o600)
        place = ["--database", self.database] if self.database else []
        for words in (["init", *place], *(["user", "add", user, "--password-file", str(password)] for user in users)):
            done = subprocess.run(
                [BIN / "candado-server", *words, "--data", str(data)], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise SystemExit(done.stderr)
        return data

    @contextlib.contextmanager
    def serve(self, root: Path, user: str = "alice") -> Iterator[Running]:
        data = root / "data"
        if not data.exists():
            self.make(root, user)
        command = [str(BIN / "candado-server"), "serve", "--data", str(data), "--listen", "127.0.0.1:0"]
        with process([*command, "--workers", str(self.workers)], root / "log") as child:
            line = child.stdout.readline()
            if not line.startswith("listening on "):
                raise SystemExit((root / "log").read_text())
            port = int(line.rpartition(":")[2])
            yield Running(("127.0.0.1", port), child.pid, f"/remote.php/dav/files/{user}", login(user), data)


class Nginx(Peer):
    """nginx with its DAV module and the one that adds PROPFIND; no users, nothing synced to disk."""

    name = "nginx DAV"
    modules = Path("/usr/lib/nginx/modules/ngx_http_dav_ext_module.so")

    def missing(self) -> str | None:
        there = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") and self.modules.exists()
        return None if there else "nginx-full and libnginx-mod-http-dav-ext"

    @contextlib.contextmanager
    def serve(self, root: Path) -> Iterator[Running]:
        port, files = free_port(), root / "files"
        files.mkdir()
        (root / "temporary").mkdir()
        user = f"user {getpass.getuser()};" if os.getuid() == 0 else ""
        config = root / "nginx.conf"
        config.write_text(
            f"load_module {self.modules};\n{user}\nworker_processes 1;\ndaemon off;\npid {root}/pid;\nerror_log stderr;\n"
            "events { worker_connections 64; }\n"
            "http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;\n"
            f"client_body_temp_path {root}/temporary; proxy_temp_path {root}/t1; fastcgi_temp_path {root}/t2;\n"
            f"uwsgi_temp_path {root}/t3; scgi_temp_path {root}/t4; client_max_body_size 0;\n"
            f"server {{ listen 127.0.0.1:{port}; root {files};\n"
            "location / { dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS; } } }\n"
        )
        program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        with process([program, "-p", str(root), "-c", str(config)], root / "log") as child:
            await_port(port)
            yield Running(("127.0.0.1", port), child.pid, "", {}, files)


class Apache(Peer):
    """Apache httpd with mod_dav, one process with threads; no users, nothing synced to disk."""

    name = "Apache mod_dav"
    modules = Path("/usr/lib/apache2/modules")

    def missing(self) -> str | None:
        return None if (self.modules / "mod_dav_fs.so").exists() else "apache2"

    @contextlib.contextmanager
    def serve(self, root: Path) -> Iterator[Running]:
        port, files = free_port(), root / "files"
        files.mkdir()
        os.chmod(files, 0o777)  # apache2 gives root up, and says so by refusing to write
        wanted = ("mpm_event", "authz_core", "dav", "dav_fs", "dav_lock")
        lines = [f"LoadModule {name}_module {self.modules}/mod_{name}.so" for name in wanted]
        if os.getuid() == 0:
            lines += ["User www-data", "Group www-data"]
        lines += [
            f"ServerName 127.0.0.1\nListen 127.0.0.1:{port}\nPidFile {root}/pid\nErrorLog {root}/log\nLogLevel error",
            "ServerLimit 1\nStartServers 1\nThreadsPerChild 25\nMaxRequestWorkers 25",
            "MinSpareThreads 1\nMaxSpareThreads 25\nMaxKeepAliveRequests 0\nKeepAlive On\nLimitRequestBody 0",
            f"DefaultRuntimeDir {root}\nDavLockDB {root}/locks/db\nDocumentRoot {files}",
            f"<Directory {files}>\nDav On\nRequire all granted\n</Directory>",
        ]
        (root / "locks").mkdir()
        os.chmod(root / "locks", 0o777)
        config = root / "httpd.conf"
        config.write_text("\n".join(lines) + "\n")
        program = shutil.which("apache2", path=f"{os.environ['PATH']}:/usr/sbin")
        with process([program, "-f", str(config), "-D", "FOREGROUND"], root / "log") as child:
            await_port(port)
            yield Running(("127.0.0.1", port), child.pid, "", {}, files)


class Rclone(Peer):
    """rclone serve webdav on a directory; no users, nothing synced to disk."""

    name = "rclone serve"

    def missing(self) -> str | None:
        return None if (BIN / "rclone").exists() else "the packages of requirements-bench.lock"

    @contextlib.contextmanager
    def serve(self, root: Path) -> Iterator[Running]:
        port, files = free_port(), root / "files"
        files.mkdir()
        environment = {
            **os.environ,
            "RCLONE_CONFIG": str(root / "rclone.conf"),
            "RCLONE_CACHE_DIR": str(root / "cache"),
        }
        command = [str(BIN / "rclone"), "serve", "webdav", str(files), "--addr", f"127.0.0.1:{port}"]
        with process(command, root / "log", env=environment) as child:
            await_port(port)
            yield Running(("127.0.0.1", port), child.pid, "", {}, files)


class WsgiDav(Peer):
    """WsgiDAV on gunicorn, one process with eight threads; no users, nothing synced to disk."""

    name = "WsgiDAV, gunicorn"

    def missing(self) -> str | None:
        return None if (BIN / "gunicorn").exists() else "the packages of requirements-bench.lock"

    @contextlib.contextmanager
    def serve(self, root: Path) -> Iterator[Running]:
        port, files = free_port(), root / "files"
        files.mkdir()
        (root / "dav_app.py").write_text(
            "from wsgidav.wsgidav_app import WsgiDAVApp\n"
            f"app = WsgiDAVApp({{'provider_mapping': {{'/': {str(files)!r}}}, 'simple_dc': {{'user_mapping': {{'*': True}}}},"
            " 'verbose': 0, 'logging': {'enable': False}, 'dir_browser': {'enable': False},"
            " 'lock_storage': True, 'property_manager': None})\n"
        )
        command = [str(BIN / "gunicorn"), "--bind", f"127.0.0.1:{port}", "--workers", "1", "--threads", "8"]
        command += ["--worker-class", "gthread", "--keep-alive", "60", "--log-level", "error", "dav_app:app"]
        with process(command, root / "log", cwd=root) as child:
            await_port(port)
            yield Running(("127.0.0.1", port), child.pid, "", {}, files)


PEERS: tuple[type[Peer], ...] = (Nginx, Apache, Rclone, WsgiDav)
