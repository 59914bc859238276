"""The pages of the server: plain HTML that loads nothing; all but two work without a script.

Layer: ``apps``. The policy allows one style sheet, by its hash, and forms that go back to this server. A page has the
language that was chosen on another page, which a cookie remembers, else the one that the browser asks for.
"""

import base64
import hashlib
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from candado.apps.html_build import NOTHING, Html, Part, joined, tag
from candado.apps.ocs_call import base_url
from candado.apps.server_wiring import Services
from candado.apps.texts import LANGUAGES, Language, Speech, Text, choose_language, language_of
from candado.apps.texts.common import REFUSALS, Common, Refusal
from candado.errors import CandadoError, ForbiddenError

__all__ = ["View", "check_same_site", "content_disposition", "good", "html_page", "problem", "refused", "view_of"]

_LANGUAGE_COOKIE: Final = "candado_language"
_LANGUAGE_SECONDS: Final = 365 * 86_400
_STYLE: Final = (
    ":root{color-scheme:light dark;--text:#1a1a1a;--soft:#555;--back:#fff;--card:#f4f5f7;--line:#ccc;--link:#0b57d0;"
    "--bad:#b00020;--good:#1b6e3c;--warn:#8a5a00}"
    "@media(prefers-color-scheme:dark){:root{--text:#e8e8e8;--soft:#b5b5b5;--back:#141414;--card:#202124;--line:#555;"
    "--link:#8ab4f8;--bad:#ff8a80;--good:#81c995;--warn:#fdd663}}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46em;margin:2em auto;padding:0 1em;color:var(--text);"
    "background:var(--back);overflow-wrap:anywhere}body.wide{max-width:64em}a{color:var(--link)}"
    "h1{font-size:1.7em;line-height:1.25;margin:.8em 0 .6em}h2{font-size:1.2em;margin:2em 0 .5em}h1,h2{hyphens:auto}"
    "label{display:block;margin:1em 0 .2em}"
    "input,select,textarea{width:100%;box-sizing:border-box;padding:.5em;font:inherit}"
    "input[type=checkbox],input[type=radio]{width:auto;margin-right:.5em}textarea{font-family:monospace;min-height:18em}"
    "button{margin-top:1.5em;padding:.6em 1.5em;font:inherit}form{max-width:26em}form.wide{max-width:none}"
    ".bad,.good,.warn{border-left:.3em solid var(--bad);padding:.1em 0 .1em .7em}.good{border-color:var(--good)}"
    ".warn{border-color:var(--warn)}.note{white-space:pre-wrap}.soft{color:var(--soft)}pre{white-space:pre-wrap}"
    "code,.code{font-family:monospace;font-size:.95em}"
    "table{width:100%;border-collapse:collapse}th,td{text-align:left;vertical-align:top;padding:.4em .8em .4em 0}"
    "tr{border-bottom:1px solid var(--line)}.size{text-align:right;white-space:nowrap}"
    "td a{display:inline-block;padding:.2em 0}.rows{list-style:none;padding:0}"
    ".rows li{border-bottom:1px solid var(--line);padding:.6em 0}.rows p{margin:.2em 0 .6em}"
    ".rows form,.row form{display:inline-block;margin-right:1em}.rows button,.row button{margin:0;padding:.3em .8em}"
    ".rows a,.row a{display:inline-block;padding:.3em 0;margin-right:1em}"
    ".facts{display:grid;grid-template-columns:minmax(8em,max-content) 1fr;gap:.4em 1.5em;margin:1em 0}"
    ".facts dt{color:var(--soft)}.facts dd{margin:0}"
    ".cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(11em,1fr));gap:1em;list-style:none;padding:0}"
    ".cards li{background:var(--card);border-radius:.5em;padding:.8em 1em}.cards b{display:block;font-size:1.5em}"
    ".grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(15em,1fr));gap:0 1.5em;align-items:end}"
    ".dense{font-size:.85em}.dense .code{white-space:nowrap}.dense td.ids{font-family:monospace;font-size:.9em}"
    ".words{font:1.1em/1.8 monospace;background:var(--card);border-radius:.5em;padding:.8em 1em}"
    ".qr{background:#fff;padding:1em;display:inline-block;border-radius:.5em}"
    ".qr svg{display:block;width:11em;height:11em}"
    ".tabs{border-bottom:1px solid var(--line);padding-bottom:.4em}.tabs a{display:inline-block;padding:.3em 0;"
    "margin-right:1.2em}.tabs [aria-current]{color:inherit;font-weight:bold;text-decoration:none}"
    "footer{margin-top:4em;padding-top:.6em;border-top:1px solid var(--line);color:var(--soft)}"
    "footer a{display:inline-block;padding:.3em 0;margin-right:1em}"
    ".skip{position:absolute;left:-99em}.skip:focus{position:static}"
    ":focus-visible{outline:.2em solid var(--link);outline-offset:.1em}"
    "@media(max-width:40em){h1{font-size:1.4em}.facts{grid-template-columns:1fr;gap:0}.facts dd{margin-bottom:.8em}"
    "table.wide thead{position:absolute;left:-99em}table.wide td{display:block;padding:.1em 0}"
    "table.wide td[data-label]::before{content:attr(data-label) ': ';color:var(--soft)}table.wide tr{display:block;"
    "padding:.6em 0}}"
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


@dataclass(frozen=True, slots=True)
class View:
    """How a page is shown to who asked for it.

    ``address`` is that of the page, for a change of the language; empty where there is none to go back to. ``chosen``
    says that the language was chosen with this request.
    """

    say: Speech
    address: str
    chosen: bool

    @property
    def language(self) -> Language:
        """The language of the page."""
        return self.say.language


def view_of(request: Request, *, switch: bool = True) -> View:
    """The language of a request; without ``switch`` the page offers no other, as it would lose what follows a #."""
    named = language_of(request.query_params.get("lang"))
    kept = language_of(request.cookies.get(_LANGUAGE_COOKIE))
    language = named or kept or choose_language(request.headers.get("accept-language", ""))
    others = [(name, value) for name, value in request.query_params.multi_items() if name not in ("lang", "done")]
    query = "".join(
        f"{quote(name, safe='', errors='replace')}={quote(value, safe='', errors='replace')}&" for name, value in others
    )
    address = f"{quote(request.url.path, errors='replace')}?{query}" if switch and request.method != "POST" else ""
    return View(Speech(language), address, named is not None)


def html_page(
    view: View,
    title: str,
    inner: Part,
    code: int = 200,
    *,
    script: str = "",
    tabs: Part = None,
    wide: bool = False,
) -> Response:
    """A page with a heading; ``script`` is one of ours that talks to nobody else, ``tabs`` what stands above."""
    main = tag("main", tag("h1", title), inner, id="content")
    skip = None if tabs is None else tag("a", view.say(Common.SKIP), class_="skip", href="#content")
    head = joined(
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width,initial-scale=1"),
        tag("title", title),
        tag("style", Html(_STYLE)),
    )
    run = tag("script", Html(script)) if script else None
    body = tag("body", skip, tabs, main, _languages(view), run, class_="wide" if wide else None)
    text = joined(Html("<!DOCTYPE html>"), tag("html", tag("head", head), body, lang=view.language))
    headers = dict(_HEADERS) | {"Content-Language": view.language}
    if script:
        allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
        headers["Content-Security-Policy"] += f"; script-src 'sha256-{allowed}'; connect-src 'self'"
    answer = Response(text.encode("utf-8", "replace"), code, headers, "text/html; charset=utf-8")
    if view.chosen:
        answer.set_cookie(
            _LANGUAGE_COOKIE, view.language, max_age=_LANGUAGE_SECONDS, path="/", httponly=True, samesite="lax"
        )
    return answer


def _languages(view: View) -> Html:
    if not view.address:
        return NOTHING
    links = [
        tag("a", name, href=f"{view.address}lang={code}", hreflang=code, lang=code)
        for code, name in LANGUAGES.items()
        if code != view.language
    ]
    return tag("footer", tag("nav", *links, aria_label=view.say(Common.LANGUAGES)))


def problem(message: Part, advice: Part = None) -> Html:
    """A sentence that went wrong, and one on what to do."""
    return joined(tag("p", message, class_="bad", role="alert"), tag("p", advice) if advice else None)


def good(message: Part) -> Html:
    """A sentence that something was done."""
    return tag("p", message, class_="good", role="status")


def refused(view: View, error: CandadoError, advice: Part = None) -> Html:
    """An error for people; errors are in English, so others read first what kind it is."""
    if view.language == "en":
        return problem(error.message, advice)
    kind = view.say(REFUSALS.get(error.code, Refusal.OTHER))
    return joined(
        problem(kind), tag("p", error.message, lang="en", class_="soft"), tag("p", advice) if advice else None
    )


def check_same_site(services: Services, request: Request, *, advice: Text) -> None:
    """ForbiddenError when a form was sent from a page of another site."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    host = urlsplit(base_url(services, request)).netloc
    foreign = origin not in (None, "null") and urlsplit(origin or "").netloc != host
    if site not in (None, "same-origin", "none") or (foreign and site is None):
        raise ForbiddenError("this form was sent from another site", advice=advice.plain("en"))


def content_disposition(name: str) -> str:
    """The header value that saves a body under a name (RFC 6266): nothing in the name can end the value."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in " ._-") else "_" for c in name)
    encoded = quote(name, safe="", errors="replace")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
