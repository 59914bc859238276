"""Serving: one socket, one or several worker processes, a clean stop.

Layer: ``apps``. The parent binds and listens; workers accept from the same socket, keep nothing but caches in memory,
and are started again when one dies. A worker whose parent is gone stops by itself.
"""

import asyncio
import contextlib
import functools
import logging
import multiprocessing
import multiprocessing.connection
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from candado.adapters.allocator import keep_freed_memory
from candado.adapters.server_tls import ServerCertificate
from candado.apps.server_config import ServerConfig
from candado.apps.server_log import start_log
from candado.apps.server_metrics import MULTIPROCESS_VARIABLE, forget_worker
from candado.apps.server_notify import notify, watchdog_seconds
from candado.apps.signer_wiring import SOFTWARE_WARNING
from candado.errors import CandadoError, LocalStorageError, UsageError

__all__ = ["bind", "serve"]

_LOG = logging.getLogger("candado.server")
_BACKLOG: Final = 1024
_STOP_SECONDS: Final = 25
_KILL_SECONDS: Final = 28.0
_KEEP_ALIVE_SECONDS: Final = 75
_RESTART_SECONDS: Final = 1.0
_FAILED: Final = 70
_FILES_MAX: Final = 65_536
_FILES_KEPT: Final = 200


def bind(listen: str) -> socket.socket:
    """Return a listening socket for ``HOST:PORT``; port 0 is any free one.

    Raises:
        UsageError: not HOST:PORT. LocalStorageError: the address cannot be used.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"not HOST:PORT: {listen!r}", advice="Write for example 127.0.0.1:8080 or [::]:8080.")
    host = host.strip("[]") or "127.0.0.1"
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, int(port)))
        sock.listen(_BACKLOG)
    except OSError as exc:
        sock.close()
        raise LocalStorageError(
            f"cannot listen: {exc.strerror}",
            path=listen,
            safe="Nothing was started.",
            advice="Choose another --listen.",
        ) from exc
    sock.setblocking(False)  # noqa: FBT003 -- the only spelling there is
    return sock


def serve(config: ServerConfig, announce: Callable[[str], None]) -> int:
    """Serve until SIGTERM or SIGINT; ``announce`` gets the URL when every worker is ready. The exit status."""
    if config.authority_uri is None:
        _LOG.warning("%s", SOFTWARE_WARNING)
    if config.tls_cert:
        # Also a look at the files before anything is started.
        _certificate(config)
    sock = bind(config.listen)
    name, port = sock.getsockname()[:2]
    scheme = "https" if config.tls_cert else "http"
    url = f"{scheme}://[{name}]:{port}" if ":" in name else f"{scheme}://{name}:{port}"

    def ready() -> None:
        announce(url)
        notify("READY=1")

    with sock:
        if config.workers == 1:
            return _run_worker(config, sock, ready, None)
        with tempfile.TemporaryDirectory(prefix="candado-metrics-") as folder:
            os.environ[MULTIPROCESS_VARIABLE] = folder
            return _Supervisor(config, sock).run(ready)


def _certificate(config: ServerConfig) -> ServerCertificate:
    return ServerCertificate(Path(config.tls_cert), Path(config.tls_key) if config.tls_key else None)


def _run_worker(
    config: ServerConfig,
    sock: socket.socket,
    ready: Callable[[], None],
    parent: Connection | None,
    *,
    patient: bool = False,
) -> int:
    """Serve from this process until it is told to stop."""
    # uvicorn takes signals while it serves, and raises those it took once more when it has stopped. One that comes
    # before must not be lost, one that comes after has nothing left to interrupt.
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: asked.set())
    keep_freed_memory()
    try:
        import uvloop

        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
    except ImportError:
        loop_factory = None
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_serve_here(config, sock, ready, parent, asked, patient=patient))
    return 0


async def _serve_here(
    config: ServerConfig,
    sock: socket.socket,
    ready: Callable[[], None],
    parent: Connection | None,
    asked: threading.Event,
    *,
    patient: bool,
) -> None:
    import uvicorn

    from candado.apps.asgi import Application
    from candado.apps.audit_outputs import deliver_audit
    from candado.apps.server_http import HttpLimits, strict_protocol, watch_connections
    from candado.apps.server_proxy import TrustedProxies
    from candado.apps.server_wiring import open_services

    limits = HttpLimits(config.header_seconds, config.stall_seconds, _connections_max(config.connections))
    certificate = _certificate(config) if config.tls_cert else None
    async with open_services(config, patient=patient) as services, deliver_audit(config, services.backend):
        server = uvicorn.Server(
            uvicorn.Config(
                TrustedProxies(Application(services), config.trusted_proxies),
                http=strict_protocol(limits),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_STOP_SECONDS,
                ssl_context_factory=None if certificate is None else lambda _config, _default: certificate.context,
            )
        )
        loop = asyncio.get_running_loop()
        reload = functools.partial(_reload, certificate)
        if parent is not None:
            threading.Thread(target=_obey_parent, args=(parent, server, loop, reload), daemon=True).start()
        else:
            if certificate is not None:
                loop.add_signal_handler(signal.SIGHUP, reload)
            _keep_watchdog(loop)
        watching = asyncio.create_task(watch_connections(server.server_state.connections, limits))
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        while not server.started and not serving.done():  # noqa: ASYNC110 -- the library has a flag, no event
            await asyncio.sleep(0.005)
        if asked.is_set():
            server.should_exit = True
        elif server.started:
            ready()
        await serving
        watching.cancel()


def _connections_max(wished: int) -> int:
    """As many connections as wished for, as long as each can have two files open besides."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        soft = max(soft, _FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, _FILES_MAX))
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    possible = max(1, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _FILES_KEPT) // 3)
    if possible < wished:
        _LOG.warning("the limit of open files allows %d connections of %d", possible, wished)
    return min(wished, possible)


