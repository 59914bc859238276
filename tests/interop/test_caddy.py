"""The server behind a real Caddy with the configuration that ``deploy/`` offers."""

import json
from pathlib import Path

from tests.e2e.cli_world import Cloud
from tests.e2e.proxies import behind_caddy, make_certificate
from tests.e2e.proxy_story import (
    SecureCaller,
    bodies_stream_both_ways,
    two_devices_and_a_person_share_a_folder,
    webdav_works_with_destinations_of_the_outside,
)
from tests.e2e.server_process import make_data, serving


async def test_everything_passes_through_caddy(tmp_path: Path) -> None:
    data = make_data(tmp_path, "alice")
    with (data / "config.toml").open("a") as file:
        file.write('trusted_proxies = ["127.0.0.1"]\n')
    certificate = make_certificate(tmp_path / "tls")
    with serving(data) as server:
        backend = server.url.removeprefix("http://")
        with behind_caddy(tmp_path / "proxy", backend, certificate) as proxy:
            authority = certificate.authority
            async with SecureCaller(proxy.url, "alice", authority) as alice:
                await bodies_stream_both_ways(alice, proxy, data, 48)
                await webdav_works_with_destinations_of_the_outside(alice, proxy.url)
                started = json.loads((await alice.send("POST", "/login/v2")).body)
                assert started["login"].startswith(f"{proxy.url}/login/v2/flow/")
                assert (await alice.send("GET", "/metrics")).status == 404
                moved = await alice.send("GET", "/.well-known/caldav")
                assert (moved.status, moved.headers["Location"]) == (301, "/remote.php/dav/")
            async with SecureCaller(f"http://127.0.0.1:{proxy.plain}", None, None) as plain:
                assert (await plain.send("GET", "/status.php", Host="localhost")).status == 308
            cloud = Cloud(proxy.url, data, tmp_path)
            two_devices_and_a_person_share_a_folder(cloud, authority, tmp_path / "a", tmp_path / "b")
