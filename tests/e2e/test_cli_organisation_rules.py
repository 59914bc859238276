"""Rules that an organisation signs for its clients, from a file of an administrator to the refusal on a user's device."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.cli_world import Cloud, running_cloud

RULES = """
version = 1

[[rule]]
id = "no-programs"
deny = 'create, update, rename when name like "*.exe"'
message = "Programs come from the depot."
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


def test_rules_for_clients_from_a_file_to_a_refusal(cloud: Cloud, tmp_path: Path) -> None:
    phrase, text, rules = tmp_path / "phrase", tmp_path / "text", tmp_path / "rules.toml"
    phrase.write_text("a long passphrase of the organisation\n")
    text.write_text("What may be in encrypted folders.\n")
    rules.write_text(RULES)
    (cloud.folder / "root.password").write_text("four random words suffice\n")
    cloud.admin("user", "add", "root", "--admin", "--password-file", cloud.folder / "root.password")
    admin = cloud.device("root")
    admin.login("--insecure-storage")
    folder, signed = tmp_path / "organisation", tmp_path / "policy.json"
    admin.run("organisation", "create", folder, "--passphrase-file", phrase)
    signing = (
        "organisation",
        "sign",
        folder,
        "--kind",
        "client-rules",
        "--text-file",
        text,
        "--passphrase-file",
        phrase,
    )
    bad = tmp_path / "bad.toml"
    bad.write_text(RULES.replace('when name like "*.exe"', "when not encrypted"))
    assert "not encrypted" in admin.run(*signing, "--body-file", bad, expect=16).err
    assert list((folder / "policies").glob("*")) == []
    admin.run(*signing, "--body-file", rules, "--out", signed)
    publishing = ("organisation", "publish", signed, "--organisation-key", folder)
    person = cloud.device(cloud.user("eve"))
    person.login("--insecure-storage")
    person.run(*publishing, "--password-file", cloud.folder / "eve.password", expect=13)
    done = admin.run(*publishing, "--password-file", cloud.folder / "root.password", "--json").json
    assert (done["kind"], done["serial"]) == ("client-rules", 1)
    person.run("init", "--phrase-out", tmp_path / "words")
    person.run("encrypt", "Vault")
    program = tmp_path / "setup.exe"
    program.write_text("program")
    refused = person.run("put", program, "Vault", expect=13)
    assert (
        "/Vault/setup.exe: rule no-programs of the organisation does not allow this in an encrypted folder: "
        '"Programs come from the depot." [CLIENT_RULE]'
    ) in refused.err
    assert [issue["code"] for issue in person.run("issues", "--json").json["issues"]][-1] == "CLIENT_RULE"
    assert person.run("ls", "Vault", "--json").json["entries"] == []
