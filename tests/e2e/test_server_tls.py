"""The server ends TLS itself: with our client, with a renewed certificate, with files that cannot be."""

import os
import shutil
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.e2e.cli_world import Cloud
from tests.e2e.proxies import Certificate, make_certificate
from tests.e2e.proxy_story import two_devices_and_a_person_share_a_folder
from tests.e2e.server_process import ServerProcess, make_data, run_server, serving

ASK = b"GET /204 HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path / "pem")


def options(certificate: Certificate) -> list[str]:
    return ["--tls-cert", str(certificate.chain), "--tls-key", str(certificate.key)]


@contextmanager
def connected(server: ServerProcess, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    parts = urlsplit(server.url)
    assert parts.hostname is not None
    with (
        closing(socket.create_connection((parts.hostname, parts.port or 0), 10)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        yield secure


def trusting(certificate: Certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate.authority)


def answers(secure: ssl.SSLSocket) -> bool:
    secure.sendall(ASK)
    return secure.recv(65536).startswith(b"HTTP/1.1 204")


def shown(server: ServerProcess, certificate: Certificate) -> object:
    """The name in the certificate that a new connection is shown."""
    with connected(server, trusting(certificate)) as secure:
        found = secure.getpeercert()
        assert found is not None
        return found["subject"]


def test_our_client_works_over_tls_with_two_workers(data: Path, certificate: Certificate, tmp_path: Path) -> None:
    with serving(data, *options(certificate), "--workers", "2") as server:
        assert server.url.startswith("https://127.0.0.1:")
        cloud = Cloud(server.url, data, tmp_path)
        two_devices_and_a_person_share_a_folder(cloud, certificate.authority, tmp_path / "a", tmp_path / "b")
        assert server.stop() == 0


@pytest.mark.parametrize(("version", "accepted"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
def test_nothing_older_than_tls_1_2_is_spoken(
    data: Path, certificate: Certificate, version: str, accepted: bool
) -> None:
    context = trusting(certificate)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1") if version == "TLSv1_1" else _nothing():
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with serving(data, *options(certificate)) as server:
        try:
            with connected(server, context) as secure:
                assert (answers(secure), secure.selected_alpn_protocol()) == (True, None)
                spoken = True
        except (ssl.SSLError, ConnectionError):
            spoken = False
    assert spoken is accepted


def test_a_head_without_end_is_refused_in_words_also_over_tls(data: Path, certificate: Certificate) -> None:
    with serving(data, *options(certificate)) as server, connected(server, trusting(certificate)) as secure:
        secure.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 70_000)
        answer = b""
        while piece := secure.recv(65536):
            answer += piece
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert b'"LIMIT_EXCEEDED"' in answer
        assert shown(server, certificate)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_renewed_certificate_is_shown_after_a_hangup_and_no_connection_ends(
    data: Path, certificate: Certificate, workers: str
) -> None:
    renewed = make_certificate(certificate.chain.parent, "renewed")
    with serving(data, *options(certificate), "--workers", workers) as server:
        before = shown(server, certificate)
        with connected(server, trusting(certificate)) as kept:
            assert answers(kept)
            # A pair that does not belong together is not taken.
            shutil.copy(renewed.chain, certificate.chain)
            os.kill(server.process.pid, signal.SIGHUP)
            log = data.parent / "server.log"
            await_text(log, "the certificate was not renewed: the certificate or its key cannot be used", int(workers))
            assert shown(server, certificate) == before
            shutil.copy(renewed.key, certificate.key)
            os.kill(server.process.pid, signal.SIGHUP)
            await_text(log, "the certificate was read anew", int(workers))
            # Each worker takes some of these.
            assert {str(shown(server, certificate)) for _ in range(12)} == {"(((('commonName', 'renewed'),),))"[1:-1]}
            assert answers(kept)
        assert server.stop() == 0
    log.unlink()


def await_text(log: Path, text: str, count: int) -> None:
    until = time.monotonic() + 20
    while log.read_text().count(text) < count:
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.01)


def test_files_that_cannot_be_a_certificate_stop_the_start_with_a_reason(
    data: Path, certificate: Certificate, tmp_path: Path
) -> None:
    other = make_certificate(tmp_path / "other")
    (tmp_path / "text").write_text("no certificate")
    wrong = [
        ["--tls-cert", str(tmp_path / "absent"), "--tls-key", str(certificate.key)],
        ["--tls-cert", str(tmp_path / "text")],
        ["--tls-cert", str(certificate.chain), "--tls-key", str(other.key)],
        ["--tls-cert", str(certificate.chain)],
    ]
    for words in wrong:
        done = run_server("serve", "--data", str(data), "--listen", "127.0.0.1:0", *words, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert "the certificate or its key cannot be used" in done.stderr
        assert words[1] in done.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_systemd_is_told_that_the_server_is_ready_and_alive(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "100000")
        with serving(data, "--workers", workers):
            told = [systemd.recv(100) for _ in range(6)]
    assert (told.count(b"READY=1"), told.count(b"WATCHDOG=1")) == (1, 5)
