"""The commands on access rules, in the process of the tests."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.server_process import answer_of

from candado.apps import server_cli, server_policy
from candado.server.accessrules import AccessRules, RulesVersion

SENTENCE = "deny create, update when (group = HR or mime = application/pdf) and not encrypted"
ONE = 'version = 1\n\n[[rule]]\nid = "a"\ndeny = "create when link"\n'
Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data directory; each test begins with no rules."""
    data = tmp_path_factory.mktemp("policy") / "data"
    password = data.parent / "password"
    password.write_text("a password for tests\n")
    answer_of("init", "--data", data)
    answer_of("group", "add", "HR", "--data", data)
    answer_of("user", "add", "bob", "--group", "HR", "--password-file", password, "--data", data)
    return data


@pytest.fixture
def ask(made: Path) -> Iterator[Ask]:
    def run(*words: str | Path, status: int = 0) -> dict[str, Any]:
        return answer_of("policy", *words, "--data", made, status=status)

    yield run
    (made.parent / "empty.toml").write_text("version = 1\n")
    run("import", made.parent / "empty.toml")


def test_the_sentence_is_one_line_and_holds(ask: Ask) -> None:
    before = ask("show")["version"]
    made = ask("add", SENTENCE, "--id", "hr-and-pdf", "--message", "Use an encrypted folder.", "--note", "HR asked")
    assert (made["version"], made["note"], made["changed-by"]) == (before + 1, "HR asked", None)
    assert made["rules"] == [
        {"id": "hr-and-pdf", "rule": SENTENCE, "message": "Use an encrypted folder.", "report-only": False}
    ]
    assert ask("list")["rules"] == made["rules"]
    denied = ask("test", "--user", "bob", "--file", "x/plan.txt", status=13)
    assert (denied["allowed"], denied["denied-by"], denied["message"], denied["reported-by"]) == (
        False,
        "hr-and-pdf",
        "Use an encrypted folder.",
        [],
    )
    assert ask("test", "--user", "bob", "--file", "x/plan.txt", "--encrypted")["allowed"]
    assert ask("test", "--file", "x/plan.txt", "--size", "10MB", "--ip", "203.0.113.7")["allowed"]
    assert not ask("test", "--file", "x/plan.pdf", "--link", status=13)["allowed"]
    assert ask("test", "--file", "x/plan.pdf", "--operation", "read")["allowed"]


def test_rules_are_added_and_removed_one_by_one(ask: Ask) -> None:
    ask("add", "deny create when link", "--id", "a")
    ask("add", "deny share when link", "--report-only")
    ask("add", "deny read when link", "--first")
    assert [rule["id"] for rule in ask("list")["rules"]] == ["rule-2", "a", "rule-1"]
    ask("remove", "a")
    assert [(rule["id"], rule["report-only"]) for rule in ask("list")["rules"]] == [("rule-2", False), ("rule-1", True)]
    assert ask("remove", "x", status=16)["error"]["code"] == "RULES_INVALID"
    assert ask("add", "deny read when link", "--id", "rule-1", status=16)["error"]["code"] == "RULES_INVALID"


def test_rules_only_report_when_that_is_wanted(ask: Ask) -> None:
    ask("add", "deny create when link", "--id", "a")
    ask("report-only", "on", "a")
    tried = ask("test", "--link")
    assert (tried["allowed"], tried["reported-by"]) == (True, ["a"])
    ask("report-only", "off", "a")
    ask("report-only", "on")
    assert ask("list")["report-only"] is True
    assert ask("test", "--link")["reported-by"] == ["a"]
    ask("report-only", "off")
    assert ask("test", "--link", status=13)["denied-by"] == "a"


def test_a_rule_for_everything_is_refused_unless_it_is_meant(ask: Ask) -> None:
    refused = ask("add", "deny all", status=18)["error"]
    assert (refused["code"], refused["safe"]) == ("RULES_TOO_WIDE", "The rules in force are the same as before.")
    assert ask("list")["rules"] == []
    ask("add", "deny all", "--report-only", "--id", "all")
    assert ask("report-only", "off", "all", status=18)["error"]["code"] == "RULES_TOO_WIDE"
    ask("report-only", "off", "all", "--force")
    assert ask("test", status=13)["denied-by"] == "all"


