"""Encrypted folders in the Android app, request by request in its order and spelling."""

import json
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.e2e.android import (
    AGENT,
    CHUNK_PROPERTIES,
    FOLDER_PROPERTIES,
    OCS,
    ROOT,
    UPLOADS,
    encrypted_folder,
    lock,
    read_metadata,
    register,
    unlock,
    write_metadata,
)
from tests.e2e.phones import E2EE, FORM, SHARES, Phone, data, fits, has, listing, metadata_of, query, text, xml_data
from tests.e2e.server_process import ServerProcess, make_data, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(make_data(tmp_path_factory.mktemp("android-folders"), "alice", "bob")) as running:
        yield running


@pytest.fixture
async def phone(server: ServerProcess) -> AsyncIterator[Phone]:
    async with Phone(server.url, "alice", AGENT) as phone:
        yield phone


async def test_a_file_goes_up_comes_down_is_replaced_and_deleted(phone: Phone) -> None:
    number = await encrypted_folder(phone, "Files")
    name, new = "0" * 31 + "1", "0" * 31 + "2"
    token = await lock(phone, number, 2)
    put = {"Content_Type": "application/octet-stream", "X_OC_Mtime": "1600000000", "OC_Total_Length": "9"}
    stored = await phone.ask("PUT", f"{ROOT}Files/{name}", 201, body=b"encrypted", e2e_token=token, **put)
    assert has(stored, "OC-ETag", "ETag", "OC-FileId")
    assert stored.headers["X-OC-MTime"] == "accepted"
    # The document is addressed by the long id here.
    (folder,) = listing(
        await phone.ask("PROPFIND", f"{ROOT}Files/", 207, body=FOLDER_PROPERTIES, Depth="0"), f"{ROOT}Files/"
    ).values()
    long_id = text(folder, "oc:id") or ""
    assert long_id.startswith(f"{int(number):08d}oc")
    await write_metadata(phone, "PUT", long_id, token, metadata_of(2, name))
    await unlock(phone, number, token)

    entries = listing(
        await phone.ask("PROPFIND", f"{ROOT}Files/", 207, body=FOLDER_PROPERTIES, Depth="1"), f"{ROOT}Files/"
    )
    file = entries[f"{ROOT}Files/{name}"]
    assert (text(file, "d:getcontentlength"), text(file, "oc:size")) == ("9", "9")
    assert text(file, "d:getlastmodified") == "Sun, 13 Sep 2020 12:26:40 GMT"
    assert text(file, "nc:is-encrypted") is None
    assert text(file, "d:getetag") == stored.headers["OC-ETag"]
    down = await phone.ask("GET", f"{ROOT}Files/{name}", 200)
    assert (down.body, down.headers["ETag"]) == (b"encrypted", stored.headers["ETag"])

    # A changed file goes up under a new name; afterwards the old one is removed, its token in the address.
    token = await lock(phone, number, 3)
    assert await read_metadata(phone, number) == metadata_of(2, name)
    await phone.ask(
        "PUT", f"{ROOT}Files/{new}", 201, body=b"changed", e2e_token=token, **put | {"OC_Total_Length": "7"}
    )
    await write_metadata(phone, "PUT", number, token, metadata_of(3, new))
    await unlock(phone, number, token)
    token = await lock(phone, number, 4)
    await phone.ask("DELETE", f"{ROOT}Files/{name}?e2e-token={token}", 204)
    await write_metadata(phone, "PUT", number, token, metadata_of(4, new))
    await unlock(phone, number, token)
    left = listing(
        await phone.ask("PROPFIND", f"{ROOT}Files/", 207, body=FOLDER_PROPERTIES, Depth="1"), f"{ROOT}Files/"
    )
    assert list(left) == [f"{ROOT}Files/", f"{ROOT}Files/{new}"]

    # A rename is a MOVE without a token, which encrypted folders refuse.
    await phone.ask("MOVE", f"{ROOT}Files/{new}", 403, Destination=f"{phone.url}{ROOT}Files/renamed", Overwrite="F")
    # So is the end of the whole folder, whose plain parent the app tries to lock first.
    (top,) = listing(await phone.ask("PROPFIND", ROOT, 207, body=FOLDER_PROPERTIES, Depth="0"), ROOT).values()
    await lock(phone, text(top, "oc:fileid") or "", 1, status=403)


