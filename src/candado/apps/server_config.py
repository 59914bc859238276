"""Settings of the server: ``config.toml`` in the data directory, overridden by flags.

Layer: ``apps``. The file is read strictly: an unknown key is an error that names the nearest known one, since a
misspelt limit that is silently ignored protects nobody.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from candado.apps.audit_settings import SinkConfig, parse_sinks
from candado.apps.server_proxy import parse_proxies
from candado.errors import FormatError, NotFoundError, UsageError
from candado.formats.pkcs11uri import KeyUri, parse_key_uri

__all__ = [
    "CONFIG_NAME",
    "SOFTWARE_AUTHORITY",
    "ServerConfig",
    "check_database",
    "check_storage",
    "environment_setting",
    "load_config",
    "local_path",
    "parse_authority",
    "parse_bytes",
    "rewrite_authority",
    "rewrite_places",
    "write_config",
]

CONFIG_NAME: Final = "config.toml"
SOFTWARE_AUTHORITY: Final = "software"
_SINKS: Final = "audit_sink"
_UNITS: Final = {
    "": 1,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "KI": 2**10,
    "MI": 2**20,
    "GI": 2**30,
    "TI": 2**40,
}
_POSITIVE: Final = ("workers", "connections", "header_seconds", "stall_seconds", "lock_seconds")
_DAYS_MAX: Final = 7300
_AUTHORITY_LINE: Final = re.compile(r"authority\s*=")
_APPROVALS_MAX: Final = 5
_LATER: Final = ("gs", "az")
_POSTGRES: Final = ("postgresql", "postgres")


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Every setting with its default. Sizes in bytes, times in seconds."""

    data: Path
    """The data directory; not in the file."""
    url: str = ""
    """Public base URL as clients see it; empty: taken from each request's Host header."""
    listen: str = "127.0.0.1:8080"
    workers: int = 1
    tls_cert: str = ""
    """PEM file with the certificate chain; empty: plain HTTP, for a proxy on the same machine."""
    tls_key: str = ""
    """PEM file with its key; empty: it is in the file of the chain."""
    database: str = ""
    """``sqlite:///ABSOLUTE/PATH`` or ``postgresql://USER:PASSWORD@HOST/DATABASE``; empty: ``candado.db`` in the data
    directory."""
    database_password: str = ""
    """Of PostgreSQL, when it is not in ``database``."""
    storage: str = ""
    """``file:///ABSOLUTE/PATH`` or ``s3://BUCKET/PREFIX?endpoint=..``; empty: ``blobs`` in the data directory."""
    authority: str = ""
    """Where the authority's key is: ``software`` for a file in the data directory, or a PKCS#11 URI for a token."""
    certificate_days: int = 7300
    """Days that a certificate is valid; stock servers give 7300."""
    new_key_approvals: int = 0
    """How many administrators must allow a new key of a user who had one; 0: nobody, as on stock servers."""
    connections: int = 4096
    """Connections of one worker; beyond them the one that has been idle longest is closed."""
    header_seconds: int = 30
    """Time in which the head of a request must be there."""
    stall_seconds: int = 60
    """Over any such time a body or an answer moves at least 100 bytes a second."""
    lock_seconds: int = 900
    """Idle time after which a lock and everything written under it is rolled back."""
    default_quota: int = -3
    """Bytes for new accounts; -3 is unlimited."""
    log_format: str = "text"
    """``text`` or ``json``."""
    log_requests: bool = False
    """One line in the log for each request."""
    metrics: bool = False
    """Serve ``/metrics`` to everybody; without it only to this machine."""
    metrics_token: str = ""
    """Serve ``/metrics`` only to callers with this bearer token."""
    require_e2ee_header: bool = False
    """Refuse encrypted trees to clients whose User-Agent is not known to support them; no security measure."""
    trusted_proxies: tuple[str, ...] = field(default=())
    """Addresses and networks whose X-Forwarded-For and X-Forwarded-Proto are believed; never everybody."""
    audit_sinks: tuple[SinkConfig, ...] = field(default=())
    """Outputs of the audit log; ``[[audit_sink]]`` in the file, nowhere else."""

    @property
    def uses_postgres(self) -> bool:
        """Whether the rows are in PostgreSQL."""
        return urlsplit(self.database).scheme in _POSTGRES

    @property
    def postgres_url(self) -> str:
        """Address of PostgreSQL with the password."""
        parts = urlsplit(self.database)
        if not self.database_password or parts.password is not None:
            return self.database
        user, at, host = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}:{quote(self.database_password, safe='')}{at}{host}"))

    @property
    def uses_s3(self) -> bool:
        """Whether the bodies are in a bucket."""
        return urlsplit(self.storage).scheme == "s3"

    @property
    def database_path(self) -> Path:
        """File of the embedded database; UsageError when another one is used."""
        return local_path(self.database, "sqlite") if self.database else self.data / "candado.db"

    @property
    def storage_path(self) -> Path:
        """Directory of the blobs; UsageError when they are in a bucket."""
        return local_path(self.storage, "file") if self.storage else self.data / "blobs"

    @property
    def authority_key_path(self) -> Path:
        """PEM file of the authority's key, if it is a file."""
        return self.data / "authority.pem"

    @property
    def authority_uri(self) -> KeyUri | None:
        """The key of a token, or None for the file.

        Raises:
            UsageError: the setting is missing or neither of the two. A key in a file is never what is left over when
                somebody takes the other setting away.
        """
        if self.authority == SOFTWARE_AUTHORITY:
            return None
        path = str(self.data / CONFIG_NAME)
        if not self.authority:
            raise UsageError(
                "the configuration does not say where the authority's key is",
                path=path,
                advice='Add authority = "software" for the file authority.pem, or a PKCS#11 URI.',
            )
        return parse_authority(self.authority, path)


