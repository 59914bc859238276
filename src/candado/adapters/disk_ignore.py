"""Which local names are left out of a sync.

Layer: ``adapters``. Sources, the later one wins: the defaults below; ``.sync-exclude.lst`` in the sync root (one glob a
line, as stock desktop clients keep it); ``.candadoignore`` in any folder (gitignore syntax, for that folder and below).
A pattern that begins with ``!`` takes a name back in, also one that the defaults leave out.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

__all__ = ["EXCLUDE_FILE", "IGNORE_FILE", "OWN_PREFIXES", "Rules", "is_left_out", "is_own_name", "parse_rules"]

IGNORE_FILE: Final = ".candadoignore"
EXCLUDE_FILE: Final = ".sync-exclude.lst"
OWN_PREFIXES: Final = (".candado-tmp-", ".candado-trash")

_DEFAULTS: Final = re.compile(
    r"""(?: .*~ | \.\#.* | \#.*\# | ~\$.* | \.~lock\..*\# | \..*\.sw[a-p] | \..*\.kate-swp
        | \.DS_Store | \._.* | \.Spotlight-V100 | \.Trashes | \.fseventsd | \.TemporaryItems | Icon\r
        | Thumbs\.db(?::encryptable)? | ehthumbs\.db | desktop\.ini | \$RECYCLE\.BIN | System\ Volume\ Information
        | \.directory | \.Trash-\d+ | \.nfs[0-9a-f]{8,} | \.fuse_hidden[0-9a-f]+ | \.goutputstream-\w+
        | \.sync_[0-9a-f]+\.db.* | \._sync_[0-9a-f]+\.db.* | \.owncloudsync\.log.* | .*\.crdownload
    )\Z""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)

Rules = tuple[str, "GitIgnoreSpec"]
"""A folder's path with a trailing slash ("" for the root) and the patterns that hold below it."""


def is_own_name(name: str) -> bool:
    """Whether a name belongs to candado's own working folders, which are never synced in any direction."""
    return name.startswith(OWN_PREFIXES)


def parse_rules(folder: str, text: str, *, exclude_list: bool) -> Rules:
    """Patterns of one file for the folder it lies in.

    Args:
        folder: path below the sync root with a trailing slash, "" for the root.
        text: content of the file.
        exclude_list: True for the syntax of ``.sync-exclude.lst``: a leading ``]`` only says that the file may be
            removed with its folder, a leading ``!`` has no meaning.
    """
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 -- most trees have no such file

    lines = text.splitlines()
    if exclude_list:
        lines = [_from_exclude_line(line) for line in lines]
    return folder, GitIgnoreSpec.from_lines(lines)


def is_left_out(path: str, name: str, rules: Sequence[Rules], *, is_folder: bool) -> bool:
    """Whether the path is left out, by the innermost rules that speak of it, else by the defaults."""
    for folder, spec in reversed(rules):
        verdict = spec.check_file(path[len(folder) :] + ("/" if is_folder else "")).include
        if verdict is not None:
            return verdict
    return _DEFAULTS.match(name) is not None


def _from_exclude_line(line: str) -> str:
    line = line.removeprefix("]")
    return "\\" + line if line.startswith("!") else line
