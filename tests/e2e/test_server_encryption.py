"""Keys, flag, lock, metadata and staging, as the protocol's state tables say, over a real server."""

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.e2e.server_process import PASSWORD, Answer, Caller, ServerProcess, make_data, serving

from candado.adapters.ambient import SystemClock
from candado.crypto.rsa import PrivateKey, PublicKey
from candado.crypto.x509 import (
    assemble_certificate,
    certificate_to_sign,
    check_certificate,
    make_csr,
    parse_certificate,
    parse_csr,
)
from candado.types import UserId

SIGNATURE = "c2lnbmF0dXJl"
TEXT = '{"metadata":{"ciphertext":"\\u00e4/ä + %41"},"version":"2.0"}'
WRAPPED = "|".join(["QUJD" * 400, "A" * 22 + "==", "A" * 54 + "=="])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    users = ("alice", "bob", "carol", "dave", "erin", "frank")
    with serving(make_data(tmp_path_factory.mktemp("e2ee"), *users)) as running:
        yield running


@dataclass
class Folder:
    name: str
    file_id: str


@pytest.fixture
async def root(alice: Caller, request: pytest.FixtureRequest) -> Folder:
    """A fresh folder of alice with the flag set and no metadata yet."""
    name = re.sub(r"[^a-z0-9]", "-", request.node.name.lower())[:120]
    made = await alice.dav("MKCOL", name)
    folder = Folder(name, made.headers["OC-FileId"])
    assert (await alice.e2ee("PUT", f"encrypted/{folder.file_id}")).status == 200
    return folder


def data(answer: Answer) -> dict[str, object]:
    found = json.loads(answer.body)["ocs"]["data"]
    return found if isinstance(found, dict) else {}


async def lock(caller: Caller, file_id: str, counter: int) -> str:
    answer = await caller.e2ee("POST", f"lock/{file_id}", X_NC_E2EE_COUNTER=str(counter))
    assert answer.status == 200, answer.text
    return str(data(answer)["e2e-token"])


async def write(caller: Caller, method: str, file_id: str, token: str, text: str = TEXT) -> Answer:
    return await caller.e2ee(
        method, f"meta-data/{file_id}", body={"metaData": text}, e2e_token=token, X_NC_E2EE_SIGNATURE=SIGNATURE
    )


async def commit_first(caller: Caller, folder: Folder, counter: int = 1) -> None:
    token = await lock(caller, folder.file_id, counter)
    assert (await write(caller, "POST", folder.file_id, token)).status == 200
    assert (await caller.e2ee("DELETE", f"lock/{folder.file_id}", e2e_token=token)).status == 200


# --- keys --------------------------------------------------------------------------------------------------


async def test_keys_are_registered_once_and_the_certificate_is_the_authoritys(server: ServerProcess) -> None:
    async with Caller(server.url, "carol") as carol, Caller(server.url, None) as nobody:
        for path in ("private-key", "public-key"):
            assert (await carol.e2ee("GET", path)).status == 404
        authority = str(data(await nobody.e2ee("GET", "server-key"))["public-key"])
        csr = make_csr(PrivateKey.generate(), "carol")
        made = await carol.e2ee("POST", "public-key", body={"csr": csr})
        pem = str(data(made)["public-key"])
        certificate = parse_certificate(pem)
        warnings = check_certificate(
            certificate,
            user_id=UserId("carol"),
            authority=PublicKey.from_pem(authority),
            now=certificate.not_before + 61,
        )
        assert (made.status, warnings) == (200, [])
        assert (await carol.e2ee("POST", "public-key", body={"csr": csr})).status == 409
        assert data(await carol.e2ee("GET", "public-key")) == {"public-keys": {"carol": pem}}

        assert (await carol.e2ee("POST", "private-key", body={"privateKey": "no bars"})).status == 400
        assert (await carol.e2ee("POST", "private-key", body={"privateKey": WRAPPED})).status == 200
        assert (await carol.e2ee("POST", "private-key", body={"privateKey": WRAPPED})).status == 409
        assert data(await carol.e2ee("GET", "private-key")) == {"private-key": WRAPPED}
        capabilities = data(await carol.ocs("GET", "/cloud/capabilities"))["capabilities"]
        assert isinstance(capabilities, dict)
        assert capabilities["end-to-end-encryption"]["keys-exist"] is True

        one = await carol.ocs("GET", "/apps/end_to_end_encryption/api/v1/public-key")
        assert data(one) == {"public-keys": {"carol": pem}}
        other = await carol.e2ee("GET", 'public-key?users=["carol","dave"]')
        assert other.status == 404
        assert (await carol.e2ee("GET", "public-key?users=carol")).status == 400


