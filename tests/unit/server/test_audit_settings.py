"""``[[audit_sink]]`` in config.toml: every key, every mistake by its name."""

import re
from pathlib import Path

import pytest
from tests.unit.server.world import HandClock

from candado.adapters.audit_file import AuditFile
from candado.adapters.audit_http import AuditHttp
from candado.adapters.audit_syslog import AuditSyslog, SyslogPlace
from candado.apps.audit_settings import SinkConfig
from candado.apps.server_config import load_config
from candado.errors import UsageError
from candado.server.auditsinks import SinkSettings


def read(folder: Path, text: str) -> tuple[SinkConfig, ...]:
    (folder / "config.toml").write_text(text)
    return load_config(folder, {}).audit_sinks


ALL = """
workers = 2
[[audit_sink]]
name = "disk"
kind = "file"
path = "/var/log/candado/audit.jsonl"
rotate_bytes = "64MiB"
rotate_days = 7
[[audit_sink]]
name = "loghost"
kind = "syslog"
to = "tls://logs.example.org"
ca_file = "/etc/candado/ca.pem"
host = "cloud"
enterprise = 32473
format = "cef"
on_failure = "open"
datagram_bytes = 2048
[[audit_sink]]
name = "siem"
kind = "http"
url = "https://siem.example.org/ingest?index=a"
token_file = "/etc/candado/token"
ca_file = "/etc/candado/ca.pem"
format = "ocsf"
lag_seconds = 60
batch = 100
timeout_seconds = 5
"""


def test_every_kind_with_every_key(tmp_path: Path) -> None:
    assert read(tmp_path, ALL) == (
        SinkConfig(
            "file",
            SinkSettings("disk", rotate_bytes=64 * 2**20, rotate_seconds=7 * 86_400.0),
            path=Path("/var/log/candado/audit.jsonl"),
        ),
        SinkConfig(
            "syslog",
            SinkSettings("loghost", line_format="cef", is_closed=False),
            place=SyslogPlace("tls", "logs.example.org", 6514, "/etc/candado/ca.pem"),
            host="cloud",
            enterprise=32473,
            datagram_bytes=2048,
        ),
        SinkConfig(
            "http",
            SinkSettings("siem", line_format="ocsf", lag_seconds=60.0, batch=100, seconds=5.0),
            url="https://siem.example.org/ingest?index=a",
            token_file=Path("/etc/candado/token"),
            ca_file="/etc/candado/ca.pem",
        ),
    )
    made = [one.make(HandClock()) for one in load_config(tmp_path, {}).audit_sinks]
    assert [type(one) for one in made] == [AuditFile, AuditSyslog, AuditHttp]
    assert load_config(tmp_path, {}).workers == 2


@pytest.mark.parametrize(
    ("to", "place"),
    [
        ("udp://10.0.0.1", SyslogPlace("udp", "10.0.0.1", 514)),
        ("tcp://[::1]:7000", SyslogPlace("tcp", "::1", 7000)),
        ("tcp://logs/", SyslogPlace("tcp", "logs", 601)),
        ("unix:///dev/log", SyslogPlace("unix", "/dev/log")),
    ],
)
def test_places_of_syslog(tmp_path: Path, to: str, place: SyslogPlace) -> None:
    (found,) = read(tmp_path, f'[[audit_sink]]\nname = "a"\nkind = "syslog"\nto = "{to}"\n')
    assert found.place == place
    assert isinstance(found.make(HandClock()), AuditSyslog)


FILE = 'name = "a"\nkind = "file"\n'
SYSLOG = 'name = "a"\nkind = "syslog"\n'
HTTP = 'name = "a"\nkind = "http"\n'


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "name is missing"),
        ("name = 1", "name must be a text"),
        ('name = "A b"\nkind = "file"', "lower-case"),
        ('name = "a"', "kind is one of file, syslog, http"),
        ('name = "a"\nkind = "kafka"', "kind is one of"),
        (FILE, "path is missing"),
        (FILE + 'path = "audit.jsonl"', "absolute"),
        (FILE + 'path = "/a"\nformat = "xml"', "format is one of native, ocsf, ecs, cef"),
        (FILE + 'path = "/a"\non_failure = "maybe"', "on_failure is one of closed, open"),
        (FILE + 'path = "/a"\nrotate_bytes = "1K"', "rotate_bytes is a whole number from 65536"),
        (FILE + 'path = "/a"\nrotate_days = 0', "rotate_days"),
        (FILE + 'path = "/a"\nrotate_days = true', "rotate_days"),
        (FILE + 'path = "/a"\nlag_seconds = 0', "lag_seconds"),
        (FILE + 'path = "/a"\nlag_seconds = "60"', "lag_seconds"),
        (FILE + 'path = "/a"\nbatch = 1.5', "batch"),
        (FILE + 'path = "/a"\nrotate_byte = 1', "unknown setting 'rotate_byte'"),
        (FILE + 'path = "/a"\nurl = "https://x"', "unknown setting 'url'"),
        (FILE + 'path = "/a"\ntoken = "s3cret"', "unknown setting 'token'"),
        (SYSLOG, "to is missing"),
        (SYSLOG + 'to = "relp://x"', "to is udp"),
        (SYSLOG + 'to = "tcp://"', "to is udp"),
        (SYSLOG + 'to = "tcp://x/path"', "to is udp"),
        (SYSLOG + 'to = "tcp://user:s3cret@x"', "to is udp"),
        (SYSLOG + 'to = "tcp://x:99999"', "no such port"),
        (SYSLOG + 'to = "unix://host/dev/log"', "to is udp"),
        (SYSLOG + 'to = "tcp://x"\nca_file = "/a"', "tls:// only"),
        (SYSLOG + 'to = "udp://x"\ndatagram_bytes = 70000', "datagram_bytes"),
        (HTTP, "url is missing"),
        (HTTP + 'url = "http://siem.example.org/"', "http without TLS"),
        (HTTP + 'url = "https://user:s3cret@x/"', "user name or password"),
        (HTTP + 'url = "https://x/a b"', "characters"),
        (HTTP + 'url = "https://x/ä"', "characters"),
        (HTTP + 'url = "ftp://x"', "url"),
        (HTTP + 'url = "https://x#f"', "url"),
        (HTTP + 'url = "https://x"\ntoken_file = "token"', "absolute"),
    ],
)
def test_a_mistake_is_named_and_no_secret_is_repeated(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        read(tmp_path, "[[audit_sink]]\n" + table)
    assert caught.value.path == str(tmp_path / "config.toml")
    assert "s3cret" not in caught.value.message + caught.value.advice


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('audit_sink = "file"', "[[audit_sink]]"),
        ("audit_sink = [1]", "[[audit_sink]]"),
        ("[audit_sink]\nname = 1", "[[audit_sink]]"),
        ("[[audit_sinks]]\nname = 1", "unknown setting 'audit_sinks'"),
        ("[[audit_sink]]\n" * 17, "at most 16"),
        (f'[[audit_sink]]\n{FILE}path = "/a"\n[[audit_sink]]\n{FILE}path = "/b"\n', "one name"),
        (f'[[audit_sink]]\n{FILE}path = "/a"\n[[audit_sink]]\nname = "b"\nkind = "file"\npath = "/a"\n', "one file"),
    ],
)
def test_the_tables_as_a_whole_are_looked_at(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        read(tmp_path, text)


def test_a_misspelt_table_has_a_hint(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, "[[audit_sinks]]\n")
    assert caught.value.advice == "Did you mean 'audit_sink'?"
