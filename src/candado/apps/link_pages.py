"""The page of a link: ``/s/TOKEN``, its password form, downloads and uploads.

Layer: ``apps``. It works without a script but for sealing (``link_drop``). A password is typed once and kept as a
signed cookie for this one link, which a form of another site cannot bring along (SameSite); forms of other sites are
refused besides.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from candado.apps.callers import with_request
from candado.apps.dav_bodies import begun, read_parts
from candado.apps.dav_exchange import decode_path
from candado.apps.dav_headers import file_headers
from candado.apps.html_pages import check_same_site, content_disposition, html_page, problem, refused, view_of
from candado.apps.link_drop import SCRIPT, drop_html, store_entries, store_sealed
from candado.apps.link_html import folder_html, link_address, password_html, sealed_html
from candado.apps.link_uploads import receive_form
from candado.apps.ocs_call import base_url, read_parameters
from candado.apps.server_errors import fault_of
from candado.apps.server_wiring import Services
from candado.apps.texts.common import Common
from candado.apps.texts.links import LinkText
from candado.errors import AuthRequiredError, BadRequestError, CandadoError, ForbiddenError, LimitExceededError
from candado.formats.dav import quote_href
from candado.formats.davrequests import parse_range
from candado.server.links import COOKIE_SECONDS
from candado.server.model import PERMISSION_CREATE, PERMISSION_READ, Principal
from candado.server.sharerows import Share
from candado.types import SecretText

__all__ = ["link_routes"]

_COOKIE: Final = "candado_link"
_FORM_BYTES_MAX: Final = 16 * 1024
_STORED_MAX: Final = 9999


def link_routes(services: Services) -> list[BaseRoute]:
    """All routes of this module; the ``index.php`` spellings are taken off before."""

    async def show(request: Request) -> Response:
        return await _guarded(services, request, _show)

    async def authenticate(request: Request) -> Response:
        return await _guarded(services, request, _authenticate)

    async def download(request: Request) -> Response:
        return await _guarded(services, request, _download)

    async def upload(request: Request) -> Response:
        return await _guarded(services, request, _upload)

    async def drop(request: Request) -> Response:
        return await _guarded(services, request, _drop)

    return [
        Route("/s/{token}", show, methods=["GET"]),
        Route("/s/{token}/authenticate", authenticate, methods=["POST"]),
        Route("/s/{token}/authenticate/showShare", authenticate, methods=["POST"]),
        Route("/s/{token}/download", download, methods=["GET"]),
        Route("/s/{token}/upload", upload, methods=["POST"]),
        Route("/s/{token}/drop", drop, methods=["PUT"]),
        Route("/s/{token}/drop/{name}", drop, methods=["PUT"]),
    ]


class _Visit:
    """One request to a link."""

    def __init__(self, services: Services, request: Request, share: Share) -> None:
        self.services = services
        self.request = request
        self.share = share
        # What follows a # in the address of an encrypted folder is needed, and lost with a click on another language.
        self.view = view_of(request, switch=not share.is_encrypted)
        self.say = self.view.say

    async def enter(self) -> Principal:
        """The visitor, by the cookie if a password is wanted; AuthRequiredError."""
        visitor = await self.services.links.enter_with_cookie(self.share, self.request.cookies.get(_COOKIE))
        return with_request(visitor, self.request)

    @property
    def path(self) -> str:
        """The path asked for, below what the link leads to; BadRequestError."""
        try:
            query = parse_qs(self.request.url.query, keep_blank_values=True, errors="strict", max_num_fields=20)
        except ValueError as exc:
            raise BadRequestError("the query cannot be decoded") from exc
        parts = [*query.get("path", [""])[-1:], *query.get("files", [""])[-1:]]
        # The same way in as for a path in an address, so that the same paths are refused.
        return decode_path(quote_href("/".join(parts)).encode("ascii"))


_Work = Callable[[_Visit], Awaitable[Response]]


async def _guarded(services: Services, request: Request, work: _Work) -> Response:
    """Run ``work`` and show what it raises as a page."""
    share = None
    try:
        share = await services.links.find(str(request.path_params["token"]))
        return await work(_Visit(services, request, share))
    except AuthRequiredError:
        assert share is not None
        view = view_of(request, switch=not share.is_encrypted)
        trouble = problem(view.say(LinkText.WRONG_PASSWORD)) if request.method == "POST" else None
        inner, title = password_html(view.say, share, trouble), view.say.plain(LinkText.HAS_PASSWORD)
        return html_page(view, title, inner, 403 if trouble else 401)
    except CandadoError as error:
        fault, view = fault_of(error), view_of(request, switch=False)
        # Other advice is for people with an account and a command line.
        advice = view.say(LinkText.AGAIN) if error.advice == LinkText.AGAIN.plain("en") else None
        answer = html_page(view, view.say.plain(Common.FAILED), refused(view, error, advice), fault.status)
        for name, value in fault.headers:
            answer.headers[name.decode("ascii")] = value.decode("ascii")
        return answer


async def _show(visit: _Visit) -> Response:
    share, files = visit.share, visit.services.files
    visitor, path = await visit.enter(), visit.path
    title = share.label or share.node_name
    if share.is_encrypted:
        folder, base = await visit.services.drops.folder(visitor), base_url(visit.services, visit.request)
        if not share.permissions & PERMISSION_READ:
            return html_page(visit.view, title, drop_html(visit.say, share, folder, base), script=SCRIPT)
        return html_page(visit.view, title, sealed_html(visit.say, share, base))
    stored = visit.request.query_params.get("stored", "")
    count = min(_STORED_MAX, int(stored)) if stored.isascii() and stored.isdigit() and len(stored) < 5 else 0
    if not share.permissions & PERMISSION_READ:
        return html_page(visit.view, title, folder_html(visit.say, share, None, [], stored=count))
    node, children = await files.list_folder(visitor, path)
    return html_page(visit.view, title, folder_html(visit.say, share, node, children, stored=count))


def _refuse_encrypted(share: Share) -> None:
    """ForbiddenError for plain downloads and uploads of what only the devices of people can open and seal."""
    if share.is_encrypted:
        raise ForbiddenError("this folder is end-to-end encrypted, so the server can neither open nor seal its files")


async def _authenticate(visit: _Visit) -> Response:
    services, request, share = visit.services, visit.request, visit.share
    check_same_site(services, request, advice=LinkText.AGAIN)
    parameters = await read_parameters(request, bytes_max=_FORM_BYTES_MAX)
    address = request.client.host if request.client else ""
    await services.links.enter(share, SecretText(parameters.get("password", "")), address)
    answer = RedirectResponse(link_address(share), 303, {"Cache-Control": "no-store"})
    if share.password_hash is not None:
        answer.set_cookie(
            _COOKIE,
            await services.links.cookie(share),
            max_age=COOKIE_SECONDS,
            path=link_address(share),
            secure=base_url(services, request).startswith("https://"),
            httponly=True,
            samesite="lax",
        )
    return answer


async def _download(visit: _Visit) -> Response:
    services, share = visit.services, visit.share
    visitor = await visit.enter()
    if share.hide_download:
        raise ForbiddenError("this link shows names and gives no contents")
    _refuse_encrypted(share)
    node, parts = await services.files.open_file(visitor, visit.path)
    headers = {name.decode("ascii"): value.decode("latin-1") for name, value in file_headers(node)}
    headers["content-disposition"] = content_disposition(node.name)
    headers["cache-control"] = "no-store"
    condition = visit.request.headers.get("if-range", headers["etag"])
    try:
        wanted = visit.request.headers.get("range", "") if condition == headers["etag"] else ""
        chosen = parse_range(wanted, node.size_bytes)
    except LimitExceededError:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{node.size_bytes}"})
    start, stop = chosen or (0, node.size_bytes)
    headers["content-length"] = str(stop - start)
    if chosen is not None:
        headers["content-range"] = f"bytes {start}-{stop - 1}/{node.size_bytes}"
    status = 200 if chosen is None else 206
    if visit.request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    pieces = await begun(read_parts(services.backend.objects, parts, start=start, stop=stop))
    return StreamingResponse(_copied(pieces), status, headers)


async def _copied(pieces: AsyncIterator[bytes | memoryview]) -> AsyncIterator[bytes]:
    # The transport may keep a piece longer than the view of it is good.
    async for piece in pieces:
        yield bytes(piece)


async def _drop(visit: _Visit) -> Response:
    """A sealed body, or the entries of those that were stored: what the script of the page sends."""
    services, request, share = visit.services, visit.request, visit.share
    check_same_site(services, request, advice=LinkText.AGAIN)
    visitor = await visit.enter()
    if not share.is_encrypted or share.permissions & PERMISSION_READ:
        raise ForbiddenError("this link does not take sealed files here")
    name = request.path_params.get("name")
    if name is None:
        await store_entries(services, request, visitor)
    else:
        await store_sealed(services, request, visitor, str(name))
    return Response(status_code=201 if name else 204, headers={"Cache-Control": "no-store"})


async def _upload(visit: _Visit) -> Response:
    check_same_site(visit.services, visit.request, advice=LinkText.AGAIN)
    visitor, path = await visit.enter(), visit.path
    _refuse_encrypted(visit.share)
    reads = visit.share.permissions & PERMISSION_READ
    if not visit.share.permissions & PERMISSION_CREATE or (path and not reads):
        raise ForbiddenError("this link takes no uploads here")
    stored = await receive_form(visit.services, visit.request, visitor, path)
    address = link_address(visit.share, path=path)
    mark = "&" if "?" in address else "?"
    return RedirectResponse(f"{address}{mark}stored={stored}", 303, {"Cache-Control": "no-store"})
