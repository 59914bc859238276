"""OCS calls of end-to-end encryption: keys, flag, lock, metadata.

Layer: ``apps``. Routes below ``/ocs/v{1,2}.php/apps/end_to_end_encryption/api/v{1,2}``. The first version of locks and
metadata is answered only to say that these folders are of the second.
"""

import json
from dataclasses import dataclass
from typing import Final

from starlette.routing import BaseRoute, Route

from candado.apps.ocs_call import (
    DOCUMENT_BYTES_MAX,
    SMALL_BYTES_MAX,
    Answer,
    Handler,
    OcsCall,
    as_token,
    come_in,
    endpoint,
)
from candado.apps.server_wiring import Services
from candado.encoding import decode_b64
from candado.errors import BadRequestError, ForbiddenError, FormatError, NotFoundError, PeerWithoutKeysError
from candado.formats.canonjson import JsonValue, load_json
from candado.server.model import Principal
from candado.server.sessions import TOKEN_CHARS
from candado.types import COUNTER_MAX, LockToken

__all__ = ["e2ee_routes"]

_BASE: Final = "/ocs/v{version}.php/apps/end_to_end_encryption/api/v"
_DROPS_BYTES_MAX: Final = 8 * 1024 * 1024
_USERS_CHARS_MAX: Final = 128 * 1024
_TOO_OLD: Final = "Client version cannot handle the requested encryption version."


@dataclass(frozen=True, slots=True)
class _Endpoint:
    method: str
    path: str
    handler: Handler
    versions: tuple[str, ...] = ("1", "2")
    anonymous: bool = False
    confirmed: bool = False
    visitors: bool = False
    bytes_max: int = SMALL_BYTES_MAX


def e2ee_routes(services: Services) -> list[BaseRoute]:
    """All routes of this module."""
    routes: list[BaseRoute] = []
    for one in _ENDPOINTS:
        run = endpoint(
            services,
            one.handler,
            gated=True,
            anonymous=one.anonymous,
            confirmed=one.confirmed,
            visitors=one.visitors,
            bytes_max=one.bytes_max,
        )
        routes += [Route(f"{_BASE}{version}/{one.path}", run, methods=[one.method]) for version in one.versions]
    return routes


# --- keys --------------------------------------------------------------------------------------------------


async def _keeper(call: OcsCall) -> Principal:
    """Whose keys are meant: the caller's, or those of a link of the caller that ``shareToken`` names."""
    token = call.parameters.get("shareToken", "")
    return await call.services.shares.keeper_of(call.user, token) if token else call.user


async def _get_private_key(call: OcsCall) -> JsonValue:
    return {"private-key": await call.services.pki.private_key(call.user.member_id)}


async def _post_private_key(call: OcsCall) -> JsonValue:
    wrapped = call.required("privateKey")
    await call.services.pki.store_private_key((await _keeper(call)).member_id, wrapped)
    return {"private-key": wrapped}


async def _delete_private_key(call: OcsCall) -> JsonValue:
    await call.services.pki.delete_private_key((await _keeper(call)).member_id)
    return []


async def _get_public_key(call: OcsCall) -> JsonValue:
    text = call.parameters.get("users", "")
    users: list[str] = []
    if text:
        try:
            document = load_json(text, bytes_max=_USERS_CHARS_MAX, depth_max=2)
        except FormatError as exc:
            raise BadRequestError("users is not a JSON list of user ids") from exc
        if not isinstance(document, list):
            raise BadRequestError("users is not a JSON list of user ids")
        for user in document:
            if not isinstance(user, str):
                raise BadRequestError("users is not a JSON list of user ids")
            users.append(user)
    if call.user.link is not None and users:
        # Who has an account may look up everybody; who has a link only those whose folder it is.
        known = {*await call.services.drops.members(call.user), call.user.member_id}
        if not known.issuperset(users):
            raise PeerWithoutKeysError("Could not find the public key of a user")
    found = await call.services.pki.certificates(call.user, users)
    return {"public-keys": dict(found)}


async def _post_public_key(call: OcsCall) -> JsonValue:
    return {"public-key": await call.services.pki.register(await _keeper(call), call.required("csr"))}


async def _put_public_key(call: OcsCall) -> JsonValue:
    pem = call.required("publicKey")
    await call.services.pki.store_certificate(await _keeper(call), pem)
    return {"public-key": pem}


async def _delete_public_key(call: OcsCall) -> JsonValue:
    await call.services.pki.delete_certificate((await _keeper(call)).member_id)
    return []


async def _get_server_key(call: OcsCall) -> JsonValue:
    return {"public-key": call.services.pki.server_key_pem}


# --- flag --------------------------------------------------------------------------------------------------


async def _put_flag(call: OcsCall) -> JsonValue:
    token = call.token or as_token(call.parameters.get("e2e-token"))
    await call.services.metadata.mark_encrypted(call.user, call.path_number("id"), token=token)
    return []


async def _delete_flag(call: OcsCall) -> JsonValue:
    await call.services.metadata.unmark(call.user, call.path_number("id"))
    return []


async def _delete_all(call: OcsCall) -> JsonValue:
    deleted = await call.services.metadata.delete_all_encrypted(call.user)
    if not deleted:
        raise NotFoundError("there are no encrypted folders")
    return {"deletedIds": [int(file_id) for file_id in deleted]}


# --- lock and metadata ------------------------------------------------------------------------------------


