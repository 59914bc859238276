"""A real nginx or Caddy in front of a real server, with the files of ``deploy/``: only names, ports and places change."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
START_SECONDS = 20.0


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nothing listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


@dataclass(frozen=True)
class Certificate:
    """A certificate for localhost, signed by an authority that only tests know."""

    authority: Path
    chain: Path
    key: Path


def make_certificate(folder: Path, name: str = "server") -> Certificate:
    """Make an authority in the folder, unless there is one, and a certificate for this machine."""
    folder.mkdir(exist_ok=True)
    authority = folder / "authority.pem"

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    if not authority.exists():
        openssl("req", "-x509", *made, "-keyout", "authority.key", "-out", "authority.pem", "-subj", "/CN=tests",
                "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    openssl("req", "-new", *made, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    (folder / "san").write_text(
        "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\nauthorityKeyIdentifier=keyid\n"
    )
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "authority.pem", "-CAkey", "authority.key", "-days", "2",
            "-CAcreateserial", "-extfile", "san", "-out", f"{name}.pem")  # fmt: skip
    return Certificate(authority, folder / f"{name}.pem", folder / f"{name}.key")


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs."""

    process: "subprocess.Popen[bytes]"
    folder: Path
    secure: int
    plain: int
    front: int

    @property
    def url(self) -> str:
        """What a client is told."""
        return f"https://localhost:{self.secure}"

    def memory_peak(self) -> int:
        """The greatest resident bytes of any process of it so far."""
        pids = [self.process.pid, *_children(self.process.pid)]
        texts = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
        return max(int(re.findall(r"VmHWM:\s+(\d+)", text)[0]) * 1024 for text in texts)


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def replaced(text: str, *changes: tuple[str, str]) -> str:
    """The text with every change made; each must apply."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def _await_port(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.01)


@contextlib.contextmanager
def _running(words: list[str], folder: Path, ports: list[int], environment: dict[str, str]) -> Iterator[Proxy]:
    log = folder / "output"
    with log.open("wb") as output:
        process = subprocess.Popen(words, stdout=output, stderr=output, cwd=folder, env=environment)
        try:
            _await_port(process, ports[0], log)
            yield Proxy(process, folder, *ports)
        finally:
            process.terminate()
            process.wait(START_SECONDS)


# What the site file is included by, and a further proxy before it that a test of several hops asks.
_NGINX = """daemon off; pid {folder}/pid; error_log {folder}/error.log; {user} worker_processes 1;
events {{ worker_connections 256; }}
http {{
    client_body_temp_path {folder}/t-body; proxy_temp_path {folder}/t-proxy; fastcgi_temp_path {folder}/t-f;
    uwsgi_temp_path {folder}/t-u; scgi_temp_path {folder}/t-s;
    include {folder}/site.conf;
    server {{
        listen 127.0.0.1:{front}; access_log off;
        location / {{
            proxy_pass https://127.0.0.1:{secure}; proxy_bind 127.0.0.4; proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For "192.0.2.66, 2001:db8::7";
        }}
    }}
}}
"""


def nginx_program() -> str:
    """Where nginx is; Debian keeps it out of people's PATH."""
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        pytest.skip("nginx is not installed on this machine")
    return found


@contextlib.contextmanager
def behind_nginx(folder: Path, backend: str, certificate: Certificate) -> Iterator[Proxy]:
    """Run nginx with ``deploy/nginx.conf`` before the server at ``backend`` (HOST:PORT)."""
    folder.mkdir()
    secure, plain, front = free_ports(3)
    site = replaced(
        (DEPLOY / "nginx.conf").read_text(),
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("    listen [::]:80;\n", ""),
        ("listen 443 ssl;", f"listen 127.0.0.1:{secure} ssl;"),
        ("    listen [::]:443 ssl;\n", ""),
        ("server_name cloud.example.org;", "server_name localhost;"),
        ("/etc/letsencrypt/live/cloud.example.org/fullchain.pem", str(certificate.chain)),
        ("/etc/letsencrypt/live/cloud.example.org/privkey.pem", str(certificate.key)),
        ("127.0.0.1:8080", backend),
        ("/var/log/nginx", str(folder)),
    )
    (folder / "site.conf").write_text(site)
    user = "user root;" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, front=front, secure=secure, user=user))
    words = [nginx_program(), "-c", str(folder / "nginx.conf"), "-p", str(folder), "-e", str(folder / "error.log")]
    checked = subprocess.run([*words, "-t"], capture_output=True, text=True, check=False)
    assert (checked.returncode, "warn" in checked.stderr) == (0, False), checked.stderr
    with _running(words, folder, [secure, plain, front], dict(os.environ)) as proxy:
        yield proxy


@contextlib.contextmanager
def behind_caddy(folder: Path, backend: str, certificate: Certificate) -> Iterator[Proxy]:
    """Run Caddy with ``deploy/Caddyfile`` before the server at ``backend`` (HOST:PORT)."""
    folder.mkdir()
    secure, plain, _ = free_ports(3)
    site = replaced(
        (DEPLOY / "Caddyfile").read_text(),
        ("cloud.example.org {", f"localhost:{secure} {{\n\ttls {certificate.chain} {certificate.key}"),
        ("127.0.0.1:8080", backend),
    )
    options = f"{{\n\tadmin off\n\thttp_port {plain}\n\thttps_port {secure}\n\tdefault_bind 127.0.0.1\n}}\n"
    (folder / "Caddyfile").write_text(options + site)
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    words = ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
    with _running(words, folder, [secure, plain, 0], environment) as proxy:
        yield proxy