def _obey_parent(
    parent: Connection, server: object, loop: asyncio.AbstractEventLoop, reload: Callable[[], None]
) -> None:
    """Take a word of the parent for a wish to reload, and let the server stop when its end of the pipe closes."""
    try:
        while True:
            parent.recv()
            loop.call_soon_threadsafe(reload)
    except EOFError:
        server.should_exit = True  # type: ignore[attr-defined]


def _reload(certificate: ServerCertificate | None) -> None:
    """Show a renewed certificate from now on; a bad one is told, and the old one stays."""
    if certificate is not None:
        try:
            certificate.reload()
        except CandadoError as error:
            _LOG.error("the certificate was not renewed: %s", error.message)
        else:
            _LOG.info("the certificate was read anew")


def _keep_watchdog(loop: asyncio.AbstractEventLoop) -> None:
    """Tell systemd again and again that this loop turns."""
    seconds = watchdog_seconds()
    if seconds is not None:
        notify("WATCHDOG=1")
        loop.call_later(seconds, _keep_watchdog, loop)


def _worker_main(config: ServerConfig, sock: socket.socket, pipe: Connection, patient: bool) -> NoReturn:
    """Entry of a worker process."""
    start_log(config.log_format)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the parent says what it means
    try:
        status = _run_worker(config, sock, lambda: pipe.send("ready"), pipe, patient=patient)
    except CandadoError as error:
        pipe.send(error)
        status = _FAILED
    sys.exit(status)


class _Supervisor:
    """Starts workers, starts dead ones again, stops all."""

    def __init__(self, config: ServerConfig, sock: socket.socket) -> None:
        self._config = config
        self._socket = sock
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[int, tuple[multiprocessing.process.BaseProcess, Connection]] = {}
        # Signals are bytes in a pipe. A handler that raised could strike while a worker is being started, which then
        # nobody would know, stop or wait for.
        self._stopped, self._stopping = self._context.Pipe(duplex=False)
        self._hung_up, self._hanging_up = self._context.Pipe(duplex=False)
        self._watchdog_seconds = watchdog_seconds()

    def run(self, ready: Callable[[], None]) -> int:
        """Supervise until a signal; the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        if self._config.tls_cert:
            signal.signal(signal.SIGHUP, self._on_hangup)
        try:
            if self._start_all():
                ready()
            while self._running():
                self._replace_dead()
            return 0
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            self._stop()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stopping.send_bytes(b"stop")

    def _on_hangup(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._hanging_up.send_bytes(b"reload")

    def _pass_hangups_on(self) -> None:
        while self._hung_up.poll():
            self._hung_up.recv_bytes()
            for _, pipe in self._workers.values():
                with contextlib.suppress(OSError):  # it died; the next look finds that
                    pipe.send("reload")

    def _running(self, seconds: float = 0.0) -> bool:
        """Whether no signal came so far, nor within ``seconds``."""
        return not self._stopped.poll(seconds)

    def _start_all(self) -> bool:
        """Start every worker; false when a signal came meanwhile."""
        started: list[Connection] = []
        for _ in range(self._config.workers):
            started.append(self._start(patient=False))
            # A wrong PIN goes to the token once, and not once a worker: a token locks itself after a few.
            if self._config.authority_uri is not None and not self._await_ready(started.pop()):
                return False
        return all(self._await_ready(pipe) for pipe in started)

    def _start(self, *, patient: bool) -> Connection:
        ours, theirs = self._context.Pipe()
        arguments = (self._config, self._socket, theirs, patient)
        process = self._context.Process(target=_worker_main, args=arguments, daemon=True)
        process.start()
        theirs.close()
        assert process.pid is not None
        self._workers[process.pid] = (process, ours)
        return ours

    def _replace_dead(self) -> None:
        """Wait until a worker has died, then start another; return without at a signal or the watchdog's time."""
        if self._watchdog_seconds is not None:
            notify("WATCHDOG=1")
        sentinels = (process.sentinel for process, _ in self._workers.values())
        multiprocessing.connection.wait([self._stopped, self._hung_up, *sentinels], self._watchdog_seconds)
        self._pass_hangups_on()
        for pid, (process, pipe) in list(self._workers.items()):
            if process.is_alive():
                continue
            _LOG.error("worker %d ended with status %s; starting another", pid, process.exitcode)
            pipe.close()
            del self._workers[pid]
            forget_worker(pid)
            if self._running(_RESTART_SECONDS):
                self._start_another()

    def _start_another(self) -> None:
        try:
            # One in the place of another must serve what it can: the others do without the authority as well.
            self._await_ready(self._start(patient=True))
        except CandadoError as error:
            # The others go on serving; this one is dead as well by now, and the next look replaces it.
            _LOG.error("a worker could not start: %s", error)

    def _await_ready(self, pipe: Connection) -> bool:
        """Wait for a worker's word; false when a signal came instead. Raises what kept the worker from starting."""
        multiprocessing.connection.wait([self._stopped, pipe])
        if not self._running():
            return False
        try:
            word = pipe.recv()
        except EOFError as exc:
            raise LocalStorageError("a worker ended before it was ready; the log above says why") from exc
        if isinstance(word, CandadoError):
            raise word
        return True

    def _stop(self) -> None:
        until = time.monotonic() + _KILL_SECONDS
        for process, pipe in self._workers.values():
            process.terminate()
            pipe.close()
        for process, _ in self._workers.values():
            process.join(max(0.0, until - time.monotonic()))
            if process.is_alive():
                _LOG.error("worker %s did not stop in time", process.pid)
                process.kill()
                process.join()
