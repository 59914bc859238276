"""The log of one command: to a file with ``--log-file``, to stderr with ``-vv``.

Layer: ``apps``. What is logged is made without secrets: requests by method, path and status, see
``adapters.http_wire``.
"""

import logging
import os
import sys
import time
from pathlib import Path

from candado.apps.cli.output import json_line, printable
from candado.errors import LocalStorageError

__all__ = ["start_log"]


class _Text(logging.Formatter):
    """One line an entry: time in UTC, level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{stamp}.{int(record.msecs):03}Z {record.levelname} {record.name} {printable(record.getMessage())}"


class _Json(logging.Formatter):
    """One JSON object an entry."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return json_line(
            {
                "schema": "candado.log/1",
                "time": f"{stamp}.{int(record.msecs):03}Z",
                "level": record.levelname.lower(),
                "logger": record.name,
                "message": record.getMessage(),
            }
        )


def start_log(file: Path | None, form: str) -> None:
    """Send what candado logs to a file (appended, mode 0600), or to stderr; LocalStorageError."""
    handler: logging.Handler
    if file is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        try:
            fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise LocalStorageError(f"the log file cannot be written: {exc.strerror}", path=str(file)) from exc
        handler = logging.StreamHandler(os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace"))
    handler.setFormatter(_Json() if form == "json" else _Text())
    logger = logging.getLogger("candado")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
