"""Outputs of the audit log in ``config.toml``: one ``[[audit_sink]]`` each.

Layer: ``apps``. Read as strictly as the rest of the file. Secrets are in files that are named, never in the settings.
"""

import difflib
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

from candado.adapters.audit_file import AuditFile
from candado.adapters.audit_http import AuditHttp
from candado.adapters.audit_syslog import AuditSyslog, SyslogPlace
from candado.errors import TlsError, UsageError
from candado.formats.auditlines import FORMATS
from candado.ports.ambient import Clock
from candado.ports.auditsink import AuditSink
from candado.server.auditsinks import SinkSettings

__all__ = ["SinkConfig", "parse_sinks"]

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_SINKS_MAX: Final = 16
_ROTATE_BYTES_MIN: Final = 64 * 1024
_DATAGRAM_MAX: Final = 65_507
_PORTS: Final = {"udp": 514, "tcp": 601, "tls": 6514}
_COMMON: Final = ("name", "kind", "format", "on_failure", "lag_seconds", "batch", "timeout_seconds")
_KINDS: Final = {
    "file": ("path", "rotate_bytes", "rotate_days"),
    "syslog": ("to", "ca_file", "host", "enterprise", "datagram_bytes"),
    "http": ("url", "token_file", "ca_file"),
}
_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class SinkConfig:
    """One output: what the server knows of it, and how it is reached."""

    kind: Literal["file", "syslog", "http"]
    settings: SinkSettings
    path: Path | None = None
    place: SyslogPlace | None = None
    host: str = ""
    enterprise: int = 0
    datagram_bytes: int = 0
    url: str = ""
    token_file: Path | None = None
    ca_file: str | None = None

    def make(self, clock: Clock) -> AuditSink:
        """The output; nothing is opened yet."""
        seconds, line_format = self.settings.seconds, self.settings.line_format
        if self.path is not None:
            return AuditFile(self.path, line_format)
        if self.place is not None:
            return AuditSyslog(
                self.place,
                host=self.host or socket.gethostname(),
                enterprise=self.enterprise,
                datagram_bytes=self.datagram_bytes,
                seconds=seconds,
            )
        return AuditHttp(
            self.url, line_format, clock, token_file=self.token_file, ca_file=self.ca_file, seconds=seconds
        )


def parse_sinks(value: object, config: Path) -> tuple[SinkConfig, ...]:
    """The outputs that ``audit_sink`` of the file ``config`` says; UsageError names the table and the key."""
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise UsageError("audit_sink is written as [[audit_sink]]", path=str(config))
    if len(value) > _SINKS_MAX:
        raise UsageError(f"there are at most {_SINKS_MAX} outputs of the audit log", path=str(config))
    found = tuple(_Table(cast("Mapping[str, object]", one), config).sink() for one in value)
    names = [one.settings.name for one in found]
    if len(set(names)) != len(names):
        raise UsageError("two outputs of the audit log have one name", path=str(config))
    files = [one.path for one in found if one.path is not None]
    if len(set(files)) != len(files):
        raise UsageError("two outputs of the audit log are one file", path=str(config))
    return found