async def test_nobody_gets_a_certificate_in_another_name(server: ServerProcess) -> None:
    async with Caller(server.url, "dave") as dave:
        csr = make_csr(PrivateKey.generate(), "alice")
        assert (await dave.e2ee("POST", "public-key", body={"csr": csr})).status == 403
        assert (await dave.e2ee("POST", "public-key", body={"csr": "not a request"})).status == 400
        assert (await dave.e2ee("PUT", "public-key", body={"publicKey": "-----BEGIN"})).status == 400


async def test_keys_are_removed_only_with_the_login_password(server: ServerProcess) -> None:
    async with Caller(server.url, "erin") as erin:
        csr = make_csr(PrivateKey.generate(), "erin")
        assert (await erin.e2ee("POST", "public-key", body={"csr": csr})).status == 200
        secret = str(data(await erin.ocs("GET", "/core/getapppassword"))["apppassword"])
        async with Caller(server.url, "erin", secret) as device:
            for path in ("public-key", "private-key", "encrypted-files"):
                refused = await device.e2ee("DELETE", path)
                assert (refused.status, "Password confirmation" in refused.text) == (403, True)
        assert (await erin.e2ee("DELETE", "public-key")).status == 200
        assert (await erin.e2ee("DELETE", "private-key")).status == 200
        assert (await erin.e2ee("GET", "public-key")).status == 404


# --- flag --------------------------------------------------------------------------------------------------


async def test_only_an_empty_folder_can_be_flagged(alice: Caller) -> None:
    folder = (await alice.dav("MKCOL", "not-empty")).headers["OC-FileId"]
    file = (await alice.dav("PUT", "not-empty/f", body=b"f")).headers["OC-FileId"]
    for file_id in (folder, file, "999999999", "rubbish"):
        assert (await alice.e2ee("PUT", f"encrypted/{file_id}")).status in (403, 404)
    await alice.dav("DELETE", "not-empty/f")
    assert (await alice.e2ee("PUT", f"encrypted/{folder}")).status == 200
    assert (await alice.e2ee("PUT", f"encrypted/{folder}")).status == 200
    listing = await alice.dav("PROPFIND", "not-empty", Depth="0")
    assert "<nc:is-encrypted>1</nc:is-encrypted>" in listing.text
    assert (await alice.e2ee("DELETE", f"encrypted/{folder}")).status == 200


# --- lock --------------------------------------------------------------------------------------------------


async def test_a_lock_is_one_for_all_and_its_token_brings_it_back(alice: Caller, root: Folder) -> None:
    token = await lock(alice, root.file_id, 1)
    assert re.fullmatch(r"[A-Za-z0-9]{64}", token)
    again = await alice.e2ee(
        "POST", f"lock/{root.file_id}", body=json.dumps({"e2e-token": token}), Content_Type="application/json"
    )
    assert data(again) == {"e2e-token": token}
    other = await alice.e2ee("POST", f"lock/{root.file_id}", X_NC_E2EE_COUNTER="2", body="{}")
    assert other.status == 423
    assert (await alice.e2ee("DELETE", f"lock/{root.file_id}")).status == 400
    assert (await alice.e2ee("DELETE", f"lock/{root.file_id}", e2e_token="wrong")).status == 403
    assert (await alice.e2ee("DELETE", f"lock/{root.file_id}", e2e_token=token)).status == 200
    assert (await alice.e2ee("DELETE", f"lock/{root.file_id}", e2e_token=token)).status in (403, 404)


