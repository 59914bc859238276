"""Errors to exit statuses and messages: the one table, and the one way to print.

Layer: ``apps``. Statuses as documented in ``docs/spec/errors.md``; 10, 11, 12 and 130 match what restic's users know.
"""

import json
import sys
import traceback
from typing import Any, Final

from candado.apps.cli.output import printable
from candado.errors import CandadoError, TamperError

__all__ = ["EXIT_CONFLICTS", "EXIT_PARTLY", "EXIT_STATUS", "EXIT_USAGE", "error_json", "exit_status", "report"]

EXIT_USAGE: Final = 2
EXIT_PARTLY: Final = 3
EXIT_CONFLICTS: Final = 5

EXIT_STATUS: Final[dict[str, int]] = {
    "INTERNAL": 1,
    "MISUSE": 1,
    "REMOTE": 1,
    "ALREADY_EXISTS": 1,
    "FOLDER_NOT_EMPTY": 1,
    "NOT_ENCRYPTED": 1,
    "KEYS_EXIST": 1,
    "LOCAL_STORAGE": 1,
    "NAME_UNSAFE": 1,
    "USAGE": 2,
    "FILE_CHANGED": 3,
    "NOT_FOUND": 4,
    "ROOT_DELETED": 4,
    "NO_KEYS": 10,
    "PEER_WITHOUT_KEYS": 10,
    "INCOMPLETE_KEYS": 10,
    "NOT_LOGGED_IN": 10,
    "SIGNER_SETUP": 10,
    "LOCK_HELD": 11,
    "BUSY": 11,
    "WRONG_MNEMONIC": 12,
    "WRONG_PASSPHRASE": 12,
    "AUTH_REQUIRED": 12,
    "SECRET_NEEDED": 12,
    "PIN_REFUSED": 12,
    "SHARE_TYPO": 12,
    "SHARES_UNFIT": 12,
    "FORBIDDEN": 13,
    "APPROVAL_NEEDED": 13,
    "POLICY_DENIED": 13,
    "CLIENT_RULE": 13,
    "NOT_A_MEMBER": 13,
    "LOCAL_PERMISSION": 13,
    "CRYPTO": 14,
    "OPEN_FAILED": 14,
    "BAD_SIGNATURE": 14,
    "TAMPER": 14,
    "COUNTER_ROLLBACK": 14,
    "FORK": 14,
    "KEY_HISTORY": 14,
    "SIGNER": 14,
    "CONTEXT": 14,
    "DOWNGRADE": 14,
    "UNSIGNED_DELETION": 14,
    "STORE_LIE": 14,
    "POLICY_REFUSED": 14,
    "ESCROW_UNSIGNED": 14,
    "CORRUPT_STATE": 14,
    "UNTRUSTED_CERTIFICATE": 15,
    "KEY_CHANGED": 15,
    "AUTHORITY_CHANGED": 15,
    "KEY_REVOKED": 15,
    "KEY_UNLOGGED": 15,
    "TLS": 15,
    "FORMAT": 16,
    "MALFORMED": 16,
    "UNSUPPORTED_VERSION": 16,
    "LIMIT_EXCEEDED": 16,
    "BAD_REQUEST": 16,
    "RULES_INVALID": 16,
    "QUOTA_EXCEEDED": 17,
    "DISK_FULL": 17,
    "SAFETY_LIMIT": 18,
    "RULES_TOO_WIDE": 18,
    "LOCK_LOST": 20,
    "COUNTER_CONFLICT": 20,
    "PRECONDITION_FAILED": 20,
    "RULES_CHANGED": 20,
    "RULES_UNREADABLE": 20,
    "AUDIT_BEHIND": 20,
    "RATE_LIMITED": 20,
    "REMOTE_BUG": 20,
    "STORE_UNAVAILABLE": 20,
    "TRANSPORT": 20,
    "REDIRECT": 20,
    "SIGNER_UNAVAILABLE": 20,
    "INTERRUPTED": 130,
}


def exit_status(error: CandadoError) -> int:
    """The status for an error; an unknown code is a failure like any other."""
    return EXIT_STATUS.get(error.code, 1)


def error_json(error: CandadoError) -> dict[str, Any]:
    """The members of ``error`` in a JSON answer."""
    members: dict[str, Any] = {
        "code": error.code,
        "message": error.message,
        "hint": error.advice,
        "retryable": error.retry,
        "path": error.path,
        "safe": error.safe,
    }
    if isinstance(error, TamperError):
        members |= {"event": error.event, "expected": error.expected, "got": error.got}
    return members


def report(error: CandadoError, *, as_json: bool, verbose: int) -> int:
    """Print the four facts of an error, as text on stderr or as JSON on stdout; its exit status."""
    if as_json:
        print(json.dumps({"schema": "candado.error/1", "error": error_json(error)}), flush=True)
    else:
        lines = [f"candado: {printable(error.message)} [{error.code}]"]
        if error.path:
            lines.append(f"  where: {printable(error.path)}")
        lines += [f"  safe:  {printable(error.safe)}", f"  next:  {printable(error.advice)}"]
        print("\n".join(lines), file=sys.stderr, flush=True)
    if verbose >= 2:
        traceback.print_exception(error, file=sys.stderr)
    return exit_status(error)
