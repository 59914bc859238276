"""The settings file and the table of errors."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from candado.apps.server_config import ServerConfig, load_config, local_path, parse_bytes, write_config
from candado.apps.server_errors import dav_error_body, fault_of
from candado.errors import CandadoError, LockedError, MisuseError, RateLimitedError, RemoteError, UsageError
from candado.server.capabilities import quota_numbers
from candado.server.model import Quota

SERVER_CODES_OF_OURS = {"REMOTE", "REMOTE_BUG"}


def classes(cls: type[CandadoError]) -> Iterator[type[CandadoError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from classes(child)


def test_every_refusal_a_server_can_utter_has_a_status_below_500_or_says_try_later() -> None:
    importlib.import_module("candado.errors")
    bad = {
        cls.code: fault_of(cls()).status
        for cls in classes(RemoteError)
        if cls.__module__.startswith("candado.errors")
        and fault_of(cls()).status == 500
        and cls.code not in SERVER_CODES_OF_OURS
    }
    assert bad == {}


def test_a_fault_of_ours_tells_nothing_of_its_cause() -> None:
    fault = fault_of(MisuseError("row 7 of /srv/candado"))
    assert (fault.status, "row 7" in fault.message) == (500, False)


def test_a_lock_is_named_as_stock_clients_expect() -> None:
    fault = fault_of(LockedError())
    assert (fault.status, fault.exception.rpartition("\\")[2]) == (423, "FileLocked")


def test_a_limit_says_when_to_come_back() -> None:
    assert (b"retry-after", b"3") in fault_of(RateLimitedError(after_seconds=2.1)).headers


def test_an_error_body_cannot_be_broken_out_of() -> None:
    assert b"<evil" not in dav_error_body("x", "<evil>&")


@pytest.mark.parametrize(
    ("text", "size"),
    [("10G", 10**10), ("512MiB", 512 << 20), ("512mi", 512 << 20), ("7", 7), ("7 kB", 7000), ("none", -3)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1", "1.5G", "10X", "1e9", "9" * 20])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_bytes(text)


@pytest.mark.parametrize(
    "url",
    ["sqlite://relative", "sqlite:relative", "file:///x", "sqlite:///x?y=1", "postgresql://h/d", "sqlite://h/x", ""],
)
def test_a_database_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        local_path(url, "sqlite")


def test_what_init_writes_can_be_read_and_flags_win(tmp_path: Path) -> None:
    write_config(
        tmp_path / "config.toml",
        url='https://x/"q"\\',
        database="sqlite:///srv/a b.db",
        authority="software",
        storage="",
    )
    config = load_config(tmp_path, {}, workers=3, listen=None)
    assert (config.url, config.workers, config.listen) == ('https://x/"q"\\', 3, "127.0.0.1:8080")
    assert config.database_path == Path("/srv/a b.db")
    assert config.storage_path == tmp_path / "blobs"


def test_every_setting_can_be_set(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        'url = "https://x"\nlisten = "[::1]:0"\nworkers = 2\ndatabase = "sqlite:///a"\nstorage = "file:///b"\n'
        'lock_seconds = 5\ndefault_quota = "1G"\nlog_format = "json"\nmetrics = true\nmetrics_token = "t"\n'
        'require_e2ee_header = true\ntrusted_proxies = ["10.0.0.1"]\n'
    )
    assert load_config(tmp_path, {}) == ServerConfig(
        data=tmp_path,
        url="https://x",
        listen="[::1]:0",
        workers=2,
        database="sqlite:///a",
        storage="file:///b",
        lock_seconds=5,
        default_quota=10**9,
        log_format="json",
        metrics=True,
        metrics_token="t",
        require_e2ee_header=True,
        trusted_proxies=("10.0.0.1",),
    )


@pytest.mark.parametrize("line", ['log_format = "xml"', "trusted_proxies = [1]", 'default_quota = "x"', "url = 1", "x"])
def test_a_wrong_setting_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "config.toml").write_text(line)
    with pytest.raises(UsageError):
        load_config(tmp_path, {})


@pytest.mark.parametrize(
    ("quota", "numbers"),
    [
        (Quota(5, None), {"free": -3, "used": 5, "total": -3, "relative": 0, "quota": -3}),
        (Quota(5, 10), {"free": 5, "used": 5, "total": 10, "relative": 50.0, "quota": 10}),
        (Quota(15, 10), {"free": 0, "used": 15, "total": 10, "relative": 150.0, "quota": 10}),
        (Quota(0, 0), {"free": 0, "used": 0, "total": 0, "relative": 100.0, "quota": 0}),
    ],
)
def test_quota_numbers_never_divide_by_zero(quota: Quota, numbers: dict[str, float]) -> None:
    assert quota_numbers(quota) == numbers


def test_settings_come_from_the_environment_and_from_files_it_names(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("workers = 2\nmetrics = false\nlock_seconds = 5\n")
    (tmp_path / "secret").write_text("p@ss/word\n")
    environment = {
        "CANDADO_SERVER_WORKERS": "3",
        "CANDADO_SERVER_METRICS": "true",
        "CANDADO_SERVER_TRUSTED_PROXIES": "10.0.0.1, fd00::/8",
        "CANDADO_SERVER_DEFAULT_QUOTA": "10G",
        "CANDADO_SERVER_DATABASE": "postgresql://candado@db/candado",
        "CANDADO_SERVER_DATABASE_PASSWORD_FILE": str(tmp_path / "secret"),
        "CANDADO_SERVER_PASSWORD_FILE": "of another thing",
    }
    assert load_config(tmp_path, environment, workers=4) == ServerConfig(
        data=tmp_path,
        workers=4,
        metrics=True,
        lock_seconds=5,
        trusted_proxies=("10.0.0.1", "fd00::/8"),
        default_quota=10**10,
        database="postgresql://candado@db/candado",
        database_password="p@ss/word",
    )
    assert load_config(tmp_path, environment).postgres_url == "postgresql://candado:p%40ss%2Fword@db/candado"


@pytest.mark.parametrize(
    "environment",
    [
        {"CANDADO_SERVER_WORKERS": "many"},
        {"CANDADO_SERVER_WORKERS": "0"},
        {"CANDADO_SERVER_METRICS": "perhaps"},
        {"CANDADO_SERVER_LOG_FORMAT": "xml"},
        {"CANDADO_SERVER_TRUSTED_PROXIES": "*"},
        {"CANDADO_SERVER_URL_FILE": "/none/such"},
        {"CANDADO_SERVER_TLS_KEY": "/key.pem"},
    ],
)
def test_a_setting_in_the_environment_that_cannot_be_is_an_error(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "config.toml").write_text("")
    with pytest.raises(UsageError):
        load_config(tmp_path, environment)