@pytest.mark.parametrize("counter", [None, "0", "-1", "x", "99999999999999999999"])
async def test_a_lock_needs_a_counter(alice: Caller, root: Folder, counter: str | None) -> None:
    headers = {} if counter is None else {"X_NC_E2EE_COUNTER": counter}
    assert (await alice.e2ee("POST", f"lock/{root.file_id}", **headers)).status in (400, 412, 413)
    assert (await alice.e2ee("POST", f"lock/{root.file_id}", X_NC_E2EE_COUNTER="1")).status == 200


async def test_the_counter_must_grow(alice: Caller, root: Folder) -> None:
    await commit_first(alice, root, counter=5)
    for counter in ("1", "5"):
        assert (await alice.e2ee("POST", f"lock/{root.file_id}", X_NC_E2EE_COUNTER=counter)).status == 412
    await lock(alice, root.file_id, 6)


@pytest.mark.parametrize("asked", [{"format": "json"}, '{"format":"json"}'], ids=["form", "json"])
async def test_the_answer_is_json_also_when_only_the_body_asks_for_it(
    alice: Caller, root: Folder, asked: dict[str, str] | str
) -> None:
    # The stock desktop client locks this way, and writes without a token when it gets XML.
    path = f"/ocs/v2.php/apps/end_to_end_encryption/api/v2/lock/{root.file_id}"
    headers = {"OCS_APIRequest": "true", "Accept": "*/*", "X_NC_E2EE_COUNTER": "1"}
    if isinstance(asked, str):
        headers["Content_Type"] = "application/json"
    answer = await alice.send("POST", path, body=asked, **headers)
    assert data(answer)["e2e-token"]
    refused = await alice.send("POST", path, body=asked, **headers)
    assert (refused.status, data(refused)["code"]) == (423, "LOCK_HELD")


@pytest.mark.parametrize("file_id", ["0", "999999999", "abc"])
async def test_what_is_not_there_cannot_be_locked(alice: Caller, file_id: str) -> None:
    assert (await alice.e2ee("POST", f"lock/{file_id}", X_NC_E2EE_COUNTER="1")).status == 403


# --- metadata ----------------------------------------------------------------------------------------------


async def test_metadata_appears_at_the_unlock_byte_for_byte(alice: Caller, root: Folder) -> None:
    token = await lock(alice, root.file_id, 1)
    assert data(await write(alice, "POST", root.file_id, token)) == {"meta-data": TEXT}
    assert (await alice.e2ee("GET", f"meta-data/{root.file_id}")).status == 404
    assert (await write(alice, "POST", root.file_id, token)).status == 409
    assert (await alice.e2ee("DELETE", f"lock/{root.file_id}", e2e_token=token)).status == 200
    got = await alice.e2ee("GET", f"meta-data/{root.file_id}")
    assert (data(got), got.headers["X-NC-E2EE-SIGNATURE"]) == ({"meta-data": TEXT}, SIGNATURE)

    token = await lock(alice, root.file_id, 2)
    assert (await write(alice, "POST", root.file_id, token)).status == 409
    assert (await write(alice, "PUT", root.file_id, token, "first")).status == 200
    assert (await write(alice, "PUT", root.file_id, token, "last wins")).status == 200
    assert data(await alice.e2ee("GET", f"meta-data/{root.file_id}")) == {"meta-data": TEXT}
    assert (await alice.e2ee("DELETE", f"lock/{root.file_id}", e2e_token=token)).status == 200
    assert data(await alice.e2ee("GET", f"meta-data/{root.file_id}")) == {"meta-data": "last wins"}


