"""Live DAV properties of a node.

Layer: ``apps``. Names are in Clark notation. A property that a node does not have is None and goes into the 404 part of
the answer, since stock clients read only the 200 part.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from candado.formats.dav import DavResponse, DavValue, RawXml
from candado.formats.httpdate import http_date
from candado.formats.xmltext import escape_text
from candado.server.model import NodeInfo, Quota

__all__ = [
    "ALL_NAMES",
    "DAV",
    "METADATA_NAMES",
    "NC",
    "OC",
    "OF_NODE",
    "PropertyContext",
    "is_live",
    "response_of",
    "stored_value",
]

DAV: Final = "{DAV:}"
OC: Final = "{http://owncloud.org/ns}"
NC: Final = "{http://nextcloud.org/ns}"
METADATA_NAMES: Final = frozenset({f"{NC}e2ee-metadata", f"{NC}e2ee-metadata-signature"})
_UNLIMITED: Final = -3
_XML_MARK: Final = "\x01"


@dataclass(frozen=True, slots=True)
class PropertyContext:
    """What properties depend on besides the node."""

    instance_id: str
    quota: Quota | None
    display_names: Mapping[str, str]
    shown: bool
    """False hides what a client without support for encrypted folders may do to them."""


_Maker = Callable[[NodeInfo, PropertyContext], "DavValue | None"]


def _flag(value: bool) -> str:
    return "1" if value else "0"


def _resource_type(node: NodeInfo, _: PropertyContext) -> DavValue:
    return (f"{DAV}collection",) if node.is_folder else ""


def _quota_free(node: NodeInfo, context: PropertyContext) -> str | None:
    if not node.is_folder or context.quota is None:
        return None
    return str(_UNLIMITED if context.quota.free_bytes is None else context.quota.free_bytes)


def _permissions(node: NodeInfo, context: PropertyContext) -> str:
    hidden = not context.shown and node.is_folder and node.encrypted
    return "" if hidden else node.permissions


def _checksums(node: NodeInfo, _: PropertyContext) -> "DavValue | None":
    # Stored as TYPE:hex by the routes, so there is nothing in it to escape.
    return None if node.checksum is None else RawXml(f"<oc:checksum>{node.checksum}</oc:checksum>")


def _share_types(node: NodeInfo, _: PropertyContext) -> DavValue:
    return RawXml("".join(f"<oc:share-type>{kind}</oc:share-type>" for kind in node.share_types))


def _e2ee_encrypted(node: NodeInfo, _: PropertyContext) -> str:
    return _flag(node.encrypted if node.is_folder else node.parent_encrypted)


def _created(node: NodeInfo, _: PropertyContext) -> str:
    return str(int(node.created))


def _metadata_text(node: NodeInfo, _: PropertyContext) -> str | None:
    return None if node.metadata is None else node.metadata.text


def _metadata_signature(node: NodeInfo, _: PropertyContext) -> str | None:
    return None if node.metadata is None else node.metadata.signature


_LIVE: Final[Mapping[str, _Maker]] = {
    f"{DAV}resourcetype": _resource_type,
    f"{DAV}displayname": lambda node, _: node.name,
    f"{DAV}getlastmodified": lambda node, _: http_date(node.mtime),
    f"{DAV}creationdate": lambda node, _: http_date(node.created),
    f"{DAV}getcontentlength": lambda node, _: None if node.is_folder else str(node.size_bytes),
    f"{DAV}getcontenttype": lambda node, _: None if node.is_folder else node.content_type,
    f"{DAV}getetag": lambda node, _: f'"{node.etag}"',
    f"{DAV}quota-used-bytes": lambda node, _: str(node.size_bytes) if node.is_folder else None,
    f"{DAV}quota-available-bytes": _quota_free,
    f"{DAV}supportedlock": lambda _, __: "",
    f"{DAV}lockdiscovery": lambda _, __: "",
    f"{OC}id": lambda node, context: f"{node.file_id:08d}{context.instance_id}",
    f"{OC}fileid": lambda node, _: str(node.file_id),
    f"{OC}size": lambda node, _: str(node.size_bytes),
    f"{OC}permissions": _permissions,
    f"{OC}checksums": _checksums,
    f"{OC}share-types": _share_types,
    f"{OC}owner-id": lambda node, _: node.owner_id,
    f"{OC}owner-display-name": lambda node, context: context.display_names.get(node.owner_id, node.owner_id),
    f"{OC}favorite": lambda node, _: node.properties.get(f"{OC}favorite", "0"),
    f"{OC}comments-unread": lambda _, __: "0",
    f"{OC}data-fingerprint": lambda _, __: "",
    f"{NC}is-encrypted": lambda node, _: _flag(node.encrypted) if node.is_folder else None,
    f"{NC}e2ee-is-encrypted": _e2ee_encrypted,
    f"{NC}e2ee-metadata": _metadata_text,
    f"{NC}e2ee-metadata-signature": _metadata_signature,
    f"{NC}is-mount-root": lambda node, _: "true" if node.mount_root else "false",
    f"{NC}mount-type": lambda node, _: "shared" if node.mount_root else "",
    f"{NC}has-preview": lambda _, __: "false",
    f"{NC}creation_time": _created,
    f"{NC}upload_time": _created,
    f"{NC}share-attributes": lambda node, _: "[]" if node.mount_root else None,
    f"{NC}hidden": lambda _, __: "false",
}

_ValueOf = Callable[[NodeInfo], str]


def _same(maker: _ValueOf) -> Callable[[PropertyContext], _ValueOf]:
    return lambda _: maker


def _ids(context: PropertyContext) -> _ValueOf:
    ending = escape_text(context.instance_id)
    return lambda node: f"{node.file_id:08d}{ending}"


OF_NODE: Final[Mapping[str, Callable[[PropertyContext], _ValueOf]]] = {
    f"{DAV}displayname": _same(lambda node: escape_text(node.name)),
    f"{DAV}getlastmodified": _same(lambda node: http_date(node.mtime)),
    f"{DAV}creationdate": _same(lambda node: http_date(node.created)),
    f"{DAV}getcontentlength": _same(lambda node: str(node.size_bytes)),
    f"{DAV}getcontenttype": _same(lambda node: node.content_type),
    f"{DAV}getetag": _same(lambda node: f'"{node.etag}"'),
    f"{DAV}quota-used-bytes": _same(lambda node: str(node.size_bytes)),
    f"{OC}id": _ids,
    f"{OC}fileid": _same(lambda node: str(node.file_id)),
    f"{OC}size": _same(lambda node: str(node.size_bytes)),
    f"{OC}checksums": _same(lambda node: f"<oc:checksum>{node.checksum}</oc:checksum>"),
    f"{NC}creation_time": _same(lambda node: str(int(node.created))),
    f"{NC}upload_time": _same(lambda node: str(int(node.created))),
}
"""What differs between nodes of a kind, as XML, when a node of that kind has it (see ``dav_render``)."""

_WRITABLE: Final = frozenset({f"{OC}favorite"})

ALL_NAMES: Final = (
    *(name for name in _LIVE if name.startswith(DAV)),
    f"{OC}id",
    f"{OC}fileid",
    f"{OC}size",
    f"{OC}permissions",
    f"{OC}checksums",
    f"{NC}is-encrypted",
)
"""What a request for all properties gets."""


def is_live(name: str) -> bool:
    """Whether a property is computed by the server, so that a client cannot set it."""
    return name.startswith(DAV) or (name in _LIVE and name not in _WRITABLE)


def stored_value(value: str) -> str:
    """How a property that a client set is kept: XML behind a mark that no text from XML can begin with."""
    return _XML_MARK + value if isinstance(value, RawXml) else value


def _shown_value(text: str | None) -> "DavValue | None":
    return RawXml(text.removeprefix(_XML_MARK)) if text is not None and text.startswith(_XML_MARK) else text


def response_of(
    href: str, node: NodeInfo, names: tuple[str, ...], context: PropertyContext, *, name_only: bool, terse: bool
) -> DavResponse:
    """The part of a listing about one node: ``href`` percent-encoded, the properties in the order asked for.

    ``name_only`` leaves the values out; ``terse`` does not mention what the node does not have.
    """
    found: list[tuple[str, DavValue]] = []
    missing: list[str] = []
    for name in names:
        maker = _LIVE.get(name)
        value = _shown_value(node.properties.get(name)) if maker is None else maker(node, context)
        if value is None:
            missing.append(name)
        else:
            found.append((name, "" if name_only else value))
    return DavResponse(href, found, [] if terse else missing)
