"""What the server announces: capabilities, status and user documents.

Layer: ``server``; pure. Stock clients refuse an account when a member they expect is missing, so the set of members is
part of the protocol; a feature that is not there is left out, never announced as off by a guess.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from candado.folder.orgtrust import VerifiedPolicy
from candado.formats.bodies import BODIES_BYTES_MAX, BODIES_COUNT_MAX
from candado.server.accounts import Account
from candado.server.model import Quota

__all__ = ["API_VERSION", "CHUNK_BYTES_MAX", "Told", "capabilities", "quota_numbers", "status", "user_document"]

API_VERSION: Final = "2.0"
CHUNK_BYTES_MAX: Final = 104_857_600
_COLOUR: Final = "#1f5f8b"
_VERSION: Final[Mapping[str, Any]] = {
    "major": 31,
    "minor": 0,
    "micro": 6,
    "string": "31.0.6",
    "edition": "",
    "extendedSupport": False,
}
_OWN: Final[Mapping[str, Any]] = {
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
    "bodies": {"max-count": BODIES_COUNT_MAX, "max-bytes": BODIES_BYTES_MAX},
}
_UNLIMITED: Final = -3
_PROFILE: Final = (
    "phone",
    "address",
    "website",
    "twitter",
    "fediverse",
    "organisation",
    "role",
    "headline",
    "biography",
    "pronouns",
)


def status(*, maintenance: bool = False) -> dict[str, Any]:
    """The document of ``/status.php``. The version is the protocol level stock clients are to expect."""
    return {
        "installed": True,
        "maintenance": maintenance,
        "needsDbUpgrade": False,
        "version": "31.0.6.2",
        "versionstring": "31.0.6",
        "edition": "",
        "productname": "candado",
        "extendedSupport": False,
    }


@dataclass(frozen=True, slots=True)
class Told:
    """What only callers who are logged in are told.

    ``keys_exist`` is None for all others. ``organisation`` is the fingerprint of the organisation's key, ``recovery``
    its policy on recovery. ``rules_version`` is that of the access rules, by which a client knows whether to try again
    what one refused; None when it is not known. ``client_rules`` is the serial of those that the organisation signed
    for clients, 0 without any.
    """

    keys_exist: bool | None = None
    organisation: str = ""
    recovery: VerifiedPolicy | None = None
    rules_version: int | None = None
    client_rules: int = 0


def capabilities(url: str, told: Told) -> dict[str, Any]:
    """The data of the capabilities call; members that are for others than the caller are left out."""
    offered: dict[str, Any] = {
        "core": {
            "pollinterval": 60,
            "webdav-root": "remote.php/webdav",
            "mod-rewrite-working": False,
            "reference-api": False,
        },
        "dav": {"chunking": "1.0"},
        "files": {
            "bigfilechunking": True,
            "undelete": False,
            "versioning": False,
            "forbidden_filenames": [".htaccess"],
            "forbidden_filename_basenames": [],
            "forbidden_filename_characters": ["\\", "/"],
            "forbidden_filename_extensions": [".part", ".filepart"],
            "chunked_upload": {"max_size": CHUNK_BYTES_MAX, "max_parallel_count": 5},
        },
        "files_sharing": {
            "api_enabled": True,
            "public": {
                "enabled": True,
                "password": {"enforced": False, "askForOptionalPassword": False},
                "expire_date": {"enabled": False},
                "multiple_links": True,
                "send_mail": False,
                "upload": True,
                "upload_files_drop": True,
            },
            "user": {"send_mail": False, "expire_date": {"enabled": False}},
            "resharing": True,
            "group_sharing": True,
            "group": {"enabled": True, "expire_date": {"enabled": False}},
            "default_permissions": 31,
            "federation": {"outgoing": False, "incoming": False},
            "sharee": {"query_lookup_default": False, "always_show_unique": True},
        },
        "theming": {
            "name": "candado",
            "url": url,
            "slogan": "",
            "color": _COLOUR,
            "color-text": "#ffffff",
            "color-element": _COLOUR,
            "logo": f"{url}/logo.svg",
            "background": _COLOUR,
        },
        "checksums": {"supportedTypes": ["SHA1", "MD5", "ADLER32"], "preferredUploadType": "SHA1"},
        "candado": {**_OWN, "organisation": told.organisation, "recovery": _recovery(told.recovery)},
    }
    if told.keys_exist is not None:
        offered["candado"] |= {} if told.rules_version is None else {"rules-version": told.rules_version}
        offered["candado"]["client-rules"] = told.client_rules
        offered["end-to-end-encryption"] = {"enabled": True, "api-version": API_VERSION, "keys-exist": told.keys_exist}
    return {"version": dict(_VERSION), "capabilities": offered}


def _recovery(policy: VerifiedPolicy | None) -> dict[str, Any]:
    """What is announced of a recovery key: for people and pages; clients believe the signed policy alone."""
    if policy is None:
        return {"state": "none"}
    body = policy.recovery
    return {"state": body.state, "member": body.member_id, "serial": policy.serial, "text": policy.text}


def quota_numbers(quota: Quota) -> dict[str, int | float]:
    """The quota object of the user document; -3 stands for unlimited."""
    if quota.total_bytes is None:
        return {"free": _UNLIMITED, "used": quota.used_bytes, "total": _UNLIMITED, "relative": 0, "quota": _UNLIMITED}
    relative = 100.0 if quota.total_bytes == 0 else round(100 * quota.used_bytes / quota.total_bytes, 2)
    return {
        "free": quota.free_bytes or 0,
        "used": quota.used_bytes,
        "total": quota.total_bytes,
        "relative": relative,
        "quota": quota.total_bytes,
    }


def user_document(account: Account, quota: Quota | None) -> dict[str, Any]:
    """The data of the user call; without ``quota`` what one user may see of another.

    What this server keeps of nobody is there and empty: other people's clients read it without asking whether it is.
    """
    document: dict[str, Any] = {
        "id": account.user_id,
        "display-name": account.display_name,
        "displayname": account.display_name,
        "backend": "Database",
        "lastLogin": 0,
        "subadmin": [],
        "manager": "",
        "additional_mail": [],
        **dict.fromkeys(_PROFILE, ""),
        "profile_enabled": "0",
        "backendCapabilities": {"setDisplayName": True, "setPassword": True},
    }
    if quota is not None:
        document |= {
            "enabled": account.enabled,
            "email": account.email,
            "quota": quota_numbers(quota),
            "groups": list(account.groups),
            "language": "en",
            "locale": "",
            "notify_email": None,
        }
    return document