async def test_metadata_without_lock_token_or_signature_is_refused(alice: Caller, root: Folder) -> None:
    path = f"meta-data/{root.file_id}"
    form = {"metaData": TEXT}
    assert (await alice.e2ee("POST", path, body=form, X_NC_E2EE_SIGNATURE=SIGNATURE)).status == 400
    assert (await alice.e2ee("POST", path, body=form, e2e_token="x" * 64)).status == 400
    assert (await write(alice, "POST", root.file_id, "x" * 64)).status == 403
    await commit_first(alice, root)
    assert (await write(alice, "PUT", root.file_id, "x" * 64)).status == 412


async def test_the_first_version_of_the_interface_says_that_it_is_too_old(alice: Caller, root: Folder) -> None:
    path = f"/apps/end_to_end_encryption/api/v1/meta-data/{root.file_id}"
    assert (await alice.ocs("GET", path)).status == 404
    await commit_first(alice, root)
    assert (await alice.ocs("GET", path)).status == 403
    assert (await alice.ocs("POST", path.replace("meta-data", "lock"))).status == 403


async def test_metadata_can_be_had_with_the_listing(alice: Caller, root: Folder) -> None:
    await commit_first(alice, root)
    body = (
        '<d:propfind xmlns:d="DAV:" xmlns:nc="http://nextcloud.org/ns"><d:prop>'
        "<nc:e2ee-metadata/><nc:e2ee-metadata-signature/></d:prop></d:propfind>"
    )
    listed = await alice.dav("PROPFIND", root.name, body=body, Depth="0")
    assert '{"metadata":{"ciphertext":"\\u00e4/ä + %41"},"version":"2.0"}</nc:e2ee-metadata>' in listed.text
    assert f"<nc:e2ee-metadata-signature>{SIGNATURE}</" in listed.text


@pytest.mark.parametrize("after", ["-1", "x", "99999999999999999999", "1.5", "\u0661"])
async def test_the_steps_of_members_are_asked_for_by_a_counter(alice: Caller, root: Folder, after: str) -> None:
    await commit_first(alice, root)
    answer = await alice.e2ee("GET", f"meta-data/{root.file_id}/steps?after={quote(after)}")
    assert answer.status == 400
    assert data(await alice.e2ee("GET", f"meta-data/{root.file_id}/steps")) == {"steps": []}


async def test_a_document_of_a_megabyte_survives_as_form_and_as_json(alice: Caller, root: Folder) -> None:
    text = json.dumps({"big": "ä+/% " * 250_000})
    token = await lock(alice, root.file_id, 1)
    assert (await write(alice, "POST", root.file_id, token, text)).status == 200
    assert (await alice.e2ee("DELETE", f"lock/{root.file_id}", e2e_token=token)).status == 200
    assert data(await alice.e2ee("GET", f"meta-data/{root.file_id}")) == {"meta-data": text}
    token = await lock(alice, root.file_id, 2)
    put = await alice.e2ee(
        "PUT",
        f"meta-data/{root.file_id}",
        body=json.dumps({"metaData": text + " "}),
        Content_Type="application/json",
        e2e_token=token,
        X_NC_E2EE_SIGNATURE=SIGNATURE,
    )
    assert data(put) == {"meta-data": text + " "}


# --- writing under a lock ---------------------------------------------------------------------------------


async def test_writing_into_an_encrypted_folder_needs_the_token(alice: Caller, root: Folder) -> None:
    await commit_first(alice, root)
    target = f"{root.name}/0123456789abcdef0123456789abcdef"
    assert (await alice.dav("PUT", target, body=b"x")).status == 403
    assert (await alice.dav("MKCOL", target)).status == 403
    token = await lock(alice, root.file_id, 2)
    foreign = await alice.dav("PUT", target, body=b"x", e2e_token="y" * 64)
    assert (foreign.status, "FileLocked" in foreign.text) == (423, True)
    assert (await alice.dav("PUT", target, body=b"x")).status == 403
    assert (await alice.dav("PUT", f"{target}?e2e-token={token}", body=b"x")).status == 201


