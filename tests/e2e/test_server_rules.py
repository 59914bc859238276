"""Access rules on every route: what each asks for, shown by a rule that denies it to one user agent and to no other.

The rules in force deny each operation, one rule each, to whoever calls himself ``denied``. A row is asked twice: as
``denied`` it is refused by the rule of its operation and changes nothing, as anybody else the very same request is
carried out. The last test wants a row, or a reason for none, of every route.
"""

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.server_process import PASSWORD, Answer, Caller, ServerProcess, make_data, serving
from tests.e2e.test_server_rights import described

from candado.apps.server_config import load_config
from candado.apps.server_wiring import open_backend
from candado.formats.denials import Denial, parse_denial
from candado.formats.rules import Operation
from candado.server.accessrules import AccessRules

SHARES = "/ocs/v2.php/apps/files_sharing/api/v1/shares"
E2EE = "/ocs/v2.php/apps/end_to_end_encryption/api"
DAV = "/remote.php/dav/files/alice"
OLD = "/remote.php/webdav"
UPLOADS = "/remote.php/dav/uploads/alice"
BODY = "a" * 32
TOUCH = (
    '<d:propertyupdate xmlns:d="DAV:"><d:set><d:prop><d:lastmodified>1</d:lastmodified></d:prop></d:set>'
    "</d:propertyupdate>"
)
FORM = (
    '--b\r\nContent-Disposition: form-data; name="files"; filename="by-form"\r\n\r\nx\r\n--b--\r\n',
    "multipart/form-data; boundary=b",
)
SHARE, VAULT, OPEN_VAULT, LINK, DROP, BOX, CHUNK, EMPTY = (
    "share",
    "vault",
    "open",
    "link",
    "drop",
    "box",
    "chunk",
    "empty",
)


@dataclass(frozen=True)
class Row:
    """A request with the rule that refuses it, and its status when none does; names in braces come from its scene."""

    method: str
    path: str
    rule: str
    allowed: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def ocs(method: str, path: str, rule: str, *needs: str, body: Any = None, **headers: str) -> Row:
    return Row(method, path, rule, 200, body, {"OCS_APIRequest": "true", **headers}, needs)


def writes(base: str, prefix: str, *needs: str) -> list[Row]:
    """Every way to write below an address, and to read."""
    there = {"Destination": f"{prefix}/moved"}
    return [
        Row("PUT", f"{base}/new", "create", 201, "x", needs=needs),
        Row("PUT", f"{base}/file", "update", 204, "x", needs=needs),
        Row("MKCOL", f"{base}/made", "create", 201, needs=needs),
        Row("DELETE", f"{base}/file", "delete", 204, needs=needs),
        Row("DELETE", f"{base}/in", "delete", 204, needs=needs),
        Row("MOVE", f"{base}/file", "rename", 201, headers=there, needs=needs),
        Row("COPY", f"{base}/file", "read", 201, headers=there, needs=needs),
        Row("GET", f"{base}/file", "read", 200, needs=needs),
    ]


