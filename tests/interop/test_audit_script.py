"""The script of the page of the audit log, in a JavaScript engine: what it calls verified, and what it does not."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

from candado.apps.audit_script import VERIFY_SCRIPT
from candado.apps.texts.audit import VerifyText
from candado.crypto import merkle
from candado.crypto.checkpoint import Checkpoint, assemble_checkpoint, checkpoint_to_sign, origin_of
from candado.crypto.merkle import Subtree
from tests.vectors.keys import private_key

RUN = """
texts = JSON.parse(process.env.TEXTS);
globalThis.crypto ??= require("node:crypto").webcrypto;
const given = JSON.parse(require("node:fs").readFileSync(process.argv[2]));
(async () => {
  const told = [];
  for (const [lines, served, kept] of given) {
    try { told.push(await check(lines, served, kept)); } catch (error) { told.push(error.message); }
  }
  console.log(JSON.stringify(told));
})();
"""
SIZES = range(1, 18)
KEY = private_key("authority")
ORIGIN = origin_of(bytes(32))
Case = tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any] | None]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def line(number: int) -> str:
    return json.dumps({"event": "user.made", "seq": number})


class Log:
    """A log of some lines, as the server proves it."""

    def __init__(self, size: int, *, word: str = "") -> None:
        self.size = size
        self.lines = [line(number) + word for number in range(size)]
        self.hashes: dict[Subtree, bytes] = {}
        edge, made = merkle.grow(0, [], [merkle.leaf_hash(one.encode()) for one in self.lines])
        self.hashes.update(made)
        self.root = merkle.root_of(edge)

    def served(self, known: int = 0) -> dict[str, Any]:
        point = Checkpoint(ORIGIN, self.size, self.root)
        proofs = {
            str(number): [b64(one) for one in merkle.inclusion_proof(number, self.size, self.hashes.__getitem__)]
            for number in range(self.size)
        }
        return {
            "note": assemble_checkpoint(point, KEY.public, KEY.sign_pkcs1_sha256(checkpoint_to_sign(point))),
            "key": b64(KEY.public.spki_der),
            "proofs": proofs,
            "consistency": [b64(one) for one in merkle.consistency_proof(known, self.size, self.hashes.__getitem__)],
        }

    def shown(self, **cells: str) -> list[dict[str, Any]]:
        return [{"seq": number, "line": text, "cells": cells} for number, text in enumerate(self.lines)]

    @property
    def kept(self) -> dict[str, Any]:
        key = KEY.public.fingerprint_hex
        return {"key": key, "origin": ORIGIN, "size": self.size, "root": b64(self.root)}


def verified(tmp_path: Path, cases: list[Case]) -> list[Any]:
    """What the script says of lines, of what the server proves, and of what the browser kept."""
    (tmp_path / "page.js").write_text(VERIFY_SCRIPT + RUN)
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    texts = json.dumps({text.name: text.plain("en") for text in VerifyText})
    done = subprocess.run(
        ["node", tmp_path / "page.js", tmp_path / "cases.json"],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "TEXTS": texts},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found: list[Any] = json.loads(done.stdout)
    return found


def test_the_script_verifies_what_the_log_proves_at_every_size(tmp_path: Path) -> None:
    logs = {size: Log(size) for size in SIZES}
    cases: list[Case] = []
    for size, log in logs.items():
        cases += [(log.shown(event="user.made"), log.served(old), logs[old].kept) for old in SIZES if old <= size]
    found = verified(tmp_path, cases)
    wanted = [logs[size].kept for size in SIZES for old in SIZES if old <= size]
    assert [one["keep"] if isinstance(one, dict) else one for one in found] == wanted
    assert found[0]["said"].startswith("Verified. Lines shown that are in the signed log: 1. The log has 1 events.")
    assert found[-1]["said"].endswith("The log only grew since this browser verified 17 events.")
    newer = [*Log(3).shown(), {"seq": 3, "line": line(3), "cells": {}}]
    (later,) = verified(tmp_path, [(newer, Log(3).served(), None)])
    assert "Newer than the signature: 1;" in later["said"]


def test_the_script_verifies_nothing_else(tmp_path: Path) -> None:
    cases: list[Case] = []
    wanted: list[str] = []

    def case(
        says: str, shown: list[dict[str, Any]], served: dict[str, Any], kept: dict[str, Any] | None = None
    ) -> None:
        cases.append((shown, served, kept))
        wanted.append(says)

    unsigned = "the checkpoint has no good signature of this key"
    forked = "the log is not the one that this browser verified before"
    for size in SIZES:
        log, other = Log(size), Log(size, word=" ")
        for at in {0, size // 2, size - 1}:
            edited = log.shown()
            edited[at] = {**edited[at], "line": other.lines[at]}
            case(f"line {at} is not in the signed log", edited, log.served())
            for wrong in ([], [*log.served()["proofs"][str(at)], b64(bytes(32))]):
                if wrong != log.served()["proofs"][str(at)]:
                    short = {**log.served(), "proofs": {**log.served()["proofs"], str(at): wrong}}
                    case(f"line {at} is not in the signed log", log.shown(), short)
        case(forked, log.shown(), log.served(size), other.kept)
        case(forked, log.shown(), log.served(size), Log(size + 1).kept)
        for old in range(1, size):
            case(forked, log.shown(), log.served(old), Log(old, word=" ").kept)
            longer = {**log.served(old), "consistency": [*log.served(old)["consistency"], b64(bytes(32))]}
            case(forked, log.shown(), longer, Log(old).kept)
    log = Log(5)
    served = log.served()
    note = str(served["note"])
    for broken in (
        "", "\n\n", note.partition("\n\n")[0] + "\n\n", note.replace("\n5\n", "\n6\n"), note.replace("\N{EM DASH}", "-"),
        note.replace(ORIGIN, ORIGIN[:-1] + "0"), note.replace(ORIGIN, "x", 1),
    ):  # fmt: skip
        case(unsigned, log.shown(), {**served, "note": broken})
    foreign = private_key("mallory")
    case(unsigned, log.shown(), {**served, "key": b64(foreign.public.spki_der)})
    other_key = "the key is another than this browser saw before"
    case(other_key, log.shown(), served, {**log.kept, "key": foreign.public.fingerprint_hex})
    case(forked, log.shown(), log.served(5), {**log.kept, "origin": "candado.audit/x"})
    case("the table shows something else than line 0", log.shown(event="user.removed"), served)
    case("line 1 is not in the signed log", [{"seq": 1, "line": log.lines[0], "cells": {}}], served)
    assert verified(tmp_path, cases) == wanted
