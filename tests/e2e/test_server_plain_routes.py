"""What clients ask before they are logged in, over a real server on the loopback."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.server_process import Answer, Caller, ServerProcess, make_data, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(make_data(tmp_path_factory.mktemp("plain"), "alice", "bob")) as running:
        yield running


async def test_status_is_answered_without_login_and_installed_is_a_boolean(nobody: Caller) -> None:
    answer = await nobody.send("GET", "/status.php")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert json.loads(answer.body)["installed"] is True
    assert json.loads(answer.body)["versionstring"] == "31.0.6"


@pytest.mark.parametrize("path", ["/204", "/index.php/204"])
async def test_the_connectivity_check_is_204_with_an_empty_body(nobody: Caller, path: str) -> None:
    answer = await nobody.send("GET", path)
    assert (answer.status, answer.body) == (204, b"")


SPELLED = (
    ("GET", "/status.php"),
    ("GET", "/204"),
    ("GET", "/logo.svg"),
    ("GET", "/"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("POST", "/login/v2/poll"),
    ("GET", "/login/v2/flow/unknown"),
    ("GET", "/settings/user"),
    ("GET", "/settings/user/security"),
    ("POST", "/settings/user/security/sign-in"),
    ("POST", "/core/wipe/check"),
    ("POST", "/core/wipe/success"),
    ("GET", "/s/unknown"),
    ("GET", "/avatar/alice/64"),
    ("GET", "/ocs/v1.php/cloud/capabilities?format=json"),
    ("GET", "/ocs/v2.php/cloud/capabilities?format=json"),
    ("GET", "/ocs/v2.php/cloud/user?format=json"),
    ("GET", "/ocs/v2.php/cloud/users/alice?format=json"),
    ("GET", "/ocs/v2.php/core/apppassword?format=json"),
    ("GET", "/ocs/v2.php/core/navigation/apps?format=json"),
    ("GET", "/ocs/v2.php/apps/end_to_end_encryption/api/v2/public-key?format=json"),
    ("GET", "/ocs/v2.php/apps/files_sharing/api/v1/shares?format=json"),
    ("GET", "/ocs/v2.php/nothing?format=json"),
    ("PROPFIND", "/remote.php/webdav/"),
    ("GET", "/public.php/dav/files/unknown"),
)


@pytest.mark.parametrize(("method", "path"), SPELLED)
async def test_index_php_in_front_means_the_same(nobody: Caller, alice: Caller, method: str, path: str) -> None:
    for caller in (nobody, alice):
        answers = [await caller.send(method, prefix + path, OCS_APIRequest="true") for prefix in ("", "/index.php")]
        one, other = [(a.status, a.headers.get("Content-Type"), a.headers.get("Location"), a.body) for a in answers]
        if path.startswith("/remote.php"):
            other = (*other[:3], other[3].replace(b"/index.php/remote.php", b"/remote.php"))
        assert one == other
        assert one[0] < 500


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/status.php", 200),
        ("/index.php/204", 204),
        ("/", 200),
        ("/settings/user/security", 200),
        ("/ocs/v2.php/cloud/capabilities?format=json", 200),
        ("/ocs/v1.php/cloud/user?format=json", 200),
        ("/ocs/v2.php/cloud/users/alice?format=json", 200),
        ("/remote.php/dav/avatars/alice/128.png", 404),
        ("/index.php/avatar/alice/128", 404),
    ],
)
async def test_head_is_get_without_a_body(alice: Caller, path: str, status: int) -> None:
    head, get = await alice.send("HEAD", path), await alice.send("GET", path)
    assert (head.status, head.body, get.status) == (status, b"", status)
    assert head.headers.get("Content-Type") == get.headers.get("Content-Type")
    assert head.headers.get("ETag") == get.headers.get("ETag")


@pytest.mark.parametrize("path", ["/status.php", "/204", "/", "/settings/user/security"])
async def test_options_says_what_is_allowed(nobody: Caller, path: str) -> None:
    answer = await nobody.send("OPTIONS", path)
    assert (answer.status, set(answer.headers["Allow"].split(", "))) == (405, {"GET", "HEAD"})


@pytest.mark.parametrize("method", ["HEAD", "PROPFIND", "OPTIONS"])
@pytest.mark.parametrize("path", ["/remote.php/dav", "/remote.php/dav/files/", "/remote.php/webdav/"])
async def test_dav_without_credentials_asks_for_basic(nobody: Caller, method: str, path: str) -> None:
    answer = await nobody.send(method, path)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


async def test_health_and_readiness_are_answered_without_login(nobody: Caller) -> None:
    health, ready = await nobody.send("GET", "/healthz"), await nobody.send("GET", "/readyz")
    assert (health.status, json.loads(health.body)) == (200, {"status": "ok"})
    checks = {"database": "ok", "storage": "ok", "signer": "ok"}
    assert json.loads(ready.body) == {"status": "ok", "checks": checks, "warnings": ["authority.software"]}


async def test_numbers_are_given_to_this_machine_and_not_through_a_proxy(nobody: Caller) -> None:
    assert "candado_locks 0.0" in (await nobody.send("GET", "/metrics")).text
    assert (await nobody.send("GET", "/metrics", X_Forwarded_For="203.0.113.9")).status == 404
    assert (await nobody.send("GET", "/metrics", Via="1.1 proxy")).status == 404


async def test_capabilities_need_no_login_but_then_lack_encryption(nobody: Caller, alice: Caller) -> None:
    public = json.loads((await nobody.ocs("GET", "/cloud/capabilities")).body)["ocs"]["data"]["capabilities"]
    own = json.loads((await alice.ocs("GET", "/cloud/capabilities")).body)["ocs"]["data"]["capabilities"]
    assert "end-to-end-encryption" not in public
    assert own["end-to-end-encryption"] == {"enabled": True, "api-version": "2.0", "keys-exist": False}
    assert own["candado"] == {
        "version": 1,
        "nested-in-one-session": True,
        "staged-chunks": True,
        "link-folder": True,
        "revocation-list": True,
        "administration": True,
        "handovers": True,
        "audit-log": True,
        "key-log": True,
        "policy": True,
        "bodies": {"max-count": 100, "max-bytes": 1 << 20},
        "organisation": "",
        "recovery": {"state": "none"},
        "rules-version": 0,
        "client-rules": 0,
    }


async def test_capabilities_have_every_member_that_stock_parsers_demand(alice: Caller) -> None:
    data = json.loads((await alice.ocs("GET", "/cloud/capabilities")).body)["ocs"]["data"]
    caps = data["capabilities"]
    assert set(data["version"]) >= {"major", "minor", "micro", "string", "edition"}
    assert isinstance(caps["core"]["pollinterval"], int)
    assert caps["files"]["bigfilechunking"] is True
    assert {"resharing", "public", "user", "federation"} <= set(caps["files_sharing"])
    assert {"name", "slogan", "color"} <= set(caps["theming"])
    assert caps["dav"] == {"chunking": "1.0"}


async def test_the_logo_that_is_announced_is_there(server: ServerProcess, nobody: Caller) -> None:
    found = json.loads((await nobody.ocs("GET", "/cloud/capabilities")).body)["ocs"]["data"]["capabilities"]
    logo = await nobody.send("GET", found["theming"]["logo"].removeprefix(server.url))
    assert (logo.status, logo.headers["Content-Type"], logo.body[:5]) == (200, "image/svg+xml", b"<svg ")


async def test_the_same_capabilities_are_not_sent_twice(alice: Caller) -> None:
    first = await alice.ocs("GET", "/cloud/capabilities")
    again = await alice.ocs("GET", "/cloud/capabilities", If_None_Match=first.headers["ETag"])
    assert (again.status, again.body) == (304, b"")


async def test_ocs_json_is_compact_and_version_1_says_100(alice: Caller) -> None:
    one, two = await alice.ocs1("GET", "/cloud/user"), await alice.ocs("GET", "/cloud/user")
    assert b'"statuscode":100,' in one.body
    assert b'"statuscode":200,' in two.body


async def test_ocs_answers_xml_unless_json_is_asked_for(alice: Caller) -> None:
    xml = await alice.send("GET", "/ocs/v2.php/cloud/user", OCS_APIRequest="true")
    query = await alice.send("GET", "/ocs/v2.php/cloud/user?format=json", OCS_APIRequest="true")
    assert xml.headers["Content-Type"] == "application/xml; charset=utf-8"
    assert "<id>alice</id>" in xml.text
    assert json.loads(query.body)["ocs"]["data"]["id"] == "alice"


async def test_unknown_calls_are_404_in_an_ocs_body(nobody: Caller) -> None:
    two = await nobody.ocs("GET", "/apps/notifications/api/v2/notifications")
    one = await nobody.ocs1("POST", "/apps/activity/api/v2/activity")
    assert (two.status, json.loads(two.body)["ocs"]["meta"]["statuscode"]) == (404, 404)
    assert (one.status, json.loads(one.body)["ocs"]["meta"]["statuscode"]) == (404, 998)


async def test_a_post_without_the_ocs_header_is_refused(alice: Caller) -> None:
    answer = await alice.send("POST", "/ocs/v2.php/apps/files_sharing/api/v1/shares?format=json", body=b"path=/")
    assert answer.status == 412


async def test_wrong_passwords_are_401_and_then_429_with_a_time_to_wait(server: ServerProcess) -> None:
    async def guess(number: int) -> Answer:
        async with Caller(server.url, "carol", f"wrong password {number}") as carol:
            return await carol.dav("PROPFIND", "", Depth="0")

    answers = await asyncio.gather(*[guess(number) for number in range(24)])
    statuses = sorted(answer.status for answer in answers)
    assert statuses == [401] * 20 + [429] * 4
    assert int(next(a for a in answers if a.status == 429).headers["Retry-After"]) >= 1


async def test_an_app_password_works_until_it_is_deleted_and_cannot_make_another(server: ServerProcess) -> None:
    async with Caller(server.url, "bob") as bob:
        made = json.loads((await bob.ocs("GET", "/core/getapppassword")).body)["ocs"]["data"]["apppassword"]
    assert len(made) == 72
    async with Caller(server.url, "bob", made) as device:
        assert (await device.ocs("GET", "/core/getapppassword")).status == 403
        assert (await device.dav("PROPFIND", "", Depth="0")).status == 207
        assert (await device.ocs("DELETE", "/core/apppassword")).status == 200
        assert (await device.dav("PROPFIND", "", Depth="0")).status == 401


async def test_an_app_password_of_another_user_is_refused(server: ServerProcess) -> None:
    async with Caller(server.url, "bob") as bob:
        made = json.loads((await bob.ocs("GET", "/core/getapppassword")).body)["ocs"]["data"]["apppassword"]
    async with Caller(server.url, "alice", made) as thief:
        assert (await thief.dav("PROPFIND", "", Depth="0")).status == 401


async def test_a_device_signs_in_through_the_browser(server: ServerProcess, nobody: Caller) -> None:
    from tests.e2e.server_process import PASSWORD

    start = json.loads((await nobody.send("POST", "/index.php/login/v2", User_Agent="My <phone>")).body)
    token, path = start["poll"]["token"], start["login"].removeprefix(server.url)
    assert start["poll"]["endpoint"] == f"{server.url}/login/v2/poll"

    pending = await nobody.send("POST", "/login/v2/poll", body={"token": token})
    assert (pending.status, pending.body) == (404, b"")

    page = await nobody.send("GET", path)
    assert page.status == 200
    assert "My &lt;phone&gt;" in page.text
    assert "script" not in page.text
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]

    wrong = await nobody.send("POST", path, body={"user": "alice", "password": "not this one"})
    assert wrong.status == 403
    foreign = await nobody.send(
        "POST", path, body={"user": "alice", "password": PASSWORD}, Origin="https://evil.example"
    )
    assert foreign.status == 403
    done = await nobody.send("POST", path, body={"user": "alice", "password": PASSWORD}, Origin=server.url)
    assert done.status == 200
    assert (await nobody.send("GET", path)).status == 404

    fetched = await nobody.send("POST", "/login/v2/poll", body={"token": token})
    grant = json.loads(fetched.body)
    assert (grant["server"], grant["loginName"], len(grant["appPassword"])) == (server.url, "alice", 72)
    assert (await nobody.send("POST", "/login/v2/poll", body={"token": token})).status == 404
    async with Caller(server.url, "alice", grant["appPassword"]) as device:
        assert (await device.dav("PROPFIND", "", Depth="0")).status == 207


async def test_users_see_themselves_fully_and_others_by_name_only(alice: Caller) -> None:
    own = json.loads((await alice.ocs("GET", "/cloud/users/alice")).body)["ocs"]["data"]
    other = json.loads((await alice.ocs("GET", "/cloud/users/bob")).body)["ocs"]["data"]
    assert own["quota"]["quota"] == -3
    # The rest is the same for everybody: what clients read without asking whether it is there.
    said = {name: value for name, value in other.items() if value and name not in {"backend", "backendCapabilities"}}
    assert said == {"id": "bob", "display-name": "bob", "displayname": "bob", "profile_enabled": "0"}
    assert not {"quota", "groups", "email", "enabled", "notify_email"} & other.keys()
    assert (await alice.ocs("GET", "/cloud/users/nobody")).status == 404


def test_the_data_directory_is_private(server: ServerProcess) -> None:
    modes = {p.name: p.stat().st_mode & 0o777 for p in [server.data, server.data / "authority.pem"]}
    assert modes == {"data": 0o700, "authority.pem": 0o600}
    assert Path(server.data / "config.toml").stat().st_mode & 0o077 == 0


async def test_numbers_are_given_to_who_has_the_token(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    with (data / "config.toml").open("a") as file:
        file.write('metrics_token = "a secret"\nlog_format = "json"\n')
    with serving(data) as server:
        async with Caller(server.url, None) as nobody:
            answers = [
                await nobody.send("GET", "/metrics"),
                await nobody.send("GET", "/metrics", Authorization="Bearer wrong"),
                await nobody.send("GET", "/metrics", Authorization="Bearer a secret"),
            ]
    assert [answer.status for answer in answers] == [404, 403, 200]
    assert "candado_locks 0.0" in answers[2].text
    log = (tmp_path / "server.log").read_text().splitlines()
    assert [sorted(json.loads(line)) for line in log] == [["level", "logger", "message", "time"]] * len(log)


async def test_clients_can_be_asked_whether_they_know_encryption(tmp_path: Path) -> None:
    data = make_data(tmp_path, "alice")
    with (data / "config.toml").open("a") as file:
        file.write("require_e2ee_header = true\n")
    with serving(data) as server:
        async with Caller(server.url, "alice") as old, Caller(server.url, "alice") as new:
            new.headers["X-E2EE-SUPPORTED"] = "true"
            made = await old.dav("MKCOL", "Secret")
            flag = f"encrypted/{made.headers['OC-FileId']}"
            assert [(await caller.e2ee("PUT", flag)).status for caller in (old, new)] == [403, 200]
            assert [(await c.dav("PROPFIND", "Secret", Depth="0")).status for c in (old, new)] == [403, 207]
            listed = [(await c.dav("PROPFIND", "", Depth="1")).text for c in (old, new)]
            assert ["<oc:permissions/>" in text for text in listed] == [True, False]
            assert (await old.dav("PUT", "plain", body=b"x")).status == 201
            assert (await old.dav("PUT", "Secret/x", body=b"x", e2e_token="t" * 64)).status == 403
