"""Write docs/spec/errors.md from the error tree and the table of exit statuses; `make docs` and a test call it."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import candado
from candado.apps.cli.errors import EXIT_STATUS
from candado.errors import CandadoError

TARGET = Path(__file__).resolve().parents[1] / "docs" / "spec" / "errors.md"

HEAD = """# Errors and exit codes

Every error has a stable code that is never reused, an exit status, and says four things: what happened, where, what is
safe, what to do next. With `--json` it is printed as `{"error": {"code", "message", "hint", "retryable", "path",
"safe"}}`. This page is made from the source by `tools/error_table.py`.

## Exit statuses

| Status | Meaning | | Status | Meaning |
|---|---|---|---|---|
| 0 | done | | 12 | wrong words, password or passphrase |
| 1 | failed, see the message | | 13 | refused by a rule or a missing right |
| 2 | usage error | | 14 | integrity failure: tag, signature, counter |
| 3 | finished, some items failed | | 15 | untrusted or changed key or certificate |
| 4 | path not found | | 16 | server or format not supported |
| 5 | finished, conflict copies were made | | 17 | no space or quota |
| 8 | `check` found problems | | 18 | stopped by a safety limit |
| 10 | no keys, or not set up | | 20 | network or server trouble: try again |
| 11 | lock held by somebody else | | 130 | interrupted |

A script must treat an unknown status as a failure.

## Codes

| Code | Status | Retry | What happened | What is safe | What to do next |
|---|---|---|---|---|---|
"""


TAIL = """
## Warnings

What is no failure, but worth knowing, stands in `warnings` of the JSON and on stderr. The exit status does not change.
What a `NAME_` warning speaks of is stored like anything else. Codes in lower case are those of `candado issues`.

| Code | What it says |
|---|---|
| `NAME_CASE` | another name in the same folder differs only in upper and lower case |
| `NAME_WINDOWS` | Windows has no such names: a device (`con`, `AUX.txt`), one of `<>:"\\|?*`, an end in dot or blank |
| `FOLDER_KEPT` | a folder was removed on the other side and kept here, because something that is not synced is in it |
| `ROOT_DELETED` | a member deleted the encrypted folder; nothing is uploaded to it any more |
"""


def error_classes() -> list[type[CandadoError]]:
    """Every class of the tree that the program can meet."""
    for module in pkgutil.walk_packages(candado.__path__, "candado."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: dict[str, type[CandadoError]] = {}
    queue: list[type[CandadoError]] = [CandadoError]
    while queue:
        cls = queue.pop()
        if cls.__module__.startswith("candado."):
            if "code" in vars(cls):
                found[cls.code] = cls
            queue.extend(cls.__subclasses__())
    return [found[code] for code in sorted(found)]


def page() -> str:
    """The whole document."""
    rows = [
        f"| `{cls.code}` | {EXIT_STATUS.get(cls.code, 1)} | {'yes' if cls.retry else 'no'} "
        f"| {(cls.__doc__ or '').splitlines()[0]} | {cls.default_safe} | {cls.default_advice} |"
        for cls in error_classes()
    ]
    return HEAD + "\n".join(rows) + "\n" + TAIL


if __name__ == "__main__":
    TARGET.write_text(page())
