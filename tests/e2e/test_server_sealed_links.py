"""Links into encrypted folders: what visitors read, write under a lock, and drop, over a real server."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.e2e.server_process import Answer, Caller, ServerProcess, make_data, serving
from tests.vectors.keys import private_key

from candado.crypto.mnemonic import seal_private_key
from candado.crypto.x509 import make_csr, parse_certificate
from candado.types import SecretText

SHARES = "/apps/files_sharing/api/v1/shares"
SECRET = "a password for the link"
OWN = "/apps/candado/api/v1/link-folder"
BODY = b"sealed body of some length"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(make_data(tmp_path_factory.mktemp("sealed"), "alice", "bob", "carol")) as running:
        yield running


def data(answer: Answer) -> Any:
    assert answer.status == 200, answer.text
    return json.loads(answer.body)["ocs"]["data"]


def name(number: int) -> str:
    return f"{number:032x}"


def entry(text: str = "x") -> dict[str, Any]:
    return {"ciphertext": text, "nonce": "n", "authenticationTag": "t", "users": []}


@dataclass
class Folder:
    """An encrypted folder of alice with one sealed file and a document that lists two members."""

    alice: Caller
    path: str
    number: str

    async def write(
        self, counter: int, text: str, *, method: str = "PUT", who: Caller | None = None, **more: str
    ) -> None:
        caller = who or self.alice
        lock = data(await caller.e2ee("POST", f"lock/{self.number}", X_NC_E2EE_COUNTER=str(counter), **more))[
            "e2e-token"
        ]
        body = {"metaData": text}
        sent = await caller.e2ee(
            method, f"meta-data/{self.number}", body=body, e2e_token=lock, X_NC_E2EE_SIGNATURE="c2ln", **more
        )
        assert sent.status == 200, sent.text
        assert (await caller.e2ee("DELETE", f"lock/{self.number}", e2e_token=lock, **more)).status == 200

    async def link(self, permissions: int, **more: str) -> Any:
        form = {"path": f"/{self.path}", "shareType": "3", "permissions": str(permissions), **more}
        return data(await self.alice.ocs("POST", SHARES, body=form))

    async def document(self) -> Any:
        return json.loads(data(await self.alice.e2ee("GET", f"meta-data/{self.number}"))["meta-data"])


DOCUMENT = {"metadata": {"ciphertext": "c"}, "users": [{"userId": "alice"}, {"userId": "bob"}], "version": "2.1"}


@pytest.fixture
async def folder(alice: Caller, request: pytest.FixtureRequest) -> Folder:
    path = re.sub(r"[^a-z0-9]", "-", request.node.name.lower())[:100]
    number = (await alice.dav("MKCOL", path)).headers["OC-FileId"]
    assert (await alice.e2ee("PUT", f"encrypted/{number}")).status == 200
    made = Folder(alice, path, number)
    lock = data(await alice.e2ee("POST", f"lock/{number}", X_NC_E2EE_COUNTER="1"))["e2e-token"]
    for at, content in ((f"{path}/{name(1)}", BODY),):
        assert (await alice.dav("PUT", at, body=content, e2e_token=lock)).status == 201
    inner = (await alice.dav("MKCOL", f"{path}/{name(2)}", e2e_token=lock)).headers["OC-FileId"]
    assert (await alice.e2ee("PUT", f"encrypted/{inner}", e2e_token=lock)).status == 200
    assert (await alice.dav("PUT", f"{path}/{name(2)}/{name(3)}", body=BODY, e2e_token=lock)).status == 201
    body = {"metaData": json.dumps(DOCUMENT)}
    assert (
        await alice.e2ee("POST", f"meta-data/{number}", body=body, e2e_token=lock, X_NC_E2EE_SIGNATURE="c2ln")
    ).status == 200
    assert (await alice.e2ee("DELETE", f"lock/{number}", e2e_token=lock)).status == 200
    return made


async def public(caller: Caller, method: str, token: str, path: str = "", **more: Any) -> Answer:
    return await caller.send(method, f"/public.php/dav/files/{token}/{path}", **more)


def by(token: str) -> dict[str, str]:
    return {"x_nc_e2ee_share_token": token}


METADATA = (
    '<d:propfind xmlns:d="DAV:" xmlns:nc="http://nextcloud.org/ns" xmlns:oc="http://owncloud.org/ns"><d:prop>'
    "<oc:fileid/><nc:is-encrypted/><nc:e2ee-metadata/><nc:e2ee-metadata-signature/></d:prop></d:propfind>"
)


async def test_a_reader_gets_metadata_and_bodies_at_any_depth_and_writes_nothing(
    nobody: Caller, folder: Folder
) -> None:
    token = (await folder.link(1))["token"]
    got = await nobody.e2ee("GET", f"meta-data/{folder.number}", **by(token))
    assert json.loads(data(got)["meta-data"]) == DOCUMENT
    assert got.headers["X-NC-E2EE-SIGNATURE"] == "c2ln"
    listed = (await public(nobody, "PROPFIND", token, body=METADATA, Depth="1")).text
    assert f"<oc:fileid>{int(folder.number[:8])}</oc:fileid>" in listed
    assert listed.count("<d:response>") == 3
    assert "c2ln" in listed
    assert (await public(nobody, "GET", token, name(1))).body == BODY
    assert (await public(nobody, "GET", token, f"{name(2)}/{name(3)}")).body == BODY
    refused = {
        "lock": await nobody.e2ee("POST", f"lock/{folder.number}", X_NC_E2EE_COUNTER="5", **by(token)),
        "drop": await nobody.e2ee("PUT", f"meta-data/{folder.number}/filedrop", body={"filedrop": "{}"}, **by(token)),
        "PUT": await public(nobody, "PUT", token, name(9), body=b"x"),
        "DELETE": await public(nobody, "DELETE", token, name(1)),
        "flag": await nobody.e2ee("PUT", f"encrypted/{folder.number}", **by(token)),
    }
    assert {what: answer.status for what, answer in refused.items()} == dict.fromkeys(refused, 403) | {"flag": 403}


async def test_an_editor_writes_under_a_lock_of_the_link_and_not_without(nobody: Caller, folder: Folder) -> None:
    token = (await folder.link(15))["token"]
    assert (await public(nobody, "PUT", token, name(9), body=b"x")).status == 403
    lock = data(await nobody.e2ee("POST", f"lock/{folder.number}", X_NC_E2EE_COUNTER="5", **by(token)))["e2e-token"]
    assert (await public(nobody, "PUT", token, name(9), body=b"x", e2e_token="z" * 64)).status == 423
    assert (await public(nobody, "PUT", token, name(9), body=b"new", e2e_token=lock)).status == 201
    assert (await public(nobody, "DELETE", token, name(2), e2e_token=lock)).status == 204
    there = f"/public.php/dav/files/{token}/{name(8)}"
    assert (await public(nobody, "MOVE", token, name(1), Destination=there, e2e_token=lock)).status == 201
    assert (await folder.alice.dav("GET", f"{folder.path}/{name(9)}")).status == 404
    assert (await folder.alice.e2ee("POST", f"lock/{folder.number}", X_NC_E2EE_COUNTER="9")).status == 423
    put = await nobody.e2ee(
        "PUT",
        f"meta-data/{folder.number}",
        body={"metaData": '{"version":"2.1"}'},
        e2e_token=lock,
        X_NC_E2EE_SIGNATURE="bmV3",
        **by(token),
    )
    assert put.status == 200
    assert (await nobody.e2ee("DELETE", f"lock/{folder.number}", e2e_token=lock, **by(token))).status == 200
    assert (await folder.alice.dav("GET", f"{folder.path}/{name(9)}")).body == b"new"
    assert (await folder.alice.dav("GET", f"{folder.path}/{name(8)}")).body == BODY
    assert await folder.document() == {"version": "2.1"}


async def test_what_a_visitor_was_writing_is_undone_when_the_link_ends(nobody: Caller, folder: Folder) -> None:
    made = await folder.link(15)
    token = made["token"]
    lock = data(await nobody.e2ee("POST", f"lock/{folder.number}", X_NC_E2EE_COUNTER="5", **by(token)))["e2e-token"]
    assert (await public(nobody, "PUT", token, name(9), body=b"x", e2e_token=lock)).status == 201
    assert (await folder.alice.ocs("PUT", f"{SHARES}/{made['id']}", body={"permissions": "1"})).status == 200
    await folder.write(6, json.dumps(DOCUMENT))
    assert (await folder.alice.ocs("PUT", f"{SHARES}/{made['id']}", body={"permissions": "15"})).status == 200
    await nobody.e2ee("POST", f"lock/{folder.number}", X_NC_E2EE_COUNTER="7", **by(token))
    assert (await folder.alice.ocs("DELETE", f"{SHARES}/{made['id']}")).status == 200
    await folder.write(8, json.dumps(DOCUMENT))
    assert (await folder.alice.dav("GET", f"{folder.path}/{name(9)}")).status == 404


async def test_a_drop_link_takes_sealed_bodies_and_their_entries_and_shows_nothing(
    nobody: Caller, folder: Folder
) -> None:
    token = (await folder.link(4))["token"]
    drops = f"meta-data/{folder.number}/filedrop"
    assert (await public(nobody, "PUT", token, "my-taxes.pdf", body=b"clear text")).status == 403
    assert (await public(nobody, "PUT", token, name(1), body=b"over another")).status == 403
    assert (await public(nobody, "PUT", token, f"{name(2)}/{name(9)}", body=b"below")).status == 403
    assert (await public(nobody, "PUT", token, name(9), body=b"dropped")).status == 201
    early = await nobody.e2ee("PUT", drops, body={"filedrop": json.dumps({name(7): entry()})}, **by(token))
    assert (early.status, "no body" in early.text) == (400, True)
    one = {"filedrop": json.dumps({name(9): entry()}), "shareToken": token}
    assert data(await nobody.e2ee("PUT", drops, body=one)) == {"filedrop": {name(9): entry()}}
    assert (await nobody.e2ee("PUT", drops, body=one)).status == 200
    other = {"filedrop": json.dumps({name(9): entry("other")}), "shareToken": token}
    assert (await nobody.e2ee("PUT", drops, body=other)).status == 409
    taken = {"filedrop": json.dumps({name(1): entry()}), "shareToken": token}
    assert (await nobody.e2ee("PUT", drops, body=taken)).status == 200, "the members refuse what clashes"
    got = await folder.alice.e2ee("GET", f"meta-data/{folder.number}")
    assert got.headers["X-NC-E2EE-SIGNATURE"] == "c2ln"
    assert (await folder.document())["filedrop"].keys() == {name(1), name(9)}
    hidden = {
        "metadata": await nobody.e2ee("GET", f"meta-data/{folder.number}", **by(token)),
        "PROPFIND": await public(nobody, "PROPFIND", token, Depth="1"),
        "GET": await public(nobody, "GET", token, name(9)),
        "lock": await nobody.e2ee("POST", f"lock/{folder.number}", X_NC_E2EE_COUNTER="5", **by(token)),
        "DELETE": await public(nobody, "DELETE", token, name(9)),
    }
    assert {what: answer.status for what, answer in hidden.items()} == dict.fromkeys(hidden, 403)


async def test_nobody_drops_while_somebody_writes(nobody: Caller, folder: Folder) -> None:
    token = (await folder.link(4))["token"]
    assert (await public(nobody, "PUT", token, name(9), body=b"dropped")).status == 201
    lock = data(await folder.alice.e2ee("POST", f"lock/{folder.number}", X_NC_E2EE_COUNTER="5"))["e2e-token"]
    one = {"filedrop": json.dumps({name(9): entry()}), "shareToken": token}
    assert (await nobody.e2ee("PUT", f"meta-data/{folder.number}/filedrop", body=one)).status == 412
    assert (await public(nobody, "PUT", token, name(10), body=b"x")).status == 423
    assert (await folder.alice.e2ee("DELETE", f"lock/{folder.number}", e2e_token=lock)).status == 200
    assert (await nobody.e2ee("PUT", f"meta-data/{folder.number}/filedrop", body=one)).status == 200


@pytest.mark.parametrize(
    "drops",
    [
        "[]",
        "{",
        "NaN",
        "[" * 5000,
        '{"../x":{}}',
        json.dumps({name(1): []}),
        json.dumps({name(n): {} for n in range(501)}),
    ],
    ids=["list", "open", "nan", "deep", "path", "no-object", "many"],
)
async def test_a_drop_that_is_none_changes_nothing(nobody: Caller, folder: Folder, drops: str) -> None:
    token = (await folder.link(4))["token"]
    body = {"filedrop": drops, "shareToken": token}
    assert (await nobody.e2ee("PUT", f"meta-data/{folder.number}/filedrop", body=body)).status in (400, 413)
    assert await folder.document() == DOCUMENT


async def test_the_folder_of_a_link_is_told_with_the_signed_list_of_its_members(nobody: Caller, folder: Folder) -> None:
    token = (await folder.link(4))["token"]
    assert (await public(nobody, "PUT", token, name(9), body=b"dropped")).status == 201
    one = {"filedrop": json.dumps({name(9): entry()}), "shareToken": token}
    assert (await nobody.e2ee("PUT", f"meta-data/{folder.number}/filedrop", body=one)).status == 200
    told = data(await nobody.ocs("GET", OWN, **by(token)))
    assert json.loads(told.pop("meta-data")) == DOCUMENT
    assert told == {"file-id": int(folder.number[:8]), "permissions": 4, "signature": "c2ln"}
    plain = data(await folder.alice.ocs("POST", SHARES, body={"path": await _plain(folder), "shareType": "3"}))["token"]
    assert (await nobody.ocs("GET", OWN, **by(plain))).status == 404
    assert (await folder.alice.ocs("GET", OWN)).status == 404
    assert (await nobody.ocs("GET", OWN)).status == 401


async def _plain(folder: Folder) -> str:
    assert (await folder.alice.dav("MKCOL", f"{folder.path}-plain")).status == 201
    return f"/{folder.path}-plain"


async def test_a_link_has_keys_of_its_own_which_go_with_it(
    alice: Caller, bob: Caller, nobody: Caller, folder: Folder
) -> None:
    made = await folder.link(1)
    token, member = made["token"], f"s:{made['token']}"
    key = private_key("mallory")
    wrapped = seal_private_key(key, SecretText("abandon"), salt=bytes(40), nonce=bytes(12))
    calls = [("public-key", "csr", make_csr(key, member)), ("private-key", "privateKey", wrapped)]
    for path, field, value in calls:
        body = {field: value, "shareToken": token}
        assert (await bob.e2ee("POST", path, body=body)).status == 403
        assert (await nobody.e2ee("POST", path, body=body, **by(token))).status == 401
        assert (await alice.e2ee("POST", path, body=body)).status == 200
        assert (await alice.e2ee("POST", path, body=body)).status == 409
    wrong = {"csr": make_csr(key, "alice"), "shareToken": token}
    assert (await alice.e2ee("POST", "public-key", body=wrong)).status == 403
    assert data(await nobody.e2ee("GET", "private-key", **by(token))) == {"private-key": wrapped}
    pems = data(await nobody.e2ee("GET", "public-key", **by(token)))["public-keys"]
    assert {user: parse_certificate(pem).common_name for user, pem in pems.items()} == {member: member}
    assert (await alice.e2ee("GET", "private-key")).status == 404, "the maker's own keys are others"
    foreign = 'public-key?users=["carol"]'.replace('"', "%22")
    assert (await nobody.e2ee("GET", foreign, **by(token))).status == 404
    assert (await alice.ocs("DELETE", f"{SHARES}/{made['id']}")).status == 200
    assert (await nobody.e2ee("GET", "private-key", **by(token))).status == 403
    again = {"csr": make_csr(key, member), "shareToken": token}
    assert (await alice.e2ee("POST", "public-key", body=again)).status == 403


async def test_the_password_of_a_link_is_asked_for_at_every_route(nobody: Caller, folder: Folder) -> None:
    token = (await folder.link(1, password=SECRET))["token"]
    basic = {"Authorization": "Basic " + base64.b64encode(f"anyone:{SECRET}".encode()).decode()}
    for method, path in (
        ("GET", f"meta-data/{folder.number}"),
        ("GET", "private-key"),
        ("POST", f"lock/{folder.number}"),
    ):
        assert (await nobody.e2ee(method, path, X_NC_E2EE_COUNTER="9", **by(token))).status == 401
    drops = {"filedrop": "{}", "shareToken": token}
    assert (await nobody.e2ee("PUT", f"meta-data/{folder.number}/filedrop", body=drops)).status == 401
    assert (await nobody.ocs("GET", OWN, **by(token))).status == 401
    assert (await nobody.e2ee("GET", f"meta-data/{folder.number}", **by(token), **basic)).status == 200
    wrong = {"Authorization": "Basic " + base64.b64encode(b"anyone:wrong").decode()}
    assert (await nobody.e2ee("GET", f"meta-data/{folder.number}", **by(token), **wrong)).status == 401


async def test_a_link_reaches_its_own_folder_only(nobody: Caller, folder: Folder) -> None:
    """A76: every kind of link against another root, a nested folder and an id that is none."""
    other = (await folder.alice.dav("MKCOL", f"{folder.path}-other")).headers["OC-FileId"]
    assert (await folder.alice.e2ee("PUT", f"encrypted/{other}")).status == 200
    listed = await folder.alice.dav("PROPFIND", f"{folder.path}/{name(2)}", body=METADATA, Depth="0")
    nested = re.findall(r"<oc:fileid>(\d+)<", listed.text)[0]
    for permissions in (1, 4, 15):
        token = (await folder.link(permissions))["token"]
        for number in (other, "999999", "x"):
            for method, path in (("GET", f"meta-data/{number}"), ("PUT", f"meta-data/{number}/filedrop")):
                answer = await nobody.e2ee(method, path, body={"filedrop": "{}"}, **by(token))
                assert (permissions, path, answer.status) == (permissions, path, 403)
            lock = await nobody.e2ee("POST", f"lock/{number}", X_NC_E2EE_COUNTER="9", **by(token))
            assert lock.status == 403
        assert (
            await nobody.e2ee("PUT", f"meta-data/{nested}/filedrop", body={"filedrop": "{}"}, **by(token))
        ).status == 403


async def test_tokens_that_are_none_are_counted(nobody: Caller) -> None:
    statuses = [
        (await nobody.e2ee("GET", "meta-data/1", **by(f"{'A' * 17}{number:03}"))).status for number in range(70)
    ]
    assert (statuses[0], statuses[-1]) == (403, 429)


async def test_the_page_of_a_drop_link_takes_what_its_script_sends(nobody: Caller, folder: Folder) -> None:
    token = (await folder.link(4))["token"]
    page = await nobody.send("GET", f"/s/{token}")
    # The document of these tests has no certificates, so there is nobody to seal for, and the script says so.
    assert (page.status, "<script>" in page.text, 'data-recipients="[]"' in page.text) == (200, True, True)
    assert (
        "script-src"
        not in (await nobody.send("GET", f"/s/{(await folder.link(1))['token']}")).headers["Content-Security-Policy"]
    )
    assert (await nobody.send("PUT", f"/s/{token}/drop/{name(9)}", body=b"dropped")).status == 201
    assert (await nobody.send("PUT", f"/s/{token}/drop/{name(9)}", body=b"again")).status == 403
    body = json.dumps({"filedrop": json.dumps({name(9): entry()})})
    json_type = {"Content_Type": "application/json"}
    foreign = await nobody.send("PUT", f"/s/{token}/drop", body=body, Sec_Fetch_Site="cross-site", **json_type)
    assert foreign.status == 403
    assert (await nobody.send("PUT", f"/s/{token}/drop", body=body, **json_type)).status == 204
    assert (await folder.document())["filedrop"] == {name(9): entry()}
    assert (await folder.alice.dav("GET", f"{folder.path}/{name(9)}")).body == b"dropped"
    assert (await nobody.send("PUT", f"/s/{token}/drop", body="[", **json_type)).status == 400