class _Table:
    """One ``[[audit_sink]]``, read key by key."""

    def __init__(self, table: Mapping[str, object], config: Path) -> None:
        self._table = table
        self._path = str(config)
        self._name = "?"

    def sink(self) -> SinkConfig:
        self._name = self._text("name", needed=True)
        if not _NAME.fullmatch(self._name):
            raise self._wrong("name must be lower-case letters, digits and dashes")
        kind = cast("Any", self._choice("kind", tuple(_KINDS), None))
        self._know((*_COMMON, *_KINDS[kind]))
        reader: Callable[[SinkSettings], SinkConfig] = {
            "file": self._file,
            "syslog": self._syslog,
            "http": self._http,
        }[kind]
        return reader(
            SinkSettings(
                name=self._name,
                line_format=cast("Any", self._choice("format", FORMATS, "native")),
                is_closed=self._choice("on_failure", ("closed", "open"), "closed") == "closed",
                lag_seconds=float(self._number("lag_seconds", 300, 1, 86_400)),
                batch=self._number("batch", 500, 1, 5000),
                seconds=float(self._number("timeout_seconds", 10, 1, 300)),
                rotate_bytes=self._number("rotate_bytes", 0, _ROTATE_BYTES_MIN, 2**40),
                rotate_seconds=self._number("rotate_days", 0, 1, 3660) * _DAY,
            )
        )

    def _file(self, settings: SinkSettings) -> SinkConfig:
        return SinkConfig("file", settings, path=self._file_name("path", needed=True))

    def _syslog(self, settings: SinkSettings) -> SinkConfig:
        text = self._text("to", needed=True)
        return SinkConfig(
            "syslog",
            settings,
            place=self._place(text),
            host=self._text("host"),
            enterprise=self._number("enterprise", 0, 1, 2**32 - 1),
            datagram_bytes=self._number("datagram_bytes", 8192, 480, _DATAGRAM_MAX),
        )

    def _http(self, settings: SinkSettings) -> SinkConfig:
        from candado.adapters.http_settings import check_server_url

        url = self._text("url", needed=True)
        parts = urlsplit(url)
        try:
            check_server_url(parts._replace(query="").geturl())
        except (UsageError, TlsError) as exc:
            raise self._wrong(f"url: {exc.message}") from exc
        if not url.isascii() or any(char <= " " for char in url) or parts.fragment:
            raise self._wrong("url has characters that no address has")
        ca_file = self._file_name("ca_file")
        return SinkConfig(
            "http",
            settings,
            url=url,
            token_file=self._file_name("token_file"),
            ca_file=None if ca_file is None else str(ca_file),
        )

    def _place(self, text: str) -> SyslogPlace:
        ca_file = self._file_name("ca_file")
        parts = urlsplit(text)
        try:
            port = parts.port
        except ValueError as exc:
            raise self._wrong("to: no such port") from exc
        if parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/"):
            found = SyslogPlace("unix", parts.path)
        elif parts.scheme in _PORTS and parts.hostname and parts.path in ("", "/") and "@" not in parts.netloc:
            transport = cast("Any", parts.scheme)
            found = SyslogPlace(
                transport, parts.hostname, port or _PORTS[transport], None if ca_file is None else str(ca_file)
            )
        else:
            raise self._wrong("to is udp://HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH")
        if ca_file is not None and found.transport != "tls":
            raise self._wrong("ca_file is for tls:// only")
        return found

    # --- keys ---

    def _know(self, known: tuple[str, ...]) -> None:
        for key in self._table:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
                raise self._wrong(f"unknown setting {key!r}", hint)

    def _text(self, key: str, *, needed: bool = False) -> str:
        value = self._table.get(key, "")
        if not isinstance(value, str) or (needed and not value):
            raise self._wrong(f"{key} must be a text" if key in self._table else f"{key} is missing")
        return value

    def _choice(self, key: str, choices: tuple[str, ...], default: str | None) -> str:
        value = self._table.get(key, default)
        if value not in choices:
            raise self._wrong(f"{key} is one of {', '.join(choices)}")
        return value

    def _number(self, key: str, default: int, least: int, most: int) -> int:
        value = self._table.get(key, default)
        if isinstance(value, str) and key.endswith("_bytes"):
            from candado.apps.server_config import parse_bytes

            value = parse_bytes(value)
        if type(value) is not int or (key in self._table and not least <= value <= most):
            raise self._wrong(f"{key} is a whole number from {least} to {most}")
        return value

    def _file_name(self, key: str, *, needed: bool = False) -> Path | None:
        text = self._text(key, needed=needed)
        if text and not text.startswith("/"):
            raise self._wrong(f"{key} must be an absolute path")
        return Path(text) if text else None

    def _wrong(self, message: str, advice: str | None = None) -> UsageError:
        more = advice or "See docs/ops/audit.md."
        return UsageError(f"audit_sink {self._name!r}: {message}", path=self._path, advice=more)
