"""What the visitor of a link sees, as HTML.

Layer: ``apps``; pure. Names pass ``quote`` in addresses.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from candado.apps.html_build import Html, Part, joined, tag
from candado.apps.html_pages import good
from candado.apps.texts import Speech
from candado.apps.texts.common import Common
from candado.apps.texts.links import LinkText
from candado.server.model import PERMISSION_CREATE, PERMISSION_READ, NodeInfo
from candado.server.sharerows import Share

__all__ = ["about_html", "folder_html", "link_address", "password_html", "sealed_html"]

_HEAD: Final = ((LinkText.NAME, None), (LinkText.SIZE, "size"), (LinkText.CHANGED, None))


def link_address(share: Share, what: str = "", path: str = "") -> str:
    """The address of a link's page, or of what it does with a path."""
    return f"/s/{share.token}" + (f"/{what}" if what else "") + (f"?path={quote('/' + path)}" if path else "")


def password_html(say: Speech, share: Share, trouble: Part) -> Html:
    """The form that asks for the password."""
    form = tag(
        "form",
        tag("label", say(Common.PASSWORD), for_="password"),
        tag("input", id="password", name="password", type="password", autocomplete="off", required=True),
        tag("button", say(LinkText.OPEN), type="submit"),
        method="post",
        action=link_address(share, "authenticate"),
    )
    return joined(trouble, form)


def folder_html(say: Speech, share: Share, node: NodeInfo | None, children: Sequence[NodeInfo], *, stored: int) -> Html:
    """A file, a folder, or the place for uploads (``node`` is None when it must not be shown)."""
    parts = [about_html(say, share)]
    if stored:
        parts.append(good(say.count(LinkText.STORED_ONE, LinkText.STORED_MANY, stored)))
    path = node.path if node is not None else ""
    if node is not None and share.permissions & PERMISSION_READ:
        if path:
            parts.append(_way(say, share, node))
        shown = children if node.is_folder else [node]
        parts.append(_table(say, share, shown) if shown else tag("p", say(LinkText.EMPTY)))
    if share.is_folder and share.permissions & PERMISSION_CREATE:
        parts.append(_upload(say, share, path))
    return joined(*parts)


def sealed_html(say: Speech, share: Share, base: str) -> Html:
    """What to do with a link for reading an encrypted folder: this server cannot show what is in it."""
    command = f"candado link open '{base}{link_address(share)}' --to FOLDER"
    return joined(
        about_html(say, share),
        tag("p", say(LinkText.SEALED)),
        tag("pre", command),
        tag("p", say(LinkText.WHOLE_ADDRESS)),
    )


def about_html(say: Speech, share: Share) -> Html:
    """Who shared it, and the note."""
    hides = share.hide_download and share.permissions & PERMISSION_READ
    return joined(
        tag("p", say(LinkText.SHARED_BY, user=share.initiator_name)),
        tag("p", share.note, class_="note") if share.note else None,
        tag("p", say(LinkText.NAMES_ONLY)) if hides else None,
    )


def _way(say: Speech, share: Share, node: NodeInfo) -> Html:
    steps = [tag("a", share.node_name, href=link_address(share))]
    names = node.path.split("/")
    for depth, name in enumerate(names[:-1], 1):
        steps.append(tag("a", name, href=link_address(share, path="/".join(names[:depth]))))
    steps.append(tag("span", names[-1], aria_current="page"))
    return tag("nav", joined(*steps, between=" / "), aria_label=say(LinkText.FOLDERS))


def _table(say: Speech, share: Share, nodes: Sequence[NodeInfo]) -> Html:
    head = tag("tr", *(tag("th", say(text), scope="col", class_=style) for text, style in _HEAD))
    ordered = sorted(nodes, key=lambda node: (not node.is_folder, node.name))
    return tag("table", tag("thead", head), tag("tbody", *(_row(say, share, node) for node in ordered)))


def _row(say: Speech, share: Share, node: NodeInfo) -> Html:
    name: Part = node.name + ("/" if node.is_folder else "")
    if node.is_folder:
        name = tag("a", name, href=link_address(share, path=node.path))
    elif not share.hide_download:
        name = tag("a", name, href=link_address(share, "download", node.path))
    size = tag("td", say.size(node.size_bytes), class_="size")
    return tag("tr", tag("td", name), size, tag("td", say.time(node.mtime)))


def _upload(say: Speech, share: Share, path: str) -> Html:
    return tag(
        "form",
        tag("h2", say(LinkText.UPLOAD)),
        tag("label", say(LinkText.FILES), for_="files"),
        tag("input", id="files", name="files", type="file", multiple=True, required=True),
        tag("button", say(LinkText.UPLOAD), type="submit"),
        method="post",
        enctype="multipart/form-data",
        action=link_address(share, "upload", path),
    )
