"""What people see of the access rules of a server: once each, with the administrator's words, and among the issues."""

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.e2e.cli_world import Cloud, Device, running_cloud

from candado.apps.server_config import load_config
from candado.apps.server_wiring import open_backend
from candado.ports.server import Rows
from candado.server.accessrules import AccessRules

RULES = r"""
version = 1

[[rule]]
id = "too-big"
deny = 'create, update when size > 100 KB'
message = "Keep it small.\nAsk Ana."

[[rule]]
id = "no-rename"
deny = 'rename when group = clerks'

[[rule]]
id = "no-share"
deny = 'share when group = clerks'

[[rule]]
id = "no-more"
deny = 'create when group = readers'
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as running:
        asyncio.run(rule(running, RULES, 0))
        yield running


async def rule(cloud: Cloud, text: str, version: int) -> None:
    async with open_backend(load_config(cloud.data, {})) as backend:
        await AccessRules(backend).replace(text, expected=version, changed_by="")


async def _insert(rows: Rows, *, user: str, group: str) -> None:
    await rows.run("INSERT INTO memberships (group_id, user_id) VALUES ($1, $2)", group, user)


def join(cloud: Cloud, user: str, *groups: str) -> None:
    """Into these groups and no others; it acts at once."""

    async def work() -> None:
        async with open_backend(load_config(cloud.data, {})) as backend:
            await backend.database.write(lambda rows: rows.run("DELETE FROM memberships WHERE user_id = $1", user))
            for group in groups:
                await backend.database.write(partial(_insert, user=user, group=group))

    asyncio.run(work())


def codes(device: Device) -> list[tuple[str, str]]:
    return [(issue["code"], issue["path"]) for issue in device.run("issues", "--json").json["issues"]]


def test_a_refused_file_is_told_once_and_stays_among_the_issues_until_it_fits(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("alice")
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "big").write_bytes(b"x" * 200_000)
    (folder / "small").write_text("s")
    first = device.run("sync", folder, "Docs", "--encrypt", expect=3)
    assert (
        'big: the server\'s rule too-big does not allow this, which says: "Keep it small. Ask Ana." [POLICY_DENIED]\n'
        "  Nothing was changed.\n"
        "  Change what the rule is about, or ask the administrator who wrote it.\n"
    ) in first.err
    assert "uploaded 1 " in first.out
    again = device.run("sync", folder, "Docs", expect=3)
    assert again.err.splitlines()[-1] == "1 file is refused by rules, as told before; see `candado issues`"
    assert "Keep it small" not in again.err
    assert "left alone 1" in again.out
    assert codes(device) == [("POLICY_DENIED", "/Docs/big")]
    assert "Keep it small." in device.run("issues").out
    (folder / "big").write_text("small now")
    assert "uploaded 1 " in device.run("sync", folder, "Docs").out
    assert codes(device) == []


def test_single_commands_end_with_the_rule_and_the_documented_status(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("clara")
    cloud.ready("bob")
    big = tmp_path / "big"
    big.write_bytes(b"x" * 200_000)
    device.run("encrypt", "Vault")
    device.run("mkdir", "Vault/a")
    device.run("mkdir", "Vault/b")
    refused = device.run("put", big, "Vault", "--json", expect=13)
    (failure,) = refused.json["errors"]
    assert (failure["code"], failure["path"], failure["retryable"]) == ("POLICY_DENIED", "/Vault/big", False)
    join(cloud, "clara", "clerks")
    moved = device.run("mv", "Vault/a", "Vault/b/a", expect=13)
    said = 'does not allow this, which says: "A rule of this server does not allow this." [POLICY_DENIED]'
    assert moved.err.splitlines()[-4:-2] == [f"candado: the server's rule no-rename {said}", "  where: /Vault/a"]
    shared = device.run("share", "Vault", "bob", "--json", expect=13)
    assert json.loads(shared.out)["error"]["code"] == "POLICY_DENIED"
    join(cloud, "clara", "readers")
    device.run("mkdir", "Vault/c", expect=13)
    assert sorted(codes(device)) == [
        ("POLICY_DENIED", "/Vault"),
        ("POLICY_DENIED", "/Vault/a"),
        ("POLICY_DENIED", "/Vault/big"),
        ("POLICY_DENIED", "/Vault/c"),
    ]
    join(cloud, "clara")
    big.write_text("small")
    device.run("put", big, "Vault")
    assert ("POLICY_DENIED", "/Vault/big") not in codes(device)
    assert device.run("ls", "Vault", "--json").json["entries"][0]["name"] == "a"
