"""The steps that stories of the Android app are made of, each as the app sends it."""

import json

from tests.e2e.phones import E2EE, FORM, SIGNATURE, WRAPPED, Phone, data, listing, metadata_of, query, text, xml_data

from candado.crypto.rsa import PrivateKey
from candado.crypto.x509 import make_csr

AGENT = "Mozilla/5.0 (Android) Nextcloud-android/3.33.0"
OCS = {"OCS_APIRequest": "true"}
ROOT = "/remote.php/dav/files/alice/"
UPLOADS = "/remote.php/dav/uploads/alice"
FOLDER_PROPERTIES = (
    '<?xml version="1.0" encoding="UTF-8"?><D:propfind xmlns:D="DAV:"><D:prop><D:displayname/><D:getcontenttype/>'
    "<D:resourcetype/><D:getcontentlength/><D:getlastmodified/><D:creationdate/><D:getetag/>"
    "<D:quota-used-bytes/><D:quota-available-bytes/>"
    + "".join(
        f'<oc:{name} xmlns:oc="http://owncloud.org/ns"/>'
        for name in [
            "permissions",
            "fileid",
            "id",
            "size",
            "favorite",
            "owner-id",
            "owner-display-name",
            "comments-unread",
        ]
    )
    + "".join(
        f'<nc:{name} xmlns:nc="http://nextcloud.org/ns"/>'
        for name in [
            "is-encrypted",
            "mount-type",
            "has-preview",
            "note",
            "sharees",
            "rich-workspace",
            "creation_time",
            "upload_time",
            "lock",
            "lock-owner-type",
            "lock-owner",
            "lock-owner-displayname",
            "lock-owner-editor",
            "lock-time",
            "lock-timeout",
            "lock-token",
            "system-tags",
            "file-metadata-size",
            "file-metadata-gps",
            "metadata-photos-size",
            "metadata-photos-gps",
            "metadata-files-live-photo",
            "hidden",
            "share-download-limits",
        ]
    )
    + "</D:prop></D:propfind>"
)
CHUNK_PROPERTIES = '<D:propfind xmlns:D="DAV:"><D:prop><D:getcontenttype/><D:resourcetype/></D:prop></D:propfind>'


async def register(phone: Phone, user: str) -> str:
    """Set encryption up as the first device; the certificate."""
    own = f"{E2EE}/v1/public-key?format=json&users={query(json.dumps([user]))}"
    data(await phone.ask("GET", own, 404, **OCS), code=404)
    csr = json.dumps({"csr": make_csr(PrivateKey.generate(), user)})
    json_body = {**OCS, "Content_Type": "application/json; charset=utf-8"}
    made = data(await phone.ask("POST", f"{E2EE}/v1/public-key?format=json", 200, body=csr, **json_body))["public-key"]
    key = json.dumps({"privateKey": WRAPPED})
    stored = await phone.ask("POST", f"{E2EE}/v1/private-key?format=json", 200, body=key, **json_body)
    assert data(stored) == {"private-key": WRAPPED}
    return str(made)


async def lock(phone: Phone, number: str, counter: int, status: int = 200) -> str:
    answer = await phone.ask(
        "POST",
        f"{E2EE}/v2/lock/{number}?format=json",
        status,
        body="{}",
        Accept="application/json, text/plain, */*",
        Content_Type="application/json",
        x_e2ee_supported="true",
        x_requested_with="XMLHttpRequest",
        X_NC_E2EE_COUNTER=str(counter),
        **OCS,
    )
    found = data(answer, code=status)
    return str(found["e2e-token"]) if status == 200 else ""


async def unlock(phone: Phone, number: str, token: str, status: int = 200) -> None:
    # Neither a format nor an Accept: the app looks at the status alone.
    answer = await phone.ask(
        "DELETE", f"{E2EE}/v2/lock/{number}", status, Content_Type=FORM, Accept="*/*", e2e_token=token, **OCS
    )
    xml_data(answer, code=status)


async def write_metadata(phone: Phone, method: str, number: str, token: str, document: str) -> None:
    answer = await phone.ask(
        method,
        f"{E2EE}/v2/meta-data/{number}?format=json",
        200,
        body={"metaData": document},
        Content_Type=FORM if method == "PUT" else f"{FORM}; charset=UTF-8",
        e2e_token=token,
        X_NC_E2EE_SIGNATURE=SIGNATURE,
        **OCS,
    )
    assert data(answer) == {"meta-data": document}


async def read_metadata(phone: Phone, number: str) -> str | None:
    """Version 2, then version 1; None when there is none yet."""
    for version in ("v2", "v1"):
        answer = await phone.send("GET", f"{E2EE}/{version}/meta-data/{number}?format=json", **OCS)
        if answer.status == 200:
            assert answer.headers["X-NC-E2EE-SIGNATURE"] == SIGNATURE
            return str(data(answer)["meta-data"])
        data(answer, code=404)
    return None


async def encrypted_folder(phone: Phone, name: str) -> str:
    """Make a folder, turn it into an encrypted one, and give it its first document; its number."""
    made = await phone.ask("MKCOL", f"{ROOT}{name}", 201)
    entries = listing(
        await phone.ask("PROPFIND", f"{ROOT}{name}/", 207, body=FOLDER_PROPERTIES, Depth="1"), f"{ROOT}{name}/"
    )
    (folder,) = entries.values()
    number = text(folder, "oc:fileid") or ""
    assert text(folder, "oc:id") == made.headers["OC-FileId"]
    await phone.ask("PUT", f"{E2EE}/v2/encrypted/{number}", 200, body="", Content_Type=FORM, Accept="*/*", **OCS)
    token = await lock(phone, number, 1)
    assert await read_metadata(phone, number) is None
    await write_metadata(phone, "POST", number, token, metadata_of(1))
    await unlock(phone, number, token)
    assert await read_metadata(phone, number) == metadata_of(1)
    return number
