"""The page of a link for uploads into an encrypted folder: files are sealed in the browser before they are sent.

Layer: ``apps``. The script is small, of our own, allowed by its hash and talks to this server only. Whoever uses it
trusts the server for it; ``candado drop`` does not.
"""

import base64
import json
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request

from candado.apps.html_build import Html, joined, tag
from candado.apps.link_html import about_html, link_address
from candado.apps.ocs_call import read_parameters
from candado.apps.server_wiring import Services
from candado.apps.texts import Speech
from candado.apps.texts.links import LinkText, ScriptText
from candado.crypto.x509 import parse_certificate
from candado.errors import BadRequestError, CryptoError, FormatError
from candado.formats.linkaddress import LINK_PREFIX
from candado.formats.metadata import parse_sealed
from candado.server.filedrops import LinkFolder, check_drop_name
from candado.server.model import Principal
from candado.server.sharerows import Share

if TYPE_CHECKING:
    from candado.ports.server import BlobWriter

__all__ = ["SCRIPT", "drop_html", "store_entries", "store_sealed"]

_ENTRIES_BYTES_MAX: Final = 8 * 1024 * 1024

SCRIPT: Final = """"use strict";
const LARGEST = 500 * 1024 * 1024;
let texts = {};
const say = (name, values = {}) => texts[name].replace(/<(\\w+)>/g, (_, key) => String(values[key]));
const random = (count) => crypto.getRandomValues(new Uint8Array(count));
const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
const base64 = (bytes) => btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""));
const raw = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const escaped = (c) => "\\\\u" + c.charCodeAt(0).toString(16).padStart(4, "0");
const ascii = (value) => JSON.stringify(value).replace(/[\\u0080-\\uffff]/g, escaped);

async function seal(key, nonce, data) {
  const usable = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]);
  return new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce }, usable, data));
}

async function wrap(key, recipient) {
  const oaep = { name: "RSA-OAEP", hash: "SHA-256" };
  const usable = await crypto.subtle.importKey("spki", raw(recipient.spki), oaep, false, ["encrypt"]);
  const wrapped = new Uint8Array(await crypto.subtle.encrypt(oaep, usable, key));
  return { encryptedFiledropKey: base64(wrapped), userId: recipient.id };
}

async function sealEntry(entry, recipients) {
  const packed = new Blob([ascii(entry)]).stream().pipeThrough(new CompressionStream("gzip"));
  const key = random(16), nonce = random(12);
  const sealed = await seal(key, nonce, await new Response(packed).arrayBuffer());
  return {
    authenticationTag: base64(sealed.slice(-16)), ciphertext: base64(sealed), nonce: base64(nonce),
    users: await Promise.all(recipients.map((recipient) => wrap(key, recipient))),
  };
}

async function put(address, body, type) {
  const answer = await fetch(address, { method: "PUT", body, headers: { "Content-Type": type } });
  if (!answer.ok) throw new Error(say("STATUS", { status: answer.status }));
}

async function dropFile(file, page) {
  if (file.size > LARGEST) throw new Error(say("TOO_LARGE"));
  const key = random(16), nonce = random(12), name = hex(random(16));
  const sealed = await seal(key, nonce, await file.arrayBuffer());
  await put(page.base + "/" + name, sealed, "application/octet-stream");
  const entry = {
    authenticationTag: base64(sealed.slice(-16)), filename: file.name, key: base64(key),
    mimetype: file.type || "application/octet-stream", nonce: base64(nonce),
  };
  const drops = { [name]: await sealEntry(entry, page.recipients) };
  await put(page.base, JSON.stringify({ filedrop: JSON.stringify(drops) }), "application/json");
}

function checkMaker(page, fragment) {
  if (!page.recipients.length) throw new Error(say("NOBODY"));
  const by = new URLSearchParams(fragment.replace(/^#/, "")).get("by");
  if (by && !page.recipients.some((recipient) => recipient.fingerprint === by)) {
    throw new Error(say("NO_MEMBER"));
  }
}

function start(form) {
  texts = JSON.parse(form.dataset.texts);
  const page = { base: form.dataset.base, recipients: JSON.parse(form.dataset.recipients) };
  const said = document.getElementById("said");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    let done = 0;
    try {
      if (!globalThis.crypto?.subtle) throw new Error(say("NO_HTTPS"));
      checkMaker(page, location.hash);
      const files = Array.from(document.getElementById("files").files);
      for (const file of files) {
        said.textContent = say("SENDING", { name: file.name });
        await dropFile(file, page);
        done += 1;
      }
      said.textContent = say("DONE", { done, all: files.length });
      form.reset();
    } catch (error) {
      said.textContent = say("FAILED", { reason: error.message, done });
    }
    button.disabled = false;
  });
}

if (typeof document !== "undefined") start(document.getElementById("drop"));
"""