SIGNED = {"e2e_token": "{token}", "X_NC_E2EE_SIGNATURE": "c2ln"}
LINKED = {"x_nc_e2ee_share_token": "{box}"}
TABLE = [
    *writes(DAV + "/{w}", DAV + "/{w}"),
    Row("PROPPATCH", DAV + "/{w}/file", "update", 207, TOUCH),
    Row("PATCH", DAV + "/{w}/file", "read", 204, headers={"X_Recalculate_Hash": "sha256"}),
    *writes(OLD + "/{w}", OLD + "/{w}"),
    Row("PROPPATCH", OLD + "/{w}/file", "update", 207, TOUCH),
    Row("PATCH", OLD + "/{w}/file", "read", 204, headers={"X_Recalculate_Hash": "sha256"}),
    # bodies, folders and names in an encrypted folder, under its lock
    Row("PUT", DAV + "/{v}/" + BODY, "create", 201, "x", SIGNED, (VAULT,)),
    Row("MKCOL", DAV + "/{v}/" + BODY, "create", 201, None, SIGNED, (VAULT,)),
    Row("DELETE", DAV + "/{v}/" + "b" * 32, "delete", 204, None, SIGNED, (VAULT,)),
    Row("GET", DAV + "/{v}/" + "b" * 32, "read", 200, None, {}, (VAULT,)),
    # uploads in chunks: announced, sent, joined
    Row("MKCOL", UPLOADS + "/{w}n", "create", 201, headers={"Destination": DAV + "/{w}/new"}),
    Row("PUT", UPLOADS + "/{w}/00002", "create", 201, "x", {"Destination": DAV + "/{w}/new"}, (CHUNK,)),
    Row("MOVE", UPLOADS + "/{w}/.file", "create", 201, None, {"Destination": DAV + "/{w}/new"}, (CHUNK,)),
    Row("MOVE", UPLOADS + "/{w}/.file", "update", 204, None, {"Destination": DAV + "/{w}/file"}, (CHUNK,)),
    # links for reading and writing, and for uploads
    *writes("/public.php/dav/files/{link}", "/public.php/dav/files/{link}", LINK),
    *(
        Row(
            row.method,
            row.path,
            row.rule,
            row.allowed,
            row.body,
            {**row.headers, "Authorization": "{basic}"},
            row.needs,
        )
        for row in writes("/public.php/webdav", "/public.php/webdav", LINK)
    ),
    Row("PUT", "/public.php/dav/files/{drop}/new", "create", 201, "x", needs=(DROP,)),
    Row("GET", "/s/{link}/download?path=/file", "read", 200, needs=(LINK,)),
    Row("POST", "/s/{link}/upload", "create", 303, FORM[0], {"Content_Type": FORM[1], "Origin": "{url}"}, (LINK,)),
    Row("POST", "/s/{drop}/upload", "create", 303, FORM[0], {"Content_Type": FORM[1], "Origin": "{url}"}, (DROP,)),
    Row("PUT", "/public.php/dav/files/{box}/" + "c" * 32, "create", 201, "x", needs=(BOX,)),
    Row("PUT", "/s/{box}/drop/" + "c" * 32, "create", 201, "x", {"Origin": "{url}"}, (BOX,)),
    Row("PUT", "/s/{box}/drop", "create", 204, {"filedrop": '{"' + "b" * 32 + '":{}}'}, {"Origin": "{url}"}, (BOX,)),
    # calls
    ocs("POST", SHARES, "share", body={"path": "/{w}", "shareWith": "bob", "permissions": "1"}),
    ocs("POST", SHARES, "share", body={"path": "/{w}", "shareType": "3", "permissions": "1"}),
    ocs("POST", SHARES, "share", body={"path": "/{w}", "shareType": "1", "shareWith": "staff"}),
    ocs("PUT", SHARES + "/{share}", "share", SHARE, body={"permissions": "15"}),
    *(ocs("PUT", f"{E2EE}/v{n}/encrypted/{{empty}}", "update", EMPTY) for n in (1, 2)),
    *(ocs("DELETE", f"{E2EE}/v{n}/encrypted/{{marked}}", "update", EMPTY) for n in (1, 2)),
    *(ocs("DELETE", f"{E2EE}/v{n}/encrypted-files", "delete", OPEN_VAULT) for n in (1, 2)),
    ocs("POST", E2EE + "/v2/lock/{vault}", "update", OPEN_VAULT, X_NC_E2EE_COUNTER="3"),
    ocs("DELETE", E2EE + "/v2/lock/{vault}", "create", VAULT, e2e_token="{token}"),
    ocs(
        "POST",
        E2EE + "/v2/meta-data/{fresh}",
        "create",
        EMPTY,
        body={"metaData": "{}"},
        **{**SIGNED, "e2e_token": "{first}"},
    ),
    ocs("PUT", E2EE + "/v2/meta-data/{vault}", "update", VAULT, body={"metaData": "{2}"}, **SIGNED),
    ocs("DELETE", E2EE + "/v2/meta-data/{vault}", "update", VAULT, **SIGNED),
    ocs("PUT", E2EE + "/v2/meta-data/{vault}/filedrop", "create", BOX, body={"filedrop": '{"' + "b" * 32 + '":{}}'}),
    ocs("PUT", E2EE + "/v2/meta-data/{vault}/filedrop", "create", BOX, body={"filedrop": "{}"}, **LINKED),
]

