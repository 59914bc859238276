"""What the tests of phone apps share: a phone that signs in, and readers as strict as those of the apps."""

import json
import re
import xml.etree.ElementTree as ET
from typing import Any
from urllib.parse import quote

from tests.e2e.server_process import PASSWORD, Answer, Caller

E2EE = "/ocs/v2.php/apps/end_to_end_encryption/api"
SHARES = "/ocs/v2.php/apps/files_sharing/api/v1/shares"
FORM = "application/x-www-form-urlencoded"
WRAPPED = "|".join(["QUJD" * 400, "A" * 22 + "==", "A" * 54 + "=="])
SIGNATURE = "c2lnbmF0dXJl"

JSON = str | int | float | bool | list[Any] | dict[str, Any] | None
"""A value of a JSON document."""

NUMBER = (int, float)
NULLABLE = (str, type(None))


def fits(value: Any, wanted: Any, place: str = "") -> None:
    """Fail unless a JSON value has the members and types a parser demands; a boolean is no number.

    ``wanted`` is a type, a tuple of types, a dictionary of what is wanted of members, or a list with what is wanted of
    every element.
    """
    if isinstance(wanted, dict):
        assert isinstance(value, dict), (place, value)
        for name, inner in wanted.items():
            assert name in value, f"{place}.{name} is missing"
            fits(value[name], inner, f"{place}.{name}")
    elif isinstance(wanted, list):
        assert isinstance(value, list), (place, value)
        for position, element in enumerate(value):
            fits(element, wanted[0], f"{place}[{position}]")
    else:
        kinds = wanted if isinstance(wanted, tuple) else (wanted,)
        assert type(value) in kinds, f"{place} is {value!r} and not {wanted}"


STATUS = {
    "installed": bool,
    "maintenance": bool,
    "needsDbUpgrade": bool,
    "version": str,
    "versionstring": str,
    "edition": str,
    "productname": str,
    "extendedSupport": bool,
}
CAPABILITIES = {
    "version": {"major": int, "minor": int, "micro": int, "string": str, "edition": str, "extendedSupport": bool},
    "capabilities": {
        "core": {"pollinterval": int, "webdav-root": str},
        "dav": {"chunking": str},
        "files": {
            "bigfilechunking": bool,
            "undelete": bool,
            "versioning": bool,
            "forbidden_filenames": [str],
            "forbidden_filename_basenames": [str],
            "forbidden_filename_characters": [str],
            "forbidden_filename_extensions": [str],
            "chunked_upload": {"max_size": int, "max_parallel_count": int},
        },
        "files_sharing": {
            "api_enabled": bool,
            "public": {
                "enabled": bool,
                "password": {"enforced": bool, "askForOptionalPassword": bool},
                "expire_date": {"enabled": bool},
                "send_mail": bool,
                "upload": bool,
                "multiple_links": bool,
            },
            "user": {"send_mail": bool, "expire_date": {"enabled": bool}},
            "resharing": bool,
            "group_sharing": bool,
            "group": {"enabled": bool},
            "default_permissions": int,
            "federation": {"outgoing": bool, "incoming": bool},
        },
        "theming": {
            "name": str,
            "url": str,
            "slogan": str,
            "color": str,
            "color-text": str,
            "color-element": str,
            "logo": str,
            "background": str,
        },
        "checksums": {"supportedTypes": [str], "preferredUploadType": str},
        "end-to-end-encryption": {"enabled": bool, "api-version": str, "keys-exist": bool},
    },
}
USER = {
    "id": str,
    "enabled": bool,
    "display-name": str,
    "displayname": str,
    "email": NULLABLE,
    "phone": NULLABLE,
    "address": NULLABLE,
    "website": NULLABLE,
    "twitter": NULLABLE,
    "quota": {"free": int, "used": int, "total": int, "relative": NUMBER, "quota": int},
    "groups": [str],
    "language": str,
    "locale": str,
}
ABSENT = frozenset(
    ("notifications", "activity", "user_status", "notify_push", "spreed", "assistant", "groupfolders", "richdocuments")
)
"""Capabilities that would make an app ask for what is not there, or fail on members that are missing."""


