"""The units of ``deploy/`` as systemd's own tool judges them, and the command lines in them."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.proxies import DEPLOY, replaced
from tests.e2e.server_process import make_data, run_server

EXPOSURE_MAX = 12  # of 100, less is better; a unit without any hardening has 96
SERVICES = ("candado-server.service", "candado-backup.service")
PROGRAM = "/opt/candado/bin/candado-server"


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed on this machine")
    return subprocess.run(["systemd-analyze", *map(str, words)], capture_output=True, text=True, check=False)


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    """On a machine that has the program where the units expect it."""
    program = Path(sys.prefix) / "bin" / "candado-server"
    units = []
    for unit in sorted(DEPLOY.glob("candado-*")):
        text = unit.read_text()
        if unit.suffix == ".service":
            text = replaced(text, (PROGRAM, str(program)))
        (tmp_path / unit.name).write_text(text)
        units.append(tmp_path / unit.name)
    assert [unit.name for unit in units] == ["candado-backup.service", "candado-backup.timer", "candado-server.service"]
    done = analyze("verify", "--man=no", *units)
    assert (done.returncode, done.stderr) == (0, "")
    bad = tmp_path / "candado-server.service"
    bad.write_text(replaced(bad.read_text(), ("ProtectHome=yes", "ProtektHome=yes")))
    assert "ProtektHome" in analyze("verify", "--man=no", bad).stderr


@pytest.mark.parametrize("name", SERVICES)
def test_the_services_are_shut_off_from_the_rest_of_the_system(name: str, tmp_path: Path) -> None:
    words = ("security", "--offline=true", f"--threshold={EXPOSURE_MAX}")
    done = analyze(*words, DEPLOY / name)
    assert done.returncode == 0, done.stdout
    bare = tmp_path / name
    lines = (DEPLOY / name).read_text().splitlines(keepends=True)
    bare.write_text("".join(line for line in lines if not line.startswith(("Protect", "Private"))))
    assert analyze(*words, bare).returncode == 1


def _line(name: str, key: str) -> str:
    lines = (DEPLOY / name).read_text().splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith(f"{key}="))


def test_the_backup_of_the_timer_is_a_backup(tmp_path: Path) -> None:
    data, target = make_data(tmp_path, "alice"), tmp_path / "daily"
    line = replaced(
        _line("candado-backup.service", "ExecStart"),
        (f"{PROGRAM} ", ""),
        ("/var/backups/candado/daily", str(target)),
        ("/var/lib/candado", str(data)),
    )
    assert json.loads(run_server(*shlex.split(line), "--json").stdout)["schema"] == "candado.server.backup/1"
    assert (target / "backup.json").exists()
    assert analyze("calendar", _line("candado-backup.timer", "OnCalendar")).returncode == 0
