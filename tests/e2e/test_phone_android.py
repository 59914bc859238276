"""The account, the set-up of encryption and plain files in the Android app, request by request in its spelling."""

import json
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.e2e.android import AGENT, FOLDER_PROPERTIES, OCS, ROOT, encrypted_folder, read_metadata, register
from tests.e2e.phones import (
    ABSENT,
    CAPABILITIES,
    E2EE,
    FORM,
    STATUS,
    USER,
    WRAPPED,
    Phone,
    approve,
    data,
    fits,
    listing,
    metadata_of,
    text,
)
from tests.e2e.server_process import ServerProcess, make_data, serving

from candado.crypto.rsa import PrivateKey
from candado.crypto.x509 import make_csr, parse_certificate


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(make_data(tmp_path_factory.mktemp("android"), "alice", "bob", "carol")) as running:
        yield running


@pytest.fixture
async def phone(server: ServerProcess) -> AsyncIterator[Phone]:
    async with Phone(server.url, "alice", AGENT) as phone:
        yield phone


async def test_an_account_is_set_up_by_the_browser(server: ServerProcess) -> None:
    async with Phone(server.url, None, AGENT) as stranger:
        status = await stranger.ask("GET", "/status.php", 200)
        fits(json.loads(status.body), STATUS)
        assert (json.loads(status.body)["installed"], status.headers["Content-Type"]) == (True, "application/json")
        probe = await stranger.ask("HEAD", "/remote.php/dav", 401)
        assert "Basic" in probe.headers["WWW-Authenticate"]
        started = json.loads((await stranger.ask("POST", "/index.php/login/v2", 200, body={})).body)
        fits(started, {"poll": {"token": str, "endpoint": str}, "login": str})
        poll = started["poll"]["endpoint"].removeprefix(server.url)
        for _ in range(2):
            pending = await stranger.ask("POST", poll, 404, body={"token": started["poll"]["token"]})
            assert pending.body == b""  # anything else ends the app's asking
        await approve(started["login"], server.url, "alice")
        grant = json.loads((await stranger.ask("POST", poll, 200, body={"token": started["poll"]["token"]})).body)
    assert {**grant, "appPassword": ""} == {"server": server.url, "loginName": "alice", "appPassword": ""}

    async with Phone(server.url, "alice", AGENT, grant["appPassword"]) as phone:
        empty = await phone.ask("GET", "/index.php/204", 204)
        assert empty.body == b""
        await phone.ask("HEAD", ROOT, 200)
        own = data(await phone.ask("GET", "/ocs/v2.php/cloud/user?format=json", 200, **OCS))
        fits(own, USER)
        assert (own["id"], own["quota"]["quota"]) == ("alice", -3)
        capabilities = await phone.ask("GET", "/ocs/v2.php/cloud/capabilities?format=json", 200, **OCS)
        found = data(capabilities)
        fits(found, CAPABILITIES)
        assert ABSENT.isdisjoint(found["capabilities"])
        assert found["capabilities"]["end-to-end-encryption"] == {
            "enabled": True,
            "api-version": "2.0",
            "keys-exist": False,
        }
        same = await phone.ask(
            "GET", "/ocs/v2.php/cloud/capabilities?format=json", 304, If_None_Match=capabilities.headers["ETag"], **OCS
        )
        assert same.body == b""
        fits(data(await phone.ask("GET", "/ocs/v2.php/cloud/users/alice?format=json", 200, **OCS)), USER)
        (root,) = listing(await phone.ask("PROPFIND", ROOT, 207, body=FOLDER_PROPERTIES, Depth="0"), ROOT).values()
        assert text(root, "oc:permissions") == "RGDNVCK"
        assert text(root, "nc:is-encrypted") == "0"
        # The end of the account on this phone.
        assert data(await phone.ask("DELETE", "/ocs/v2.php/core/apppassword?format=json", 200, **OCS)) == []
        await phone.ask("HEAD", ROOT, 401)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/ocs/v2.php/apps/notifications/api/v2/notifications?format=json"),
        ("GET", "/ocs/v2.php/apps/activity/api/v2/activity?format=json&limit=50&previews=true"),
        ("GET", "/ocs/v2.php/apps/user_status/api/v1/user_status?format=json"),
        ("GET", "/ocs/v2.php/apps/files/api/v1/directEditing?format=json"),
        ("GET", "/ocs/v2.php/apps/external/api/v1?format=json"),
        ("GET", "/ocs/v2.php/apps/terms_of_service/terms?format=json"),
        ("POST", "/ocs/v2.php/apps/notifications/api/v2/push?format=json"),
        ("GET", "/ocs/v2.php/hovercard/v1/bob?format=json"),
        ("GET", "/ocs/v2.php/apps/recommendations/api/v1/recommendations/always?format=json"),
        ("GET", "/ocs/v2.php/search/providers?format=json"),
    ],
)
async def test_what_is_not_there_is_a_clean_404(phone: Phone, method: str, path: str) -> None:
    assert data(await phone.ask(method, path, 404, **OCS), code=404) == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/index.php/avatar/alice/512"),
        ("GET", "/index.php/core/preview?fileId=1&x=512&y=512&a=1&mode=cover&forceIcon=0"),
        ("GET", "/index.php/apps/files/api/v1/thumbnail/512/512/a.jpg"),
        ("GET", "/index.php/apps/theming/img/core/logo"),
        ("PROPFIND", "/remote.php/dav/trashbin/alice/trash"),
        ("PROPFIND", "/remote.php/dav/versions/alice/versions/1"),
        ("PROPFIND", "/remote.php/dav/systemtags/"),
        ("PROPFIND", "/remote.php/dav/comments/files/1"),
    ],
)
async def test_pictures_and_bins_that_are_not_there_are_404(phone: Phone, method: str, path: str) -> None:
    await phone.ask(method, path, 404, Depth="1")


