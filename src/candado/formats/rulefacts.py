"""What access rules look at: the facts of one operation, and the tests that may be made on them.

Layer: ``formats``. A test answers True, False, or None when the server cannot know: names and media types inside of
encrypted folders are sealed, and a size may not be announced. What is not known fits neither a test nor its opposite.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final

__all__ = ["AGENTS", "Check", "Facts", "Operation", "Relation", "Subject", "Test", "agent_of"]


class Operation(Enum):
    """What somebody is about to do. A move is a rename; a copy reads one thing and creates another."""

    CREATE = "create"
    READ = "read"
    UPDATE = "update"
    RENAME = "rename"
    DELETE = "delete"
    SHARE = "share"


class Subject(Enum):
    """What a test looks at, as it is written in a rule."""

    NAME = "name"
    MIME = "mime"
    SIZE = "size"
    TAG = "tag"
    IP = "ip"
    TIME = "time"
    URL = "url"
    AGENT = "agent"
    GROUP = "group"
    ENCRYPTED = "encrypted"
    LINK = "link"
    KNOWN_DEVICE = "known-device"


class Relation(Enum):
    """How a test compares, as it is written in a rule; ``HOLDS`` is that of a subject that is true or not."""

    IS = "="
    LIKE = "like"
    MATCHES = "matches"
    GREATER = ">"
    LESS = "<"
    HOLDS = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One operation on one file or folder, as far as the server sees it.

    Shapes:
        names: the path, a component each, the last is the thing itself; None where names are sealed.
        media_type: lower case, without parameters; None where it is sealed or there is none.
        size_bytes: of the whole file after the operation; None when it is not announced, or for a folder.
        tags: names of the tags of the thing and of all folders above it.
        address: of the client, as text, behind trusted proxies the one they name; empty when there is none.
        moment: with a time zone.
        url: the path of the request, percent-decoded, without query, from the first ``/``.
        user_agent: as sent, empty when absent.
        user_id: None for who comes by a link.
        groups: of the user, ``admin`` among them for an administrator; none for who comes by a link.
        encrypted: the thing is, or will be, inside of an end-to-end encrypted folder, or is one.
        link: who asks comes by a link.
        device_known: the credential is one of a device that signed in, not the login password.
    """

    operation: Operation
    moment: datetime
    names: tuple[str, ...] | None = None
    media_type: str | None = None
    size_bytes: int | None = None
    tags: frozenset[str] = frozenset()
    address: str = ""
    url: str = ""
    user_agent: str = ""
    user_id: str | None = None
    groups: frozenset[str] = frozenset()
    encrypted: bool = False
    link: bool = False
    device_known: bool = False


Check = Callable[[Facts], bool | None]


@dataclass(frozen=True, slots=True)
class Test:
    """One test of a rule: equal to another that is written the same way. Made by ``rulechecks.make_test``."""

    __test__ = False  # or pytest takes it for one of its own

    subject: Subject
    relation: Relation
    values: tuple[str, ...]
    """In canonical form; one of them is enough."""
    negated: bool
    check: Check = field(compare=False, repr=False)

    def holds(self, facts: Facts) -> bool | None:
        """Whether the test, or when negated its opposite, fits; None when nobody can know."""
        found = self.check(facts)
        return None if found is None else found != self.negated


AGENTS: Final = {
    "android": re.compile(r"Mozilla/5\.0 \(Android\) (?:ownCloud|Nextcloud)-android/"),
    "desktop": re.compile(r"Mozilla/5\.0 \([A-Za-z ]+\) (?:mirall|csyncoC)/"),
    "ios": re.compile(r"Mozilla/5\.0 \(iOS\) (?:ownCloud|Nextcloud)-iOS"),
    "candado": re.compile(r"candado/"),
}
"""What the user agent of each kind of app begins with; every other one is ``other``. Anybody can send any of them."""


def agent_of(user_agent: str) -> str:
    """The kind of app by its user agent: a name in ``AGENTS``, or ``other``."""
    return next((name for name, pattern in AGENTS.items() if pattern.match(user_agent)), "other")
