"""The command ``candado``.

Layer: ``apps``. This module stays small: every command is a process, and its start is paid each time. ``root`` holds
the table of commands; their modules are imported when they are called.
"""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process and end it with the command's exit status."""
    from candado.apps.cli.root import run

    sys.exit(run(sys.argv[1:]))
