"""What a user sees of the own keys, encrypted folders and shares, as HTML.

Layer: ``apps``; pure.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from candado.apps.html_build import Html, Part, joined, tag
from candado.apps.html_pages import good, problem
from candado.apps.signed_in import labelled, password_field, token_field
from candado.apps.texts import Speech
from candado.apps.texts.common import Common
from candado.apps.texts.personal import KeyText, ResetText, SharingText
from candado.crypto.x509 import Certificate, fingerprint_grouped, fingerprint_words
from candado.server.browsers import Browser
from candado.server.model import PERMISSION_CREATE, PERMISSION_READ, PERMISSION_UPDATE
from candado.server.personal import EncryptedFolder, OwnKeys
from candado.server.sharerows import SHARE_TYPE_GROUP, SHARE_TYPE_LINK, Share

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["KEYS", "RESET", "facts", "fingerprint_html", "grid", "keys_html", "qr_html", "reset_html", "sharing_html"]

KEYS: Final = "/settings/user/keys"
RESET: Final = f"{KEYS}/reset"
_QUIET: Final = 4


def facts(*pairs: tuple[Part, Part]) -> Html:
    """A list of names and values."""
    return tag("dl", *(joined(tag("dt", name), tag("dd", value)) for name, value in pairs), class_="facts")


def grid(heads: Sequence[str], rows: "Iterable[Sequence[Part]]", *, name: str) -> Html:
    """A table that becomes a list on a narrow screen."""
    head = tag("tr", *(tag("th", text, scope="col") for text in heads))
    body = [
        tag("tr", *(tag("td", cell, data_label=heads[at] or None) for at, cell in enumerate(cells))) for cells in rows
    ]
    return tag("table", tag("thead", head), tag("tbody", *body), class_="wide", aria_label=name)


def qr_html(text: str, name: str) -> Html:
    """A QR code as a picture in the page itself: one path of squares."""
    import segno

    rows = [list(row) for row in segno.make(text, micro=False).matrix]
    side = len(rows) + 2 * _QUIET
    squares = "".join(
        f"M{x + _QUIET} {y + _QUIET}h1v1h-1z" for y, row in enumerate(rows) for x, dark in enumerate(row) if dark
    )
    picture = tag("path", d=squares, fill="#000")
    svg = tag("svg", picture, viewBox=f"0 0 {side} {side}", role="img", aria_label=name)
    return tag("div", svg, class_="qr")


def fingerprint_html(fingerprint_hex: str) -> Html:
    """A fingerprint as the client's ``fingerprint`` shows it: words, and all digits."""
    return joined(
        tag("p", fingerprint_words(fingerprint_hex), class_="words", translate="no", lang="en"),
        tag("p", tag("code", fingerprint_grouped(fingerprint_hex)), class_="soft"),
    )


# --- keys --------------------------------------------------------------------------------------------------


def keys_html(say: Speech, keys: OwnKeys, authority_hex: str, *, done: bool) -> Html:
    """The own keys as the server has them, and the way to give them up."""
    certificate = keys.certificate
    is_whole = certificate is not None and keys.has_private_key
    has_any = certificate is not None or keys.has_private_key
    return joined(
        good(say(KeyText.RESET_DONE)) if done else None,
        tag("p", say(KeyText.NONE)) if not has_any and not done else None,
        tag("p", say(KeyText.HALF), class_="warn") if has_any and not is_whole else None,
        problem(say(KeyText.REVOKED)) if keys.is_revoked else None,
        None if certificate is None else _certificate(say, certificate, authority_hex),
        _way_to_reset(say) if has_any else None,
        tag("p", say(Common.NO_WORDS)),
    )


def _certificate(say: Speech, certificate: Certificate, authority_hex: str) -> Html:
    value = certificate.public_key.fingerprint_hex
    return joined(
        tag("h2", say(KeyText.FINGERPRINT)),
        fingerprint_html(value),
        # The same digits as `candado fingerprint --qr` shows.
        qr_html(value.upper(), say.plain(KeyText.QR_NAME)),
        tag("p", say(KeyText.COMPARE)),
        tag("h2", say(KeyText.CERTIFICATE)),
        facts(
            (say(KeyText.SERIAL), tag("code", str(certificate.serial))),
            (say(KeyText.VALID_FROM), say.time(certificate.not_before)),
            (say(KeyText.VALID_TO), say.time(certificate.not_after)),
            (say(KeyText.AUTHORITY), tag("code", fingerprint_grouped(authority_hex))),
        ),
    )


def _way_to_reset(say: Speech) -> Html:
    return joined(
        tag("h2", say(KeyText.RESET_HEAD)),
        tag("p", say(KeyText.RESET_INTRO)),
        tag("p", tag("a", say(KeyText.RESET_LINK), href=RESET)),
    )


