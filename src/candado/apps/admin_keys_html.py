"""What administrators see of the authority, of new keys that wait, and of the recovery key, as HTML.

Layer: ``apps``; pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from candado.apps.admin_frame import act_link
from candado.apps.html_build import Html, Part, joined, tag
from candado.apps.personal_html import facts, fingerprint_html, grid
from candado.apps.texts import Speech
from candado.apps.texts.admin import AuthorityText, RecoveryText
from candado.folder.orgtrust import VerifiedPolicy
from candado.server.approvals import KeyRequest
from candado.server.model import shown_holder
from candado.server.pki import CertificateRecord

__all__ = ["AuthorityState", "authority_html", "recovery_html"]

_SHOWN_MAX: Final = 200
_SOON_SECONDS: Final = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class AuthorityState:
    """What is known of the authority's key; ``fault`` is why it does not sign, empty when it does.

    ``place`` is empty for a key in a file; ``token`` are the facts of the module.
    """

    fingerprint_hex: str
    place: str
    fault: str
    token: Mapping[str, str]


def authority_html(
    say: Speech,
    state: AuthorityState,
    requests: Sequence[KeyRequest],
    records: Sequence[CertificateRecord],
    *,
    needed: int,
    now: float,
) -> Html:
    """State of the key, keys that wait, certificates."""
    kind = say(AuthorityText.ON_TOKEN, place=state.place) if state.place else say(AuthorityText.IN_FILE)
    signs = say(AuthorityText.SIGNS_NOT, reason=state.fault) if state.fault else say(AuthorityText.SIGNS_NOW)
    waiting = [one for one in requests if one.outcome == "open"]
    return joined(
        tag("p", say(AuthorityText.SOFTWARE), class_="bad") if not state.place else None,
        tag("h2", say(AuthorityText.STATE)),
        facts(
            (say(AuthorityText.KIND), kind),
            *((name, value) for name, value in state.token.items()),
            (say(AuthorityText.SIGNS), signs),
        ),
        fingerprint_html(state.fingerprint_hex),
        tag("h2", say(AuthorityText.REQUESTS)),
        _requests(say, waiting, needed),
        tag("h2", say(AuthorityText.CERTIFICATES)),
        _certificates(say, records, now) if records else tag("p", say(AuthorityText.CERTIFICATES_NONE)),
    )


def _requests(say: Speech, waiting: Sequence[KeyRequest], needed: int) -> Html:
    intro = say(AuthorityText.REQUESTS_INTRO, count=say.number(needed)) if needed else say(AuthorityText.REQUESTS_OFF)
    if not waiting:
        return joined(tag("p", intro), tag("p", say(AuthorityText.REQUESTS_NONE)) if needed else None)
    return joined(tag("p", intro), tag("ul", *(_request(say, one) for one in waiting), class_="rows"))


def _request(say: Speech, one: KeyRequest) -> Html:
    people = ", ".join(one.approved_by) or say.plain(AuthorityText.NOBODY)
    acts = [act_link(say, act, one.key_fingerprint_hex, name=one.user_id) for act in ("approve", "reject")]
    return tag(
        "li",
        tag("b", one.user_id),
        tag("p", say(AuthorityText.ASKED, at=say.time(one.requested_at), people=people)),
        fingerprint_html(one.key_fingerprint_hex),
        *acts,
    )


def _certificates(say: Speech, records: Sequence[CertificateRecord], now: float) -> Html:
    ordered = sorted(records, key=lambda one: (one.revoked_at is not None, one.not_after))[:_SHOWN_MAX]
    heads = (AuthorityText.USER, AuthorityText.SERIAL, AuthorityText.ENDS, AuthorityText.STATE_OF)
    rows = (
        (shown_holder(one.user_id), _serial(say, one), say.time(one.not_after), _certificate_state(say, one, now))
        for one in ordered
    )
    count = say(AuthorityText.CERTIFICATES_SHOWN, shown=say.number(len(ordered)), count=say.number(len(records)))
    table = grid([say.plain(head) for head in heads], rows, name=say.plain(AuthorityText.CERTIFICATES))
    return joined(tag("p", count), table)


def _serial(say: Speech, one: CertificateRecord) -> Part:
    serial = tag("code", one.serial)
    if one.revoked_at is not None:
        return serial
    return joined(
        serial, tag("br"), act_link(say, "revoke", one.serial, name=f"{shown_holder(one.user_id)} {one.serial}")
    )


def _certificate_state(say: Speech, one: CertificateRecord, now: float) -> Html:
    if one.revoked_at is not None:
        return say(AuthorityText.REVOKED, at=say.time(one.revoked_at))
    if one.not_after <= now:
        return say(AuthorityText.EXPIRED)
    return say(AuthorityText.ENDING if one.not_after - now < _SOON_SECONDS else AuthorityText.VALID)


def recovery_html(say: Speech, organisation_hex: str, policy: VerifiedPolicy | None) -> Html:
    """Whether there is a recovery key, and what users are told of it."""
    known = facts((say(RecoveryText.ORGANISATION), tag("code", organisation_hex))) if organisation_hex else None
    if policy is None:
        return joined(tag("p", say(RecoveryText.OFF)), known, tag("p", say(RecoveryText.HOW)))
    body = policy.recovery
    state = RecoveryText.ON if body.state == "on" else RecoveryText.STOPPED
    return joined(
        tag("p", say(state), class_="bad" if body.state == "on" else "warn"),
        known,
        facts(
            (say(RecoveryText.KEY), tag("code", body.key)),
            (say(RecoveryText.SERIAL), say.number(policy.serial)),
            (say(RecoveryText.TEXT), tag("span", policy.text, class_="note")),
        ),
        tag("p", say(RecoveryText.HOW)),
    )
