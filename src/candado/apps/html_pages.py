"""The few pages of the server: plain HTML that loads nothing; all but one work without a script.

Layer: ``apps``. The policy allows one style sheet, by its hash, and forms that go back to this server. Everything that
is not ours is escaped by who puts it in.
"""

import base64
import hashlib
from datetime import UTC, datetime
from html import escape
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from candado.apps.ocs_call import base_url
from candado.apps.server_wiring import Services
from candado.errors import ForbiddenError

__all__ = ["check_same_site", "content_disposition", "html_page", "problem", "shown_time"]

_STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 sans-serif;max-width:46em;margin:3em auto;padding:0 1em;color:#1a1a1a;background:#fff;"
    "overflow-wrap:anywhere}"
    "label{display:block;margin:1em 0 .2em}input{width:100%;box-sizing:border-box;padding:.5em;font:inherit}"
    "button{margin-top:1.5em;padding:.6em 1.5em;font:inherit}.bad{border-left:.3em solid #b00020;padding-left:.7em}"
    ".good{border-left:.3em solid #1b6e3c;padding-left:.7em}form{max-width:26em}.note{white-space:pre-wrap}"
    "table{width:100%;border-collapse:collapse}th,td{text-align:left;padding:.3em .6em .3em 0}"
    "tr{border-bottom:1px solid #ccc}.size{text-align:right;white-space:nowrap}"
    "td a{display:inline-block;padding:.3em 0}.rows{list-style:none;padding:0}.rows li{border-bottom:1px solid #ccc;"
    "padding:.6em 0}.rows p{margin:.2em 0 .6em}.rows form{display:inline-block;margin-right:1em}"
    ".rows button{margin:0;padding:.3em .8em}.rows a{display:inline-block;padding:.3em 0}"
    ":focus-visible{outline:.2em solid #0b57d0;outline-offset:.1em}"
    "@media(prefers-color-scheme:dark){body{color:#e8e8e8;background:#141414}tr,.rows li{border-color:#555}"
    ".bad{border-color:#ff8a80}.good{border-color:#81c995}:focus-visible{outline-color:#8ab4f8}}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
_HEADERS: Final = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "Cache-Control": "no-store",
}


def html_page(title: str, inner: str, code: int = 200, *, script: str = "") -> Response:
    """A page with a heading; ``inner`` is HTML, ``title`` text, ``script`` one of ours that talks to nobody else."""
    body = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{inner}</main>{f'<script>{script}</script>' if script else ''}"
        "</body></html>"
    )
    headers = dict(_HEADERS)
    if script:
        allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
        headers["Content-Security-Policy"] += f"; script-src 'sha256-{allowed}'; connect-src 'self'"
    return Response(body.encode("utf-8", "replace"), code, headers, "text/html; charset=utf-8")


def problem(message: str, advice: str = "") -> str:
    """A sentence that went wrong, as HTML, and one on what to do."""
    return f'<p class="bad" role="alert">{escape(message)}</p>' + (f"<p>{escape(advice)}</p>" if advice else "")


def check_same_site(services: Services, request: Request, *, advice: str) -> None:
    """ForbiddenError when a form was sent from a page of another site."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    host = urlsplit(base_url(services, request)).netloc
    foreign = origin not in (None, "null") and urlsplit(origin or "").netloc != host
    if site not in (None, "same-origin", "none") or (foreign and site is None):
        raise ForbiddenError("this form was sent from another site", advice=advice)


def shown_time(seconds: float) -> str:
    """A time since the epoch for people, in UTC; empty for one that no calendar has."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return ""


def content_disposition(name: str) -> str:
    """The header value that saves a body under a name (RFC 6266): nothing in the name can end the value."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in " ._-") else "_" for c in name)
    encoded = quote(name, safe="", errors="replace")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
