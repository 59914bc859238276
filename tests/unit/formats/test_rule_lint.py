"""What is odd about rules that are written correctly."""

import pytest

from candado.formats.rules import RuleFinding, Rules, fits_everything, lint_rules, make_rule


def rules(*lines: str, report_only: bool = False) -> Rules:
    made = [make_rule(line, rule_id=f"r{n}", message="no", report_only=report_only) for n, line in enumerate(lines)]
    return Rules(tuple(made))


def codes(*lines: str) -> list[str]:
    return [f"{found.rule} {found.severity} {found.code}" for found in lint_rules(rules(*lines))]


@pytest.mark.parametrize(
    "line",
    [
        "deny all",
        "deny create",
        "deny all when name like *",
        "deny all when name like a, **",
        "deny all when name matches .*",
        'deny all when url matches "^"',
        "deny all when link or not link",
        "deny all when ip = 0.0.0.0/0, ::/0",
        "deny all when ip = 0.0.0.0/1, 128.0.0.0/1, ::/0",
        "deny all when agent = android, desktop, ios, candado, other",
        "deny all when time = Mon-Sun UTC",
        "deny all when time = 00:00-24:00 UTC",
        "deny all when time = Tue-Mon 00:00-24:00 UTC",
        "deny all when not size < 0 B",
        "deny all when (link or name like *) and (encrypted or not encrypted)",
    ],
)
def test_a_rule_for_everything_is_an_error(line: str) -> None:
    assert fits_everything(rules(line).rules[0])
    assert "r0 error matches-everything" in codes(line)
    found = lint_rules(rules(line, report_only=True))
    assert [one.severity for one in found if one.code == "matches-everything"] == ["warning"]


@pytest.mark.parametrize(
    "line",
    [
        "deny all when link",
        "deny all when name like *.*",
        "deny all when name matches .",
        "deny all when ip = 0.0.0.0/0",
        "deny all when ip = ::/0",
        "deny all when agent = android, other",
        "deny all when time = Mon-Sat UTC",
        "deny all when time = Mon UTC",
        "deny all when time = 00:00-23:59 UTC",
        "deny all when not size < 1 B",
        "deny all when not size > 0 B",
        "deny all when not link",
        "deny all when (link or not link) and encrypted",
        "deny all when mime like image/*",
        "deny all when group = HR",
    ],
)
def test_a_rule_for_some_things_is_none(line: str) -> None:
    assert not fits_everything(rules(line).rules[0])
    assert "matches-everything" not in " ".join(codes(line))


def test_the_finding_says_whom_it_concerns() -> None:
    assert lint_rules(rules("deny all"))[0].message == (
        "this forbids everything to everybody, administrators too; if it is meant, say so with --force"
    )
    assert lint_rules(rules("deny read, share"))[0].message.startswith("this forbids to read, to share to everybody")


def test_what_encrypted_folders_hide_is_said_unless_the_rule_leaves_them_out() -> None:
    [found] = lint_rules(rules("deny create when mime = application/pdf or name like *.pdf"))
    assert found == RuleFinding(
        "blind-when-encrypted",
        "notice",
        "r0",
        "inside of encrypted folders the server sees no mime and no name: the test fits nothing there, nor does its "
        "opposite",
    )
    assert codes("deny create when not name like *.pdf") == ["r0 notice blind-when-encrypted"]
    assert codes("deny create when mime = application/pdf and not encrypted") == []
    assert codes("deny create when mime = application/pdf and (link or not encrypted)") == [
        "r0 notice blind-when-encrypted"
    ]


def test_a_rule_that_fits_nothing_is_a_warning() -> None:
    assert codes("deny all when link and not link") == ["r0 warning matches-nothing"]
    assert codes("deny all when encrypted and mime = application/pdf") == [
        "r0 warning matches-nothing",
        "r0 notice blind-when-encrypted",
    ]
    assert codes("deny all when (link or encrypted) and not link") == []


def test_a_rule_that_another_one_has_within_it_is_a_warning() -> None:
    assert codes("deny create, read when link", "deny read when link", "deny share when link") == ["r1 warning twice"]
    assert codes("deny read when link", "deny create, read when link") == []


def test_an_agent_is_a_claim() -> None:
    assert codes("deny all when agent = desktop") == ["r0 notice agent-is-a-claim"]


def test_groups_that_are_not_there_are_named() -> None:
    lines = rules("deny all when group = HR, Sales and not group = admin")
    assert lint_rules(lines) == []
    assert lint_rules(lines, groups=["HR", "Sales", "admin"]) == []
    assert lint_rules(lines, groups=["HR"]) == [
        RuleFinding("unknown-group", "warning", "r0", "there is no group Sales, admin")
    ]
