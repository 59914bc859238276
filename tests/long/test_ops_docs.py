"""Every command that the pages for administrators show works as it is written, in the order of the page."""

import asyncio
import json
import shlex
from pathlib import Path

import click
import pytest
from tests.e2e.recovery_office import papers
from tests.e2e.server_process import PASSWORD, run_server
from tests.postgres import cluster
from tests.seaweed import seaweed
from tests.softhsm import SoftToken

from candado.apps.server_cli import cli

PAGES = Path(__file__).resolve().parents[2] / "docs" / "ops"
SHOWN = {
    page.stem: [
        line.strip()
        for line in page.read_text().replace("\\\n", " ").splitlines()
        if line.startswith("    candado-server ")
    ]
    for page in sorted(PAGES.glob("*.md"))
}
BUCKET = "s3://BUCKET/PREFIX?endpoint=https://s3.example.org&region=NAME&credentials=/etc/candado/s3"


def test_the_pages_show_commands() -> None:
    assert {page: len(lines) for page, lines in SHOWN.items() if page != "server"} == {
        "audit": 14,
        "authority": 8,
        "backup": 4,
        "install": 3,
        "monitoring": 0,
        "pages": 6,
        "proxy": 1,
        "recovery": 0,
        "recovery-install": 4,
        "rules": 10,
        "rules-enforced": 0,
        "scaling": 0,
        "upgrade": 3,
    }


def device_of_alice(data: Path) -> str:
    """The number of a new app password, for commands that are shown with one."""
    run_server("app-password", "alice", "--label", "phone", "--data", str(data))
    listed = run_server("user", "passwords", "list", "alice", "--json", "--data", str(data)).stdout
    return str(max(one["id"] for one in json.loads(listed)["app_passwords"]))


@pytest.mark.parametrize("line", [line for lines in SHOWN.values() for line in lines if " serve " in line])
def test_the_server_takes_the_options_that_are_shown(line: str) -> None:
    words = shlex.split(line)[2:]
    command = cli.commands["serve"]
    assert isinstance(command.make_context("serve", words), click.Context)
    with pytest.raises(click.UsageError):
        command.make_context("serve", [*words, "--no-such-option"])


@pytest.mark.parametrize(
    "page", [page for page, lines in SHOWN.items() if any(" serve " not in line for line in lines)]
)
def test_the_commands_of_a_page_work_one_after_the_other(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = SoftToken(tmp_path / "token")
    if any("pkcs11:" in line for line in SHOWN[page]):
        token.add()
        monkeypatch.setenv("SOFTHSM2_CONF", token.environment["SOFTHSM2_CONF"])
    needs_bucket = any(BUCKET in line for line in SHOWN[page])
    places = {
        BUCKET: seaweed().address(seaweed().bucket()) if needs_bucket else BUCKET,
        "/etc/candado/pin": str(token.pin_file),
        "/srv/": f"{tmp_path}/",
        "/mnt/backup/": f"{tmp_path}/backup-",
        "postgresql://candado:SECRET@db.example.org/candado": asyncio.run(cluster().fresh()),
        "secret.txt": str(tmp_path / "password"),
        "admin.txt": str(tmp_path / "password"),
    }
    (tmp_path / "password").write_text(PASSWORD)
    if page == "recovery-install":
        places = papers(tmp_path) | places
    if not any(" init " in line for line in SHOWN[page]):
        run_server("init", "--data", str(tmp_path / "candado"))
    for number, line in enumerate(SHOWN[page]):
        text = line
        for shown, here in places.items():
            text = text.replace(shown, here)
        words = shlex.split(text, comments=True)[1:]
        if words[0] == "init" and (tmp_path / "candado").exists():
            words[words.index("--data") + 1] += str(number)  # another way to begin
            if "--database" in words:
                words[words.index("--database") + 1] = asyncio.run(cluster().fresh())
        if "7" in words:
            words[words.index("7")] = device_of_alice(tmp_path / "candado")
        if words[0] != "serve":
            run_server(*words)
