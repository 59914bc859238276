"""The OCS half of the remote cloud: account, keys, locks, folder metadata, shares.

Layer: ``adapters``; the other half is ``http``. Sources: protocol document ``api.md``, sections 2 to 7 and 10.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

from candado.adapters.http_errors import Meanings, refusal
from candado.adapters.http_ocs import (
    read_capabilities,
    read_key_log,
    read_member,
    read_public_keys,
    read_share,
    read_steps,
    read_texts,
    read_user,
)
from candado.adapters.http_settings import HttpSettings, encoded
from candado.adapters.http_wire import Answer, HttpWire, basic
from candado.errors import (
    AlreadyExistsError,
    CounterConflictError,
    FolderNotEmptyError,
    ForbiddenError,
    KeysExistError,
    LockLostError,
    MalformedError,
    NoKeysError,
    NotFoundError,
    PeerWithoutKeysError,
    RemoteError,
)
from candado.formats.canonjson import JsonObject, JsonValue
from candado.formats.ocs import parse_ocs
from candado.ports.ambient import Clock, Random
from candado.ports.client import Capabilities, RawMetadata, RemoteShare, UserInfo
from candado.protocol.keylog import KeyLogAnswer
from candado.types import Counter, FileId, LockToken, SecretText, UserId

__all__ = ["HttpCalls", "lock_lost"]

_SMALL_BYTES_MAX: Final = 1 << 20
_METADATA_BYTES_MAX: Final = 48 << 20
_TOKEN_CHARS_MAX: Final = 512

_HANDOVERS: Final = "/ocs/v2.php/apps/candado/api/v1/handovers"
_KEY_LOG: Final = "/ocs/v2.php/apps/candado/api/v1/key-log"
_REVOCATIONS: Final = "/ocs/v2.php/apps/candado/api/v1/revocations"
BODIES: Final = "/ocs/v2.php/apps/candado/api/v1/bodies"
_E2EE: Final = "/ocs/v2.php/apps/end_to_end_encryption/api/v2"
_FILE_BITS: Final = 15
_SHARES: Final = "/ocs/v2.php/apps/files_sharing/api/v1/shares"


class HttpCalls:
    """What ``HttpRemote`` asks of the server's API; arguments as there."""

    def __init__(
        self,
        base_url: str,
        login: str,
        user_id: UserId | None,
        password: SecretText,
        *,
        clock: Clock,
        random: Random,
        settings: HttpSettings | None = None,
        standing: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = settings or HttpSettings()
        self.requests = 0
        self._wire = HttpWire(
            base_url,
            login,
            password,
            settings=self._settings,
            clock=clock,
            random=random,
            on_request=self._count_request,
            standing=standing,
        )
        self._login = login
        self._user_id = user_id
        self._chunk_bytes = self._settings.chunk_bytes
        self._chunk_limit_known = False

    # --- the account ----------------------------------------------------------------------------------

    async def capabilities(self) -> Capabilities:
        """Ask for the capabilities; keeps the largest chunk that the server takes."""
        found = read_capabilities(await self._ocs("GET", "/ocs/v2.php/cloud/capabilities", harmless=True))
        self._chunk_limit_known = True
        if found.chunk_bytes_max:
            self._chunk_bytes = min(self._settings.chunk_bytes, found.chunk_bytes_max)
        return found

    async def user_info(self) -> UserInfo:
        """Ask who we are; AuthRequiredError when the password is wrong."""
        return read_user(await self._ocs("GET", "/ocs/v2.php/cloud/user", harmless=True))

    async def make_app_password(self) -> SecretText | None:
        """A password of its own for this device; None when this one is such a password or the server makes none."""
        try:
            data = await self._ocs("GET", "/ocs/v2.php/core/getapppassword")
        except (ForbiddenError, NotFoundError):
            return None
        return SecretText(read_member(data, "apppassword"))

    async def delete_app_password(self) -> None:
        """Revoke the app password this device uses; a refusal is ignored, as the port says."""
        try:
            await self._ocs("DELETE", "/ocs/v2.php/core/apppassword")
        except RemoteError:
            return

    # --- keys -------------------------------------------------------------------------------------------

    async def server_key(self) -> str:
        """PEM of the key that signs certificates."""
        return read_member(await self._ocs("GET", f"{_E2EE}/server-key", harmless=True), "public-key")

    async def certificates(self, users: Sequence[UserId]) -> dict[UserId, str]:
        """Certificates by user id; NoKeysError when the own is missing, else PeerWithoutKeysError.

        The server answers 404 for the whole list when one of them or the caller has none, without saying which.
        """
        own = not users or list(users) == [self._user_id]
        query = "?" + urlencode({"users": json.dumps(list(users))}) if users else ""
        where = ", ".join(users) or self._user_id
        try:
            data = await self._ocs(
                "GET",
                f"{_E2EE}/public-key{query}",
                where=where,
                meanings={404: lambda path: NoKeysError("the account has no keys", path=path)},
                harmless=True,
            )
        except NoKeysError as exc:
            if own or self._user_id is None:
                raise
            await self.certificates([self._user_id])
            raise PeerWithoutKeysError(path=where) from exc
        found = read_public_keys(data)
        if any(user not in found for user in users):
            raise PeerWithoutKeysError("the server left out a certificate that was asked for", path=where)
        return found

    async def revocation_list(self) -> str:
        """The signed list of revoked keys, PEM; NotFoundError."""
        return read_member(await self._ocs("GET", _REVOCATIONS, harmless=True), "revocation-list")

    async def handovers(self) -> list[str]:
        """Texts of the hand-overs of the authority, oldest first; at most 64."""
        return read_texts(await self._ocs("GET", _HANDOVERS, harmless=True), "handovers", count_max=64)

    async def key_log(self, users: Sequence[UserId], *, known_size: int) -> KeyLogAnswer:
        """What the log has on keys; NotFoundError."""
        query = urlencode({"users": json.dumps(list(users)), "known": known_size})
        return read_key_log(await self._ocs("GET", f"{_KEY_LOG}?{query}", harmless=True))

    async def register_certificate(self, csr_pem: str, *, link: str = "") -> str:
        """Send a CSR, return the certificate; KeysExistError."""
        data = await self._ocs(
            "POST",
            f"{_E2EE}/public-key",
            json_body={"csr": csr_pem, **_of_link(link)},
            meanings={409: lambda path: KeysExistError(path=path)},
        )
        return read_member(data, "public-key")

    async def delete_certificate(self, password: SecretText) -> None:
        """Remove the own certificate; ForbiddenError when this is not the login password."""
        await self._ocs(
            "DELETE", f"{_E2EE}/public-key", headers={"Authorization": basic(self._login, password)}, harmless=True
        )

    async def private_key(self) -> str:
        """The wrapped private key; NoKeysError."""
        data = await self._ocs(
            "GET", f"{_E2EE}/private-key", meanings={404: lambda path: NoKeysError(path=path)}, harmless=True
        )
        return read_member(data, "private-key")

    async def store_private_key(self, wrapped: str, *, link: str = "") -> None:
        """Store the wrapped private key; KeysExistError."""
        await self._ocs(
            "POST",
            f"{_E2EE}/private-key",
            json_body={"privateKey": wrapped, **_of_link(link)},
            meanings={409: lambda path: KeysExistError(path=path)},
        )

    async def metadata(self, file_id: FileId) -> RawMetadata:
        """Metadata of a folder, not verified; NotFoundError when there is none."""
        answer = await self._ocs_answer(
            "GET", f"{_E2EE}/meta-data/{file_id}", where=str(file_id), limit=_METADATA_BYTES_MAX, harmless=True
        )
        text = read_member(parse_ocs(answer.body).data, "meta-data")
        return RawMetadata(text, answer.headers.get("x-nc-e2ee-signature"))

    async def membership_steps(self, file_id: FileId, *, after: Counter) -> list[RawMetadata]:
        """What led to the present members, not verified; an extension of our own server, others have none."""
        call = f"{_E2EE}/meta-data/{file_id}/steps?after={after}"
        try:
            data = await self._ocs("GET", call, where=str(file_id), limit=_METADATA_BYTES_MAX, harmless=True)
        except (NotFoundError, ForbiddenError):
            return []
        return read_steps(data)

    async def mark_encrypted(self, file_id: FileId) -> None:
        """Set the encryption flag; FolderNotEmptyError also when there is no such folder: the server does not tell."""
        await self._ocs(
            "PUT",
            f"{_E2EE}/encrypted/{file_id}",
            where=str(file_id),
            meanings={404: lambda path: FolderNotEmptyError(path=path)},
        )

    async def lock(self, file_id: FileId, counter: Counter, *, resume: LockToken | None = None) -> LockToken:
        """Lock a folder and all below it; LockedError, CounterConflictError, ForbiddenError."""
        data = await self._ocs(
            "POST",
            f"{_E2EE}/lock/{file_id}",
            where=str(file_id),
            headers={"X-NC-E2EE-COUNTER": str(counter)},
            json_body={} if resume is None else {"e2e-token": resume.reveal()},
            meanings={412: lambda path: CounterConflictError(path=path)},
        )
        token = read_member(data, "e2e-token")
        if not 0 < len(token) <= _TOKEN_CHARS_MAX or not token.isascii() or not token.isprintable():
            raise MalformedError("the server's lock token is unusable", path=str(file_id))
        return LockToken(token)

    async def unlock(self, file_id: FileId, token: LockToken, *, abort: bool = False) -> None:
        """Make everything written under the token visible, or undo it; LockLostError."""
        await self._ocs(
            "DELETE",
            f"{_E2EE}/lock/{file_id}",
            query="&abort=true" if abort else "",
            where=str(file_id),
            headers={"e2e-token": token.reveal()},
            meanings=dict.fromkeys((403, 404), lock_lost),
            harmless=True,
            idle_seconds=self._settings.commit_seconds,
        )

    async def create_metadata(self, file_id: FileId, token: LockToken, text: str, signature: str) -> None:
        """First metadata of a folder; AlreadyExistsError, LockLostError."""
        await self._write_metadata(
            "POST", file_id, token, text, signature, {403: lock_lost, 409: lambda path: AlreadyExistsError(path=path)}
        )

    async def update_metadata(self, file_id: FileId, token: LockToken, text: str, signature: str) -> None:
        """Next metadata of a folder; NotFoundError when there is none, LockLostError."""
        await self._write_metadata("PUT", file_id, token, text, signature, {412: lock_lost})

    async def delete_metadata(self, file_id: FileId, token: LockToken) -> None:
        """Remove the metadata of a folder at the unlock; LockLostError."""
        await self._ocs(
            "DELETE",
            f"{_E2EE}/meta-data/{file_id}",
            where=str(file_id),
            headers={"e2e-token": token.reveal()},
            meanings={412: lock_lost},
        )

    # --- shares -----------------------------------------------------------------------------------------

    async def create_share(self, path: str, user: UserId, *, permissions: int, last_day: str = "") -> RemoteShare:
        """Share a folder with a user; NotFoundError when there is no such user or path."""
        wish: JsonObject = {"path": path, "shareType": 0, "shareWith": user, "permissions": permissions}
        if last_day:
            wish["expireDate"] = last_day
        data = await self._ocs("POST", _SHARES, where=path, json_body=wish)
        share = read_share(data)
        if share is None or share.share_with != user:
            raise MalformedError("the server made another share than was asked for", path=path)
        return share

    async def create_link(
        self, path: str, *, permissions: int, password: SecretText | None, last_day: str, label: str
    ) -> RemoteShare:
        """Make a link; NotFoundError when there is no such path, BadRequestError for its password or end."""
        wish: JsonObject = {"path": path, "shareType": 3, "permissions": permissions}
        if password is not None:
            wish["password"] = password.reveal()
        wish |= {name: text for name, text in (("expireDate", last_day), ("label", label)) if text}
        share = read_share(await self._ocs("POST", _SHARES, where=path, json_body=wish))
        if share is None or not share.token or share.permissions & ~permissions & _FILE_BITS:
            raise MalformedError("the server made another share than was asked for", path=path)
        return share

    async def list_shares(self, path: str | None) -> list[RemoteShare]:
        """Shares by us of one node, or of all."""
        query = "" if path is None else "&" + urlencode({"path": path, "reshares": "true", "subfiles": "false"})
        data = await self._ocs("GET", _SHARES, query=query, where=path, harmless=True)
        if not isinstance(data, list):
            raise MalformedError("the list of shares is not a list")
        return [share for share in map(read_share, data) if share is not None]

    async def delete_share(self, share_id: str) -> None:
        """End a share; NotFoundError."""
        await self._ocs("DELETE", f"{_SHARES}/{encoded(share_id)}", where=share_id)

    # --- how calls are made ---

    def _count_request(self) -> None:
        self.requests += 1

    async def _write_metadata(
        self, method: str, file_id: FileId, token: LockToken, text: str, signature: str, meanings: Meanings
    ) -> None:
        await self._ocs(
            method,
            f"{_E2EE}/meta-data/{file_id}",
            where=str(file_id),
            headers={"e2e-token": token.reveal(), "X-NC-E2EE-SIGNATURE": signature},
            json_body={"metaData": text},
            meanings=meanings,
            limit=_METADATA_BYTES_MAX,
        )

    async def _ocs(
        self,
        method: str,
        target: str,
        *,
        where: str | None = None,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        json_body: JsonValue = None,
        meanings: Meanings | None = None,
        harmless: bool = False,
        limit: int = _SMALL_BYTES_MAX,
        idle_seconds: float | None = None,
    ) -> JsonValue:
        """One OCS call; its data once both the HTTP status and the API's own status are success."""
        answer = await self._ocs_answer(
            method,
            target + ("&" if "?" in target else "?") + "format=json" + query,
            where=where,
            headers=headers,
            json_body=json_body,
            meanings=meanings,
            harmless=harmless,
            limit=limit,
            idle_seconds=idle_seconds,
        )
        parsed = parse_ocs(answer.body)
        if parsed.status_code not in (100, 200, 201):
            raise refusal(parsed.status_code, path=where, meanings=meanings or {})
        return parsed.data

    async def _ocs_answer(
        self,
        method: str,
        target: str,
        *,
        where: str | None = None,
        headers: Mapping[str, str] | None = None,
        json_body: JsonValue = None,
        meanings: Meanings | None = None,
        harmless: bool = False,
        limit: int = _SMALL_BYTES_MAX,
        idle_seconds: float | None = None,
    ) -> Answer:
        every = {**(headers or {}), "Accept": "application/json"}
        data = None
        if json_body is not None:
            every["Content-Type"] = "application/json"
            data = json.dumps(json_body, separators=(",", ":")).encode()
        return await self._wire.ask(
            method,
            target,
            limit=limit,
            where=where,
            headers=every,
            data=data,
            meanings=meanings,
            harmless=harmless,
            idle_seconds=idle_seconds,
        )


def _of_link(token: str) -> JsonObject:
    return {"shareToken": token} if token else {}


def lock_lost(path: str | None) -> LockLostError:
    """The error of a write whose token is not accepted any more."""
    return LockLostError(path=path)
