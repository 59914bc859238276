"""The OpenAPI document and the routes of the server are the same list."""

import re
from typing import Any, cast

from starlette.routing import Route

from candado.apps.asgi import http_routes
from candado.apps.dav_public import _METHODS as PUBLIC_METHODS
from candado.apps.dav_routes import _ALLOW
from candado.apps.openapi import openapi_document
from candado.apps.server_metrics import Metrics
from candado.apps.server_wiring import Services

ELSE = "/ocs/{rest}"
DESCRIBED_BY_ITSELF = {"OPTIONS", "HEAD"}
DOCUMENT = openapi_document("http://127.0.0.1")


def normal(path: str) -> str:
    """A path without the names of its parameters, and of OCS in the version that is described."""
    return re.sub(r"\{[^}]*\}", "{}", path.replace("/ocs/v{version}.php", "/ocs/v2.php"))


def served() -> set[tuple[str, str]]:
    routes = http_routes(cast("Services", object()), Metrics())
    return {
        (method, normal(route.path))
        for route in routes
        if isinstance(route, Route) and not route.path.startswith("/ocs/{rest")
        for method in route.methods or ()
        if method != "HEAD"
    }


def described() -> set[tuple[str, str]]:
    return {
        (method.upper(), normal(path))
        for path, operations in DOCUMENT["paths"].items()
        if not path.startswith(("/remote.php", "/public.php"))
        for method in operations
    }


def test_every_route_has_a_row_in_the_table_of_the_document() -> None:
    missing = sorted(served() - described())
    assert missing == [], f"add these to src/candado/apps/openapi_calls.py: {missing}"


def test_every_row_of_the_document_is_a_route() -> None:
    gone = sorted(described() - served())
    assert gone == [], f"take these out of src/candado/apps/openapi_calls.py: {gone}"


def test_webdav_is_described_with_all_its_methods() -> None:
    found: dict[str, set[str]] = {}
    for path, operations in DOCUMENT["paths"].items():
        tree = path.partition("/{")[0]
        if tree.startswith(("/remote.php", "/public.php")):
            here = found.setdefault(tree, set())
            here |= {method.upper() for method in operations}
            here |= {name for operation in operations.values() for name in operation.get("x-webdav-methods", ())}
    own = set(_ALLOW.decode().split(", ")) - DESCRIBED_BY_ITSELF
    public = set(PUBLIC_METHODS) - DESCRIBED_BY_ITSELF
    assert found == {
        "/remote.php/dav/files": own,
        "/remote.php/webdav": own,
        "/remote.php/dav/uploads": {"PUT", "DELETE", "MKCOL", "PROPFIND", "MOVE"},
        "/public.php/dav/files": public,
        "/public.php/webdav": public,
    }


def test_every_operation_has_a_name_of_its_own_and_says_who_may_call_it() -> None:
    operations: list[dict[str, Any]] = [one for path in DOCUMENT["paths"].values() for one in path.values()]
    names = [one["operationId"] for one in operations]
    assert len(names) == len(set(names))
    known = {*DOCUMENT["components"]["securitySchemes"]}
    assert all(set(scheme) <= known for one in operations for scheme in one["security"])
    assert all(one["summary"] and one["responses"] for one in operations)
