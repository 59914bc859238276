"""The page of the audit log: a list with filters, and what the script needs that verifies it in the browser.

Layer: ``apps``. The list works without a script. A filter looks at so many records at once and no more; "older" goes
on from there, so that no request reads the whole log.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from candado.apps.admin_frame import admin_page, admin_route
from candado.apps.audit_script import VERIFY_SCRIPT
from candado.apps.html_build import Html, joined, tag
from candado.apps.plain_routes import json_answer
from candado.apps.server_wiring import Services
from candado.apps.signed_in import ADMIN, Visit, labelled
from candado.apps.texts import Speech
from candado.apps.texts.admin import AdminText
from candado.apps.texts.audit import AuditText, VerifyText
from candado.crypto.rsa import PublicKey
from candado.crypto.x509 import fingerprint_grouped
from candado.encoding import encode_b64
from candado.errors import BadRequestError, NotFoundError
from candado.server.audit import user_ref
from candado.server.auditlog import opaque
from candado.server.browsers import Browser

__all__ = ["Filter", "audit_routes"]

_HERE: Final = f"{ADMIN}/audit"
_SHOWN: Final = 50
_BLOCK: Final = 500
_BLOCKS: Final = 10
_ID: Final = re.compile(r"(u|g|n|sh|k|d):[0-9A-Za-z]{1,128}|operator|server|nobody")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_STYLES: Final = dict.fromkeys(("seq", "time", "event", "outcome"), "code")
_OUTCOMES: Final = ("done", "refused", "failed", "intent")


def audit_routes(services: Services) -> list[BaseRoute]:
    """All routes of this module."""
    return [
        Route(_HERE, admin_route(services, _show), methods=["GET"]),
        Route(f"{_HERE}/proofs", admin_route(services, _proofs, for_script=True), methods=["GET"]),
    ]


@dataclass(frozen=True, slots=True)
class Filter:
    """What of the log is shown; empty members fit everything. ``who`` is an opaque id, days are ``2026-01-31``."""

    kind: str = ""
    who: str = ""
    outcome: str = ""
    first_day: str = ""
    last_day: str = ""

    def fits(self, record: dict[str, Any]) -> bool:
        """Whether a record is shown."""
        day = str(record["time"])[:10]
        named = (record["actor"], record["device"], record["target"], *record["details"].values())
        return (
            str(record["event"]).startswith(self.kind)
            and (not self.who or self.who in named)
            and self.outcome in ("", record["outcome"])
            and (not self.first_day or day >= self.first_day)
            and (not self.last_day or day <= self.last_day)
        )


async def _filter(visit: Visit) -> Filter:
    given = {name: value.strip() for name, value in visit.request.query_params.items()}
    who = given.get("who", "")
    if who and not _ID.fullmatch(who):
        who = opaque(await visit.services.audit_log.salt(), user_ref(who))
    outcome, first, last = given.get("outcome", ""), given.get("from", ""), given.get("to", "")
    return Filter(
        given.get("kind", ""),
        who,
        outcome if outcome in _OUTCOMES else "",
        first if _DAY.fullmatch(first) else "",
        last if _DAY.fullmatch(last) else "",
    )


def _number(text: str, default: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else default


async def _show(visit: Visit, browser: Browser) -> Response:
    del browser
    services, say = visit.services, visit.say
    wanted = await _filter(visit)
    head = await services.audit.records(0, 1)
    size = head.size
    before = min(size, _number(visit.request.query_params.get("before", ""), size))
    found, before = await _look_back(services, wanted, before)
    try:
        signed: int | None = (await services.audit.checkpoint())[0]
    except NotFoundError:
        signed = None
    counted = say.number(size)
    state = (
        say(AuditText.NO_CHECKPOINT, count=counted)
        if signed is None
        else say(AuditText.SIZE, count=counted, signed=say.number(signed))
    )
    key = PublicKey.from_pem(services.pki.server_key_pem).fingerprint_hex
    inner = joined(
        tag("p", say(AuditText.INTRO)),
        tag("p", state),
        _form(visit),
        _verifier(say, key) if found and signed is not None else None,
        tag("h2", say(AuditText.EVENTS)),
        _table(say, found) if found else tag("p", say(AuditText.NONE)),
        tag("p", tag("a", say(AuditText.OLDER), href=_older(visit, before))) if before else None,
    )
    script = VERIFY_SCRIPT if found and signed is not None else ""
    return admin_page(visit, say.plain(AdminText.AUDIT), inner, here=_HERE, script=script)


async def _look_back(services: Services, wanted: Filter, before: int) -> tuple[list[tuple[int, str]], int]:
    """Records that fit, the newest first, from below ``before`` on; and where to go on, 0 at the end."""
    found: list[tuple[int, str]] = []
    for _ in range(_BLOCKS):
        if before == 0:
            break
        start = max(0, before - _BLOCK)
        page = await services.audit.records(start, before - start)
        for sequence, line in reversed(page.records):
            if sequence < before and wanted.fits(json.loads(line)):
                found.append((sequence, line))
                if len(found) == _SHOWN:
                    return found, sequence
        before = start
    return found, before


def _older(visit: Visit, before: int) -> str:
    kept = {name: value for name, value in visit.request.query_params.items() if name not in ("before", "lang")}
    return f"{_HERE}?{urlencode({**kept, 'before': before}, errors='replace')}"


def _form(visit: Visit) -> Html:
    say, given = visit.say, visit.request.query_params
    outcome = given.get("outcome", "")
    options = [tag("option", say(AuditText.ANY), value="")]
    options += [tag("option", one, value=one, selected=one == outcome) for one in _OUTCOMES]
    texts = (
        ("kind", AuditText.KIND, "text"),
        ("who", AuditText.WHO, "text"),
        ("from", AuditText.FROM, "date"),
        ("to", AuditText.TO, "date"),
    )
    fields = [
        labelled(say(text), name, required=False, value=given.get(name, ""), type=kind, autocomplete="off")
        for name, text, kind in texts
    ]
    choice = tag("select", *options, id="outcome", name="outcome")
    fields.append(joined(tag("label", say(AuditText.OUTCOME), for_="outcome"), choice))
    return tag(
        "form",
        tag("div", *(tag("div", field) for field in fields), class_="grid"),
        tag("button", say(AuditText.FILTER), type="submit"),
        method="get",
        action=_HERE,
        role="search",
        class_="wide",
    )


def _table(say: Speech, found: list[tuple[int, str]]) -> Html:
    members = (
        (AuditText.NUMBER, "seq"), (AuditText.TIME, "time"), (AuditText.EVENT, "event"), (AuditText.ACTOR, "actor"),
        (AuditText.TARGET, "target"), (AuditText.OUTCOME, "outcome"),
    )  # fmt: skip
    titles = [*(say.plain(text) for text, _ in members), say.plain(AuditText.RECORD)]
    rows: list[Html] = []
    for sequence, line in found:
        record = json.loads(line)
        cells = [
            tag(
                "td",
                tag("span", str(record[member]), data_member=member, class_=_STYLES.get(member)),
                data_label=title,
                class_="ids" if member in ("actor", "target") else None,
            )
            for title, (_, member) in zip(titles, members, strict=False)
        ]
        whole = tag("details", tag("summary", say(AuditText.WHOLE)), tag("code", line, data_seq=sequence))
        rows.append(tag("tr", *cells, tag("td", whole, data_label=titles[-1])))
    head = tag("tr", *(tag("th", title, scope="col") for title in titles))
    return tag("table", tag("thead", head), tag("tbody", *rows), class_="wide", aria_label=say.plain(AdminText.AUDIT))


def _verifier(say: Speech, key_hex: str) -> Html:
    return joined(
        tag("h2", say(AuditText.VERIFY)),
        tag("p", say(AuditText.VERIFY_INTRO)),
        tag("p", say(AuditText.KEY), ": ", tag("code", fingerprint_grouped(key_hex))),
        tag(
            "form",
            tag("button", say(AuditText.VERIFY), type="submit"),
            id="verify",
            hidden=True,
            data_proofs=f"{_HERE}/proofs",
            data_texts=json.dumps({text.name: say.plain(text) for text in VerifyText}),
        ),
        tag("noscript", tag("p", say(AuditText.NO_SCRIPT))),
        tag("p", id="said", role="status"),
    )


async def _proofs(visit: Visit, browser: Browser) -> Response:
    """What the script needs: the newest checkpoint, the key, a proof for each line, and one that the log grew."""
    del browser
    given = visit.request.query_params
    asked = given.get("lines", "").split(",")
    lines = [_number(text, -1) for text in asked]
    if len(lines) > _SHOWN or min(lines) < 0:
        raise BadRequestError(f"at most {_SHOWN} numbers of lines are taken")
    found = await visit.services.audit.inclusions(lines, _number(given.get("known", ""), 0))
    key = PublicKey.from_pem(visit.services.pki.server_key_pem)
    return json_answer(
        {
            "note": found.checkpoint,
            "key": encode_b64(key.spki_der),
            "proofs": {str(line): [encode_b64(one) for one in proof] for line, proof in found.proofs.items()},
            "consistency": [encode_b64(one) for one in found.consistency],
        }
    )