async def test_encryption_is_set_up_on_a_first_and_on_a_second_device(server: ServerProcess) -> None:
    async with Phone(server.url, "carol", AGENT) as first:
        certificate = await register(first, "carol")
        assert parse_certificate(certificate).common_name == "carol"
        server_key = data(await first.ask("GET", f"{E2EE}/v1/server-key?format=json", 200, **OCS))["public-key"]
        assert server_key.startswith("-----BEGIN PUBLIC KEY-----")
        announced = data(await first.ask("GET", "/ocs/v2.php/cloud/capabilities?format=json", 200, **OCS))
        assert announced["capabilities"]["end-to-end-encryption"]["keys-exist"] is True
    async with Phone(server.url, "carol", AGENT) as second:
        found = data(await second.ask("GET", f"{E2EE}/v1/public-key?format=json", 200, **OCS))
        assert found == {"public-keys": {"carol": certificate}}
        await second.ask("GET", f"{E2EE}/v1/server-key?format=json", 200, **OCS)
        wrapped = data(await second.ask("GET", f"{E2EE}/v1/private-key?format=json", 200, **OCS))
        assert wrapped == {"private-key": WRAPPED}
        # A renewal: the typed password, not the one of the app; then the same key is certified anew.
        app = data(await second.ask("GET", "/ocs/v2.php/core/getapppassword?format=json", 200, **OCS))["apppassword"]
        async with Phone(server.url, "carol", AGENT, app) as device:
            data(await device.ask("DELETE", f"{E2EE}/v1/public-key?format=json", 403, **OCS), code=403)
        await second.ask("DELETE", f"{E2EE}/v1/public-key", 200, **OCS)
        csr = {"csr": make_csr(PrivateKey.generate(), "carol")}
        again = await second.ask("POST", f"{E2EE}/v1/public-key?format=json", 200, body=csr, **OCS)
        assert data(again)["public-key"] != certificate


async def test_the_first_version_of_the_interface_is_no_way_around_the_second(phone: Phone) -> None:
    number = await encrypted_folder(phone, "Old")
    first = f"{E2EE}/v1"
    for method, path, body in (
        ("POST", f"lock/{number}", b""),
        ("DELETE", f"lock/{number}", b""),
        ("GET", f"meta-data/{number}", b""),
        ("POST", f"meta-data/{number}", {"metaData": "{}"}),
        ("PUT", f"meta-data/{number}", {"metaData": "{}"}),
        ("DELETE", f"meta-data/{number}", b""),
    ):
        refused = await phone.ask(method, f"{first}/{path}?format=json", 403, body=body, e2e_token="z" * 64, **OCS)
        data(refused, code=403)
    assert await read_metadata(phone, number) == metadata_of(1)
    # The flag has one meaning in both; the app falls back from 404.
    plain = (await phone.ask("MKCOL", f"{ROOT}Plain", 201)).headers["OC-FileId"]
    for version in ("v1", "v2"):
        await phone.ask("PUT", f"{E2EE}/{version}/encrypted/{int(plain[:8])}", 200, body="", Content_Type=FORM, **OCS)
        await phone.ask("DELETE", f"{E2EE}/{version}/encrypted/{plain}", 200, Content_Type=FORM, **OCS)
    for version in ("v1", "v2"):
        await phone.ask("PUT", f"{E2EE}/{version}/encrypted/999999999", 404, body="", Content_Type=FORM, **OCS)