def parse_authority(text: str, path: str) -> KeyUri:
    """The key of a token that a setting or an option names; UsageError about ``path``."""
    try:
        return parse_key_uri(text)
    except FormatError as exc:
        raise UsageError(
            f"authority is neither {SOFTWARE_AUTHORITY!r} nor an address of a key: {exc.message}",
            path=path,
            advice="Write pkcs11:token=LABEL;object=LABEL?module-path=/PATH.so&pin-source=/PATH.",
        ) from exc


def check_database(url: str) -> None:
    """Return when this can be the setting ``database``.

    Raises:
        UsageError: another scheme, no name of a database, not an absolute path. A password is not repeated.
    """
    parts = urlsplit(url)
    if parts.scheme not in _POSTGRES:
        local_path(url, "sqlite")
    elif not parts.path.strip("/"):
        raise UsageError(
            "the address of the database names none", advice="Write postgresql://USER:PASSWORD@HOST:PORT/DATABASE."
        )


def check_storage(url: str) -> None:
    """Return when this can be the setting ``storage``; UsageError when not. Keys in it are not repeated."""
    if urlsplit(url).scheme != "s3":
        local_path(url, "file")
        return
    from candado.adapters.s3_place import S3Place

    S3Place.parse(url)


def local_path(url: str, scheme: str) -> Path:
    """Return the absolute path in ``SCHEME:///PATH``.

    Raises:
        UsageError: another scheme, or not an absolute path.
    """
    parts = urlsplit(url)
    if parts.scheme in _POSTGRES:
        raise UsageError(
            f"this is no {scheme}:// but the address of a database server",
        )
    if parts.scheme == "s3" and scheme == "file":
        raise UsageError(
            "bodies can be restored into a directory only",
            advice="Name one with --storage file:///ABSOLUTE/PATH; the restored server works on it.",
        )
    if parts.scheme in _LATER:
        raise UsageError(
            f"{parts.scheme}:// is not supported by this version; {scheme}:// is",
            path=url,
            advice=f"Use {scheme}:///ABSOLUTE/PATH, or leave the setting out.",
        )
    if parts.scheme != scheme or parts.netloc or not parts.path.startswith("/") or parts.query:
        raise UsageError(f"not a {scheme}:///ABSOLUTE/PATH", path=url)
    # Four slashes, as some other programs want them, name the same file.
    return Path("/" + parts.path.lstrip("/"))


def parse_bytes(text: str) -> int:
    """Return a size such as ``10G``, ``512MiB``, ``none`` (-3) in bytes; UsageError when it is no size."""
    if text.strip().lower() in ("none", "unlimited"):
        return -3
    match = re.fullmatch(r"\s*(\d{1,15})\s*([KMGT]?I?)B?\s*", text.upper())
    if match is None or match[2] not in _UNITS:
        raise UsageError(f"not a size: {text!r}", advice="Write 10G, 512MiB, a number of bytes, or none.")
    return int(match[1]) * _UNITS[match[2]]


