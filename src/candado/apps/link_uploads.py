"""An upload form of a link's page: every file in it becomes a new file, as it arrives.

Layer: ``apps``.
"""

from typing import TYPE_CHECKING

from starlette.requests import Request

from candado.apps.server_wiring import Services
from candado.errors import BadRequestError, QuotaExceededError
from candado.formats.multipart import MultipartReader, PartEnd, PartStart, boundary_of
from candado.server.model import Principal, PutTicket

if TYPE_CHECKING:
    from candado.ports.server import BlobWriter

__all__ = ["receive_form"]


async def receive_form(services: Services, request: Request, visitor: Principal, folder: str) -> int:
    """Store the files of a form in a folder of the link and return how many they were.

    What came before a failure stays. Raises:
        FormatError: it is no upload form. BadRequestError: no file in it. QuotaExceededError, ForbiddenError: as a PUT.
    """
    reader = MultipartReader(boundary_of(request.headers.get("content-type", "")))
    reception = _Reception(services, visitor, folder)
    try:
        async for piece in request.stream():
            for event in reader.feed(piece):
                if isinstance(event, PartStart):
                    await reception.begin(event)
                elif isinstance(event, PartEnd):
                    await reception.end()
                else:
                    await reception.take(event)
        reader.close()
    finally:
        await reception.abandon()
    if not reception.stored:
        raise BadRequestError("no file was chosen")
    return reception.stored


class _Reception:
    """The file that is being received, if any."""

    def __init__(self, services: Services, visitor: Principal, folder: str) -> None:
        self._services = services
        self._visitor = visitor
        self._folder = folder
        self._ticket: PutTicket | None = None
        self._writer: BlobWriter | None = None
        self._size = 0
        self._free: int | None = None
        self.stored = 0

    async def begin(self, part: PartStart) -> None:
        """A field begins; what is no file is left out."""
        # Some browsers send a whole path.
        name = (part.file_name or "").replace("\\", "/").rpartition("/")[2]
        if not name:
            return
        files = self._services.files
        name = await self._services.links.free_name(self._visitor, self._folder, name)
        path = f"{self._folder}/{name}".strip("/")
        self._ticket = await files.begin_put(self._visitor, path, token=None, length=None, if_none_match=True)
        self._free = (await files.quota(self._ticket.owner_id)).free_bytes
        self._writer, self._size = self._services.backend.objects.create(), 0

    async def take(self, data: bytes) -> None:
        """More of the field."""
        if self._writer is None:
            return
        self._size += len(data)
        if self._free is not None and self._size > self._free:
            raise QuotaExceededError("the files are larger than the space that is left")
        await self._writer.write(data)

    async def end(self) -> None:
        """The field is whole."""
        writer, ticket = self._writer, self._ticket
        if writer is None or ticket is None:
            return
        blob_id = await writer.finish()
        self._writer = self._ticket = None
        await self._services.files.commit_put(ticket, blob_id=blob_id, size_bytes=self._size, mtime=None)
        self.stored += 1

    async def abandon(self) -> None:
        """Throw away what did not become a file."""
        if self._writer is not None:
            await self._writer.discard()
