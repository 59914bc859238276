"""The files for containers, read by the programs of other people; there is no engine here to run them."""

import asyncio
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.proxies import DEPLOY
from tests.e2e.server_process import COMMAND, PASSWORD, serving
from tests.postgres import cluster

OWN_BIN = Path(sys.prefix) / "interop" / "bin"
FILES = {"sqlite": ["compose.yaml"], "postgresql": ["compose.yaml", "compose.postgresql.yaml"]}
_PARSE = """import json, sys, dockerfile_parse
with open(sys.argv[1], "r+b") as file:
    parser = dockerfile_parse.DockerfileParser(fileobj=file)
    print(json.dumps([parser.structure, parser.is_multistage, parser.parent_images]))
"""


def compose(*words: str, folder: Path = DEPLOY, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(OWN_BIN / "docker-compose"), *words]
    clean = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment}
    return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)


def configuration(kind: str) -> Any:
    options = [word for name in FILES[kind] for word in ("-f", name)]
    done = compose(*options, "config", "--format", "json", CANDADO_URL="https://c.example")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", FILES)
def test_compose_reads_the_files_and_every_container_is_confined(kind: str) -> None:
    services = configuration(kind)["services"]
    expected = {"sqlite": {"init", "server"}, "postgresql": {"init", "server", "database", "nginx"}}
    assert set(services) == expected[kind]
    for name in ("init", "server"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]
    ports = {(port.get("host_ip", ""), port["published"]) for port in services["server"]["ports"]}
    assert ports == ({("127.0.0.1", "8080")} if kind == "sqlite" else {("", "80"), ("", "443")})


def test_compose_refuses_a_file_without_an_address_and_one_with_a_wrong_word(tmp_path: Path) -> None:
    assert "the address of the server" in compose("-f", "compose.yaml", "config").stderr
    text = (DEPLOY / "compose.yaml").read_text().replace("read_only: true", "read_onyl: true")
    (tmp_path / "compose.yaml").write_text(text)
    done = compose("config", folder=tmp_path, CANDADO_URL="x")
    assert "read_onyl" in done.stderr


@pytest.mark.parametrize("kind", FILES)
def test_what_the_containers_would_do_works_on_this_machine(kind: str, tmp_path: Path) -> None:
    """The commands and settings of the services, with the places of this test instead of those in the containers."""
    services = configuration(kind)["services"]
    database = asyncio.run(cluster().fresh()) if kind == "postgresql" else ""
    places = {
        "/run/secrets": str(tmp_path),
        "postgresql://candado@database/candado": database,
        "/data": str(tmp_path / "data"),
    }
    (tmp_path / "admin_password").write_text(PASSWORD)
    (tmp_path / "database_password").write_text("any, the cluster of the tests asks for none")

    def environment(name: str) -> dict[str, str]:
        settings: dict[str, str] = {**_image_environment(), **services[name]["environment"]}
        return {key: _moved(value, places) for key, value in settings.items()}

    words = [_moved(word, places) for word in services["init"]["command"]]
    for made in (True, False):
        done = subprocess.run(
            [*COMMAND, *words, "--json"],
            env={**os.environ, **environment("init")}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert json.loads(done.stdout)["made"] is made
    assert (tmp_path / "data" / "candado.db").exists() is (kind == "sqlite")
    before = dict(os.environ)
    os.environ.update(environment("server"))
    try:
        with serving(tmp_path / "data") as server:
            health = _instructions()["HEALTHCHECK"].partition("CMD ")[2]
            check = [word.replace("http://127.0.0.1:8080", server.url) for word in json.loads(health)]
            assert subprocess.run([sys.executable, *check[1:]], check=False).returncode == 0
            assert server.stop() == 0
        assert subprocess.run([sys.executable, *check[1:]], capture_output=True, check=False).returncode == 1
    finally:
        os.environ.clear()
        os.environ.update(before)


def _moved(text: str, places: dict[str, str]) -> str:
    for old, new in places.items():
        if text == old or text.startswith(f"{old}/"):
            return text.replace(old, new, 1)
    return text


def _structure() -> Any:
    words = [str(OWN_BIN / "python"), "-c", _PARSE, str(DEPLOY / "Containerfile")]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def _instructions() -> dict[str, str]:
    """The last of each instruction of the last stage."""
    structure, *_ = _structure()
    start = max(n for n, line in enumerate(structure) if line["instruction"] == "FROM")
    return {line["instruction"]: line["value"] for line in structure[start:]}


def _image_environment() -> dict[str, str]:
    pairs = (word.partition("=") for word in shlex.split(_instructions()["ENV"]))
    return {name: value for name, _, value in pairs if name != "PATH"}


def test_the_image_is_made_in_stages_from_the_lock_and_runs_as_nobody_special() -> None:
    structure, multistage, parents = _structure()
    base = "docker.io/library/python:3.13-slim-bookworm"
    assert (multistage, parents) == (True, [base, base])
    known = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"}
    assert {line["instruction"] for line in structure} == known | {"COMMENT", "ENTRYPOINT", "CMD"}
    installs = [line["value"] for line in structure if "pip install" in line["value"]]
    assert "--require-hashes --no-deps -r requirements.lock" in installs[0]
    assert "--no-deps --no-build-isolation" in installs[1]
    last = _instructions()
    assert (last["USER"], last["ENTRYPOINT"], last["CMD"]) == ("candado", '["candado-server"]', '["serve"]')
    for line in structure:
        if line["instruction"] == "COPY" and "--from" not in line["value"]:
            assert all((DEPLOY.parent / name).exists() for name in line["value"].split()[:-1])