def load_config(data: Path, environment: Mapping[str, str], **overrides: object) -> ServerConfig:
    """Return the settings in ``data``/config.toml; those in the environment win, and ``overrides`` that are not None.

    A setting ``key`` is ``CANDADO_SERVER_KEY`` in the environment, or a file's content when ``CANDADO_SERVER_KEY_FILE``
    names one.

    Raises:
        NotFoundError: the directory was not initialised.
        UsageError: the file is not TOML, has an unknown key or a value of the wrong type.
    """
    path = data / CONFIG_NAME
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as exc:
        raise NotFoundError(
            "this is not a data directory of candado-server",
            path=str(data),
            advice=f"Run `candado-server init --data {data}`.",
        ) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise UsageError(f"the configuration is not TOML: {exc}", path=str(path)) from exc
    config = ServerConfig(data=data.absolute(), audit_sinks=parse_sinks(document.pop(_SINKS, []), path))
    known = {f.name: getattr(config, f.name) for f in fields(config) if f.name not in ("data", "audit_sinks")}
    for key, value in document.items():
        if key not in known:
            near = difflib.get_close_matches(key, [*known, _SINKS], n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(known))}."
            raise UsageError(f"unknown setting {key!r}", path=str(path), advice=hint)
        config = replace(config, **{key: _checked(key, value, known[key], path)})  # type: ignore[arg-type]
    for key, default in known.items():
        text = environment_setting(key, environment)
        if text is not None:
            value = _checked(key, _parsed(text, default), default, Path(_variable(key)))
            config = replace(config, **{key: value})  # type: ignore[arg-type]
    if config.tls_key and not config.tls_cert:
        raise UsageError("tls_key without tls_cert", path=str(path), advice="Set both, or neither.")
    chosen = {key: value for key, value in overrides.items() if value is not None}
    return replace(config, **chosen)  # type: ignore[arg-type]


def _variable(key: str) -> str:
    return f"CANDADO_SERVER_{key.upper()}"


def environment_setting(key: str, environment: Mapping[str, str]) -> str | None:
    """A setting in the environment, or in the file that it names; UsageError when that cannot be read."""
    name = _variable(key)
    file = environment.get(f"{name}_FILE")
    if file is None:
        return environment.get(name)
    try:
        return Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"the file that {name}_FILE names cannot be read", path=file) from exc


def _parsed(text: str, default: object) -> object:
    """Text as a value of the kind of ``default``, as far as it is one."""
    if isinstance(default, bool):
        return {"true": True, "false": False}.get(text.lower(), text)
    if isinstance(default, int) and re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    if isinstance(default, tuple):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _checked(key: str, value: object, default: object, path: Path) -> object:
    """Return ``value`` in the type of ``default``, or raise UsageError."""
    if isinstance(default, tuple) and isinstance(value, list) and all(isinstance(v, str) for v in value):
        parse_proxies(value)
        return tuple(value)
    if key == "default_quota" and isinstance(value, str):
        return parse_bytes(value)
    if type(value) is not type(default):
        raise UsageError(f"{key} must be a {type(default).__name__}", path=str(path))
    if key == "log_format" and value not in ("text", "json"):
        raise UsageError("log_format is text or json", path=str(path))
    if key == "certificate_days" and isinstance(value, int) and not 1 <= value <= _DAYS_MAX:
        raise UsageError(f"certificate_days must be between 1 and {_DAYS_MAX}", path=str(path))
    if key == "new_key_approvals" and isinstance(value, int) and not 0 <= value <= _APPROVALS_MAX:
        raise UsageError(f"new_key_approvals must be between 0 and {_APPROVALS_MAX}", path=str(path))
    if key in _POSITIVE and isinstance(value, int) and value < 1:
        raise UsageError(f"{key} must be at least 1", path=str(path))
    return value


def write_config(path: Path, *, url: str, database: str, storage: str, authority: str) -> None:
    """Write the first ``config.toml``; mode 0600 because a metrics token may be added to it."""
    lines = [
        "# Settings of candado-server; every key is optional. See docs/ops/server.md.",
        f"url = {_toml(url)}  # public base URL, e.g. https://cloud.example.org",
        '# listen = "127.0.0.1:8080"',
        "# workers = 1",
        *([f"database = {_toml(database)}"] if database else []),
        *([f"storage = {_toml(storage)}"] if storage else []),
        f"authority = {_toml(authority)}  # where the key is that signs certificates; see docs/ops/authority.md",
        "# connections = 4096",
        "# lock_seconds = 900",
        '# default_quota = "none"',
        "# metrics = false",
        "",
    ]
    path.touch(mode=0o600)
    path.write_text("\n".join(lines), "utf-8")


def rewrite_places(text: str, *, database: str, storage: str) -> str:
    """A ``config.toml`` with other places for rows and bodies; those of the data directory for empty ones."""
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith(("database", "storage"))]
    places = [f"{name} = {_toml(url)}\n" for name, url in (("database", database), ("storage", storage)) if url]
    # Before the first line, because a table could begin anywhere behind.
    return "".join(places + lines)


def rewrite_authority(text: str, authority: str) -> str:
    """A ``config.toml`` that names another place of the authority's key; the rest stays as it is."""
    lines = [line for line in text.splitlines(keepends=True) if not _AUTHORITY_LINE.match(line)]
    # Before the first line, because a table could begin anywhere behind.
    return "".join([f"authority = {_toml(authority)}\n", *lines])


def _toml(text: str) -> str:
    """Quote a string for TOML."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