async def test_what_is_written_under_a_lock_appears_all_at_once(alice: Caller, root: Folder) -> None:
    await commit_first(alice, root)
    token = await lock(alice, root.file_id, 2)
    names = [f"{n:032x}" for n in range(3)]
    for name in names[:2]:
        assert (await alice.dav("PUT", f"{root.name}/{name}", body=b"sealed", e2e_token=token)).status == 201
    base = "/remote.php/dav/uploads/alice/staged"
    assert (await alice.send("MKCOL", base, e2e_token=token)).status == 201
    assert (await alice.send("PUT", f"{base}/1", body=b"chunk", e2e_token=token)).status == 201
    target = f"/remote.php/dav/files/alice/{root.name}/{names[2]}"
    moved = await alice.send("MOVE", f"{base}/.file", Destination=target, e2e_token=token)
    assert (moved.status, "OC-FileId" in moved.headers) == (201, True)
    assert (await write(alice, "PUT", root.file_id, token)).status == 200

    hidden = await alice.dav("PROPFIND", root.name, Depth="1")
    assert hidden.text.count("<d:response>") == 1
    assert (await alice.e2ee("DELETE", f"lock/{root.file_id}", e2e_token=token)).status == 200
    shown = await alice.dav("PROPFIND", root.name, Depth="1")
    assert [name in shown.text for name in names] == [True] * 3
    assert (await alice.dav("GET", f"{root.name}/{names[2]}")).body == b"chunk"


async def test_an_aborted_session_leaves_everything_as_it_was(alice: Caller, root: Folder) -> None:
    await commit_first(alice, root)
    token, kept = await lock(alice, root.file_id, 2), "a" * 32
    assert (await alice.dav("PUT", f"{root.name}/{kept}", body=b"old", e2e_token=token)).status == 201
    assert (await write(alice, "PUT", root.file_id, token)).status == 200
    assert (await alice.e2ee("DELETE", f"lock/{root.file_id}", e2e_token=token)).status == 200
    before = (await alice.dav("PROPFIND", root.name, Depth="1")).text

    token = await lock(alice, root.file_id, 3)
    assert (await alice.dav("DELETE", f"{root.name}/{kept}", e2e_token=token)).status == 204
    assert (await alice.dav("PUT", f"{root.name}/{'b' * 32}", body=b"new", e2e_token=token)).status == 201
    assert (await write(alice, "PUT", root.file_id, token, "never")).status == 200
    assert (await alice.dav("GET", f"{root.name}/{kept}")).body == b"old"
    aborted = await alice.e2ee("DELETE", f"lock/{root.file_id}?abort=true", e2e_token=token)
    assert aborted.status == 200
    assert (await alice.dav("PROPFIND", root.name, Depth="1")).text == before
    assert (await alice.dav("GET", f"{root.name}/{kept}")).body == b"old"
    assert data(await alice.e2ee("GET", f"meta-data/{root.file_id}")) == {"meta-data": TEXT}
    assert (await alice.e2ee("POST", f"lock/{root.file_id}", X_NC_E2EE_COUNTER="3")).status == 200


@pytest.mark.parametrize("spell", [lambda token: token, lambda token: base64.b64encode(token.encode()).decode()])
async def test_a_lock_is_given_up_with_its_token_or_the_token_in_base64(
    alice: Caller, root: Folder, spell: Callable[[str], str]
) -> None:
    # The second is what the stock desktop client sends after an upload that failed.
    await commit_first(alice, root)
    token = await lock(alice, root.file_id, 2)
    path, other = f"lock/{root.file_id}?abort=true", "B" * 64
    assert (await alice.e2ee("DELETE", path, e2e_token=spell(other))).status == 403
    assert (await alice.e2ee("DELETE", path, e2e_token="not-base64!")).status == 403
    assert (await alice.e2ee("DELETE", path)).status == 400
    assert (await alice.e2ee("DELETE", path, e2e_token=spell(token))).status == 200
    await lock(alice, root.file_id, 2)