def data(answer: Answer, *, code: int = 200) -> Any:
    """The data of an OCS answer in JSON: compact, complete, with the code in its meta part."""
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert re.search(rb'"statuscode":(\d+)', answer.body), answer.text
    document = json.loads(answer.body)["ocs"]
    fits(document["meta"], {"status": str, "statuscode": int, "message": str})
    expected = ("ok" if code < 300 else "failure", code)
    assert (document["meta"]["status"], document["meta"]["statuscode"]) == expected, answer.text
    return document["data"]


def xml_data(answer: Answer, *, code: int = 200) -> ET.Element:
    """The data of an OCS answer in XML."""
    assert answer.headers["Content-Type"] == "application/xml; charset=utf-8"
    root = ET.fromstring(answer.body)
    assert (root.tag, [child.tag for child in root]) == ("ocs", ["meta", "data"])
    assert root.findtext("meta/statuscode") == str(code), answer.text
    found = root.find("data")
    assert found is not None
    return found


def listing(answer: Answer, path: str) -> dict[str, dict[str, ET.Element]]:
    """The entries of a listing by address, the folder first; of each the properties of its 200 part by Clark name."""
    assert (answer.status, answer.headers["Content-Type"]) == (207, "application/xml; charset=utf-8")
    found: dict[str, dict[str, ET.Element]] = {}
    for response in ET.fromstring(answer.body).findall("{DAV:}response"):
        first = response.findall("{DAV:}propstat")[0]
        assert (first.findtext("{DAV:}status") or "").startswith("HTTP/1.1 200")
        href = response.findtext("{DAV:}href") or ""
        found[href] = {prop.tag: prop for prop in first.findall("{DAV:}prop/*")}
    assert next(iter(found)) == path, "the folder itself comes first"
    assert all(href.startswith(path) for href in found)
    return found


def text(properties: dict[str, ET.Element], name: str) -> str | None:
    """The text of a property, named as ``d:``, ``oc:`` or ``nc:``; None when it is not there."""
    prefix, _, local = name.partition(":")
    uri = {"d": "DAV:", "oc": "http://owncloud.org/ns", "nc": "http://nextcloud.org/ns"}[prefix]
    found = properties.get(f"{{{uri}}}{local}")
    return None if found is None else found.text or ""


def has(answer: Answer, *names: str) -> bool:
    """Whether an answer has all of these headers."""
    return all(name in answer.headers for name in names)


class Phone(Caller):
    """A phone app: its User-Agent on every request, and a token of its own after the sign-in."""

    def __init__(self, url: str, user: str | None, agent: str, password: str = PASSWORD) -> None:
        super().__init__(url, user, password)
        self.headers["User-Agent"] = agent

    async def ask(self, method: str, path: str, status: int, *, body: Any = None, **headers: str) -> Answer:
        """One request whose status is known."""
        answer = await self.send(method, path, body=body, **headers)
        assert answer.status == status, (method, path, answer.status, answer.text[:2000])
        return answer


async def approve(login: str, url: str, user: str) -> None:
    """What the person does in the browser that the app opens."""
    async with Caller(url, None) as browser:
        path = login.removeprefix(url)
        assert (await browser.send("GET", path)).status == 200
        done = await browser.send("POST", path, body={"user": user, "password": PASSWORD}, Origin=url)
        assert done.status == 200


def metadata_of(counter: int, *names: str) -> str:
    """A document as long and as full of signs as a real one; the server keeps its bytes and reads none of them."""
    inner = {"ciphertext": "+/ä%41&=" * 20, "nonce": "bm9uY2U=|", "authenticationTag": "dGFn"}
    document = {"metadata": inner, "users": [{"userId": "alice", "counter": counter, "names": names}], "version": "2.0"}
    return json.dumps(document, ensure_ascii=False)


def query(value: str) -> str:
    """A value for a query string."""
    return quote(value, safe="")