async def _lock(call: OcsCall) -> JsonValue:
    # The header is not read here: stock clients send a stale token in it, and the interface says parameter.
    resume = as_token(call.parameters.get("e2e-token"))
    text = call.header("x-nc-e2ee-counter")
    counter = None
    if text is not None:
        if not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= COUNTER_MAX):
            raise BadRequestError("X-NC-E2EE-COUNTER is not a number from 1 to 2^53 - 1")
        counter = int(text)
    token = await call.services.sessions.lock(call.user, call.path_number("id"), counter=counter, token=resume)
    return {"e2e-token": token.reveal()}


async def _unlock(call: OcsCall) -> JsonValue:
    abort = call.parameters.get("abort", "").lower() in ("true", "1")
    token = _unwrapped(call.token) if abort else call.token
    await call.services.sessions.unlock(call.user, call.path_number("id"), token=token, abort=abort)
    return []


def _unwrapped(token: LockToken | None) -> LockToken | None:
    # After a failed upload the stock desktop client gives its lock back once, with the token in base64. Refused, it
    # forgets the token, and the folder stays locked until the lock expires.
    if token is None:
        return None
    try:
        return as_token(decode_b64(token.reveal(), size=TOKEN_CHARS).decode("ascii")) or token
    except (FormatError, UnicodeDecodeError):
        return token  # one as it was given out: no text of that length decodes to as many bytes


async def _get_metadata(call: OcsCall) -> Answer:
    row = await call.services.metadata.get(call.user, call.path_number("id"))
    return Answer({"meta-data": row.text}, {"X-NC-E2EE-SIGNATURE": row.signature})


async def _get_steps(call: OcsCall) -> JsonValue:
    after = call.parameters.get("after", "0")
    if not (after.isascii() and after.isdigit() and len(after) <= 16 and int(after) <= COUNTER_MAX):
        raise BadRequestError("after is not a counter from 0 to 2^53 - 1")
    rows = await call.services.metadata.steps(call.user, call.path_number("id"), after=int(after))
    return {"steps": [{"counter": row.counter, "meta-data": row.text, "signature": row.signature} for row in rows]}


async def _post_metadata(call: OcsCall) -> JsonValue:
    text, signature = _document(call)
    await call.services.metadata.create(
        call.user, call.path_number("id"), text=text, signature=signature, token=call.token
    )
    return {"meta-data": text}


async def _put_metadata(call: OcsCall) -> JsonValue:
    text, signature = _document(call)
    await call.services.metadata.update(
        call.user, call.path_number("id"), text=text, signature=signature, token=call.token
    )
    return {"meta-data": text}


async def _delete_metadata(call: OcsCall) -> JsonValue:
    await call.services.metadata.delete(call.user, call.path_number("id"), token=call.token)
    return []


def _document(call: OcsCall) -> tuple[str, str]:
    signature = call.header("x-nc-e2ee-signature")
    if signature is None:
        raise BadRequestError("X-NC-E2EE-SIGNATURE is empty")
    if call.token is None:
        raise BadRequestError("e2e-token is empty")
    return call.required("metaData"), signature


async def _put_drops(call: OcsCall) -> JsonValue:
    principal = call.principal
    if principal is None:
        # The page of a stock server has no header for this call; its visitor has no account either.
        principal = await come_in(call.services, call.request, call.required("shareToken"))
    merged = await call.services.drops.add(principal, call.path_number("id"), call.required("filedrop"))
    document: JsonValue = json.loads(merged)
    return {"filedrop": document}


async def _old_version(call: OcsCall) -> JsonValue:
    await call.services.metadata.get(call.user, call.path_number("id"))
    raise ForbiddenError(_TOO_OLD)


_ONLY_2: Final = ("2",)
_ENDPOINTS: Final = (
    _Endpoint("GET", "private-key", _get_private_key, visitors=True),
    _Endpoint("POST", "private-key", _post_private_key),
    _Endpoint("DELETE", "private-key", _delete_private_key, confirmed=True),
    _Endpoint("GET", "public-key", _get_public_key, visitors=True),
    _Endpoint("POST", "public-key", _post_public_key),
    _Endpoint("PUT", "public-key", _put_public_key),
    _Endpoint("DELETE", "public-key", _delete_public_key, confirmed=True),
    _Endpoint("GET", "server-key", _get_server_key, anonymous=True, visitors=True),
    _Endpoint("PUT", "encrypted/{id}", _put_flag, visitors=True),
    _Endpoint("DELETE", "encrypted/{id}", _delete_flag),
    _Endpoint("DELETE", "encrypted-files", _delete_all, confirmed=True),
    _Endpoint("POST", "lock/{id}", _lock, _ONLY_2, visitors=True),
    _Endpoint("DELETE", "lock/{id}", _unlock, _ONLY_2, visitors=True),
    _Endpoint("GET", "meta-data/{id}", _get_metadata, _ONLY_2, visitors=True),
    _Endpoint("POST", "meta-data/{id}", _post_metadata, _ONLY_2, visitors=True, bytes_max=DOCUMENT_BYTES_MAX),
    _Endpoint("PUT", "meta-data/{id}", _put_metadata, _ONLY_2, visitors=True, bytes_max=DOCUMENT_BYTES_MAX),
    _Endpoint("DELETE", "meta-data/{id}", _delete_metadata, _ONLY_2, visitors=True),
    _Endpoint("GET", "meta-data/{id}/steps", _get_steps, _ONLY_2),
    _Endpoint(
        "PUT",
        "meta-data/{id}/filedrop",
        _put_drops,
        _ONLY_2,
        anonymous=True,
        visitors=True,
        bytes_max=_DROPS_BYTES_MAX,
    ),
    *(
        _Endpoint(method, path, _old_version, ("1",), bytes_max=DOCUMENT_BYTES_MAX)
        for path in ("lock/{id}", "meta-data/{id}")
        for method in ("GET", "POST", "PUT", "DELETE")
    ),
)
