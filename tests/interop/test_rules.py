"""Access rules as the stock command-line client of the desktop app meets them, and how our client gets on with the same."""

import asyncio
import itertools
import json
from pathlib import Path

from candado.apps.server_config import load_config
from candado.apps.server_wiring import open_backend
from candado.server.accessrules import AccessRules
from tests.e2e.cli_world import PASSWORD, Cloud
from tests.e2e.server_process import Caller
from tests.interop.chroot import Chroot, CommandClient

_COUNT = itertools.count()
WORDS = "PDF files belong into an encrypted folder; ask Ana (ext. 12)."
RULES = f"""
version = 1

[[rule]]
id = "pdf-sealed"
deny = 'create, update when mime = application/pdf and not encrypted'
message = "{WORDS}"
"""
BIG = bytes(range(256)) * 50_000  # sent in chunks


def rule(cloud: Cloud, user: str, text: str) -> None:
    """These rules instead of those in force; on return the server follows them."""

    async def work() -> None:
        async with open_backend(load_config(cloud.data, {})) as backend:
            rules = AccessRules(backend)
            made = await rules.replace(text, expected=(await rules.document()).version, changed_by="")
        async with Caller(cloud.url, user, f"{PASSWORD} {user}") as caller:
            while True:
                answer = await caller.ocs("GET", "/cloud/capabilities")
                known = json.loads(answer.body)["ocs"]["data"]["capabilities"]["candado"]["rules-version"]
                if known == made.version:
                    return

    asyncio.run(asyncio.wait_for(work(), 20))


def _files(folder: Path, **contents: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name.replace("_", ".")).write_bytes(content)


def test_a_forbidden_file_is_told_in_the_words_of_the_administrator_and_the_rest_is_synced(
    cloud: Cloud, chroot: Chroot
) -> None:
    user = f"ruled{next(_COUNT)}"
    device = cloud.ready(user)
    rule(cloud, user, RULES)
    one, two = (CommandClient(chroot, name, user, f"{PASSWORD} {user}", cloud.url) for name in ("one", "two"))
    _files(one.folder, report_pdf=b"%PDF-1.7", large_pdf=BIG, notes_txt=b"n")
    told = one.sync(status=1)
    assert told.count(WORDS) >= 2, told
    assert "(rule pdf-sealed)" in told
    two.sync()
    assert two.files() == {"notes.txt": b"n"}
    assert one.files() == {"report.pdf": b"%PDF-1.7", "large.pdf": BIG, "notes.txt": b"n"}
    # The same files, sealed by our client, are welcome; the stock client leaves them alone.
    device.run("sync", one.folder, "Vault", "--encrypt")
    assert device.run("cat", "Vault/report.pdf").out == "%PDF-1.7"
    one.sync(status=1)
    two.sync()
    assert two.files() == {"notes.txt": b"n"}


def test_a_file_that_must_not_be_read_is_told_and_the_rest_is_fetched(cloud: Cloud, chroot: Chroot) -> None:
    user = cloud.user(f"ruled{next(_COUNT)}")
    rule(cloud, user, "version = 1\n")
    one, two = (CommandClient(chroot, name, user, f"{PASSWORD} {user}", cloud.url) for name in ("one", "two"))
    _files(one.folder, report_pdf=b"%PDF-1.7", notes_txt=b"n")
    one.sync()
    rule(cloud, user, RULES.replace("create, update", "read"))
    told = two.sync(status=1)
    assert WORDS in told
    assert two.files() == {"notes.txt": b"n"}
