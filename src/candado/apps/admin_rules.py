"""The page of access rules: what is in force, a change with its check, and a tester.

Layer: ``apps``. The form names the version that it changes. When somebody else was quicker, the page comes back with
both texts, so that nothing that either of them wrote is lost. Text with an error changes nothing.
"""

import mimetypes
from collections.abc import Sequence
from datetime import UTC, datetime

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from candado.apps.admin_frame import admin_page, admin_route
from candado.apps.html_build import Html, Part, joined, tag
from candado.apps.html_pages import good, problem, refused
from candado.apps.server_errors import fault_of
from candado.apps.server_wiring import Services
from candado.apps.signed_in import ADMIN, Visit, labelled, token_field
from candado.apps.texts import Speech
from candado.apps.texts.admin import AdminText
from candado.apps.texts.personal import PersonalText
from candado.apps.texts.rules import RuleText
from candado.errors import BadRequestError, NotFoundError, RulesChangedError, RulesInvalidError
from candado.formats.rules import Facts, Operation, RuleFinding, decide, parse_rules
from candado.server.accessrules import RulesVersion
from candado.server.browsers import Browser
from candado.server.groups import ADMIN_GROUP

__all__ = ["rules_routes"]

_HERE = f"{ADMIN}/rules"
_SIZE_DIGITS_MAX = 15


def rules_routes(services: Services) -> list[BaseRoute]:
    """All routes of this module."""
    return [
        Route(_HERE, admin_route(services, _show), methods=["GET"]),
        Route(_HERE, admin_route(services, _change), methods=["POST"]),
    ]


async def _show(visit: Visit, browser: Browser) -> Response:
    return await _page(visit, browser)


async def _change(visit: Visit, browser: Browser) -> Response:
    form, say = visit.parameters, visit.say
    text = form.get("text", "").replace("\r\n", "\n")
    try:
        if form.get("do") == "try":
            return await _page(visit, browser, tried=await _tried(visit, text))
        if form.get("do") != "store":
            return await _page(visit, browser, _findings(say, await visit.services.rules.lint(parse_rules(text))))
        if not await visit.password_is_right(browser):
            return await _page(visit, browser, problem(say(PersonalText.WRONG_PASSWORD)), code=403)
        await visit.services.rules.replace(
            text,
            expected=_version(form.get("version", "")),
            changed_by=browser.user_id,
            note=form.get("note", "").strip(),
            force=form.get("force") == "yes",
        )
    except RulesChangedError as error:
        conflict = problem(say(RuleText.CONFLICT, version=say.number(error.current)))
        return await _page(visit, browser, conflict, theirs=error, code=fault_of(error).status)
    except RulesInvalidError as error:
        told = joined(refused(visit.view, error), tag("p", say(RuleText.OLD_STAY)))
        return await _page(visit, browser, told, code=400)
    visit.parameters = {}
    return await _page(visit, browser, good(say(RuleText.STORED)))


def _version(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < _SIZE_DIGITS_MAX):
        raise BadRequestError("the form names no version")
    return int(text)


def _findings(say: Speech, findings: Sequence[RuleFinding]) -> Html:
    if not findings:
        return good(say(RuleText.GOOD))
    items = (tag("li", f"{one.severity}, {one.rule}: {one.message}", lang="en") for one in findings)
    return tag("div", tag("b", say(RuleText.FINDINGS)), tag("ul", *items), class_="warn", role="status")


async def _tried(visit: Visit, text: str) -> Html:
    """What the rules say of the case in the form."""
    say, decision = visit.say, decide(parse_rules(text), await _facts(visit))
    reported = None
    if decision.reported:
        ids = ", ".join(rule.id for rule in decision.reported)
        reported = tag("p", say(RuleText.REPORTED, rules=ids), class_="warn")
    if decision.denied is None:
        return joined(good(say(RuleText.ALLOWED)), reported)
    denied = say(RuleText.DENIED, rule=decision.denied.id, message=decision.denied.message)
    return joined(tag("p", denied, class_="bad", role="status"), reported)


async def _facts(visit: Visit) -> Facts:
    form = visit.parameters
    user = form.get("user", "").strip()
    groups: set[str] = set()
    if user:
        try:
            account = await visit.services.accounts.get(user)
        except NotFoundError as exc:
            raise RulesInvalidError("there is no such user", key="user") from exc
        groups = {*account.groups, *([ADMIN_GROUP] if account.is_admin else [])}
    try:
        operation = Operation(form.get("operation", "create"))
    except ValueError as exc:
        raise RulesInvalidError("there is no such operation", key="operation") from exc
    size, path = form.get("size", "").strip(), form.get("path", "").strip("/ ")
    if size and not (size.isascii() and size.isdigit() and len(size) <= _SIZE_DIGITS_MAX):
        raise RulesInvalidError("a size is a number of bytes", key="size")
    is_sealed = form.get("encrypted") == "yes"
    return Facts(
        operation=operation,
        moment=datetime.fromtimestamp(visit.services.backend.clock.now(), UTC),
        names=None if is_sealed or not path else tuple(path.split("/")),
        media_type=None if is_sealed or not path else mimetypes.guess_type(path)[0],
        size_bytes=int(size) if size else None,
        address=form.get("address", "").strip(),
        url="/remote.php/dav/files/" + f"{user}/{path}" if path else "",
        user_agent=form.get("agent", "").strip(),
        user_id=user or None,
        groups=frozenset(groups),
        encrypted=is_sealed,
        link=not user,
        device_known=form.get("device") == "yes",
    )


