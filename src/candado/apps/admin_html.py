"""What administrators see of the server, its users, groups and locks, as HTML.

Layer: ``apps``; pure.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from candado.apps.admin_frame import act_link
from candado.apps.html_build import Html, Part, joined, tag
from candado.apps.personal_html import facts, fingerprint_html, grid
from candado.apps.signed_in import ADMIN
from candado.apps.texts import Speech, Text
from candado.apps.texts.admin import AdminText, AuthorityText, UserText
from candado.server.accounts import Account
from candado.server.devices import Device
from candado.server.groups import Group
from candado.server.invitations import Invitation
from candado.server.model import Quota
from candado.server.overview import HeldLock, Overview
from candado.server.personal import OwnKeys

__all__ = ["UserRow", "acts_html", "groups_html", "locks_html", "overview_html", "user_html", "users_html"]

UserRow = tuple[Account, Quota, OwnKeys]
_USERS: Final = f"{ADMIN}/users"


def overview_html(say: Speech, numbers: Overview, warnings: Sequence[str], *, recovery: Part) -> Html:
    """Numbers, and what needs somebody."""
    cards = (
        (numbers.users, AdminText.N_USERS),
        (numbers.disabled, AdminText.N_DISABLED),
        (numbers.with_keys, AdminText.N_KEYS),
        (numbers.without_keys, AdminText.N_NO_KEYS),
        (numbers.devices, AdminText.N_DEVICES),
        (numbers.encrypted_folders, AdminText.N_FOLDERS),
        (numbers.locks, AdminText.N_LOCKS),
        (numbers.key_requests, AdminText.N_REQUESTS),
    )
    shown = [tag("li", tag("b", say.number(count)), say(text)) for count, text in cards]
    tasks: list[Html] = []
    if "authority.software" in warnings:
        tasks.append(tag("p", say(AuthorityText.SOFTWARE), class_="bad"))
    if numbers.key_requests:
        tasks.append(tag("p", tag("a", say(AdminText.WAITING), href=f"{ADMIN}/authority"), class_="warn"))
    if numbers.without_keys:
        tasks.append(tag("p", say(AdminText.NO_KEYS_YET), class_="warn"))
    return joined(
        tag("h2", say(AdminText.ATTENTION)),
        recovery,
        *(tasks or [tag("p", say(AdminText.NOTHING))]),
        tag("h2", say(AdminText.NUMBERS)),
        tag("ul", *shown, class_="cards"),
        tag("p", say(AdminText.SERVER_SEES), class_="soft"),
    )


def acts_html(say: Speech, acts: Iterable[Html]) -> Html:
    """Ways to acts, each on a line."""
    return joined(tag("h2", say(AdminText.ACTION)), tag("ul", *(tag("li", act) for act in acts)))


# --- users -------------------------------------------------------------------------------------------------


def users_html(say: Speech, rows: Sequence[UserRow], *, search: str, more: str) -> Html:
    """A page of users; ``more`` is the address of the next one, empty at the end."""
    form = tag(
        "form",
        tag("label", say(UserText.SEARCH), for_="search"),
        tag("input", id="search", name="search", value=search, type="search"),
        tag("button", say(UserText.FIND), type="submit"),
        method="get",
        action=_USERS,
        role="search",
    )
    heads = [say.plain(text) for text in (UserText.NAME, UserText.STATE, UserText.SPACE, UserText.KEYS)]
    table = grid(heads, (_user_row(say, row) for row in rows), name=say.plain(AdminText.USERS))
    return joined(
        tag("p", act_link(say, "invite")),
        form,
        table if rows else tag("p", say(UserText.NONE)),
        tag("p", tag("a", say(UserText.NEXT), href=more)) if more else None,
    )


def _user_row(say: Speech, row: UserRow) -> tuple[Part, ...]:
    account, quota, keys = row
    link = tag("a", account.user_id, href=_address(account.user_id))
    shown = account.display_name
    name = joined(link, tag("br"), tag("span", shown, class_="soft")) if shown != account.user_id else link
    return name, _state(say, account), _space(say, quota), say(_keys_state(keys))


def _address(user_id: str) -> str:
    from urllib.parse import quote

    return f"{_USERS}/{quote(user_id, safe='@', errors='replace')}"


def _state(say: Speech, account: Account) -> Html:
    state = say(UserText.ENABLED if account.enabled else UserText.DISABLED)
    return joined(state, ", ", say(UserText.ADMIN)) if account.is_admin else state


def _space(say: Speech, quota: Quota) -> Html:
    used = say.size(quota.used_bytes)
    if quota.total_bytes is None:
        return say(UserText.SPACE_ALL, used=used)
    return say(UserText.SPACE_OF, used=used, total=say.size(quota.total_bytes))


def _keys_state(keys: OwnKeys) -> Text:
    if keys.is_revoked:
        return UserText.REVOKED_KEYS
    if keys.certificate is not None and keys.has_private_key:
        return UserText.HAS_KEYS
    return UserText.HALF_KEYS if keys.certificate is not None or keys.has_private_key else UserText.NO_KEYS


def user_html(say: Speech, row: UserRow, devices: Sequence[Device], invitation: Invitation | None) -> Html:
    """One user, and all that can be done."""
    account, quota, keys = row
    user, dash = account.user_id, say(UserText.DASH)
    pairs: list[tuple[Part, Part]] = [
        (say(UserText.DISPLAY_NAME), account.display_name),
        (say(UserText.STATE), _state(say, account)),
        (say(UserText.EMAIL), account.email or dash),
        (say(UserText.IN_GROUPS), ", ".join(account.groups) or dash),
        (say(UserText.SPACE), _space(say, quota)),
        (say(UserText.CREATED), say.time(account.created_at)),
        (say(UserText.DEVICES), ", ".join(device.label for device in devices) or dash),
        (say(UserText.KEYS), say(_keys_state(keys))),
    ]
    if invitation is not None:
        waits = say(UserText.INVITED_UNTIL, end=say.time(invitation.expires_at))
        pairs.append((say(UserText.INVITED), waits))
    acts = ["quota", "reset", "join"]
    acts += ["leave"] if account.groups else []
    acts += ["sign-out"] if devices else []
    acts += ["demote" if account.is_admin else "promote", "disable" if account.enabled else "enable"]
    acts += ["revoke"] if keys.certificate is not None and not keys.is_revoked else []
    key = None
    if keys.certificate is not None:
        words = fingerprint_html(keys.certificate.public_key.fingerprint_hex)
        key = joined(tag("h2", say(UserText.FINGERPRINT)), words)
    return joined(facts(*pairs), key, acts_html(say, (act_link(say, act, user) for act in [*acts, "delete"])))


# --- groups and locks --------------------------------------------------------------------------------------


def groups_html(say: Speech, groups: Sequence[Group]) -> Html:
    """All groups with their members."""
    heads = [say.plain(text) for text in (AdminText.GROUP, AdminText.MEMBERS, AdminText.ACTION)]
    rows = (
        (group.name, _members(group), act_link(say, "group-delete", group.name, name=group.name)) for group in groups
    )
    table = grid(heads, rows, name=say.plain(AdminText.GROUPS))
    return joined(tag("p", act_link(say, "group-add")), table if groups else tag("p", say(AdminText.NO_GROUPS)))


def _members(group: Group) -> Html:
    return joined(*(tag("a", user, href=_address(user)) for user in group.members), between=", ")


def locks_html(say: Speech, locks: Sequence[HeldLock], now: float, *, ttl_seconds: float) -> Html:
    """Who is writing where."""
    heads = (
        AdminText.FOLDER, AdminText.OWNER, AdminText.HOLDER, AdminText.SINCE, AdminText.IDLE, AdminText.STAGED,
        AdminText.ACTION,
    )  # fmt: skip
    rows = (
        (
            lock.folder_name,
            lock.owner,
            lock.holder or say(AdminText.A_LINK),
            say.time(lock.begun_at),
            say(AdminText.AGO, count=say.number(max(0, int(now - lock.renewed_at)))),
            say.size(lock.staged_bytes),
            act_link(say, "release", lock.session, name=lock.folder_name),
        )
        for lock in locks
    )
    table = grid([say.plain(head) for head in heads], rows, name=say.plain(AdminText.LOCKS))
    intro = say(AdminText.LOCKS_INTRO, minutes=say.number(max(1, round(ttl_seconds / 60))))
    return joined(tag("p", intro), table if locks else tag("p", say(AdminText.NO_LOCKS)))
