"""Readers for the data members of OCS answers: wrong shapes raise MalformedError, nothing else.

Layer: ``adapters``. Sources: protocol document ``api.md``, sections 2, 7, 10; server document, sections 2 and 3.
"""

from typing import Final

from candado.crypto.merkle import HASH_BYTES
from candado.encoding import decode_b64
from candado.errors import MalformedError
from candado.formats.canonjson import JsonObject, JsonValue
from candado.formats.linkaddress import LINK_PREFIX
from candado.formats.orgpolicy import POLICY_BYTES_MAX
from candado.ports.client import Capabilities, LinkFolder, RawMetadata, RemoteRecovery, RemoteShare, UserInfo
from candado.protocol.keylog import KeyLeafText, KeyLogAnswer
from candado.types import UserId, check_file_id, check_user_id

__all__ = [
    "read_capabilities",
    "read_link_folder",
    "read_member",
    "read_public_keys",
    "read_recovery",
    "read_share",
    "read_steps",
    "read_texts",
    "read_user",
]

_PEM_CHARS_MAX: Final = 32 * 1024
_USER_SHARE: Final = 0
_LINK_SHARE: Final = 3
_STEPS_MAX: Final = 64
_USES_MAX: Final = 64


def _object(value: JsonValue) -> JsonObject:
    """An object; PHP writes an empty one as an empty list."""
    if isinstance(value, dict):
        return value
    if value == []:
        return {}
    raise MalformedError("a part of the server's answer is not an object")


def _list(value: JsonValue) -> list[JsonValue]:
    if not isinstance(value, list):
        raise MalformedError("the answer lacks a list")
    return value


def _text(value: JsonValue, default: str | None = None) -> str:
    if isinstance(value, str):
        return value
    if default is not None:
        return default
    raise MalformedError("a part of the server's answer is not a text")


def _number(value: JsonValue, default: int) -> int:
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else default


