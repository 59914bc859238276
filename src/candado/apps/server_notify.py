"""A word to systemd: ready, and still alive (sd_notify(3)).

Layer: ``apps``. Without ``NOTIFY_SOCKET`` in the environment nobody listens and nothing is said.
"""

import os
import socket
from contextlib import suppress

__all__ = ["notify", "watchdog_seconds"]


def notify(text: str) -> None:
    """Send one state such as ``READY=1``; silent when nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address.startswith(("/", "@")):
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(text.encode("ascii"), address.replace("@", "\0", 1) if address[0] == "@" else address)


def watchdog_seconds() -> float | None:
    """How often to say that this process is alive: twice in the time after which it is ended; None when nobody waits.

    The word counts for the process it was meant for only, not for the workers that inherit the environment.
    """
    microseconds, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not microseconds.isdigit() or int(microseconds) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / 2_000_000