async def test_a_large_file_goes_up_in_chunks(phone: Phone) -> None:
    number = await encrypted_folder(phone, "Large")
    token, name = await lock(phone, number, 2), "0" * 31 + "3"
    base, destination = f"{UPLOADS}/0cc175b9c0f1b6a831c399e269772661", f"{phone.url}{ROOT}Large/{name}"
    more = {"e2e_token": token}
    await phone.ask("MKCOL", base, 201, Destination=destination, **more)
    assert list(
        listing(await phone.ask("PROPFIND", base, 207, body=CHUNK_PROPERTIES, Depth="1", **more), f"{base}/")
    ) == [f"{base}/"]
    # Out of order, as after an interruption; the folder is there by then.
    await phone.ask("PUT", f"{base}/000002", 201, body=b"cd", Destination=destination, **more)
    await phone.ask("MKCOL", base, 405, Destination=destination, **more)
    await phone.ask("PUT", f"{base}/000001", 201, body=b"ab", Destination=destination, **more)
    joined = await phone.ask("MOVE", f"{base}/.file", 201, Destination=destination, X_OC_Mtime="1600000000", **more)
    assert has(joined, "OC-ETag", "OC-FileId")
    await write_metadata(phone, "PUT", number, token, metadata_of(2, name))
    await unlock(phone, number, token)
    assert (await phone.ask("GET", f"{ROOT}Large/{name}", 200)).body == b"abcd"


async def test_a_folder_is_made_inside(phone: Phone) -> None:
    number, inner = await encrypted_folder(phone, "Outer"), "0" * 31 + "4"
    token = await lock(phone, number, 2)
    made = await phone.ask("MKCOL", f"{ROOT}Outer/{inner}", 201, e2e_token=token)
    long_id = made.headers["OC-FileId"]
    # Its document comes under the parent's lock, before it is marked.
    await write_metadata(phone, "POST", long_id, token, metadata_of(1))
    await write_metadata(phone, "PUT", number, token, metadata_of(2, inner))
    await unlock(phone, number, token)
    path = f"{ROOT}Outer/{inner}/"
    (shown,) = listing(await phone.ask("PROPFIND", path, 207, body=FOLDER_PROPERTIES, Depth="0"), path).values()
    assert text(shown, "oc:id") == long_id
    await phone.ask("PUT", f"{E2EE}/v2/encrypted/{text(shown, 'oc:fileid')}", 200, body="", Content_Type=FORM, **OCS)
    (shown,) = listing(await phone.ask("PROPFIND", path, 207, body=FOLDER_PROPERTIES, Depth="0"), path).values()
    assert text(shown, "nc:is-encrypted") == "1"
    assert await read_metadata(phone, long_id) == metadata_of(1)
    token = await lock(phone, long_id, 2)
    await phone.ask("PUT", f"{path}{'0' * 31}5", 201, body=b"deep", e2e_token=token)
    await write_metadata(phone, "PUT", long_id, token, metadata_of(2, "deep"))
    await unlock(phone, long_id, token)
    assert (await phone.ask("GET", f"{path}{'0' * 31}5", 200)).body == b"deep"


