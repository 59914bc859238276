"""The server behind a real nginx with the configuration that ``deploy/`` offers."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.cli_world import Cloud
from tests.e2e.proxies import Certificate, Proxy, behind_nginx, make_certificate
from tests.e2e.proxy_story import (
    MEBIBYTE,
    SecureCaller,
    bodies_stream_both_ways,
    two_devices_and_a_person_share_a_folder,
    webdav_works_with_destinations_of_the_outside,
)
from tests.e2e.server_process import ServerProcess, make_data, serving

SERVER_BYTES_MAX = 160 * MEBIBYTE
STARTS_MAX = 60


@dataclass(frozen=True)
class Site:
    """A server and nginx in front of it."""

    server: ServerProcess
    proxy: Proxy
    certificate: Certificate

    def caller(self, user: str | None = None, *, url: str = "", address: str = "") -> SecureCaller:
        return SecureCaller(url or self.proxy.url, user, self.certificate.authority, address=address)

    def counted(self) -> set[str]:
        """Addresses that sign-ins were started from, as the server saw them."""
        with closing(sqlite3.connect(self.server.data / "candado.db")) as database:
            found = database.execute("SELECT subject FROM rate_limits WHERE bucket = 'login.flow'").fetchall()
        return {str(row[0]) for row in found}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("nginx")
    data = make_data(folder, "alice")
    with (data / "config.toml").open("a") as file:
        file.write('trusted_proxies = ["127.0.0.1", "127.0.0.4"]\n')
    certificate = make_certificate(folder / "tls")
    with serving(data) as server:
        backend = server.url.removeprefix("http://")
        with behind_nginx(folder / "proxy", backend, certificate) as proxy:
            yield Site(server, proxy, certificate)


async def test_bodies_pass_without_being_gathered(site: Site) -> None:
    async with site.caller("alice") as alice:
        await bodies_stream_both_ways(alice, site.proxy, site.server.data, 48)
    assert site.server.memory_peak() < SERVER_BYTES_MAX
    spooled = [path for name in ("t-body", "t-proxy") for path in (site.proxy.folder / name).rglob("*")]
    assert [path for path in spooled if path.is_file()] == []


async def test_webdav_works_although_tls_ends_at_the_proxy(site: Site) -> None:
    async with site.caller("alice") as alice:
        await webdav_works_with_destinations_of_the_outside(alice, site.proxy.url)


def test_our_client_works_through_the_proxy(site: Site, tmp_path: Path) -> None:
    cloud = Cloud(site.proxy.url, site.server.data, tmp_path)
    two_devices_and_a_person_share_a_folder(cloud, site.certificate.authority, tmp_path / "a", tmp_path / "b")
    log = (site.proxy.folder / "candado.log").read_text()
    assert len(log.splitlines()) > 20
    assert [word for word in ("remote.php", "rosa", "Docs", "lock/", "login") if word in log] == []


async def test_addresses_that_clients_are_told_are_those_of_the_outside(site: Site) -> None:
    async with site.caller() as nobody, site.caller("alice") as alice:
        started = json.loads((await nobody.send("POST", "/login/v2")).body)
        assert started["login"].startswith(f"{site.proxy.url}/login/v2/flow/")
        assert started["poll"]["endpoint"] == f"{site.proxy.url}/login/v2/poll"
        await alice.dav("PUT", "linked", body=b"x")
        form = {"path": "/linked", "shareType": "3"}
        made = json.loads((await alice.ocs("POST", "/apps/files_sharing/api/v1/shares", body=form)).body)
        link = made["ocs"]["data"]["url"]
        assert link.startswith(f"{site.proxy.url}/s/")
        page = await nobody.send("GET", link.removeprefix(site.proxy.url))
        assert (page.status, page.headers["Strict-Transport-Security"]) == (200, "max-age=31536000")
        for name in ("caldav", "carddav"):
            moved = await nobody.send("GET", f"/.well-known/{name}")
            assert (moved.status, moved.headers["Location"]) == (301, f"{site.proxy.url}/remote.php/dav/")
        assert (await nobody.send("GET", "/metrics")).status == 404
    async with site.caller(url=f"http://127.0.0.1:{site.proxy.plain}") as plain:
        moved = await plain.send("PUT", "/remote.php/dav/files/alice/x%20y?z", body=b"x")
        target = f"https://127.0.0.1:{site.proxy.plain}/remote.php/dav/files/alice/x%20y?z"
        assert (moved.status, moved.headers["Location"]) == (308, target)


async def test_attempts_count_for_the_true_client_and_a_forged_address_is_not_believed(site: Site) -> None:
    before = site.counted()
    async with site.caller(address="127.0.0.3") as client:
        answers = [
            await client.send("POST", "/login/v2", X_Forwarded_For=f"192.0.2.{n}, 127.0.0.1")
            for n in range(STARTS_MAX + 1)
        ]
    assert [answer.status for answer in answers] == [200] * STARTS_MAX + [429]
    assert site.counted() - before == {"127.0.0.3"}
    async with site.caller(url=site.server.url, address="127.0.0.2") as stranger:
        assert (await stranger.send("POST", "/login/v2", X_Forwarded_For="192.0.2.9")).status == 200
        shown = await stranger.send("POST", "/login/v2", X_Forwarded_For="192.0.2.9", X_Forwarded_Proto="https")
        assert json.loads(shown.body)["login"].startswith("http://")
    assert site.counted() - before == {"127.0.0.3", "127.0.0.2"}


async def test_behind_two_proxies_the_client_is_whom_the_first_one_saw(site: Site) -> None:
    before = site.counted()
    async with site.caller(url=f"http://127.0.0.1:{site.proxy.front}") as client:
        assert (await client.send("POST", "/login/v2")).status == 200
    assert site.counted() - before == {"2001:db8::/64"}
