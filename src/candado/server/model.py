"""Values the server's use cases take and return.

Layer: ``server``. Paths are decoded, relative to the caller's home, parts joined by ``/``, no leading or trailing
slash; ``""`` is the home itself. Times are seconds since the epoch, sizes bytes. Entity tags are without quotes.
"""

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from candado.formats.linkaddress import LINK_PREFIX
from candado.ports.ambient import Clock, Random
from candado.ports.server import Database, ObjectStore, Rows
from candado.types import FileId, UserId

if TYPE_CHECKING:
    from candado.server.policy import Policy

__all__ = [
    "LINK_PREFIX",
    "NO_PROPERTIES",
    "PERMISSION_ALL",
    "PERMISSION_CREATE",
    "PERMISSION_DELETE",
    "PERMISSION_READ",
    "PERMISSION_SHARE",
    "PERMISSION_UPDATE",
    "Backend",
    "Caller",
    "ChunkInfo",
    "Finding",
    "MetadataRow",
    "NodeIds",
    "NodeInfo",
    "Part",
    "PlaceCache",
    "Principal",
    "PutTicket",
    "Quota",
    "ServerSettings",
    "allocate_ids",
    "media_type_of",
    "permission_letters",
    "search_pattern",
    "shown_holder",
]

PERMISSION_READ: Final = 1
PERMISSION_UPDATE: Final = 2
PERMISSION_CREATE: Final = 4
PERMISSION_DELETE: Final = 8
PERMISSION_SHARE: Final = 16
PERMISSION_ALL: Final = 31
NO_PROPERTIES: Final[Mapping[str, str]] = MappingProxyType({})
_FOLDER_TYPE: Final = "httpd/unix-directory"
_BINARY_TYPE: Final = "application/octet-stream"
_ID_BLOCK: Final = 256
_CACHED_SECONDS: Final = 2.0
_CACHED_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class Caller:
    """One request, as far as access rules look at it.

    ``address`` and ``user_agent`` are as the request has them, ``url`` is its decoded path without the query,
    ``body_type`` the media type that it says its body has, lower case, empty when it has none or says nothing.
    ``told`` are the hits of rules that were written down for it.
    """

    address: str = ""
    user_agent: str = ""
    url: str = ""
    body_type: str = ""
    told: set[tuple[str, str, bool]] = field(default_factory=set[tuple[str, str, bool]])


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: an authenticated user, or the visitor of a link.

    ``link`` is the id of the link's share, ``link_token`` its token. A visitor has an empty ``user_id``, so that
    whatever does not know of links finds nothing that is his. ``caller`` is the request, None for work of the server
    itself, which access rules are not about; two requests of the same user are the same principal.
    """

    user_id: UserId
    is_admin: bool = False
    app_password_id: int | None = None
    link: int | None = None
    link_token: str = ""
    caller: Caller | None = field(default=None, compare=False, repr=False)

    @property
    def member_id(self) -> UserId:
        """The name in locks, certificates and the members of a folder: the user, or ``s:TOKEN`` for a link's visitors.

        No account can have such a name.
        """
        return self.user_id if self.link is None else UserId(f"{LINK_PREFIX}{self.link_token}")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Limits and times of the server, units in the names."""

    lock_ttl_seconds: float = 900.0
    upload_ttl_seconds: float = 86_400.0
    new_key_approvals: int = 0
    """How many administrators must allow a new key of a user who had one."""
    certificate_seconds: float = 7300 * 86_400.0
    garbage_grace_seconds: float = 3_600.0
    name_bytes_max: int = 250
    path_depth_max: int = 100
    metadata_bytes_max: int = 64 * 1024 * 1024
    filedrop_bytes_max: int = 4 * 1024 * 1024
    chunks_max: int = 10_000


class NodeIds:
    """Fresh node ids, taken from the database in blocks; ids of an unused rest are never given out again."""

    def __init__(self) -> None:
        self._next = 0
        self._end = 0

    async def take(self, database: Database) -> int:
        """One fresh id."""
        if self._next == self._end:
            start = await database.write(lambda rows: allocate_ids(rows, _ID_BLOCK), durable=False)
            self._next, self._end = start, start + _ID_BLOCK
        self._next += 1
        return self._next - 1


async def allocate_ids(rows: Rows, count: int) -> int:
    """The first of ``count`` fresh consecutive node ids."""
    row = await rows.one("UPDATE sequences SET next = next + $1 WHERE name = 'node' RETURNING next", count)
    assert row is not None
    assert isinstance(row[0], int)
    return row[0] - count


@dataclass(frozen=True, slots=True)
class PutTicket:
    """Permission to store one body at one place, checked before the body is read.

    ``session`` is set when the write is staged under a lock. ``parent_place`` is where the containing folder was then,
    ``limited`` whether the storage has a quota. ``length`` is the announced size, if any.
    """

    principal: Principal
    path: str
    owner_id: UserId
    home_id: int
    parent_id: int
    name: str
    session: str | None
    bits: int
    mounted: bool
    parent_encrypted: bool
    parent_place: tuple[int | None, str]
    limited: bool
    length: int | None
    if_match: str | None
    if_none_match: bool