async def test_plain_files_are_found_marked_and_moved(phone: Phone) -> None:
    await phone.ask("PUT", f"{ROOT}picture.jpg", 201, body=b"jpeg", Content_Type="image/jpeg", OC_Total_Length="4")
    mark = (
        '<D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><oc:favorite xmlns:oc="http://owncloud.org/ns">1</oc:favorite>'
        "</D:prop></D:set></D:propertyupdate>"
    )
    await phone.ask("PROPPATCH", f"{ROOT}picture.jpg", 207, body=mark, Content_Type="text/xml; charset=UTF-8")
    moved = await phone.ask(
        "MOVE", f"{ROOT}picture.jpg", 201, Destination=f"{phone.url}{ROOT}bild%20%C3%A4.jpg", Overwrite="F"
    )
    assert "OC-FileId" in moved.headers
    copied = await phone.ask(
        "COPY", f"{ROOT}bild%20%C3%A4.jpg", 201, Destination=f"{phone.url}{ROOT}copy.jpg", Overwrite="F"
    )
    assert "OC-FileId" in copied.headers
    entries = listing(await phone.ask("PROPFIND", ROOT, 207, body=FOLDER_PROPERTIES, Depth="1"), ROOT)
    file = entries[f"{ROOT}bild%20%C3%A4.jpg"]
    assert (text(file, "oc:favorite"), text(file, "d:getcontenttype")) == ("1", "image/jpeg")
    assert text(file, "d:displayname") == "bild ä.jpg"
    for href, entry in entries.items():
        assert int(text(entry, "oc:fileid") or "") > 0
        assert (text(entry, "oc:id") or "").startswith(f"{int(text(entry, 'oc:fileid') or ''):08d}oc")
        assert int(text(entry, "nc:creation_time") or "") > 1_500_000_000
        assert (text(entry, "d:getetag") or "")[0] == (text(entry, "d:getetag") or "")[-1] == '"'
        assert (text(entry, "nc:has-preview"), text(entry, "oc:comments-unread")) == ("false", "0")
        is_folder = entry["{DAV:}resourcetype"].find("{DAV:}collection") is not None
        assert is_folder is href.endswith("/")
        assert (text(entry, "d:quota-available-bytes") is not None) is is_folder
    await phone.ask("HEAD", f"{ROOT}copy.jpg", 200)
    await phone.ask("HEAD", f"{ROOT}gone.jpg", 404)
    await phone.ask("DELETE", f"{ROOT}copy.jpg", 204)
    await phone.ask("DELETE", f"{ROOT}copy.jpg", 404)
    await phone.ask("MKCOL", f"{ROOT}A", 201)
    await phone.ask("MKCOL", f"{ROOT}A", 405)


async def test_a_lost_phone_is_told_to_wipe_itself(server: ServerProcess, phone: Phone) -> None:
    secret = data(await phone.ask("GET", "/ocs/v2.php/core/getapppassword?format=json", 200, **OCS))["apppassword"]
    async with Phone(server.url, "alice", AGENT, secret) as lost:
        await lost.ask("HEAD", ROOT, 200)
        devices = data(await lost.ask("GET", "/ocs/v2.php/core/apppassword?format=json", 200, **OCS))
        (number,) = [device["id"] for device in devices if device["current"]]
        data(await phone.ask("POST", f"/ocs/v2.php/core/apppassword/{number}/wipe?format=json", 200, **OCS))
        # What the app meets first, and then asks without credentials.
        await lost.ask("PROPFIND", ROOT, 401, body=FOLDER_PROPERTIES, Depth="1")
    async with Phone(server.url, None, AGENT) as lost:
        token = {"token": secret}
        told = await lost.ask("POST", "/index.php/core/wipe/check?format=json", 200, body=token, Content_Type=FORM)
        assert json.loads(told.body) == {"wipe": True}
        await lost.ask("POST", "/index.php/core/wipe/success?format=json", 200, body=token, Content_Type=FORM)
        await lost.ask("POST", "/index.php/core/wipe/check?format=json", 404, body=token, Content_Type=FORM)