def reset_html(
    say: Speech,
    browser: Browser,
    folders: Sequence[EncryptedFolder],
    received: Sequence[Share],
    *,
    approvals: int,
    trouble: Part = None,
) -> Html:
    """All consequences of giving up the keys, and the form that does it."""
    people = sorted({share.owner_name for share in received if share.is_encrypted})
    lost = joined(tag("p", say(ResetText.LOST_FOLDERS)), _items(folder.path for folder in folders))
    again = joined(tag("p", say(ResetText.AGAIN_PEOPLE)), _items(people))
    form = tag(
        "form",
        token_field(browser),
        labelled(say(ResetText.TYPE_NAME, user=browser.user_id), "typed", autocomplete="off"),
        password_field(say),
        tag("button", say(ResetText.DO), type="submit"),
        method="post",
        action=RESET,
    )
    return joined(
        None if trouble is None else problem(trouble),
        tag("p", say(ResetText.FIRST)),
        tag("h2", say(ResetText.LOST)),
        lost if folders else tag("p", say(ResetText.LOST_NONE)),
        _items([say(ResetText.LOST_WORDS), say(ResetText.LOST_TRUST)]),
        tag("h2", say(ResetText.STAYS)),
        _items([say(ResetText.STAYS_PLAIN), say(ResetText.STAYS_COPIES), say(ResetText.STAYS_MEMBERS)]),
        tag("h2", say(ResetText.AGAIN)),
        again if people else tag("p", say(ResetText.AGAIN_NONE)),
        tag("p", say(ResetText.APPROVAL, count=say.number(approvals)), class_="warn") if approvals else None,
        form,
        tag("p", tag("a", say(Common.BACK), href=KEYS)),
    )


def _items(texts: "Iterable[Part]") -> Html:
    return tag("ul", *(tag("li", text) for text in texts))


# --- folders and shares ------------------------------------------------------------------------------------


def sharing_html(
    say: Speech, folders: Sequence[EncryptedFolder], received: Sequence[Share], given: Sequence[Share]
) -> Html:
    """Encrypted folders by their names and sizes, and who shares what with whom."""
    heads = [say.plain(text) for text in (SharingText.WHAT, SharingText.WHO, SharingText.RIGHTS, SharingText.SINCE)]
    to_heads = [heads[0], say.plain(SharingText.TO), *heads[2:]]
    with_me = grid(
        heads, (_share_row(say, share, share.owner_name) for share in received), name=say.plain(SharingText.WITH_ME)
    )
    by_me = grid(
        to_heads, (_share_row(say, share, _recipient(say, share)) for share in given), name=say.plain(SharingText.BY_ME)
    )
    return joined(
        tag("h2", say(SharingText.ENCRYPTED)),
        _folders(say, folders) if folders else tag("p", say(SharingText.ENCRYPTED_NONE)),
        tag("h2", say(SharingText.WITH_ME)),
        with_me if received else tag("p", say(SharingText.WITH_ME_NONE)),
        tag("h2", say(SharingText.BY_ME)),
        by_me if given else tag("p", say(SharingText.BY_ME_NONE)),
    )


def _folders(say: Speech, folders: Sequence[EncryptedFolder]) -> Html:
    total = sum(folder.size_bytes for folder in folders)
    text = SharingText.ENCRYPTED_ONE if len(folders) == 1 else SharingText.ENCRYPTED_MANY
    heads = (SharingText.FOLDER, SharingText.SIZE, SharingText.CHANGED, SharingText.SHARED)
    rows = (
        (
            folder.path,
            say.size(folder.size_bytes),
            "" if folder.changed_at is None else say.time(folder.changed_at),
            say.number(folder.share_count),
        )
        for folder in folders
    )
    return joined(
        tag("p", say(text, count=say.number(len(folders)), size=say.size(total))),
        grid([say.plain(head) for head in heads], rows, name=say.plain(SharingText.ENCRYPTED)),
        tag("p", say(SharingText.REST_PLAIN), class_="soft"),
    )


def _share_row(say: Speech, share: Share, who: Part) -> tuple[Part, ...]:
    kind = say(SharingText.IS_ENCRYPTED if share.is_encrypted else SharingText.IS_PLAIN)
    what = joined(share.path or share.node_name, tag("br"), tag("span", kind, class_="soft"))
    end = None if share.expires_at is None else say(SharingText.UNTIL, day=say.day(share.expires_at))
    since = joined(say.day(share.created_at), None if end is None else joined(", ", end))
    return what, who, say(_rights(share.permissions)), since


def _rights(bits: int) -> SharingText:
    if not bits & PERMISSION_READ:
        return SharingText.DROP
    return SharingText.WRITE if bits & (PERMISSION_UPDATE | PERMISSION_CREATE) else SharingText.READ


def _recipient(say: Speech, share: Share) -> Html:
    if share.share_type == SHARE_TYPE_LINK:
        return say(SharingText.LINK_LABEL, label=share.label) if share.label else say(SharingText.LINK)
    if share.share_type == SHARE_TYPE_GROUP:
        return say(SharingText.GROUP, name=share.share_with_name)
    return joined(share.share_with_name)