class PlaceCache:
    """Where sessions have just been allowed to write, by user, session and folder path.

    A session that stores many files into one folder asks once in a while instead of every time. Entries are only a
    start: the commit of every write checks that the lock still holds and that the folder is where it was.
    """

    def __init__(self) -> None:
        self._places: dict[tuple[str, str, str], tuple[float, PutTicket]] = {}

    def find(self, user_id: UserId, session: str, folder: str, now: float) -> PutTicket | None:
        """The ticket of an earlier write into the folder, at most two seconds old by the monotonic clock."""
        cached = self._places.get((user_id, session, folder))
        return cached[1] if cached is not None and now - cached[0] <= _CACHED_SECONDS else None

    def keep(self, folder: str, ticket: PutTicket, now: float) -> None:
        """Remember a staged ticket."""
        if len(self._places) >= _CACHED_MAX:
            self._places.clear()
        if ticket.session is not None:
            self._places[ticket.principal.member_id, ticket.session, folder] = (now, ticket)

    def forget(self) -> None:
        """Drop everything: folders were moved or removed."""
        self._places.clear()


@dataclass(frozen=True, slots=True)
class Backend:
    """What every use case of the storage core works on."""

    database: Database
    objects: ObjectStore
    clock: Clock
    random: Random
    settings: ServerSettings = field(default_factory=ServerSettings)
    ids: NodeIds = field(default_factory=NodeIds)
    places: PlaceCache = field(default_factory=PlaceCache)
    policy: "Policy | None" = None
    """The access rules; None where no requests are answered."""

    @property
    def epoch(self) -> str:
        """Text that changes when what was staged may have been lost: rows or bodies that were not durable."""
        rows, bodies = self.database.epoch, self.objects.epoch
        return rows if rows == bodies else f"{rows}+{bodies}"

    def tag(self) -> str:
        """A fresh entity tag, or name of a batch: 16 hex digits."""
        return self.random.token(8).hex()


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a file's content, in order."""

    blob_id: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class MetadataRow:
    """Folder metadata as it was stored: text and signature byte for byte, and the final counter."""

    text: str
    signature: str
    counter: int


class NodeInfo(NamedTuple):
    """A file or folder as one user sees it.

    ``permissions`` are the letters of ``oc:permissions`` (S R M G D N V W C K); ``permission_bits`` those of the
    sharing API. ``mount_root`` is True for the top of a received share. ``owner_id`` owns the storage.
    ``parent_encrypted`` is the flag of the containing folder. ``share_types`` are the kinds of shares of this node.
    ``metadata`` and ``properties`` are filled only when asked for; ``properties`` maps Clark names to text.
    """

    file_id: FileId
    name: str
    path: str
    is_folder: bool
    size_bytes: int
    etag: str
    mtime: float
    created: float
    encrypted: bool
    parent_encrypted: bool
    permissions: str
    permission_bits: int
    owner_id: UserId
    mount_root: bool = False
    checksum: str | None = None
    share_types: tuple[int, ...] = ()
    metadata: MetadataRow | None = None
    properties: Mapping[str, str] = NO_PROPERTIES

    @property
    def content_type(self) -> str:
        """The media type, by the name; nothing is said of what lies in an encrypted folder."""
        if self.is_folder:
            return _FOLDER_TYPE
        if self.parent_encrypted or "." not in self.name:
            return _BINARY_TYPE
        return media_type_of(self.name) or _BINARY_TYPE


def media_type_of(name: str) -> str:
    """The media type by the ending of a name, lower case; empty when it tells none."""
    if "." not in name:
        return ""
    found = _type_of(".".join(name.rsplit(".", 2)[-2:]))
    return "" if found == _BINARY_TYPE else found


@lru_cache(maxsize=1024)
def _type_of(ending: str) -> str:
    """The media type by the last two parts of a name: the last may say only how it is compressed."""
    return mimetypes.guess_type(f"file.{ending}")[0] or _BINARY_TYPE


@dataclass(frozen=True, slots=True)
class Quota:
    """Space of one account; ``total_bytes`` and ``free_bytes`` are None when unlimited."""

    used_bytes: int
    total_bytes: int | None

    @property
    def free_bytes(self) -> int | None:
        """What is left, never negative."""
        return None if self.total_bytes is None else max(0, self.total_bytes - self.used_bytes)


@dataclass(frozen=True, slots=True)
class ChunkInfo:
    """One chunk of an upload that is being received."""

    name: str
    size_bytes: int
    mtime: float


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing ``check`` found: a stable code, a severity (``error`` or ``notice``), what it is about, a sentence."""

    code: str
    severity: str
    subject: str
    message: str


def permission_letters(bits: int, *, is_folder: bool, shared: bool, mount_root: bool) -> str:
    """The letters of ``oc:permissions`` for sharing-API bits.

    Shapes: bits 1 READ, 2 UPDATE, 4 CREATE, 8 DELETE, 16 SHARE. The top of a received share can always be taken out
    of the own home and renamed there, so it has D, N and V whatever the bits are. It has no M: for desktop clients that
    is external storage, of which they ask first.
    """
    letters = "S" if shared else ""
    letters += "R" if bits & PERMISSION_SHARE else ""
    letters += "G" if bits & PERMISSION_READ else ""
    letters += "D" if bits & PERMISSION_DELETE or mount_root else ""
    letters += "NV" if bits & PERMISSION_UPDATE or mount_root else ""
    if is_folder:
        return letters + ("CK" if bits & PERMISSION_CREATE else "")
    return letters + ("W" if bits & PERMISSION_UPDATE else "")


def search_pattern(text: str) -> str:
    """What ``LOWER(x) LIKE $1 ESCAPE '!'`` takes to find ``text`` anywhere in x, whatever the case."""
    return "%" + text.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%"


def shown_holder(member_id: str) -> str:
    """Whose certificate it is, for administrators: a user's id, or ``link:`` and a hash, since a link's id opens it."""
    if not member_id.startswith(LINK_PREFIX):
        return member_id
    return f"link:{hashlib.sha256(member_id.encode()).hexdigest()[:12]}"