async def test_in_an_encrypted_folder_the_checksum_is_of_what_is_stored_whatever_is_announced(
    alice: Caller, root: Folder
) -> None:
    # Stock desktop clients announce the digest of the clear text when they rename a file there.
    await commit_first(alice, root)
    token, name, joined = await lock(alice, root.file_id, 2), "e" * 32, "f" * 32
    clear, sealed = (f"SHA1:{hashlib.sha1(body).hexdigest()}" for body in (b"clear", b"sealed"))
    put = await alice.dav("PUT", f"{root.name}/{name}", body=b"sealed", e2e_token=token, OC_Checksum=clear)
    assert (put.status, put.headers["OC-Checksum"]) == (201, sealed)
    base = "/remote.php/dav/uploads/alice/renamed"
    assert (await alice.send("MKCOL", base, e2e_token=token)).status == 201
    assert (await alice.send("PUT", f"{base}/1", body=b"sealed", e2e_token=token)).status == 201
    target = f"/remote.php/dav/files/alice/{root.name}/{joined}"
    moved = await alice.send("MOVE", f"{base}/.file", Destination=target, e2e_token=token, OC_Checksum=clear)
    assert moved.status == 201
    assert (await write(alice, "PUT", root.file_id, token)).status == 200
    assert (await alice.e2ee("DELETE", f"lock/{root.file_id}", e2e_token=token)).status == 200
    assert (await alice.dav("GET", f"{root.name}/{name}")).headers["OC-Checksum"] == sealed
    assert "OC-Checksum" not in (await alice.dav("GET", f"{root.name}/{joined}")).headers


async def test_a_folder_made_in_a_session_can_be_filled_in_it(alice: Caller, root: Folder) -> None:
    await commit_first(alice, root)
    token, name = await lock(alice, root.file_id, 2), "c" * 32
    made = await alice.dav("MKCOL", f"{root.name}/{name}", e2e_token=token)
    inner = made.headers["OC-FileId"]
    assert made.status == 201
    assert (await alice.e2ee("PUT", f"encrypted/{inner}", e2e_token=token)).status == 200
    assert (await alice.dav("PUT", f"{root.name}/{name}/{'d' * 32}", body=b"deep", e2e_token=token)).status == 201
    assert (await write(alice, "POST", inner, token, "inner")).status == 200
    assert (await write(alice, "PUT", root.file_id, token)).status == 200
    assert (await alice.e2ee("DELETE", f"lock/{root.file_id}", e2e_token=token)).status == 200
    assert (await alice.dav("GET", f"{root.name}/{name}/{'d' * 32}")).body == b"deep"
    assert data(await alice.e2ee("GET", f"meta-data/{inner}")) == {"meta-data": "inner"}


async def test_the_first_document_of_a_nested_folder_may_come_before_its_flag(alice: Caller, root: Folder) -> None:
    """As the stock apps for Android and the web do it: folder, document, parent, unlock, flag."""
    await commit_first(alice, root)
    token, name = await lock(alice, root.file_id, 2), "c" * 32
    inner = (await alice.dav("MKCOL", f"{root.name}/{name}", e2e_token=token)).headers["OC-FileId"]
    assert (await write(alice, "POST", inner, "x" * 64, "inner")).status == 403
    assert (await write(alice, "POST", inner, token, "inner")).status == 200
    assert (await write(alice, "PUT", root.file_id, token)).status == 200
    assert (await alice.e2ee("DELETE", f"lock/{root.file_id}", e2e_token=token)).status == 200
    assert (await alice.e2ee("PUT", f"encrypted/{inner}")).status == 200
    assert data(await alice.e2ee("GET", f"meta-data/{inner}")) == {"meta-data": "inner"}
    second = await lock(alice, inner, 2)
    assert (await alice.dav("PUT", f"{root.name}/{name}/{'d' * 32}", body=b"deep", e2e_token=second)).status == 201
    assert (await write(alice, "PUT", inner, second, "again")).status == 200
    assert (await alice.e2ee("DELETE", f"lock/{inner}", e2e_token=second)).status == 200
    assert (await alice.dav("GET", f"{root.name}/{name}/{'d' * 32}")).body == b"deep"


# --- strangers ---------------------------------------------------------------------------------------------


