"""The log of the server: one line an event on stderr, as text or JSON.

Layer: ``apps``. Rotation is the host's job. What a line can hold is limited here, whoever wrote it: control characters
are escapes, so that no name or header can forge a line; of an exception only its kind, where it was, and the message if
it is one of our own, because the text of others may quote what they choked on.
"""

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from typing import Final

from candado.apps.cli.output import printable, rfc3339
from candado.errors import CandadoError

__all__ = ["start_log"]

_FRAMES_MAX: Final = 30


def describe_exception(error: BaseException) -> list[str]:
    """The chain of causes, the first one first: kinds, our own messages, and where each was raised."""
    lines: list[str] = []
    chain: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in chain:
        chain.append(found)
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    for one in reversed(chain):
        own = f" {one.code}: {one.message}" if isinstance(one, CandadoError) else ""
        lines.append(f"{type(one).__module__}.{type(one).__qualname__}{own}")
        frames = traceback.extract_tb(one.__traceback__)[-_FRAMES_MAX:]
        lines += [f"  at {frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return lines


class _Formatter(logging.Formatter):
    """Takes a record apart."""

    @staticmethod
    def fields(record: logging.LogRecord) -> dict[str, object]:
        """What a line says beside its message: the id of the request, what the caller added, the trace."""
        from candado.apps.server_watch import WATCH

        watch = WATCH.get()
        found: dict[str, object] = {} if watch is None else {"request": watch.request_id, "route": watch.route}
        added = getattr(record, "fields", None)
        if isinstance(added, Mapping):
            found |= added
        if record.exc_info and record.exc_info[1] is not None:
            found["trace"] = describe_exception(record.exc_info[1])
        return found


class _JsonFormatter(_Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON, in ASCII."""
        shown = {
            "time": rfc3339(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        return json.dumps(shown | self.fields(record), default=str)


class _TextFormatter(_Formatter):
    """One line, and those of a trace below it, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        fields = self.fields(record)
        trace = fields.pop("trace", [])
        assert isinstance(trace, list)
        words = [f"{name}={value}" for name, value in fields.items()]
        line = " ".join([self.formatTime(record), record.levelname, record.getMessage(), *words])
        return "\n    ".join(map(printable, [line, *trace]))


def start_log(log_format: str) -> None:
    """Send the log to stderr, as ``text`` or ``json``."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(_JsonFormatter() if log_format == "json" else _TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[output], force=True)
