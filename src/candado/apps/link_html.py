"""What the visitor of a link sees, as HTML.

Layer: ``apps``; pure. Names, notes and labels come from people: all of them pass ``escape``, and ``quote`` in
addresses.
"""

from collections.abc import Sequence
from html import escape
from typing import Final
from urllib.parse import quote

from candado.apps.cli.output import human_size
from candado.apps.html_pages import shown_time
from candado.server.model import PERMISSION_CREATE, PERMISSION_READ, NodeInfo
from candado.server.sharerows import Share

__all__ = ["about_html", "folder_html", "link_address", "password_html", "sealed_html"]

_HEAD: Final = '<th scope="col">Name</th><th scope="col" class="size">Size</th><th scope="col">Changed</th>'


def link_address(share: Share, what: str = "", path: str = "") -> str:
    """The address of a link's page, or of what it does with a path."""
    return f"/s/{share.token}" + (f"/{what}" if what else "") + (f"?path={quote('/' + path)}" if path else "")


def password_html(share: Share, trouble: str) -> str:
    """The form that asks for the password."""
    return (
        f"{trouble}"
        f'<form method="post" action="{escape(link_address(share, "authenticate"))}">'
        '<label for="password">Password</label>'
        '<input id="password" name="password" type="password" autocomplete="off" required>'
        '<button type="submit">Open</button></form>'
    )


def folder_html(share: Share, node: NodeInfo | None, children: Sequence[NodeInfo], *, stored: int) -> str:
    """A file, a folder, or the place for uploads (``node`` is None when it must not be shown)."""
    parts = [about_html(share)]
    if stored:
        files = "1 file was" if stored == 1 else f"{stored} files were"
        parts.append(f'<p class="good" role="status">{files} stored.</p>')
    path = node.path if node is not None else ""
    if node is not None and share.permissions & PERMISSION_READ:
        parts.append(_way(share, node) if path else "")
        shown = children if node.is_folder else [node]
        parts.append(_table(share, shown) if shown else "<p>There is nothing in this folder.</p>")
    if share.is_folder and share.permissions & PERMISSION_CREATE:
        parts.append(_upload(share, path))
    return "".join(parts)


def sealed_html(share: Share, base: str) -> str:
    """What to do with a link for reading an encrypted folder: this server cannot show what is in it."""
    command = f"candado link open '{base}{link_address(share)}' --to FOLDER"
    return (
        f"{about_html(share)}<p>This folder is end-to-end encrypted; this server cannot read what is in it. Only who "
        "has the twelve words of this link can open it, on their own device:</p>"
        f"<pre>{escape(command)}</pre><p>Use the whole address as you got it, with all that stands behind the #.</p>"
    )


def about_html(share: Share) -> str:
    """Who shared it, and the note."""
    parts = [f"<p>Shared by {escape(share.initiator_name)}.</p>"]
    if share.note:
        parts.append(f'<p class="note">{escape(share.note)}</p>')
    if share.hide_download and share.permissions & PERMISSION_READ:
        parts.append("<p>Only names are shown; the files cannot be downloaded here.</p>")
    return "".join(parts)


def _way(share: Share, node: NodeInfo) -> str:
    steps = [f'<a href="{escape(link_address(share))}">{escape(share.node_name)}</a>']
    names = node.path.split("/")
    for depth, name in enumerate(names[:-1], 1):
        address = link_address(share, path="/".join(names[:depth]))
        steps.append(f'<a href="{escape(address)}">{escape(name)}</a>')
    steps.append(f'<span aria-current="page">{escape(names[-1])}</span>')
    return f'<nav aria-label="Folders">{" / ".join(steps)}</nav>'


def _table(share: Share, nodes: Sequence[NodeInfo]) -> str:
    rows = "".join(_row(share, node) for node in sorted(nodes, key=lambda node: (not node.is_folder, node.name)))
    return f"<table><thead><tr>{_HEAD}</tr></thead><tbody>{rows}</tbody></table>"


def _row(share: Share, node: NodeInfo) -> str:
    name = escape(node.name + ("/" if node.is_folder else ""))
    if node.is_folder:
        name = f'<a href="{escape(link_address(share, path=node.path))}">{name}</a>'
    elif not share.hide_download:
        name = f'<a href="{escape(link_address(share, "download", node.path))}">{name}</a>'
    return (
        f'<tr><td>{name}</td><td class="size">{human_size(node.size_bytes)}</td><td>{shown_time(node.mtime)}</td></tr>'
    )


def _upload(share: Share, path: str) -> str:
    action = escape(link_address(share, "upload", path))
    return (
        f'<form method="post" enctype="multipart/form-data" action="{action}"><h2>Upload</h2>'
        '<label for="files">Files; nothing that is there is replaced</label>'
        '<input id="files" name="files" type="file" multiple required>'
        '<button type="submit">Upload</button></form>'
    )
