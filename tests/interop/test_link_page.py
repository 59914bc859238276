"""The script of the page of a link for uploads, in a JavaScript engine: what it seals, members open."""

import base64
import hashlib
import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.e2e.cli_world import Cloud
from tests.e2e.server_process import Answer, Caller

CONTENT = "what a stranger drops in a browser: grüße\n".encode() * 1000

RUN = """
globalThis.crypto ??= require("node:crypto").webcrypto;
const given = JSON.parse(process.env.GIVEN);
const real = globalThis.fetch;
globalThis.fetch = (path, options) => real(given.url + path, options);
const fs = require("node:fs");
const file = (path, name, type) => {
  const bytes = fs.readFileSync(path);
  return { name, type, size: bytes.length, arrayBuffer: async () => bytes };
};
texts = given.page.texts;
(async () => {
  checkMaker(given.page, given.fragment);
  for (const one of given.files) await dropFile(file(one.path, one.name, one.type), given.page);
})().catch((error) => { console.error(error.message); process.exit(1); });
"""


def run(script: str, tmp_path: Path, given: dict[str, object]) -> "subprocess.CompletedProcess[str]":
    program = tmp_path / "page.js"
    program.write_text(script + RUN)
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "GIVEN": json.dumps(given)}
    return subprocess.run(
        ["node", str(program)], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


async def _page(url: str, path: str) -> Answer:
    async with Caller(url, None) as nobody:
        return await nobody.send("GET", path)


async def test_what_the_page_seals_becomes_files_of_the_members(cloud: Cloud, tmp_path: Path) -> None:
    alice, bob = cloud.ready("alice"), cloud.ready("bob")
    alice.run("encrypt", "Inbox")
    alice.run("share", "Inbox", "bob")
    url = alice.run("link", "create", "Inbox", "--drop", "--json").json["url"]
    address, _, fragment = url.partition("#")
    shown = await _page(cloud.url, address.removeprefix(cloud.url))
    assert shown.status == 200
    policy = shown.headers["Content-Security-Policy"]
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy
    script = re.findall(r"<script>(.*?)</script>", shown.text, re.DOTALL)[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    data = dict(re.findall(r'data-(base|recipients|texts)="([^"]*)"', shown.text))
    page: dict[str, Any] = {"base": data["base"], "recipients": json.loads(html.unescape(data["recipients"]))}
    page["texts"] = json.loads(html.unescape(data["texts"]))
    assert [one["id"] for one in page["recipients"]] == ["alice", "bob"]
    big, empty = tmp_path / "big", tmp_path / "empty"
    big.write_bytes(CONTENT)
    empty.write_bytes(b"")
    files = [
        {"path": str(big), "name": "Grüße 😀.txt", "type": "text/plain"},
        {"path": str(empty), "name": "leer", "type": ""},
    ]
    given: dict[str, object] = {"url": cloud.url, "page": page, "fragment": f"#{fragment}", "files": files}
    done = run(script, tmp_path, given)
    assert (done.returncode, done.stderr) == (0, "")
    local = tmp_path / "bob"
    assert bob.run("sync", local, "Inbox", "--json").json["downloaded"] == 2
    assert {path.name: path.read_bytes() for path in local.iterdir() if path.is_file()} == {
        "Grüße 😀 (dropped).txt": CONTENT,
        "leer (dropped)": b"",
    }
    wrong = run(script, tmp_path, {**given, "fragment": f"#by={'0' * 64}"})
    assert (wrong.returncode, "not that of a member" in wrong.stderr) == (1, True)
