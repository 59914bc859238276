"""The script that verifies the audit log in the browser: signature, inclusion of every line shown, growth.

Layer: ``apps``; pure. Source: RFC 9162, 2.1.3.2 and 2.1.4.2; docs/spec/audit.md for the note. What the browser has
verified last is kept in its own storage, so that a log that was rewritten since is noticed.
"""

from typing import Final

__all__ = ["VERIFY_SCRIPT"]

VERIFY_SCRIPT: Final = """"use strict";
const TYPE = "candado.audit/rsa-pkcs1-sha256";
const KEPT = "candado-audit";
let texts = {};
const say = (name, values = {}) => texts[name].replace(/<(\\w+)>/g, (_, key) => String(values[key]));
const utf8 = (text) => new TextEncoder().encode(text);
const raw = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
const same = (a, b) => hex(a) === hex(b);
const half = (number) => Math.floor(number / 2);

async function sha256(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { whole.set(part, at); at += part.length; }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
}
const leafHash = (data) => sha256(Uint8Array.of(0), data);
const nodeHash = (left, right) => sha256(Uint8Array.of(1), left, right);

async function isIncluded(index, size, leaf, proof, root) {
  let at = index, last = size - 1, found = leaf;
  for (const other of proof) {
    if (last === 0) return false;
    if (at % 2 || at === last) {
      found = await nodeHash(other, found);
      while (at % 2 === 0 && at) { at = half(at); last = half(last); }
    } else found = await nodeHash(found, other);
    at = half(at); last = half(last);
  }
  return last === 0 && same(found, root);
}

async function isGrown(old, oldRoot, size, root, proof) {
  if (old > size) return false;
  if (old === size) return proof.length === 0 && same(oldRoot, root);
  if (old === 0) return true;
  let at = old - 1, last = size - 1, path = proof;
  while (at % 2) { at = half(at); last = half(last); }
  if (at === 0) path = [oldRoot, ...proof];
  if (!path.length) return false;
  let before = path[0], after = path[0];
  for (const other of path.slice(1)) {
    if (last === 0) return false;
    if (at % 2 || at === last) {
      before = await nodeHash(other, before); after = await nodeHash(other, after);
      while (at % 2 === 0 && at) { at = half(at); last = half(last); }
    } else after = await nodeHash(after, other);
    at = half(at); last = half(last);
  }
  return last === 0 && same(before, oldRoot) && same(after, root);
}

async function openNote(note, spki) {
  const end = note.indexOf("\\n\\n") + 1;
  const text = note.slice(0, end), [origin, size, root] = text.split("\\n");
  const id = (await sha256(utf8(origin + "\\n"), Uint8Array.of(255), utf8(TYPE + "\\n"), spki)).slice(0, 4);
  const kind = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("spki", spki, kind, false, ["verify"]);
  for (const line of note.slice(end + 1).split("\\n")) {
    const [dash, name, signature] = line.split(" ");
    if (dash !== "\\u2014" || name !== origin || !signature) continue;
    const bytes = raw(signature);
    if (!same(bytes.slice(0, 4), id)) continue;
    if (end && (await crypto.subtle.verify(kind, key, bytes.slice(4), utf8(text)))) {
      return { origin, size: Number(size), root: raw(root) };
    }
  }
  throw new Error(say("NO_SIGNATURE"));
}

async function check(lines, served, kept) {
  const spki = raw(served.key), print = hex(await sha256(spki));
  if (kept && kept.key !== print) throw new Error(say("OTHER_KEY"));
  const log = await openNote(served.note, spki);
  let done = 0, later = 0;
  for (const { seq, line, cells } of lines) {
    const shown = JSON.parse(line);
    for (const [name, text] of Object.entries(cells)) {
      if (String(shown[name]) !== text) throw new Error(say("OTHER_LINE", { seq }));
    }
    if (seq >= log.size) { later += 1; continue; }
    const proof = (served.proofs[seq] || []).map(raw);
    if (!(await isIncluded(seq, log.size, await leafHash(utf8(line)), proof, log.root))) {
      throw new Error(say("NOT_IN", { seq }));
    }
    done += 1;
  }
  if (kept) {
    const grown = kept.origin === log.origin
      && (await isGrown(kept.size, raw(kept.root), log.size, log.root, served.consistency.map(raw)));
    if (!grown) throw new Error(say("FORKED"));
  }
  const said = [say("GOOD", { done, size: log.size, key: print })];
  if (later) said.push(say("LATER", { count: later }));
  if (kept) said.push(say("GREW", { size: kept.size }));
  const root = btoa(String.fromCharCode(...log.root));
  return { said: said.join(" "), keep: { key: print, origin: log.origin, size: log.size, root } };
}

function shownLines() {
  return Array.from(document.querySelectorAll("code[data-seq]"), (code) => {
    const cells = {};
    for (const cell of code.closest("tr").querySelectorAll("[data-member]")) {
      cells[cell.dataset.member] = cell.textContent;
    }
    return { seq: Number(code.dataset.seq), line: code.textContent, cells };
  });
}

function start(form) {
  texts = JSON.parse(form.dataset.texts);
  const said = document.getElementById("said");
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    said.textContent = say("WORKING");
    said.className = "";
    try {
      if (!globalThis.crypto?.subtle) throw new Error(say("NO_CRYPTO"));
      const lines = shownLines(), kept = JSON.parse(localStorage.getItem(KEPT) || "null");
      const asked = new URLSearchParams({ lines: lines.map((one) => one.seq).join(","), known: kept ? kept.size : 0 });
      const answer = await fetch(form.dataset.proofs + "?" + asked);
      if (!answer.ok) throw new Error(say("STATUS", { status: answer.status }));
      const { said: words, keep } = await check(lines, await answer.json(), kept);
      localStorage.setItem(KEPT, JSON.stringify(keep));
      said.textContent = words;
      said.className = "good";
    } catch (error) {
      said.textContent = say("BAD", { reason: error.message });
      said.className = "bad";
    }
  });
}

if (typeof document !== "undefined") start(document.getElementById("verify"));
"""