def drop_html(say: Speech, share: Share, folder: LinkFolder, base: str) -> Html:
    """The form of a link for uploads, with the public keys of those who will be able to open what is dropped."""
    recipients = _recipients(folder)
    form = tag(
        "form",
        tag("label", say(LinkText.DROP_FILES), for_="files"),
        tag("input", id="files", type="file", multiple=True, required=True),
        tag("button", say(LinkText.DROP_SEND), type="submit"),
        id="drop",
        data_base=link_address(share, "drop"),
        data_recipients=json.dumps(recipients, separators=(",", ":")),
        data_texts=json.dumps({text.name: say.plain(text) for text in ScriptText}),
    )
    return joined(
        about_html(say, share),
        tag("p", say(LinkText.DROP_INTRO, people=", ".join(str(one["id"]) for one in recipients))),
        form,
        tag("p", id="said", role="status"),
        tag("noscript", tag("p", say(LinkText.DROP_NO_SCRIPT))),
        tag("p", say(LinkText.DROP_COMMAND)),
        tag("pre", f"candado drop FILE '{base}{link_address(share)}'"),
    )


def _recipients(folder: LinkFolder) -> list[dict[str, Any]]:
    """The people among the members; a certificate that cannot be read is left out."""
    found: list[dict[str, Any]] = []
    try:
        users = parse_sealed(folder.text).users or ()
    except FormatError:
        return found
    for user in users:
        if user.user_id.startswith(LINK_PREFIX):
            continue
        try:
            key = parse_certificate(user.certificate_pem).public_key
        except (FormatError, CryptoError):
            continue
        spki = base64.b64encode(key.spki_der).decode("ascii")
        found.append({"id": user.user_id, "spki": spki, "fingerprint": key.fingerprint_hex})
    return found


async def store_sealed(services: Services, request: Request, visitor: Principal, name: str) -> None:
    """Store one sealed body under a new name; errors as a PUT by WebDAV."""
    announced = request.headers.get("content-length", "")
    if not (announced.isascii() and announced.isdigit() and len(announced) < 19):
        raise BadRequestError("the length of the body is wanted")
    length, files = int(announced), services.files
    ticket = await files.begin_put(visitor, check_drop_name(name), token=None, length=length, if_none_match=True)
    writer: BlobWriter = services.backend.objects.create(size_hint=length)
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
            _check_length(size, length, is_whole=False)
            await writer.write(piece)
        _check_length(size, length, is_whole=True)
        blob_id = await writer.finish()
    except BaseException:
        await writer.discard()
        raise
    await files.commit_put(ticket, blob_id=blob_id, size_bytes=size, mtime=None)


def _check_length(size: int, announced: int, *, is_whole: bool) -> None:
    if size > announced or (is_whole and size != announced):
        raise BadRequestError("the body does not have the announced length")


async def store_entries(services: Services, request: Request, visitor: Principal) -> None:
    """Hand in the entries of stored bodies; errors as the call of the API."""
    folder = await services.drops.folder(visitor)
    parameters = await read_parameters(request, bytes_max=_ENTRIES_BYTES_MAX)
    await services.drops.add(visitor, folder.file_id, parameters.get("filedrop", ""))
