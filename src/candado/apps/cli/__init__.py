"""The command ``candado``.

Layer: ``apps``. This module stays small: every command is a process, and its start is paid each time. ``root`` holds
the table of commands; their modules are imported when they are called.
"""

import gc
import sys
from typing import Final

__all__ = ["main"]

_NEW_OBJECTS_MAX: Final = 20_000


def main() -> None:
    """Run the command line of this process and end it with the command's exit status.

    The collector of cycles is set for a short life: nearly all that a command makes it keeps until its end or frees by
    counting, so looking for cycles every 700 objects only costs, and at the end the system takes back all at once.
    Cycles of a long run are still found, every 20,000 objects.
    """
    gc.set_threshold(_NEW_OBJECTS_MAX)
    from candado.apps.cli.root import run

    status = run(sys.argv[1:])
    # The interpreter looks through all objects once more when it ends, unless they are set aside.
    gc.freeze()
    sys.exit(status)
