"""Where an S3 bucket is, who may use it, and what its refusals mean.

Layer: ``adapters``. A place is ``s3://BUCKET/PREFIX?endpoint=URL&region=NAME&style=path&credentials=/FILE``. The keys
come from a file that only its owner reads, or from the environment; never from the address, which others see in a
list of processes.
"""

import configparser
import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from candado.errors import (
    CandadoError,
    LocalPermissionError,
    QuotaExceededError,
    SecretNeededError,
    StoreUnavailableError,
    UsageError,
)
from candado.types import SecretText

__all__ = ["S3Keys", "S3Place", "connect", "find_keys", "http_status", "s3_error"]

FORM: Final = "s3://BUCKET/PREFIX?endpoint=https://HOST&region=NAME&credentials=/FILE"
_SETTINGS: Final = ("credentials", "endpoint", "region", "style")
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_PREFIX: Final = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)?\Z")
_ENDPOINT: Final = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+\Z")
_REGION: Final = "us-east-1"
_CODE: Final = re.compile(r"<Code>([A-Za-z0-9.]{1,64})</Code>")
_STATUS: Final = re.compile(r"non-2xx status code: (\d{3})")
_FULL: Final = frozenset({"QuotaExceeded", "InsufficientStorage", "StorageFull", "XMinioStorageFull"})
_CLOCK: Final = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_RETRIES: Final = 3
_FILE_BYTES_MAX: Final = 65_536


@dataclass(frozen=True, slots=True)
class S3Place:
    """A bucket and the part of it that is ours."""

    bucket: str
    prefix: str
    """Without slashes at its ends; may be empty."""
    endpoint: str
    """Base URL of the server; empty for that of AWS in the region."""
    region: str
    by_host: bool
    """Whether the bucket is named in the host ("virtual hosted style") and not in the path."""
    credentials: str
    """Absolute path of the file with the keys; empty: from the environment."""

    @classmethod
    def parse(cls, url: str) -> "S3Place":
        """The place an address names.

        Raises:
            UsageError: it names none, has an unknown setting, or carries a secret, which is not repeated.
        """
        parts = urlsplit(url)
        if "@" in parts.netloc or parts.fragment:
            raise UsageError(
                "an address of storage carries no keys: others see it in the list of processes",
                advice=f"Write {FORM}, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
            )
        shown = f"{parts.scheme}://{parts.netloc}{parts.path}"
        settings = dict(parse_qsl(parts.query, keep_blank_values=True))
        for name in settings:
            if name not in _SETTINGS:
                near = difflib.get_close_matches(name, _SETTINGS, n=1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(_SETTINGS)}."
                raise UsageError(f"unknown setting {name!r} of the storage", path=shown, advice=hint)
        place = cls(
            bucket=parts.netloc,
            prefix=parts.path.strip("/"),
            endpoint=settings.get("endpoint", "").rstrip("/"),
            region=settings.get("region") or _REGION,
            by_host=settings.get("style", "path" if "endpoint" in settings else "host") == "host",
            credentials=settings.get("credentials", ""),
        )
        if not _BUCKET.match(place.bucket) or not _PREFIX.match(place.prefix):
            raise UsageError("not a bucket and a prefix", path=shown, advice=f"Write {FORM}.")
        if settings.get("style", "path") not in {"path", "host"}:
            raise UsageError("style is path or host", path=shown)
        if place.endpoint and not _ENDPOINT.match(place.endpoint):
            raise UsageError("the endpoint is not https://HOST:PORT", path=shown)
        if place.credentials and not place.credentials.startswith("/"):
            raise UsageError("the file of the keys has no absolute path", path=shown)
        return place

    def __str__(self) -> str:
        """Where it is, for people."""
        where = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        return f"{where} at {self.endpoint}" if self.endpoint else where


@dataclass(frozen=True, slots=True)
class S3Keys:
    """Who we are to the server."""

    key_id: str
    secret: SecretText
    session: SecretText | None = None


