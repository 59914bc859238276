"""The requests of the iOS app in its order and spelling, over a real server; answers read as the app reads them."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.e2e.phones import (
    ABSENT,
    CAPABILITIES,
    E2EE,
    FORM,
    SHARES,
    SIGNATURE,
    STATUS,
    USER,
    WRAPPED,
    Phone,
    approve,
    data,
    fits,
    has,
    listing,
    metadata_of,
    query,
    text,
)
from tests.e2e.server_process import Answer, ServerProcess, make_data, serving

from candado.crypto.rsa import PrivateKey
from candado.crypto.x509 import make_csr, parse_certificate

AGENT = "Mozilla/5.0 (iOS) Nextcloud-iOS/6.3.0"
OCS = {"OCS_APIRequest": "true", "Accept": "application/json", "Content_Type": FORM}
XML = {"Content_Type": "application/xml", "Accept": "*/*", "OCS_APIRequest": "true"}
ROOT = "/remote.php/dav/files/alice"
UPLOADS = "/remote.php/dav/uploads/alice"
_DAV = "displayname getlastmodified getetag getcontenttype resourcetype quota-available-bytes quota-used-bytes getcontentlength"
_OC = (
    "permissions id fileid size favorite share-types owner-id owner-display-name comments-unread checksums downloadURL"
)
_NC = (
    "creation_time upload_time is-encrypted has-preview mount-type rich-workspace note lock lock-owner lock-owner-editor"
    " lock-owner-displayname lock-owner-type lock-time lock-timeout system-tags file-metadata-size file-metadata-gps"
    " metadata-photos-exif metadata-photos-gps metadata-photos-original_date_time metadata-photos-place"
    " metadata-photos-size metadata-files-live-photo hidden"
)
PROPERTIES = (
    "".join(f"<d:{name} />" for name in _DAV.split())
    + "<nc:share-download-limits />"
    + "".join(f'<{name} xmlns="http://owncloud.org/ns"/>' for name in [*_OC.split(), "data-fingerprint"])
    + "".join(f'<{name} xmlns="http://nextcloud.org/ns"/>' for name in _NC.split())
    + '<share-permissions xmlns="http://open-collaboration-services.org/ns"/>'
    '<share-permissions xmlns="http://open-cloud-mesh.org/ns"/>'
)
_SPACES = 'xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns" xmlns:nc="http://nextcloud.org/ns"'
LIST = f'<?xml version="1.0" encoding="UTF-8"?><d:propfind {_SPACES}><d:prop>{PROPERTIES}</d:prop></d:propfind>'
EXISTS = (
    f'<?xml version="1.0" encoding="UTF-8"?><d:propfind {_SPACES}><d:prop><d:getetag />'
    '<fileid xmlns="http://owncloud.org/ns"/><id xmlns="http://owncloud.org/ns"/></d:prop></d:propfind>'
)
FAVOURITES = (
    f'<?xml version="1.0"?><oc:filter-files {_SPACES}><d:prop>{PROPERTIES}</d:prop>'
    "<oc:filter-rules><oc:favorite>1</oc:favorite></oc:filter-rules></oc:filter-files>"
)
BY_ID = (
    f'<?xml version="1.0"?><d:searchrequest {_SPACES}><d:basicsearch><d:select><d:prop>{PROPERTIES}</d:prop></d:select>'
    "<d:from><d:scope><d:href>/files/alice</d:href><d:depth>infinity</d:depth></d:scope></d:from><d:where><d:eq><d:prop>"
    '<oc:fileid xmlns:oc="http://owncloud.org/ns"/></d:prop><d:literal>%s</d:literal></d:eq></d:where></d:basicsearch>'
    "</d:searchrequest>"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(make_data(tmp_path_factory.mktemp("ios"), "alice", "bob", "carol")) as running:
        yield running


@pytest.fixture
async def phone(server: ServerProcess) -> AsyncIterator[Phone]:
    async with Phone(server.url, "alice", AGENT) as phone:
        yield phone


async def register(phone: Phone, user: str) -> str:
    """Set encryption up as the first device; the certificate."""
    for name in ("public-key", "private-key"):
        data(await phone.ask("GET", f"{E2EE}/v2/{name}", 404, **OCS), code=404)
    csr = {"csr": make_csr(PrivateKey.generate(), user)}
    made = data(await phone.ask("POST", f"{E2EE}/v2/public-key", 200, body=csr, **OCS))["public-key"]
    key = data(await phone.ask("GET", f"{E2EE}/v2/server-key", 200, **OCS))["public-key"]
    assert key.startswith("-----BEGIN PUBLIC KEY-----")
    stored = await phone.ask("POST", f"{E2EE}/v2/private-key", 200, body={"privateKey": WRAPPED}, **OCS)
    assert data(stored) == {"private-key": WRAPPED}
    return str(made)


async def lock(phone: Phone, number: str, counter: int, *, token: str = "", status: int = 200) -> str:
    """Lock a folder; a token from before goes along twice, as header and as parameter."""
    more = {"e2e_token": token} if token else {}
    body: Any = {"e2e-token": token} if token else b""
    path = f"{E2EE}/v2/lock/{number}"
    answer = await phone.ask("POST", path, status, body=body, X_NC_E2EE_COUNTER=str(counter), **more, **OCS)
    found = data(answer, code=status)
    return str(found["e2e-token"]) if status == 200 else ""


async def unlock(phone: Phone, number: str, token: str, status: int = 200) -> None:
    path = f"{E2EE}/v2/lock/{number}?e2e-token={token}"
    data(await phone.ask("DELETE", path, status, e2e_token=token, **OCS), code=status)


async def write_metadata(phone: Phone, method: str, number: str, token: str, document: str) -> None:
    form = {"e2e-token": token, "metaData": document}
    more = {"e2e_token": token, "X_NC_E2EE_SIGNATURE": SIGNATURE}
    answer = await phone.ask(method, f"{E2EE}/v2/meta-data/{number}", 200, body=form, **more, **OCS)
    assert data(answer) == {"meta-data": document}


async def read_metadata(phone: Phone, number: str, token: str = "") -> Answer:
    more = f"?e2e-token={token}" if token else ""
    return await phone.send("GET", f"{E2EE}/v2/meta-data/{number}{more}", **OCS)


async def encrypted_folder(phone: Phone, name: str) -> tuple[str, str]:
    """Make a folder, mark it and give it its first document; its number and the long id."""
    made = await phone.ask("MKCOL", f"{ROOT}/{name}", 201)
    path = f"{ROOT}/{name}"
    (folder,) = listing(await phone.ask("PROPFIND", path, 207, body=LIST, Depth="0", **XML), f"{path}/").values()
    number, long_id = text(folder, "oc:fileid") or "", text(folder, "oc:id") or ""
    assert made.headers["OC-FileId"] == long_id
    assert data(await phone.ask("PUT", f"{E2EE}/v1/encrypted/{number}", 200, **OCS)) == []
    token = await lock(phone, number, 1)
    data(await read_metadata(phone, number, token), code=404)
    await write_metadata(phone, "POST", number, token, metadata_of(1))
    await unlock(phone, number, token)
    return number, long_id


async def test_an_account_is_set_up_by_the_browser(server: ServerProcess) -> None:
    async with Phone(server.url, None, AGENT) as stranger:
        await stranger.ask("HEAD", "/", 200)
        fits(json.loads((await stranger.ask("GET", "/status.php", 200, **OCS)).body), STATUS)
        started = json.loads((await stranger.ask("POST", "/index.php/login/v2", 200)).body)
        poll = started["poll"]["endpoint"].removeprefix(server.url)
        pending = await stranger.ask("POST", poll, 404, body={"token": started["poll"]["token"]})
        assert pending.body == b""
        await approve(started["login"], server.url, "alice")
        grant = json.loads((await stranger.ask("POST", poll, 200, body={"token": started["poll"]["token"]})).body)
        fits(grant, {"server": str, "loginName": str, "appPassword": str})
    async with Phone(server.url, grant["loginName"], AGENT, grant["appPassword"]) as phone:
        for path in ("/ocs/v1.php/cloud/user", "/ocs/v1.php/cloud/users/alice"):
            own = data(await phone.ask("GET", path, 200, **OCS), code=100)
            fits(own, USER)
            assert own["id"] == "alice"
        found = data(await phone.ask("GET", "/ocs/v1.php/cloud/capabilities", 200, **OCS), code=100)
        fits(found, CAPABILITIES)
        assert ABSENT.isdisjoint(found["capabilities"])
        # The app knows these versions of the interface by heart.
        assert found["capabilities"]["end-to-end-encryption"]["api-version"] in ("1.1", "1.2", "2.0")
        (root,) = listing(await phone.ask("PROPFIND", ROOT, 207, body=LIST, Depth="0", **XML), f"{ROOT}/").values()
        assert int(text(root, "d:quota-available-bytes") or "") == -3
        fits(data(await phone.ask("DELETE", "/ocs/v2.php/core/apppassword", 200, **OCS)), list)
        await phone.ask("PROPFIND", ROOT, 401, body=EXISTS, Depth="0", **XML)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/ocs/v2.php/apps/notifications/api/v2/notifications"),
        ("POST", "/ocs/v2.php/apps/notifications/api/v2/push"),
        ("GET", "/ocs/v2.php/apps/activity/api/v2/activity/all?since=0&limit=200&previews=true"),
        ("GET", "/ocs/v2.php/apps/external/api/v1"),
        ("GET", "/ocs/v2.php/apps/user_status/api/v1/user_status"),
        ("GET", "/ocs/v2.php/apps/dashboard/api/v1/widgets"),
        ("GET", "/ocs/v2.php/apps/files/api/v1/directEditing"),
        ("GET", "/ocs/v2.php/apps/terms_of_service/terms"),
        ("GET", "/ocs/v2.php/taskprocessing/tasktypes"),
        ("GET", "/ocs/v2.php/hovercard/v1/bob"),
        ("POST", "/ocs/v2.php/apps/dav/api/v1/direct"),
        ("GET", "/ocs/v2.php/apps/files_downloadlimit/api/v1/abc/limit"),
    ],
)
async def test_what_is_not_there_is_a_clean_404(phone: Phone, method: str, path: str) -> None:
    assert data(await phone.ask(method, path, 404, **OCS), code=404) == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/index.php/avatar/alice/128"),
        ("GET", "/index.php/core/preview.png?file=a.jpg&x=512&y=512&a=1&mode=cover"),
        ("GET", "/index.php/core/preview?fileId=1&x=1024&y=1024&a=1&mode=cover&forceIcon=0&mimeFallback=0"),
        ("GET", "/index.php/apps/files_trashbin/preview?fileId=1&x=512&y=512"),
        ("GET", "/index.php/apps/groupfolders/folders?applicable=1"),
        ("PROPFIND", "/remote.php/dav/trashbin/alice/trash"),
        ("PROPFIND", "/remote.php/dav/comments/files/1"),
        ("PROPFIND", "/remote.php/dav/photos/alice/albums"),
    ],
)
async def test_pictures_and_bins_that_are_not_there_are_404(phone: Phone, method: str, path: str) -> None:
    await phone.ask(method, path, 404, body=LIST if method == "PROPFIND" else None, Depth="1", **XML)


async def test_encryption_is_set_up_on_a_first_and_on_a_second_device(server: ServerProcess) -> None:
    async with Phone(server.url, "carol", AGENT) as first:
        certificate = await register(first, "carol")
        assert parse_certificate(certificate).common_name == "carol"
    async with Phone(server.url, "carol", AGENT) as second:
        assert data(await second.ask("GET", f"{E2EE}/v2/public-key", 200, **OCS)) == {
            "public-keys": {"carol": certificate}
        }
        assert data(await second.ask("GET", f"{E2EE}/v2/private-key", 200, **OCS)) == {"private-key": WRAPPED}
        # The older of the two spellings has the same keys.
        assert data(await second.ask("GET", f"{E2EE}/v1/private-key", 200, **OCS)) == {"private-key": WRAPPED}
        again = {"csr": make_csr(PrivateKey.generate(), "carol")}
        data(await second.ask("POST", f"{E2EE}/v2/public-key", 409, body=again, **OCS), code=409)
        data(await second.ask("POST", f"{E2EE}/v2/private-key", 409, body={"privateKey": WRAPPED}, **OCS), code=409)


async def test_a_file_goes_up_after_its_document_and_both_appear_together(phone: Phone) -> None:
    number, long_id = await encrypted_folder(phone, "Files")
    name, path = "0" * 31 + "1", f"{ROOT}/Files"
    token = await lock(phone, number, 2)
    # A retry gives the token back, and gets the same.
    assert await lock(phone, number, 2, token=token) == token
    before = await read_metadata(phone, number, token)
    assert data(before) == {"meta-data": metadata_of(1)}
    # The app finds the signature under this spelling only.
    assert [n for n in before.headers if n.lower() == "x-nc-e2ee-signature"] == ["X-NC-E2EE-SIGNATURE"]
    assert before.headers["X-NC-E2EE-SIGNATURE"] == SIGNATURE
    await write_metadata(phone, "PUT", long_id, token, metadata_of(2, name))
    stored = await phone.ask(
        "PUT",
        f"{path}/{name}",
        201,
        body=b"encrypted",
        e2e_token=token,
        X_OC_MTime="1600000000",
        X_OC_CTime="1500000000",
    )
    assert has(stored, "OC-FileId", "ETag", "Date")
    hidden = await phone.ask("PROPFIND", path, 207, body=LIST, Depth="1", **XML)
    assert list(listing(hidden, f"{path}/")) == [f"{path}/"]
    assert data(await read_metadata(phone, number)) == {"meta-data": metadata_of(1)}
    await unlock(phone, number, token)
    entries = listing(await phone.ask("PROPFIND", path, 207, body=LIST, Depth="1", **XML), f"{path}/")
    file = entries[f"{path}/{name}"]
    assert (text(file, "oc:size"), text(file, "d:getlastmodified")) == ("9", "Sun, 13 Sep 2020 12:26:40 GMT")
    assert (text(entries[f"{path}/"], "nc:is-encrypted"), text(file, "nc:is-encrypted")) == ("1", None)
    assert (text(file, "d:getetag") or "").strip('"') == stored.headers["ETag"].strip('"')
    assert data(await read_metadata(phone, long_id)) == {"meta-data": metadata_of(2, name)}
    assert (await phone.ask("GET", f"{path}/{name}", 200)).body == b"encrypted"

    # A rename changes the document alone; a deletion the file and the document.
    token = await lock(phone, number, 3)
    await write_metadata(phone, "PUT", number, token, metadata_of(3, "renamed"))
    await unlock(phone, number, token)
    assert (await phone.ask("GET", f"{path}/{name}", 200)).body == b"encrypted"
    token = await lock(phone, number, 4)
    await phone.ask("DELETE", f"{path}/{name}", 204, e2e_token=token)
    await write_metadata(phone, "PUT", number, token, metadata_of(4))
    await unlock(phone, number, token)
    await phone.ask("GET", f"{path}/{name}", 404)
    exists = await phone.ask("PROPFIND", f"{path}/{name}", 404, body=EXISTS, Depth="0", **XML)
    assert "NotFound" in exists.text


async def test_a_large_file_goes_up_in_chunks(phone: Phone) -> None:
    number, _ = await encrypted_folder(phone, "Large")
    token, name = await lock(phone, number, 2), "0" * 31 + "2"
    base, destination = f"{UPLOADS}/6F1C2B0E-8C4D-4E55-9A59-0A9B8C7D6E5F", f"{phone.url}{ROOT}/Large/{name}"
    more = {"e2e_token": token, "Destination": destination, "OC_Total_Length": "6"}
    await phone.ask("PROPFIND", base, 404, body=EXISTS, Depth="0", **XML)
    await phone.ask("MKCOL", base, 201, **more)
    for chunk, body in (("1", b"ab"), ("2", b"cd"), ("10", b"ef")):
        await phone.ask("PUT", f"{base}/{chunk}", 201, body=body, **more)
    joined = await phone.ask("MOVE", f"{base}/.file", 201, X_OC_MTime="1600000000", **more)
    assert has(joined, "OC-FileId", "OC-ETag")
    await write_metadata(phone, "PUT", number, token, metadata_of(2, name))
    await unlock(phone, number, token)
    assert (await phone.ask("GET", f"{ROOT}/Large/{name}", 200)).body == b"abcdef"


async def test_a_folder_is_made_inside_with_a_lock_of_its_own(phone: Phone) -> None:
    number, _ = await encrypted_folder(phone, "Outer")
    inner, path = "0" * 31 + "3", f"{ROOT}/Outer/{'0' * 31}3"
    token = await lock(phone, number, 2)
    long_id = (await phone.ask("MKCOL", path, 201, e2e_token=token)).headers["OC-FileId"]
    await write_metadata(phone, "PUT", number, token, metadata_of(2, inner))
    await unlock(phone, number, token)
    (shown,) = listing(await phone.ask("PROPFIND", path, 207, body=LIST, Depth="0", **XML), f"{path}/").values()
    assert text(shown, "oc:id") == long_id
    await phone.ask("PUT", f"{E2EE}/v2/encrypted/{text(shown, 'oc:fileid')}", 200, **OCS)
    token = await lock(phone, long_id, 1)
    await write_metadata(phone, "POST", long_id, token, metadata_of(1))
    await unlock(phone, long_id, token)
    assert data(await read_metadata(phone, text(shown, "oc:fileid") or "")) == {"meta-data": metadata_of(1)}


async def test_a_folder_is_shared_and_the_share_is_ended(server: ServerProcess, phone: Phone) -> None:
    async with Phone(server.url, "bob", AGENT) as bob:
        theirs = await register(bob, "bob")
    mine = await register(phone, "alice")
    both = data(await phone.ask("GET", f"{E2EE}/v2/public-key?users={query(json.dumps(['bob']))}", 200, **OCS))
    assert both == {"public-keys": {"alice": mine, "bob": theirs}}
    number, _ = await encrypted_folder(phone, "Shared")
    address = f"{SHARES.removesuffix('shares')}sharees?search=bob&page=1&perPage=100&itemType=folder&lookup=false"
    found = data(await phone.ask("GET", address, 200, **OCS))
    assert [one["value"]["shareWith"] for one in found["exact"]["users"]] == ["bob"]
    token = await lock(phone, number, 2)
    await write_metadata(phone, "PUT", number, token, metadata_of(2, "bob"))
    await unlock(phone, number, token)
    form = {"path": "/Shared", "shareType": "0", "shareWith": "bob", "permissions": "31", "note": "Für dich & mich"}
    made = data(await phone.ask("POST", SHARES, 200, body=form, **OCS))
    share = {
        "id": str,
        "share_type": int,
        "share_with": str,
        "share_with_displayname": str,
        "uid_owner": str,
        "displayname_owner": str,
        "uid_file_owner": str,
        "displayname_file_owner": str,
        "permissions": int,
        "can_edit": bool,
        "can_delete": bool,
        "stime": int,
        "expiration": (str, type(None)),
        "item_type": str,
        "item_source": int,
        "file_source": int,
        "file_target": str,
        "mimetype": str,
        "path": str,
        "note": str,
        "label": str,
        "hide_download": int,
        "mail_send": int,
        "storage": int,
        "storage_id": str,
        "tags": list,
    }
    fits(made, share)
    assert (made["permissions"], made["note"], made["path"]) == (31, "Für dich & mich", "/Shared")
    listed = data(await phone.ask("GET", f"{SHARES}?path=%2FShared&reshares=true&subfiles=false", 200, **OCS))
    fits(listed, [share])
    assert listed == [made]
    (folder,) = listing(
        await phone.ask("PROPFIND", f"{ROOT}/Shared", 207, body=LIST, Depth="0", **XML), f"{ROOT}/Shared/"
    ).values()
    kinds = folder["{http://owncloud.org/ns}share-types"]
    assert [kind.text for kind in kinds.findall("{http://owncloud.org/ns}share-type")] == ["0"]
    changed = await phone.ask("PUT", f"{SHARES}/{made['id']}", 200, body={"permissions": "1", "note": ""}, **OCS)
    assert (data(changed)["permissions"], data(changed)["note"]) == (1, "")
    token = await lock(phone, number, 3)
    await write_metadata(phone, "PUT", number, token, metadata_of(3))
    await unlock(phone, number, token)
    assert data(await phone.ask("DELETE", f"{SHARES}/{made['id']}", 200, **OCS)) == []
    assert data(await phone.ask("GET", f"{SHARES}?path=%2FShared&reshares=true", 200, **OCS)) == []


async def test_a_lock_of_somebody_else_is_423_and_a_lock_that_is_gone_404(phone: Phone) -> None:
    number, _ = await encrypted_folder(phone, "Stuck")
    token = await lock(phone, number, 2)
    await lock(phone, number, 2, status=423)
    await lock(phone, number, 2, token="z" * 64, status=423)
    await unlock(phone, number, "z" * 64, status=403)
    await unlock(phone, number, token)
    await unlock(phone, number, token, status=404)
    await lock(phone, number, 1, status=412)
    # An older app asks the first version, and is told that it is too old for this folder.
    for method, path in (("POST", "lock"), ("GET", "meta-data"), ("DELETE", "lock")):
        data(await phone.ask(method, f"{E2EE}/v1/{path}/{number}", 403, **OCS), code=403)


async def test_plain_files_are_listed_marked_and_found(phone: Phone) -> None:
    await phone.ask("MKCOL", f"{ROOT}/Photos", 201)
    await phone.ask("PUT", f"{ROOT}/Photos/a.jpg", 201, body=b"jpeg", X_OC_MTime="1600000000")
    mark = f'<?xml version="1.0"?><d:propertyupdate {_SPACES}><d:set><d:prop><oc:favorite>1</oc:favorite></d:prop></d:set></d:propertyupdate>'
    await phone.ask("PROPPATCH", f"{ROOT}/Photos/a.jpg", 207, body=mark, **XML)
    entries = listing(
        await phone.ask("PROPFIND", f"{ROOT}/Photos", 207, body=LIST, Depth="1", **XML), f"{ROOT}/Photos/"
    )
    file = entries[f"{ROOT}/Photos/a.jpg"]
    assert (text(file, "oc:favorite"), text(file, "oc:permissions")) == ("1", "RGDNVW")
    number = text(file, "oc:fileid") or ""
    marked = await phone.ask("REPORT", f"{ROOT}", 207, body=FAVOURITES, **XML)
    assert f"<d:href>{ROOT}/Photos/a.jpg</d:href>" in marked.text
    assert marked.text.count("<d:response>") == 1
    for value, count in ((number, 1), ("999999999", 0)):
        found = await phone.ask("SEARCH", "/remote.php/dav", 207, body=BY_ID % value, **XML)
        assert found.text.count("<d:response>") == count
    moved = f"{phone.url}{ROOT}/Photos/b.jpg"
    await phone.ask("MOVE", f"{ROOT}/Photos/a.jpg", 201, Destination=moved, Overwrite="F")
    (after,) = listing(
        await phone.ask("PROPFIND", f"{ROOT}/Photos/b.jpg", 207, body=EXISTS, Depth="0", **XML), f"{ROOT}/Photos/b.jpg"
    ).values()
    assert text(after, "oc:fileid") == number
