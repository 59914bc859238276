"""File drops: what people without an account leave in an encrypted folder, and what they must know for it.

Layer: ``server``. A visitor of a link for uploads first stores sealed bodies in the folder and then hands in an entry
for each, sealed for its members. Entries are merged into the visible document at once; the signature does not cover
them. Nothing that is there is ever replaced. Source: the file drop of the API, version 2; threat model, A71 to A76.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from candado.errors import (
    AlreadyExistsError,
    BadRequestError,
    ForbiddenError,
    FormatError,
    LimitExceededError,
    LockedError,
    NotFoundError,
    PreconditionFailedError,
)
from candado.formats.canonjson import JsonObject, load_json
from candado.ports.server import Rows
from candado.server.audit import Event, actor_of, node_ref, record
from candado.server.guard import guarded_read, guarded_write
from candado.server.locating import marks
from candado.server.metadata import METADATA_ROW, accessible, refuse_locked
from candado.server.model import LINK_PREFIX, PERMISSION_CREATE, Backend, Principal
from candado.server.permits import permit_dropped
from candado.server.spread import spread_one
from candado.server.staging import LockRule
from candado.server.tree import Located, View, locate_path
from candado.types import FileId, check_sealed_name

__all__ = ["FileDrops", "LinkFolder", "check_drop_name"]

_ENTRIES_MAX: Final = 500
_NAME_CHARS_MIN: Final = 20
_BODIES: Final = "SELECT name FROM nodes WHERE parent_id = $1 AND is_folder = 0 AND name IN "


@dataclass(frozen=True, slots=True)
class LinkFolder:
    """What the visitor of a link may know of the encrypted folder it leads to.

    ``text`` is the signed document without what others have dropped: it says who the members are.
    """

    file_id: FileId
    permissions: int
    text: str
    signature: str


def check_drop_name(name: str) -> str:
    """Return the name of a sealed body, or raise ForbiddenError: a clear name would tell the server what it is.

    Clients write 32 hex digits; others 20 letters and digits or more.
    """
    try:
        if len(check_sealed_name(name)) >= _NAME_CHARS_MIN:
            return name
    except FormatError:
        pass
    raise ForbiddenError("this link leads into an end-to-end encrypted folder and takes sealed files only")


class FileDrops:
    """Use cases on file drops."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def folder(self, visitor: Principal) -> LinkFolder:
        """The encrypted folder of a link; ForbiddenError, NotFoundError when it is plain or has no metadata yet."""

        async def work(rows: Rows, rule: LockRule) -> LinkFolder:
            found = await locate_path(View(rows), visitor, "", rule.now)
            node = found.existing()
            row = await rows.one(METADATA_ROW, node.id) if node.encrypted else None
            if row is None:
                raise NotFoundError("Could not find metadata")
            document = _json_object(str(row[0]), "metadata")
            document.pop("filedrop", None)
            return LinkFolder(FileId(node.id), found.bits, _dump(document), str(row[1]))

        return await guarded_read(self._backend, visitor, work)

    async def members(self, visitor: Principal) -> list[str]:
        """The ids of the members of a link's folder, as its document says, links left out; errors as ``folder``."""
        document = _json_object((await self.folder(visitor)).text, "metadata")
        users = document.get("users")
        ids = [user.get("userId") for user in users if isinstance(user, dict)] if isinstance(users, list) else []
        return [name for name in ids if isinstance(name, str) and not name.startswith(LINK_PREFIX)]

    async def add(self, principal: Principal, file_id: int, drops: str) -> str:
        """Merge dropped entries, a JSON object of id to entry, into the visible metadata; the merged member as JSON.

        The same entry twice is success.

        Raises:
            BadRequestError: not a JSON object of objects, a name that is none, or an entry without its body.
            LimitExceededError: too many entries, or too large.
            ForbiddenError: unknown id, no right to create, or not the folder of the visitor's link.
            PreconditionFailedError: locked. NotFoundError: no metadata. AlreadyExistsError: another entry, or a file
                of the folder, has this id.
        """
        if len(drops) > self._backend.settings.filedrop_bytes_max:
            raise LimitExceededError("the file drop is too large")
        new, tag = _entries(drops), self._backend.tag()

        async def work(rows: Rows, rule: LockRule) -> str:
            found = await accessible(View(rows), principal, file_id, rule.now, PERMISSION_CREATE)
            if principal.link is not None and not found.link_root:
                raise ForbiddenError("this link is for another folder", path=str(file_id))
            try:
                await refuse_locked(rows, found, rule)
            except LockedError as exc:
                raise PreconditionFailedError("the folder is locked", path=str(file_id)) from exc
            row = await rows.one(METADATA_ROW, file_id)
            if row is None or not found.existing().encrypted:
                raise NotFoundError("Could not find metadata", path=str(file_id))
            await permit_dropped(rows, rule, found)
            document = _json_object(str(row[0]), "metadata")
            await _check_bodies(rows, found, new)
            present = document.get("filedrop")
            document["filedrop"] = _merged(present if isinstance(present, dict) else {}, new)
            text = _dump(document)
            if len(text) > self._backend.settings.metadata_bytes_max:
                raise LimitExceededError("the metadata of this folder would become too large")
            sql = "UPDATE folder_metadata SET text = $2, updated = $3 WHERE node_id = $1"
            await rows.run(sql, file_id, text, rule.now)
            await spread_one(rows, file_id, 0, tag=tag, now=rule.now)
            await record(
                rows, Event("drop.received", actor_of(principal), node_ref(file_id), details={"files": len(new)})
            )
            return _dump(document["filedrop"])

        return await guarded_write(self._backend, principal, work)


def _entries(drops: str) -> JsonObject:
    """The entries handed in; what is in them is for the members to judge."""
    try:
        new = load_json(drops, bytes_max=4 * len(drops) + 16)
        if not isinstance(new, dict):
            raise BadRequestError("the filedrop is not a JSON object")
        if len(new) > _ENTRIES_MAX:
            raise LimitExceededError(f"at most {_ENTRIES_MAX} dropped files at once")
        for name, entry in new.items():
            check_sealed_name(name)
            if not isinstance(entry, dict):
                raise BadRequestError("a dropped entry is not a JSON object")
    except FormatError as exc:
        if isinstance(exc, LimitExceededError):
            raise
        raise BadRequestError("the filedrop is not JSON, or an id in it is none") from exc
    return new


async def _check_bodies(rows: Rows, found: Located, new: JsonObject) -> None:
    """Who drops something stores its body first: an entry alone is no file."""
    if not new:
        return
    names = list(new)
    stored = await rows.all(_BODIES + marks(len(names), 2), found.existing().id, *names)
    missing = set(names) - {str(name) for (name,) in stored}
    if missing:
        raise BadRequestError("there is no body for a dropped entry; store it first", path=min(missing))


def _merged(present: dict[str, Any], new: JsonObject) -> dict[str, Any]:
    for name, entry in new.items():
        if name in present and present[name] != entry:
            raise AlreadyExistsError("something else was dropped under this id", path=name)
    return {**present, **new}


def _dump(document: object) -> str:
    return json.dumps(document, separators=(",", ":"))


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _json_object(text: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise BadRequestError(f"the {what} is not JSON") from exc
    if not isinstance(value, dict):
        raise BadRequestError(f"the {what} is not a JSON object")
    return value