async def test_a_stranger_can_do_nothing_with_an_id_it_guessed(alice: Caller, bob: Caller, root: Folder) -> None:
    await commit_first(alice, root)
    token = await lock(alice, root.file_id, 2)
    calls = [
        await bob.e2ee("GET", f"meta-data/{root.file_id}"),
        await bob.e2ee("GET", f"meta-data/{root.file_id}/steps"),
        await bob.e2ee("POST", f"lock/{root.file_id}", X_NC_E2EE_COUNTER="9"),
        await bob.e2ee("DELETE", f"lock/{root.file_id}", e2e_token=token),
        await write(bob, "PUT", root.file_id, token),
        await write(bob, "POST", root.file_id, token),
        await bob.e2ee("DELETE", f"meta-data/{root.file_id}", e2e_token=token),
        await bob.e2ee("PUT", f"encrypted/{root.file_id}"),
        await bob.e2ee("DELETE", f"encrypted/{root.file_id}"),
        await bob.e2ee("PUT", f"meta-data/{root.file_id}/filedrop", body={"filedrop": "{}"}),
    ]
    assert [answer.status in (403, 404) for answer in calls] == [True] * len(calls)
    assert TEXT not in "".join(answer.text for answer in calls)
    assert (await alice.e2ee("DELETE", f"lock/{root.file_id}", e2e_token=token)).status == 200


async def test_a_read_only_guest_reads_and_cannot_write(server: ServerProcess, alice: Caller, bob: Caller) -> None:
    made = await alice.dav("MKCOL", "guests-read")
    folder = Folder("guests-read", made.headers["OC-FileId"])
    await alice.e2ee("PUT", f"encrypted/{folder.file_id}")
    await commit_first(alice, folder)
    form = {"path": "/guests-read", "shareType": "0", "shareWith": "bob", "permissions": "1"}
    assert (await alice.ocs("POST", "/apps/files_sharing/api/v1/shares", body=form)).status == 200
    assert data(await bob.e2ee("GET", f"meta-data/{folder.file_id}")) == {"meta-data": TEXT}
    assert (await bob.e2ee("POST", f"lock/{folder.file_id}", X_NC_E2EE_COUNTER="2")).status == 403
    token = await lock(alice, folder.file_id, 2)
    for method in ("PUT", "MKCOL", "DELETE"):
        answer = await bob.dav(method, f"guests-read/{'e' * 32}", e2e_token=token)
        assert (method, answer.status in (403, 404)) == (method, True)
    assert (await write(bob, "PUT", folder.file_id, token)).status in (403, 412)
    listing = await bob.dav("PROPFIND", "guests-read", Depth="0")
    assert re.search(r"<oc:permissions>([A-Z]*)</oc:permissions>", listing.text) is not None


async def test_all_encrypted_folders_go_at_once_with_the_login_password(server: ServerProcess) -> None:
    async with Caller(server.url, "dave", PASSWORD) as dave:
        made = await dave.dav("MKCOL", "goes")
        folder = Folder("goes", made.headers["OC-FileId"])
        await dave.e2ee("PUT", f"encrypted/{folder.file_id}")
        await commit_first(dave, folder)
        gone = await dave.e2ee("DELETE", "encrypted-files")
        assert data(gone) == {"deletedIds": [int(folder.file_id[: folder.file_id.index("oc")])]}
        assert (await dave.dav("PROPFIND", "goes", Depth="0")).status == 404
        assert (await dave.e2ee("DELETE", "encrypted-files")).status == 404


# --- races and time ----------------------------------------------------------------------------------------