NOTHING_OF_FILES = re.compile(
    r"/ocs/v2\.php/(cloud|core)/.*|/ocs/v2\.php/apps/candado/api/v1/(admin|policy)(/.*)?|/core/.*|/login/.*|/settings/.*|/s/\{token\}/authenticate.*|.*/(private|public)-key"
)
"""Accounts, devices, groups, sign-ins and keys: no file or folder is touched. Removing a user is the administrator's."""
UNRULED = {
    ("POST", "/invitation/{token}"): "sets a password, and touches no file",
    ("DELETE", SHARES + "/{id}"): "ends a share, after which nobody has more than before",
    ("DELETE", UPLOADS.replace("alice", "{user}") + "/{transfer}"): "throws away what is no file yet",
    ("POST", "/ocs/v2.php/apps/candado/api/v1/bodies"): "leaves out what may not be read; a test of its own",
    ("POST", "/ocs/v2.php/apps/candado/api/v1/recovery"): "the administrator's, and no file",
    ("POST", "/ocs/v2.php/apps/candado/api/v1/recovery/uses"): "the administrator's, and no file",
    ("POST", "/ocs/v2.php/apps/candado/api/v1/policies/{kind}"): "the administrator's, and no file",
    **{
        (method, f"{E2EE}/v1/{path}/{{id}}"): "is always refused: these folders are of the second version"
        for path in ("lock", "meta-data")
        for method in ("POST", "PUT", "DELETE")
    },
}
RULES = "version = 1\n" + "".join(
    f"""
[[rule]]
id = "{operation.value}"
deny = '{operation.value} when agent matches "^denied"'
message = "No {operation.value} here, says the administrator; <ask> Ana."
"""
    for operation in Operation
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data = make_data(tmp_path_factory.mktemp("rules"), "alice", "bob", admin="root")

    async def rule() -> None:
        async with open_backend(load_config(data, {})) as backend:
            await AccessRules(backend).replace(RULES, expected=0, changed_by="root", force=True)

    asyncio.run(rule())
    with serving(data) as running:
        yield running


@pytest.fixture(scope="module")
def alice_only(server: ServerProcess) -> None:
    async def build() -> None:
        async with Caller(server.url, "root") as root:
            assert (await root.ocs("POST", "/cloud/groups", body={"groupid": "staff"})).status == 200

    asyncio.run(build())


def data(answer: Answer) -> Any:
    assert answer.status == 200, answer.text
    return json.loads(answer.body)["ocs"]["data"]


class Scene:
    """What one row needs, made anew for it."""

    def __init__(self, server: ServerProcess, alice: Caller, number: int) -> None:
        self.alice = alice
        self.names = {"w": f"w{number}", "v": f"v{number}", "url": server.url}

    async def make(self, needs: tuple[str, ...]) -> dict[str, str]:
        names, alice = self.names, self.alice
        for path in (names["w"], f"{names['w']}/in"):
            assert (await alice.dav("MKCOL", path)).status == 201
        assert (await alice.dav("PUT", f"{names['w']}/file", body=b"content")).status == 201
        if {VAULT, OPEN_VAULT, BOX} & {*needs}:
            await self._vault(locked=VAULT in needs)
        if EMPTY in needs:
            await self._empty()
        if CHUNK in needs:
            assert (await alice.send("MKCOL", f"{UPLOADS}/{names['w']}")).status == 201
            assert (await alice.send("PUT", f"{UPLOADS}/{names['w']}/00001", body=b"x")).status == 201
        for need, path, bits in ((LINK, names["w"], "15"), (DROP, names["w"], "4"), (BOX, names["v"], "4")):
            if need in needs:
                form = {"path": f"/{path}", "shareType": "3", "permissions": bits}
                names[need] = data(await alice.ocs("POST", SHARES.removeprefix("/ocs/v2.php"), body=form))["token"]
        if SHARE in needs:
            form = {"path": f"/{names['w']}", "shareWith": "bob", "permissions": "1"}
            names["share"] = data(await alice.ocs("POST", SHARES.removeprefix("/ocs/v2.php"), body=form))["id"]
        if LINK in needs:
            names["basic"] = Caller("", names["link"], "").headers["Authorization"]
        return names

    async def _folder(self, name: str, *, marked: bool = True) -> str:
        number = str((await self.alice.dav("MKCOL", name)).headers["OC-FileId"])
        if marked:
            assert (await self.alice.e2ee("PUT", f"encrypted/{number}")).status == 200
        return number

    async def _empty(self) -> None:
        names, w = self.names, self.names["w"]
        names["empty"] = await self._folder(f"{w}/e", marked=False)
        names["marked"], names["fresh"] = await self._folder(f"{w}/m"), await self._folder(f"{w}/f")
        answer = await self.alice.e2ee("POST", f"lock/{names['fresh']}", X_NC_E2EE_COUNTER="1")
        names["first"] = data(answer)["e2e-token"]

    async def _vault(self, *, locked: bool) -> None:
        alice, names = self.alice, self.names
        number = names["vault"] = await self._folder(names["v"])
        token = data(await alice.e2ee("POST", f"lock/{number}", X_NC_E2EE_COUNTER="1"))["e2e-token"]
        assert (await alice.dav("PUT", f"{names['v']}/{'b' * 32}", body=b"sealed", e2e_token=token)).status == 201
        text, lock = {"metaData": "{}"}, {"e2e_token": token, "X_NC_E2EE_SIGNATURE": "c2ln"}
        assert (await alice.e2ee("POST", f"meta-data/{number}", body=text, **lock)).status == 200
        assert (await alice.e2ee("DELETE", f"lock/{number}", e2e_token=token)).status == 200
        if locked:
            answer = await alice.e2ee("POST", f"lock/{number}", X_NC_E2EE_COUNTER="2")
            names["token"] = data(answer)["e2e-token"]
            assert (
                await alice.dav("PUT", f"{names['v']}/{'d' * 32}", body=b"staged", e2e_token=names["token"])
            ).status == 201


def filled(text: str, names: dict[str, str]) -> str:
    return re.sub(r"\{([a-z]+)\}", lambda match: names[match[1]], text)


async def ask(caller: Caller, row: Row, names: dict[str, str], agent: str) -> Answer:
    headers = {name: filled(value, names) for name, value in row.headers.items()}
    body = {n: filled(v, names) for n, v in row.body.items()} if isinstance(row.body, dict) else row.body
    return await caller.send(row.method, filled(row.path, names), body=body, User_Agent=agent, **headers)


@pytest.mark.parametrize("number", range(len(TABLE)), ids=lambda number: f"{number} {TABLE[number]}")
async def test_a_route_asks_for_its_operation(server: ServerProcess, alice_only: None, number: int) -> None:
    row = TABLE[number]
    async with Caller(server.url, "alice") as alice:
        names = await Scene(server, alice, number).make(row.needs)
        refused = await ask(alice, row, names, "denied/1.0")
        told = f"No {row.rule} here, says the administrator; <ask> Ana."
        assert (refused.status, refused.headers.get("X-Candado-Denied", "")[:30]) == (
            403,
            f"rule={row.rule}; version=1; encrypt="[:30],
        ), refused.text
        assert parse_denial(refused.headers["X-Candado-Denied"]) == Denial(row.rule, told, 1, lasting=True)
        shown = f"{told} (rule {row.rule})".replace("<", "&lt;").replace(">", "&gt;")
        if row.path.startswith("/ocs/"):
            code = f"<code>POLICY_DENIED</code><rule>{row.rule}</rule>"
            assert code in re.sub(r"\s+<", "<", refused.text)
        elif not row.path.startswith("/s/"):
            assert f"<s:exception>Sabre\\DAV\\Exception\\Forbidden</s:exception><s:message>{shown}" in refused.text
        else:
            assert shown in refused.text
        # The unlock that is refused has undone its session, so the same request has nothing to end any more.
        is_unlock = (row.method, row.path) == ("DELETE", E2EE + "/v2/lock/{vault}")
        allowed = await ask(alice, row, names, "Mozilla/5.0 (Linux) mirall/3.17.0 (Nextcloud)")
        assert allowed.status == (404 if is_unlock else row.allowed), allowed.text


async def test_many_bodies_at_once_leave_out_what_may_not_be_read(server: ServerProcess) -> None:
    async with Caller(server.url, "alice") as alice:
        await Scene(server, alice, 9001).make(())
        form = {"folder": "/w9001", "names": '["file"]'}
        call = "/apps/candado/api/v1/bodies"
        found = [await alice.ocs("POST", call, body=form, User_Agent=agent) for agent in ("denied/1", "allowed/1")]
        assert [b"content" in answer.body for answer in found] == [False, True]
        assert [answer.status for answer in found] == [200, 200]


async def test_the_capabilities_tell_the_version_to_who_has_signed_in(server: ServerProcess) -> None:
    async with Caller(server.url, "alice") as alice, Caller(server.url, None) as nobody:
        found = [data(await caller.ocs("GET", "/cloud/capabilities")) for caller in (alice, nobody)]
    assert [one["capabilities"]["candado"].get("rules-version") for one in found] == [1, None]


async def test_the_metrics_count_hits_by_rule(server: ServerProcess) -> None:
    async with Caller(server.url, "alice") as alice, Caller(server.url, None) as nobody:
        assert (await alice.dav("PUT", "counted", body=b"x", User_Agent="denied/1")).status == 403
        text = (await nobody.send("GET", "/metrics")).text
    assert re.search(r'^candado_policy_hits_total\{outcome="denied",rule="create"\} [1-9]', text, re.MULTILINE)


@pytest.mark.parametrize("headers", ["Content-Length: 1000000\r\n", "Transfer-Encoding: chunked\r\n"])
def test_a_client_that_waits_is_refused_before_it_sends_a_byte(server: ServerProcess, headers: str) -> None:
    basic = Caller("", "alice", PASSWORD).headers["Authorization"]
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(
            f"PUT {DAV}/waiting HTTP/1.1\r\nHost: x\r\nAuthorization: {basic}\r\nUser-Agent: denied/1\r\n"
            f"Expect: 100-continue\r\n{headers}\r\n".encode()
        )
        head = connection.recv(65536)
    assert head.startswith(b"HTTP/1.1 403 "), head
    assert b"\r\nx-candado-denied: rule=create; version=1; encrypt=0; lasting=1; text=" in head.lower()


@pytest.mark.parametrize("agent", ["denied" + "\u00e9" * 300, "denied" + "x" * 7000, "denied\t;drop"])
async def test_a_hostile_user_agent_is_only_text(server: ServerProcess, agent: str) -> None:
    async with Caller(server.url, "alice") as alice:
        answer = await alice.dav("PUT", "hostile", body=b"x", User_Agent=agent)
    assert (answer.status, "X-Candado-Denied" in answer.headers) == (403, True)


@pytest.mark.parametrize(("method", "path"), described(), ids=str)
def test_every_route_that_writes_or_gives_bodies_has_a_row(method: str, path: str) -> None:
    if method in ("PROPFIND", "REPORT", "SEARCH", "OPTIONS", "HEAD"):
        return  # names and sizes: rules are about contents
    gives = path.startswith(("/remote.php", "/public.php")) or path == "/s/{token}/download"
    if (method == "GET" and not gives) or NOTHING_OF_FILES.fullmatch(path):
        return
    if (method, path) in UNRULED:
        assert UNRULED[method, path]
        return
    below = r"[^?]*" if path.startswith(("/remote.php", "/public.php")) else r"[^/?]+"
    pattern = re.compile(re.sub(r"\\{[^}]*\\}", lambda _: below, re.escape(path)) + r"(\?.*)?")
    rows = [row for row in TABLE if row.method == method and pattern.fullmatch(row.path)]
    assert rows, f"add a row for {method} {path} to TABLE in {Path(__file__).name}, or the reason for none"