def _id_number(value: JsonValue) -> int:
    """A number, or its digits as a text, as PHP writes ids."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise MalformedError("an id in the server's answer is not a number")


def read_member(data: JsonValue, name: str) -> str:
    """A text member of the data."""
    return _text(_object(data).get(name))


def read_texts(data: JsonValue, name: str, *, count_max: int) -> list[str]:
    """A member of the data that is a list of at most so many texts."""
    found = _object(data).get(name)
    if not isinstance(found, list) or len(found) > count_max:
        raise MalformedError("the server's answer has no list where one is due, or a longer one")
    return [_text(text) for text in found]


def read_capabilities(data: JsonValue) -> Capabilities:
    """Capabilities; what is absent counts as not there."""
    answer = _object(data)
    offered = _object(answer.get("capabilities", {}))
    e2ee = _object(offered.get("end-to-end-encryption", {}))
    ours = _object(offered.get("candado", {}))
    bodies = _object(ours.get("bodies", {}))
    chunked = _object(_object(offered.get("files", {})).get("chunked_upload", {}))
    theme = _object(offered.get("theming", {}))
    return Capabilities(
        product=_text(theme.get("name"), ""),
        version=_text(_object(answer.get("version", {})).get("string"), ""),
        e2ee_enabled=e2ee.get("enabled") is True,
        e2ee_api_version=_text(e2ee.get("api-version"), ""),
        candado_version=_number(ours.get("version"), 0),
        nested_in_one_session=ours.get("nested-in-one-session") is True,
        staged_chunks=ours.get("staged-chunks") is True,
        chunk_bytes_max=max(0, _number(chunked.get("max_size"), 0)),
        bodies_count_max=max(0, _number(bodies.get("max-count"), 0)),
        bodies_bytes_max=max(0, _number(bodies.get("max-bytes"), 0)),
        revocation_list=ours.get("revocation-list") is True,
        client_rules=max(0, _number(ours.get("client-rules"), 0)),
        rules_version=max(0, _number(ours.get("rules-version"), 0)),
        handovers=ours.get("handovers") is True,
        recovery=isinstance(ours.get("recovery"), dict),
        key_log=ours.get("key-log") is True,
    )


def read_key_log(data: JsonValue) -> KeyLogAnswer:
    """What the log has on keys; MalformedError."""
    answer = _object(data)
    users: dict[str, tuple[KeyLeafText, ...]] = {}
    for entry in map(_object, _list(answer.get("users"))):
        leaves = [_object(leaf) for leaf in _list(entry.get("leaves"))]
        users[_text(entry.get("user"))] = tuple(
            KeyLeafText(_text(leaf.get("record")), _hashes(leaf.get("proof"))) for leaf in leaves
        )
    try:
        salt = bytes.fromhex(_text(answer.get("salt")))
    except ValueError as exc:
        raise MalformedError("the salt of the log is not hex") from exc
    return KeyLogAnswer(_text(answer.get("checkpoint")), salt, _hashes(answer.get("consistency")), users)


def _hashes(data: JsonValue) -> tuple[bytes, ...]:
    return tuple(decode_b64(_text(one), size=HASH_BYTES) for one in _list(data))


def read_user(data: JsonValue) -> UserInfo:
    """The account; an unlimited or unknown quota is negative."""
    answer = _object(data)
    user_id = check_user_id(_text(answer.get("id")))
    quota = _object(answer.get("quota", {}))
    return UserInfo(
        user_id=user_id,
        display_name=_text(answer.get("display-name"), _text(answer.get("displayname"), user_id)),
        quota_bytes=_number(quota.get("quota"), -2),
        used_bytes=_number(quota.get("used"), -1),
    )


def read_public_keys(data: JsonValue) -> dict[UserId, str]:
    """Certificates by user id, PEM text of at most 32 KiB each."""
    found: dict[UserId, str] = {}
    for name, pem in _object(_object(data).get("public-keys")).items():
        text = _text(pem)
        if len(text) > _PEM_CHARS_MAX:
            raise MalformedError("a certificate is too long")
        found[check_user_id(name)] = text
    return found


def read_recovery(data: JsonValue) -> RemoteRecovery:
    """What the server says of the organisation and its recovery key; sizes are bounded here, the rest by parsers."""
    uses = _object(data).get("uses", [])
    if not isinstance(uses, list) or len(uses) > _USES_MAX:
        raise MalformedError("the uses of a recovery key are not a list, or too many")
    organisation, policy, certificate = (read_member(data, name) for name in ("organisation", "policy", "certificate"))
    found = RemoteRecovery(organisation, policy, certificate, [_text(one) for one in uses])
    if max(len(found.organisation), len(found.certificate)) > _PEM_CHARS_MAX or len(found.policy) > POLICY_BYTES_MAX:
        raise MalformedError("what the server says of a recovery key is too long")
    return found


def read_steps(data: JsonValue) -> list[RawMetadata]:
    """Documents with their signatures in the server's order; at most 64."""
    steps = _object(data).get("steps")
    if not isinstance(steps, list) or len(steps) > _STEPS_MAX:
        raise MalformedError("the steps of a folder are not a list, or too many")
    return [RawMetadata(read_member(step, "meta-data"), read_member(step, "signature")) for step in steps]


def read_share(data: JsonValue) -> RemoteShare | None:
    """One share; None when it is neither with a user nor by link."""
    share = _object(data)
    kind = _number(share.get("share_type"), -1)
    if kind not in (_USER_SHARE, _LINK_SHARE):
        return None
    token = _text(share.get("token")) if kind == _LINK_SHARE else ""
    end = share.get("expiration")
    return RemoteShare(
        share_id=str(_id_number(share.get("id"))),
        path=_text(share.get("path")),
        owner_id=check_user_id(_text(share.get("uid_owner"))),
        share_with=check_user_id(f"{LINK_PREFIX}{token}" if token else _text(share.get("share_with"))),
        permissions=_number(share.get("permissions"), 0),
        file_id=check_file_id(_id_number(share.get("file_source", share.get("item_source")))),
        token=token,
        label=_text(share.get("label"), ""),
        has_password=bool(token and share.get("password")),
        last_day=_text(end, "")[:10],
    )


def read_link_folder(data: JsonValue) -> LinkFolder:
    """The folder behind a link."""
    answer = _object(data)
    return LinkFolder(
        check_file_id(_id_number(answer.get("file-id"))),
        _number(answer.get("permissions"), 0),
        RawMetadata(_text(answer.get("meta-data")), _text(answer.get("signature"))),
    )
