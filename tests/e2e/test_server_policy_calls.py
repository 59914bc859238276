"""The calls on access rules, as an administrator's page or tool makes them, over a real server."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.server_process import Answer, Caller, ServerProcess, answer_of, make_data, serving

POLICY = "/apps/candado/api/v1/policy"
ONE = 'version = 1\n\n[[rule]]\nid = "hr"\ndeny = "create when group = HR" # until March\n'
TWO = 'version = 1\n\n[[rule]]\nid = "links"\ndeny = "share"\nmessage = "Nein \u2014 not here."\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(make_data(tmp_path_factory.mktemp("policy"), "alice", admin="root")) as running:
        yield running


def data(answer: Answer, status: int = 200) -> Any:
    assert answer.status == status, answer.text
    return json.loads(answer.body)["ocs"]["data"]


async def put(root: Caller, text: str, expected: int, **more: str) -> Answer:
    return await root.ocs("PUT", POLICY, body={"text": text, "expected": str(expected), **more})


async def test_rules_are_read_replaced_and_kept(root: Caller) -> None:
    before = data(await root.ocs("GET", POLICY))["version"]
    made = data(await put(root, ONE, before, note="HR asked"))
    assert (made["version"], made["text"], made["changed-by"], made["note"]) == (before + 1, ONE, "root", "HR asked")
    assert made["rules"] == [
        {
            "id": "hr",
            "rule": "deny create when group = HR",
            "message": "A rule of this server does not allow this.",
            "report-only": False,
        }
    ]
    assert data(await root.ocs("GET", POLICY)) == made
    wide = await put(root, TWO, made["version"])
    assert data(wide, 400) == {
        "code": "RULES_TOO_WIDE",
        "line": None,
        "rule": "links",
        "key": "deny",
        "reason": "this denies share to everybody, administrators too, whatever the file",
    }
    forced = data(await put(root, TWO, made["version"], force="true"))
    assert (forced["text"], forced["rules"][0]["message"]) == (TWO, "Nein \u2014 not here.")
    listed = data(await root.ocs("GET", f"{POLICY}/history"))["versions"]
    assert [one["version"] for one in listed[:2]] == [made["version"] + 1, made["version"]]
    assert listed[1] == {name: made[name] for name in ("version", "changed", "changed-by", "note")}
    assert data(await root.ocs("GET", f"{POLICY}?number={made['version']}")) == made
    assert (await root.ocs("GET", f"{POLICY}?number=99999")).status == 404


async def test_the_second_of_two_administrators_gets_both_versions(root: Caller) -> None:
    before = data(await root.ocs("GET", POLICY))["version"]
    hers = data(await put(root, ONE + "# hers\n", before))
    refused = await put(root, ONE + "# mine\n", before)
    assert data(refused, 409) == {
        "code": "RULES_CHANGED",
        "expected": before,
        "current": hers["version"],
        "text": ONE + "# hers\n",
    }
    assert data(await root.ocs("GET", POLICY)) == hers
    assert data(await put(root, ONE + "# both\n", hers["version"]))["version"] == hers["version"] + 1


async def test_an_error_is_found_at_its_place_and_the_old_rules_stay(root: Caller) -> None:
    before = data(await root.ocs("GET", POLICY))
    wrong = ONE.replace("group", "groups")
    assert data(await put(root, wrong, before["version"]), 400) == {
        "code": "RULES_INVALID",
        "line": 5,
        "rule": "hr",
        "key": "deny",
        "reason": "character 18: groups is no test; did you mean group?",
    }
    assert data(await root.ocs("GET", POLICY)) == before
    found = data(await root.ocs("POST", f"{POLICY}/lint", body={"text": wrong}))
    assert (found["valid"], found["findings"][0]["line"]) == (False, 5)
    found = data(await root.ocs("POST", f"{POLICY}/lint", body={"text": ONE}))
    assert found == {
        "valid": True,
        "findings": [
            {
                "code": "unknown-group",
                "severity": "warning",
                "rule": "hr",
                "line": None,
                "message": "there is no group HR",
            }
        ],
    }
    found = data(await root.ocs("POST", f"{POLICY}/lint", body={"text": TWO}))
    assert [one["severity"] for one in found["findings"]] == ["error"]


@pytest.mark.parametrize("body", [{}, {"text": ONE}, {"text": ONE, "expected": "x"}, {"text": "", "expected": "0"}])
async def test_what_is_missing_is_said(root: Caller, body: dict[str, str]) -> None:
    assert (await root.ocs("PUT", POLICY, body=body)).status == 400


async def test_a_document_is_tried_before_it_is_in_force(root: Caller) -> None:
    rules = 'version = 1\n[[rule]]\nid = "pdf"\ndeny = "create when mime = application/pdf and tag = a"\n'
    asked = {"text": rules, "user": "alice", "file": "x/plan.pdf", "size": "10MB", "tag[]": "a", "encrypted": "no"}
    tried = data(await root.ocs("POST", f"{POLICY}/test", body=asked))
    assert (tried["allowed"], tried["denied-by"]) == (False, "pdf")
    assert tried["rules"] == [{"id": "pdf", "fits": True, "why": "because mime = application/pdf and tag = a"}]
    assert tried["facts"]["names"] == ["x", "plan.pdf"]
    tried = data(await root.ocs("POST", f"{POLICY}/test", body=asked | {"encrypted": "yes"}))
    assert (tried["allowed"], tried["facts"]["names"]) == (True, None)
    in_force = data(await root.ocs("POST", f"{POLICY}/test", body={"user": "root"}))
    assert in_force["facts"]["groups"] == ["admin"]
    assert (await root.ocs("POST", f"{POLICY}/test", body={"user": "nobody"})).status == 404
    assert (await root.ocs("POST", f"{POLICY}/test", body={"size": "much"})).status == 400


async def test_only_the_login_password_of_an_administrator_replaces_rules(
    server: ServerProcess, root: Caller, alice: Caller
) -> None:
    assert (await alice.ocs("GET", POLICY)).status == 403
    assert (await put(alice, ONE, 0)).status == 403
    made = answer_of("app-password", "root", "--label", "phone", "--data", server.data)["app_password"]
    async with Caller(server.url, "root", made) as phone:
        assert (await phone.ocs("GET", POLICY)).status == 200
        assert (await put(phone, ONE, 0)).status == 403