# --- the page ----------------------------------------------------------------------------------------------


async def _page(
    visit: Visit,
    browser: Browser,
    said: Part = None,
    *,
    tried: Part = None,
    theirs: RulesChangedError | None = None,
    code: int = 200,
) -> Response:
    say, rules = visit.say, visit.services.rules
    current = await rules.document()
    # A check or a try keeps the version that the text came from; after a conflict it is the one that was shown.
    based_on = str(current.version) if theirs else visit.parameters.get("version", str(current.version))
    form = tag(
        "form",
        token_field(browser),
        tag("input", type="hidden", name="version", value=based_on),
        _document(visit, current, theirs),
        tag("h2", say(RuleText.TESTER)),
        tag("p", say(RuleText.TESTER_INTRO)),
        tried,
        _tester(visit),
        method="post",
        action=_HERE,
        class_="wide",
    )
    inner = joined(
        tag("p", say(RuleText.INTRO)),
        tag("p", _in_force(say, current)),
        said,
        form,
        _history(say, await rules.history(count_max=20)),
    )
    return admin_page(visit, say.plain(AdminText.RULES), inner, here=_HERE, code=code)


def _in_force(say: Speech, current: RulesVersion) -> Html:
    if current.version == 0:
        return say(RuleText.NEVER)
    who = current.changed_by or say(RuleText.OPERATOR)
    return say(RuleText.IN_FORCE, version=say.number(current.version), at=say.time(current.changed_at), who=who)


def _document(visit: Visit, current: RulesVersion, theirs: RulesChangedError | None) -> Html:
    say, form = visit.say, visit.parameters
    text = form.get("text", current.text).replace("\r\n", "\n")
    other = None
    if theirs is not None:
        title = say(RuleText.THEIRS, version=say.number(theirs.current))
        other = joined(tag("h2", title), tag("pre", theirs.text, class_="code"))
    return joined(
        tag("label", say(RuleText.DOCUMENT), for_="text"),
        # A parser of HTML takes one line feed away.
        tag("textarea", "\n" + text, id="text", name="text", spellcheck="false", rows=16),
        tag("label", say(RuleText.NOTE), for_="note"),
        tag("input", id="note", name="note", value=form.get("note", ""), maxlength=500, autocomplete="off"),
        tag("label", tag("input", type="checkbox", name="force", value="yes", id="force"), say(RuleText.FORCE)),
        tag("label", say(RuleText.PASSWORD), for_="password"),
        tag("input", id="password", name="password", type="password", autocomplete="current-password"),
        tag(
            "div",
            tag("button", say(RuleText.CHECK), type="submit", name="do", value="check"),
            " ",
            tag("button", say(RuleText.STORE), type="submit", name="do", value="store"),
        ),
        other,
    )


def _tester(visit: Visit) -> Html:
    say, form = visit.say, visit.parameters
    chosen = form.get("operation", "create")
    options = (tag("option", one.value, value=one.value, selected=one.value == chosen) for one in Operation)
    fields = (
        ("user", RuleText.USER), ("path", RuleText.PATH), ("size", RuleText.SIZE), ("address", RuleText.ADDRESS),
        ("agent", RuleText.AGENT),
    )  # fmt: skip
    choice = joined(
        tag("label", say(RuleText.OPERATION), for_="operation"),
        tag("select", *options, id="operation", name="operation"),
    )
    shown = [choice]
    shown += [
        labelled(say(text), name, required=False, value=form.get(name, ""), autocomplete="off") for name, text in fields
    ]
    boxes = (("encrypted", RuleText.ENCRYPTED), ("device", RuleText.DEVICE))
    return joined(
        tag("div", *(tag("div", field) for field in shown), class_="grid"),
        *(
            tag(
                "label",
                tag("input", type="checkbox", name=name, value="yes", checked=form.get(name) == "yes"),
                say(text),
            )
            for name, text in boxes
        ),
        tag("button", say(RuleText.TRY), type="submit", name="do", value="try"),
    )


def _history(say: Speech, versions: Sequence[RulesVersion]) -> Html:
    items = [
        say(
            RuleText.HISTORY_ROW,
            version=say.number(one.version),
            at=say.time(one.changed_at),
            who=one.changed_by or say(RuleText.OPERATOR),
            note=one.note,
        )
        for one in versions[1:]
    ]
    if not items:
        return Html()
    return joined(tag("h2", say(RuleText.HISTORY)), tag("ul", *(tag("li", item) for item in items)))