def test_a_file_is_looked_at_and_put_in_force_whole_or_not_at_all(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text("# ours\n" + ONE)
    assert ask("lint", file) == {"schema": "candado.server.policy-lint/1", "valid": True, "findings": []}
    version = ask("import", file)["version"]
    assert ask("import", file)["version"] == version
    assert ask("export")["text"] == file.read_text()
    ask("export", tmp_path / "out.toml")
    assert (tmp_path / "out.toml").read_text() == file.read_text()
    assert ask("export", tmp_path / "out.toml", status=13)["error"]["code"] == "LOCAL_PERMISSION"
    file.write_text(ONE.replace("link", "lnik"))
    found = ask("lint", file, status=8)
    assert found["findings"] == [
        {
            "code": "RULES_INVALID",
            "severity": "error",
            "rule": "a",
            "line": 5,
            "message": "line 5, rule a, deny: character 18: lnik is no test; did you mean link?",
        }
    ]
    assert ask("import", file, status=16)["error"]["code"] == "RULES_INVALID"
    assert ask("show")["version"] == version
    file.write_text(ONE.replace("create when link", "create when group = Nobody and name like *"))
    found = ask("lint", file)
    assert [(one["code"], one["severity"], one["rule"]) for one in found["findings"]] == [
        ("blind-when-encrypted", "notice", "a"),
        ("unknown-group", "warning", "a"),
    ]
    assert ask("import", file, "--dry-run")["version"] == version
    assert ask("import", file, "--report-only")["report-only"] is True
    file.write_bytes(b"\xff")
    assert ask("import", file, status=16)["error"]["path"] == str(file)
    assert ask("import", tmp_path / "none", status=4)["error"]["code"] == "NOT_FOUND"
    assert ask("lint", tmp_path, status=13)["error"]["code"] == "LOCAL_PERMISSION"


def test_a_document_is_tried_before_it_is_in_force(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(ONE)
    assert ask("test", "--link", "--rules", tmp_path / "rules.toml", status=13)["denied-by"] == "a"
    assert ask("test", "--link")["allowed"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--operation", "write"], "write is no operation; there are create, read"),
        (["--size", "10"], None),
        (["--size", "10 mb"], "a size is a whole number with one of B"),
        (["--time", "noon"], "a time is like 2026-07-01T22:30:00+02:00, not noon"),
        (["--time", "2026-07-01T22:30"], "a time needs a zone: 2026-07-01T22:30Z"),
        (["--time", "2026-07-01T22:30Z", "--tag", "x", "--tag", "y", "--unknown-device", "--plain"], None),
        (["--time", "0001-01-01T00:00+14:00"], "a time is in the years 1970 to 9000"),
        (["--agent", "x" * 4097], "agent is too long, or no text"),
    ],
)
def test_what_is_asked_must_be_of_its_kind(ask: Ask, words: list[str], reason: str | None) -> None:
    if reason is None:
        assert ask("test", *words)["allowed"]
    else:
        assert ask("test", *words, status=16)["error"]["message"].startswith(reason)


def test_the_history_has_every_version(ask: Ask) -> None:
    first = ask("add", "deny create when link", "--id", "a", "--note", "guests")
    ask("remove", "a")
    shown = ask("history")["versions"]
    assert [one["version"] for one in shown[:2]] == [first["version"] + 1, first["version"]]
    assert (shown[1]["note"], shown[1]["changed-by"], shown[1]["changed"]) == ("guests", None, first["changed"])
    assert ask("show", str(first["version"])) == first
    assert ask("show", "0")["rules"] == []
    assert ask("show", "999999", status=4)["error"]["code"] == "NOT_FOUND"


def test_a_change_is_made_to_the_version_that_was_seen(ask: Ask) -> None:
    version = ask("add", "deny create when link", "--id", "a")["version"]
    refused = ask("add", "deny read when link", "--expect", str(version - 1), status=20)["error"]
    assert (refused["code"], refused["message"]) == (
        "RULES_CHANGED",
        f"the rules have version {version} now, not {version - 1} any more",
    )
    assert ask("add", "deny read when link", "--expect", str(version))["version"] == version + 1


def test_a_rule_is_added_to_what_somebody_else_made_meanwhile(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    ask("add", "deny create when link", "--id", "a")
    document = AccessRules.document
    between = [True]

    async def slow(self: AccessRules, version: int | None = None) -> RulesVersion:
        found = await document(self, version)
        if between and between.pop():
            await self.replace(found.text + "# hers\n", expected=found.version, changed_by="ada")
        return found

    monkeypatch.setattr(AccessRules, "document", slow)
    made = ask("add", "deny read when link", "--id", "b")
    assert made["text"] == ONE + '# hers\n\n[[rule]]\nid = "b"\ndeny = "read when link"\n'


def test_a_list_of_nextcloud_is_taken_over_and_what_cannot_be_is_listed(ask: Ask, tmp_path: Path) -> None:
    def check(kind: str, value: str) -> list[dict[str, str]]:
        return [{"class": f"OCA\\WorkflowEngine\\Check\\{kind}", "operator": "is", "value": value}]

    entry = {"class": "OCA\\FilesAccessControl\\Operation", "operation": "deny", "name": "guests"}
    entries = [
        entry | {"id": 3, "checks": check("UserGroupMembership", "HR")},
        entry | {"id": 4, "checks": check("FileSystemTags", "12")},
        entry | {"id": 5, "name": "", "checks": check("MfaVerified", "")},
    ]
    (tmp_path / "list.json").write_text(json.dumps({"ocs": {"data": {entry["class"]: entries}}}))
    ask("add", "deny read when link", "--id", "a")
    words = ["import", "--nextcloud", tmp_path / "list.json", "--tag", "12=Top secret"]
    left_out = [{"number": "5", "name": "", "reason": "there is no test like MfaVerified here"}]
    shown = ask(*words, "--dry-run")
    assert (shown["left-out"], ask("list")["rules"][1:]) == (left_out, [])
    made = ask(*words, "--report-only")
    assert made["left-out"] == left_out
    assert made["text"].count("# Nextcloud: guests") == 2
    assert [(rule["id"], rule["rule"], rule["report-only"]) for rule in made["rules"]] == [
        ("a", "deny read when link", False),
        ("nextcloud-3", "deny all when group = HR", True),
        ("nextcloud-4", 'deny all when tag = "Top secret"', True),
    ]
    assert ask("import", "--nextcloud", tmp_path / "list.json", "--tag", "x", status=2)["error"]["code"] == "USAGE"


def test_people_read_lines(ask: Ask, made: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def text(*words: str) -> list[str]:
        server_cli.run(["policy", *words, "--data", str(made)])
        return capsys.readouterr().out.splitlines()

    ask("add", SENTENCE, "--id", "hr", "--note", "HR asked")
    ask("add", "deny share when link", "--id", "b", "--report-only")
    capsys.readouterr()
    assert text("list") == [f"hr\tdeny\t{SENTENCE}", "b\treport\tdeny share when link"]
    assert text("show")[-1] == "report_only = true"
    assert text("history")[1].split("\t")[2:] == ["-", "HR asked"]
    assert text("test", "--user", "bob", "--file", "plan.pdf") == [
        "denied by hr: A rule of this server does not allow this.",
        "  seen: type application/pdf; groups HR",
        "  hr denies (because group = HR and not encrypted)",
        "  b does not deny (not about create)",
    ]
    assert text("test", "--operation", "share", "--link", "--encrypted") == [
        "allowed",
        "  seen: inside of an encrypted folder: no name and no type",
        "  hr does not deny (not about share)",
        "  b would deny (because link)",
    ]
    (tmp_path / "rules.toml").write_text("version = 1\n[[rule]]\nid = 'a'\ndeny = 'all'\n")
    assert text("lint", str(tmp_path / "rules.toml")) == [
        "error: rule a: this forbids everything to everybody, administrators too; if it is meant, say so with --force",
        "1 finding",
    ]
    (tmp_path / "rules.toml").write_text("version = 3\n")
    assert text("lint", str(tmp_path / "rules.toml")) == [
        "error: line 1, version: the document begins with: version = 1",
        "1 finding",
    ]


def test_tags_are_put_on_files_and_rules_look_at_them(ask: Ask, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def tag(*words: str, status: int = 0) -> dict[str, Any]:
        return answer_of("tag", *words, "--data", made, status=status)

    home = answer_of("user", "show", "bob", "--data", made)["user"]
    assert tag("add", home, "/", "Secret") == {
        "schema": "candado.server.tags/1", "user": "bob", "path": "/", "tags": ["Secret"],
    }  # fmt: skip
    ask("add", "deny create when tag = secret", "--id", "secret")
    assert tag("list", "bob", "/")["from-above"] == []
    server_cli.run(["tag", "list", "bob", "/", "--data", str(made)])
    assert capsys.readouterr().out.splitlines()[-1] == "Secret\there"
    assert ask("test", "--user", "bob", "--file", "x.txt", status=13)["denied-by"] == "secret"
    assert tag("remove", "bob", "/", "Secret")["tags"] == []
    assert ask("test", "--user", "bob", "--file", "x.txt")["allowed"]
    assert tag("add", "bob", "x", "Secret", status=4)["error"]["code"] == "NOT_FOUND"


def test_every_command_has_a_help_text() -> None:
    assert sorted(server_policy.policy_commands.commands) == [
        "add", "export", "history", "import", "lint", "list", "remove", "report-only", "show", "test",
    ]  # fmt: skip