async def test_of_five_devices_that_register_at_once_one_wins(server: ServerProcess) -> None:
    async with Caller(server.url, "frank") as frank:
        assert (await frank.e2ee("DELETE", "public-key")).status == 200
        assert (await frank.e2ee("DELETE", "private-key")).status == 200
        csr = make_csr(PrivateKey.generate(), "frank")
        made = await asyncio.gather(*[frank.e2ee("POST", "public-key", body={"csr": csr}) for _ in range(5)])
        kept = await asyncio.gather(
            *[frank.e2ee("POST", "private-key", body={"privateKey": WRAPPED}) for _ in range(5)]
        )
        assert sorted(answer.status for answer in made) == [200, 409, 409, 409, 409]
        assert sorted(answer.status for answer in kept) == [200, 409, 409, 409, 409]
        (winner,) = [data(answer)["public-key"] for answer in made if answer.status == 200]
        assert data(await frank.e2ee("GET", "public-key")) == {"public-keys": {"frank": winner}}


async def test_only_a_certificate_of_the_authority_in_the_own_name_can_be_put(server: ServerProcess) -> None:
    async with Caller(server.url, "dave") as dave, Caller(server.url, "bob") as bob:
        csr = make_csr(PrivateKey.generate(), "dave")
        pem = str(data(await dave.e2ee("POST", "public-key", body={"csr": csr}))["public-key"])
        assert (await bob.e2ee("PUT", "public-key", body={"publicKey": pem})).status == 400
        assert (await dave.e2ee("PUT", "public-key", body={"publicKey": pem})).status == 409
        assert (await dave.e2ee("DELETE", "public-key")).status == 200
        other = SoftwareAuthority().issue(csr)
        assert (await dave.e2ee("PUT", "public-key", body={"publicKey": other})).status == 400
        assert data(await dave.e2ee("PUT", "public-key", body={"publicKey": pem})) == {"public-key": pem}
        assert (await dave.e2ee("DELETE", "public-key")).status == 200


class SoftwareAuthority:
    """Another authority than the server's."""

    def __init__(self) -> None:
        self.key = PrivateKey.generate()

    def issue(self, csr: str) -> str:
        now = SystemClock().now()
        tbs = certificate_to_sign(parse_csr(csr), serial=5, not_before=now - 5, not_after=now + 1e6)
        return assemble_certificate(tbs, self.key.sign_pkcs1_sha256(tbs))


async def test_of_many_locks_at_once_one_is_given(alice: Caller, root: Folder) -> None:
    answers = await asyncio.gather(
        *[alice.e2ee("POST", f"lock/{root.file_id}", X_NC_E2EE_COUNTER="1") for _ in range(8)]
    )
    assert sorted(answer.status for answer in answers) == [200] + [423] * 7


async def test_a_forgotten_lock_is_taken_back_and_its_writes_undone(tmp_path: Path) -> None:
    place = make_data(tmp_path, "alice")
    with (place / "config.toml").open("a") as file:
        file.write("lock_seconds = 1\n")
    with serving(place) as server:
        async with Caller(server.url, "alice") as alice:
            made = await alice.dav("MKCOL", "root")
            folder = Folder("root", made.headers["OC-FileId"])
            await alice.e2ee("PUT", f"encrypted/{folder.file_id}")
            await commit_first(alice, folder)
            before = (await alice.dav("PROPFIND", "root", Depth="1")).text
            old = await lock(alice, folder.file_id, 2)
            assert (await alice.dav("PUT", f"root/{'a' * 32}", body=b"lost", e2e_token=old)).status == 201
            assert (await write(alice, "PUT", folder.file_id, old, "lost")).status == 200
            for _ in range(200):
                again = await alice.e2ee("POST", f"lock/{folder.file_id}", X_NC_E2EE_COUNTER="2")
                if again.status == 200:
                    break
                assert again.status == 423
                await asyncio.sleep(0.05)
            assert again.status == 200
            late = [
                (await alice.dav("PUT", f"root/{'b' * 32}", body=b"late", e2e_token=old)).status,
                (await write(alice, "PUT", folder.file_id, old, "late")).status,
                (await alice.e2ee("DELETE", f"lock/{folder.file_id}", e2e_token=old)).status,
            ]
            assert late in ([423, 412, 403], [423, 412, 404])
            assert (await alice.dav("PROPFIND", "root", Depth="1")).text == before
            assert data(await alice.e2ee("GET", f"meta-data/{folder.file_id}")) == {"meta-data": TEXT}
