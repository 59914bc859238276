"""From the properties of a listing to nodes.

Layer: ``adapters``. Properties and their meanings: protocol document ``api.md``, section 9.1, and server document,
section 4.1. What the server leaves out gets the value that allows least.
"""

import calendar
from collections.abc import Mapping
from typing import Final

from candado.errors import MalformedError
from candado.ports.client import RemoteNode
from candado.types import check_file_id

__all__ = ["PROPFIND_BODY", "PROPFIND_METADATA_BODY", "clean_etag", "file_id_of", "http_date_seconds", "read_node"]

_DAV: Final = "{DAV:}"
_OC: Final = "{http://owncloud.org/ns}"
_NC: Final = "{http://nextcloud.org/ns}"
_MONTHS: Final = {
    month: number
    for number, month in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1)  # noqa: SIM905
}

_BODY: Final = (
    '<?xml version="1.0"?><d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns" '
    'xmlns:nc="http://nextcloud.org/ns"><d:prop><d:resourcetype/><d:getcontentlength/><d:getetag/><d:getlastmodified/>'
    "<oc:fileid/><oc:size/><oc:permissions/><oc:owner-id/><nc:is-encrypted/><nc:e2ee-is-encrypted/>{}</d:prop></d:propfind>"
)
PROPFIND_BODY: Final = _BODY.format("").encode()
PROPFIND_METADATA_BODY: Final = _BODY.format("<nc:e2ee-metadata/><nc:e2ee-metadata-signature/>").encode()

Props = Mapping[str, str | tuple[str, ...]]


def read_node(path: str, props: Props) -> RemoteNode:
    """One node; MalformedError when it has no usable id or size."""
    kinds = props.get(_DAV + "resourcetype", ())
    is_folder = _DAV + "collection" in kinds
    size = _text(props, _OC + "size") if is_folder else _text(props, _DAV + "getcontentlength")
    flag = _text(props, _NC + "is-encrypted") or _text(props, _NC + "e2ee-is-encrypted")
    return RemoteNode(
        path=path,
        file_id=check_file_id(_whole(_text(props, _OC + "fileid"), "file id")),
        is_folder=is_folder,
        size_bytes=_whole(size, "size") if size or not is_folder else 0,
        etag=clean_etag(_text(props, _DAV + "getetag")),
        mtime_seconds=http_date_seconds(_text(props, _DAV + "getlastmodified")),
        is_encrypted=flag in ("1", "true"),
        permissions=_text(props, _OC + "permissions"),
        owner_id=_text(props, _OC + "owner-id"),
        metadata_text=_text(props, _NC + "e2ee-metadata") or None,
        metadata_signature=_text(props, _NC + "e2ee-metadata-signature") or None,
    )


def file_id_of(header: str | None) -> int | None:
    """The number in an OC-FileId header, which some servers pad and follow with their instance id."""
    digits = ""
    for char in (header or "")[:64]:
        if char not in "0123456789":
            break
        digits += char
    return int(digits) if digits and 0 < int(digits) < 2**63 else None


def clean_etag(text: str) -> str:
    """An entity tag without quotes, weakness mark and the suffix that a compressing proxy adds."""
    return text.removeprefix("W/").strip('"').removesuffix("-gzip")


def http_date_seconds(text: str) -> float:
    """Seconds since the epoch of an HTTP date (RFC 9110, IMF-fixdate); 0 when it is not one."""
    try:
        day, month, year = int(text[5:7]), _MONTHS[text[8:11]], int(text[12:16])
        hour, minute, second = int(text[17:19]), int(text[20:22]), int(text[23:25])
        return float(calendar.timegm((year, month, day, hour, minute, second)))
    except (ValueError, KeyError, OverflowError):
        return 0.0


def _text(props: Props, name: str) -> str:
    value = props.get(name, "")
    return value if isinstance(value, str) else ""


def _whole(text: str, what: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise MalformedError(f"the {what} of a listed node is not a number")
    return int(text)