async def test_a_folder_is_shared_and_the_share_is_ended(server: ServerProcess, phone: Phone) -> None:
    own = await phone.send("GET", f"{E2EE}/v1/public-key?format=json", **OCS)
    if own.status == 404:
        await register(phone, "alice")
    number = await encrypted_folder(phone, "Shared")
    found = data(
        await phone.ask(
            "GET",
            "/ocs/v2.php/apps/files_sharing/api/v1/sharees?format=json&itemType=file&search=bob&page=1&perPage=50"
            "&lookup=false",
            200,
            **OCS,
        )
    )
    person = {"label": str, "value": {"shareType": int, "shareWith": str}}
    fits(found, {"exact": {"users": [person], "groups": [person], "remotes": [person]}, "users": [person]})
    assert found["exact"]["users"][0]["value"] == {"shareType": 0, "shareWith": "bob"}
    # Who has no certificate cannot be given a key.
    both = f"{E2EE}/v1/public-key?format=json&users={query(json.dumps(['bob']))}"
    data(await phone.ask("GET", both, 404, **OCS), code=404)
    async with Phone(server.url, "bob", AGENT) as bob:
        certificate = await register(bob, "bob")
    assert data(await phone.ask("GET", both, 200, **OCS))["public-keys"]["bob"] == certificate

    token = await lock(phone, number, 2)
    form = {"path": "/Shared", "shareType": "0", "shareWith": "bob", "permissions": "31"}
    made = xml_data(await phone.ask("POST", SHARES, 200, body=form, Content_Type=FORM, **OCS))
    # The app makes its object when it meets the id, so that must come before all it keeps in it.
    assert [child.tag for child in made if child.tag in ("id", "token", "url")] == ["id", "token"]
    share = int(made.findtext("id") or "")
    assert await read_metadata(phone, number) == metadata_of(1)
    await write_metadata(phone, "PUT", number, token, metadata_of(2, "bob"))
    await unlock(phone, number, token)

    listed = xml_data(await phone.ask("GET", f"{SHARES}?path=%2FShared&reshares=true&subfiles=false", 200, **OCS))
    (element,) = listed
    assert element.tag == "element"
    numbers = ("id", "share_type", "item_source", "file_source", "permissions", "stime", "storage", "mail_send")
    shown = {name: int(element.findtext(name) or "") for name in numbers}
    assert (shown["id"], shown["share_type"], shown["item_source"], shown["permissions"]) == (share, 0, int(number), 31)
    words = ("item_type", "path", "share_with", "share_with_displayname", "uid_owner", "displayname_file_owner")
    assert [element.findtext(name) for name in words] == ["folder", "/Shared", "bob", "bob", "alice", "alice"]
    changed = await phone.ask("PUT", f"{SHARES}/{share}", 200, body="permissions=1", Content_Type=FORM, **OCS)
    assert xml_data(changed).findtext("permissions") == "1"
    noted = await phone.ask("PUT", f"{SHARES}/{share}", 200, body="note=Read+this%21", Content_Type=FORM, **OCS)
    assert xml_data(noted).findtext("note") == "Read this!"

    async with Phone(server.url, "bob", AGENT) as bob:
        home = "/remote.php/dav/files/bob/"
        entries = listing(await bob.ask("PROPFIND", home, 207, body=FOLDER_PROPERTIES, Depth="1"), home)
        received = entries[f"{home}Shared/"]
        assert (text(received, "oc:permissions"), text(received, "nc:is-encrypted")) == ("SGDNV", "1")
        assert (text(received, "oc:owner-id"), text(received, "nc:mount-type")) == ("alice", "shared")
        assert await read_metadata(bob, text(received, "oc:fileid") or "") == metadata_of(2, "bob")
        await lock(bob, number, 3, status=403)
        mine = xml_data(await bob.ask("GET", f"{SHARES}?shared_with_me=true", 200, **OCS))
        assert [one.findtext("file_target") for one in mine] == ["/Shared"]

    token = await lock(phone, number, 3)
    await write_metadata(phone, "PUT", number, token, metadata_of(3))
    xml_data(await phone.ask("DELETE", f"{SHARES}/{share}", 200, **OCS))
    await unlock(phone, number, token)
    assert (
        list(xml_data(await phone.ask("GET", f"{SHARES}?path=%2FShared&reshares=true&subfiles=false", 200, **OCS)))
        == []
    )


async def test_a_lock_that_was_left_behind_is_told_apart_and_ends_with_its_token(phone: Phone) -> None:
    number = await encrypted_folder(phone, "Stuck")
    token = await lock(phone, number, 2)
    await lock(phone, number, 2, status=423)
    await phone.ask("PUT", f"{ROOT}Stuck/{'0' * 32}", 423, body=b"x", e2e_token="z" * 64)
    await unlock(phone, number, "z" * 64, status=403)
    # A retry of an upload keeps its token; the app sends it as a parameter.
    again = await phone.ask(
        "POST",
        f"{E2EE}/v2/lock/{number}?format=json&e2e-token={token}",
        200,
        body="{}",
        Content_Type="application/json",
        X_NC_E2EE_COUNTER="2",
        **OCS,
    )
    assert data(again) == {"e2e-token": token}
    await unlock(phone, number, token)
    # Nothing of it was visible, and the counter did not go back.
    assert await read_metadata(phone, number) == metadata_of(1)
    await lock(phone, number, 1, status=412)
