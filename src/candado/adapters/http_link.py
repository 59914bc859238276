"""The visitor of a link over HTTP: what the link leads to is the home, and the token is in a header of every request.

Layer: ``adapters``; implements ``ports.client.LinkRemote``. Sources: protocol document ``api.md``, sections 1, 5 and 6;
docs/spec/formats.md, Links.
"""

import json
from dataclasses import replace
from typing import Final

from candado.adapters.http import HttpRemote
from candado.adapters.http_ocs import read_link_folder
from candado.adapters.http_settings import HttpSettings
from candado.errors import NotFoundError, PreconditionFailedError
from candado.formats.canonjson import JsonObject
from candado.formats.linkaddress import LinkAddress
from candado.ports.ambient import Clock, Random
from candado.ports.client import Capabilities, LinkFolder
from candado.types import FileId, SecretText, check_user_id

__all__ = ["HttpLinkRemote"]

_FOLDER: Final = "/ocs/v2.php/apps/candado/api/v1/link-folder"
_FILEDROP: Final = "/ocs/v2.php/apps/end_to_end_encryption/api/v2/meta-data/{}/filedrop"
_DROPS_BYTES_MAX: Final = 48 << 20
_NO_CHUNKS: Final = 1 << 62


class HttpLinkRemote(HttpRemote):
    """One link on one server.

    Args:
        address: of the link; what stands behind its ``#`` is not sent.
        password: of the link, None without one.
        clock: for pauses.
        random: for jitter.
        settings: bounds.
    """

    def __init__(
        self,
        address: LinkAddress,
        password: SecretText | None,
        *,
        clock: Clock,
        random: Random,
        settings: HttpSettings | None = None,
    ) -> None:
        super().__init__(
            address.base_url,
            address.token,
            check_user_id(address.member_id),
            password or SecretText(""),
            clock=clock,
            random=random,
            # There is no upload in chunks for visitors.
            settings=replace(settings or HttpSettings(), chunk_threshold_bytes=_NO_CHUNKS),
            standing={"X-NC-E2EE-SHARE-TOKEN": address.token},
        )
        self._home = f"/public.php/dav/files/{address.token}"

    async def capabilities(self) -> Capabilities:
        """What a visitor can rely on; nothing is asked, since the answer is for accounts."""
        return Capabilities(
            product="",
            version="",
            e2ee_enabled=True,
            e2ee_api_version="2.1",
            candado_version=0,
            nested_in_one_session=False,
            staged_chunks=False,
            chunk_bytes_max=0,
        )

    async def link_folder(self) -> LinkFolder:
        """The encrypted folder of the link; NotFoundError for a plain one, and where the server is not ours."""
        return read_link_folder(await self._ocs("GET", _FOLDER, harmless=True, limit=_DROPS_BYTES_MAX))

    async def add_drops(self, file_id: FileId, drops: JsonObject) -> None:
        """Hand in entries; PreconditionFailedError while somebody writes, NotFoundError without metadata."""
        await self._ocs(
            "PUT",
            _FILEDROP.format(file_id),
            json_body={"filedrop": json.dumps(drops, separators=(",", ":"))},
            meanings={
                404: lambda path: NotFoundError("the folder of the link is not set up", path=path),
                412: lambda path: PreconditionFailedError("somebody is writing into the folder", path=path),
            },
            limit=_DROPS_BYTES_MAX,
            harmless=True,
        )