def find_keys(place: S3Place, environ: Mapping[str, str]) -> S3Keys:
    """The keys from the place's file, or from ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN``.

    The file has the form of ``~/.aws/credentials``; its section ``default``, or else its first one, counts. Blocks.

    Raises:
        SecretNeededError: no keys there. LocalPermissionError: the file cannot be read, or others can read it.
    """
    found: Mapping[str, str] = {name.lower(): value for name, value in environ.items() if name.startswith("AWS_")}
    if place.credentials:
        found = _read_keys(Path(place.credentials))
    key_id, secret = found.get("aws_access_key_id", ""), found.get("aws_secret_access_key", "")
    if not key_id or not secret:
        raise SecretNeededError(
            "the storage needs a key and its secret",
            path=place.credentials or None,
            advice="Write aws_access_key_id and aws_secret_access_key into a file and name it with credentials=/FILE, "
            "or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        )
    session = found.get("aws_session_token", "")
    return S3Keys(key_id, SecretText(secret), SecretText(session) if session else None)


def _read_keys(path: Path) -> Mapping[str, str]:
    parser = configparser.RawConfigParser(default_section="")
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise LocalPermissionError(
                    "the file of the storage's keys can be read by others", path=str(path), advice=f"chmod 600 {path}"
                )
            parser.read_string(file.read(_FILE_BYTES_MAX).decode())
    except OSError as exc:
        raise LocalPermissionError(
            f"the file of the storage's keys cannot be read: {exc.strerror}", path=str(path)
        ) from exc
    except (configparser.Error, UnicodeDecodeError):
        # What the parser says repeats the line, which may be the secret.
        raise SecretNeededError(
            "the file of the storage's keys is not of the form NAME = VALUE", path=str(path)
        ) from None
    sections = parser.sections()
    if not sections:
        return {}
    return parser["default" if "default" in sections else sections[0]]


def connect(place: S3Place, keys: S3Keys, *, patience_seconds: float = 30.0) -> S3Store:
    """A client for the place.

    A request that fails is tried again a few times within ten seconds; one without an answer is given up after the
    time of patience, which also is the time that 8 MiB may take to be sent.
    """
    endpoint = place.endpoint
    if endpoint and place.by_host:
        scheme, host = endpoint.split("://", 1)
        endpoint = f"{scheme}://{place.bucket}.{host}"
    config: dict[str, object] = {
        "region": place.region,
        "access_key_id": keys.key_id,
        "secret_access_key": keys.secret.reveal(),
        "virtual_hosted_style_request": place.by_host,
        "skip_signature": False,
    }
    if keys.session is not None:
        config["session_token"] = keys.session.reveal()
    if endpoint:
        config["endpoint"] = config["aws_endpoint_url_s3"] = endpoint
    return S3Store(
        place.bucket,
        prefix=place.prefix or None,
        config=config,  # type: ignore[arg-type]
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=5),
            "read_timeout": timedelta(seconds=patience_seconds),
            "timeout": timedelta(seconds=4 * patience_seconds),
        },
        retry_config={
            "max_retries": _RETRIES,
            "retry_timeout": timedelta(seconds=min(10.0, patience_seconds)),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=2),
                "base": 2,
            },
        },
    )


def http_status(exc: BaseException) -> int:
    """The HTTP status of a refusal, 0 when there was no answer."""
    found = _STATUS.search(str(exc))
    return int(found[1]) if found else 0


def s3_error(exc: BaseError | OSError, place: S3Place) -> CandadoError:
    """The error of our tree for one of the client's. Its text is not repeated: it is long, and names objects."""
    status, code = http_status(exc), ""
    if found := _CODE.search(str(exc)):
        code = found[1]
    said = code or (f"status {status}" if status else "no answer")
    if code in _FULL or status == 507:
        return QuotaExceededError("there is no space left for file bodies")
    if code in _CLOCK:
        return LocalPermissionError(
            f"the storage refuses our requests because of their time ({said})",
            path=str(place),
            advice="Set the clocks of both machines; they may differ by 15 minutes at most.",
        )
    if isinstance(exc, PermissionDeniedError | UnauthenticatedError):
        return LocalPermissionError(
            f"the storage refuses our keys ({said})",
            path=str(place),
            advice="Check the key, its secret, and that it may list, read, write and delete in the bucket.",
        )
    said = f"answers {said}" if status else "does not answer"
    return StoreUnavailableError(f"the storage {said}", path=str(place))
