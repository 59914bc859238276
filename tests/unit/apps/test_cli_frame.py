"""The frame of the command line: exit statuses, messages, flags, places, secrets, what is printed."""

import gc
import json
import os
import stat
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import click
import pytest

import candado.errors as tree
from candado.apps.cli import main
from candado.apps.cli.common import Run, SizeType
from candado.apps.cli.config import DeviceConfig, Places, load_config, save_config
from candado.apps.cli.errors import EXIT_STATUS, exit_status
from candado.apps.cli.output import human_size, printable
from candado.apps.cli.progress import Meter
from candado.apps.cli.root import COMMANDS, run
from candado.apps.cli.secrets import find_secret, login_password, netrc_password
from candado.apps.wiring import choose_keychain
from candado.client.transfer import ProgressEvent
from candado.errors import (
    CandadoError,
    LocalPermissionError,
    LocalStorageError,
    NotLoggedInError,
    SecretNeededError,
    TamperError,
    UsageError,
)
from candado.types import SecretText

ERRORS = [
    one for one in vars(tree).values() if isinstance(one, type) and issubclass(one, CandadoError)
]  # fmt: skip


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("CANDADO_", "NC_", "XDG_")) or name in ("NO_COLOR", "NETRC"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")


# --- exit statuses and messages --------------------------------------------------------------------------------


def test_every_error_has_an_exit_status_and_nothing_else_has_one() -> None:
    assert {one.code for one in ERRORS} == set(EXIT_STATUS)
    documented = {1, 2, 3, 4, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 130}
    assert set(EXIT_STATUS.values()) <= documented


def test_whatever_looks_like_tampering_is_an_integrity_failure() -> None:
    for one in ERRORS:
        if issubclass(one, TamperError):
            assert EXIT_STATUS[one.code] == 14


def test_an_error_of_an_unknown_code_is_a_failure() -> None:
    class NewerError(CandadoError):
        code = "NEWER"

    assert exit_status(NewerError()) == 1


def outcome(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = run(list(words))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_an_error_says_what_where_what_is_safe_and_what_next(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = outcome(capsys, "ls")
    assert (status, out) == (10, "")
    assert err.splitlines()[0].endswith("[NOT_LOGGED_IN]")
    assert [line[:8] for line in err.splitlines()[1:]] == ["  where:", "  safe: ", "  next: "]


@pytest.mark.parametrize("words", [("--json", "ls"), ("ls", "--json"), ("ls", "--jsonl")])
def test_with_json_the_error_is_one_document_on_stdout(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    status, out, err = outcome(capsys, *words)
    document = json.loads(out)
    assert (status, err, document["schema"]) == (10, "", "candado.error/1")
    assert set(document["error"]) == {"code", "message", "hint", "retryable", "path", "safe"}


def test_an_unexpected_fault_shows_its_trace_only_when_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("candado.apps.wiring.open_account", broken)
    status, _, err = outcome(capsys, "ls")
    assert (status, "Traceback" in err, "secret detail" in err, "ZeroDivisionError" in err) == (1, False, False, True)
    status, _, err = outcome(capsys, "ls", "-vv")
    assert (status, "Traceback" in err, "secret detail" in err) == (1, True, True)


# --- flags --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("snyc",), "'sync'"),
        (("sync", "a", "b", "--encryt"), "--encrypt"),
        (("ls", "--jso"), "--json"),
        (("ls", "--verb"), "--verbose"),
        (("trust", "lsit"), "'list'"),
        (("sync", "a", "b", "--mode", "sideways"), "two-way"),
        (("sync", "a", "b", "--max-delete", "lots"), "percentage"),
        (("ls", "--bwlimit", "fast"), "500K"),
        (("mkdir",), "REMOTE"),
        (("completion", "tcsh"), "bash"),
        (("help", "nothing"), "Topics"),
    ],
)
def test_a_wrong_word_is_refused_with_a_suggestion(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], hint: str
) -> None:
    status, out, err = outcome(capsys, *words)
    assert (status, out, "[USAGE]" in err) == (2, "", True)
    assert hint in err


def test_later_commands_are_not_there_yet(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("watch", "check", "repair", "doctor", "export", "recover", "mount"):
        assert outcome(capsys, name)[0] == 2


def test_every_command_has_help_with_examples_or_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        status, out, _ = outcome(capsys, name, "--help")
        assert status == 0
        assert out.startswith(f"Usage: candado {name}")
        assert "\\b" not in out
        assert "Examples:" not in out or "\n  Examples:\n    candado" in out
        assert outcome(capsys, "help", name)[1] == out
    status, out, _ = outcome(capsys, "--help")
    assert all(f"  {name} " in out for name in COMMANDS)
    for topic in ("flags", "secrets", "places", "exit"):
        assert outcome(capsys, "help", topic)[0] == 0
    assert outcome(capsys, "help")[1] == out
    assert outcome(capsys, "help", "trust", "verify")[1].startswith("Usage: candado trust verify")


def test_a_command_neither_looks_for_cycles_often_nor_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    before = gc.get_threshold()
    monkeypatch.setattr("sys.argv", ["candado", "--version"])
    try:
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
        assert gc.get_threshold()[0] > before[0]
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


def test_the_version_is_told_in_every_form(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(outcome(capsys, "version", "--json")[1])
    assert (document["schema"], document["version"]) == ("candado.version/1", "0.1.0")
    assert outcome(capsys, "--version")[1] == "candado 0.1.0\n"
    assert outcome(capsys, "-V")[1] == "candado 0.1.0\n"


def test_a_completion_script_names_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in ("bash", "zsh", "fish"):
        status, out, _ = outcome(capsys, "completion", shell)
        assert (status, "_CANDADO_COMPLETE" in out) == (0, True)


@pytest.mark.parametrize(
    ("text", "count"), [("500", 500), ("500K", 512_000), ("1.5M", 1_572_864), ("2MB", 2 << 20), ("1g", 1 << 30)]
)
def test_sizes_are_read(text: str, count: int) -> None:
    assert SizeType().convert(text, None, None) == count


@pytest.mark.parametrize("text", ["", "0", "-5", "K", "1X", "inf", "nan", "1e400"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        SizeType().convert(text, None, None)


# --- places and configuration -----------------------------------------------------------------------------------


def test_the_places_follow_candado_home_then_xdg_then_home() -> None:
    assert Places.of({"CANDADO_HOME": "/x", "XDG_STATE_HOME": "/s"}) == Places(
        Path("/x"), Path("/x/state"), is_portable=True
    )
    xdg = Places.of({"XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s", "HOME": "/h"})
    assert xdg == Places(Path("/c/candado"), Path("/s/candado"), is_portable=False)
    plain = Places.of({"HOME": "/h"})
    assert plain == Places(Path("/h/.config/candado"), Path("/h/.local/state/candado"), is_portable=False)


def test_folders_are_private_and_an_open_one_is_refused(tmp_path: Path) -> None:
    places = Places(tmp_path / "c", tmp_path / "c" / "state", is_portable=True)
    places.create()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (places.config, places.state)] == [0o700, 0o700]
    places.create()
    places.state.chmod(0o750)
    with pytest.raises(LocalPermissionError):
        places.create()


CONFIG = DeviceConfig("https://h", 'al"i\\ce\n', "alice", "my device", "file", ca_file="/x y.pem", bwlimit=5)


def test_a_configuration_is_read_as_it_was_written(tmp_path: Path) -> None:
    places = Places(tmp_path, tmp_path / "state", is_portable=True)
    with pytest.raises(NotLoggedInError):
        load_config(places)
    save_config(places, CONFIG)
    assert load_config(places) == CONFIG
    assert stat.S_IMODE(places.config_file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("transfer = 5", "did you mean 'transfers'"),
        ("transfers = 'five'", "'transfers' has the wrong kind"),
        ("transfers = true", "'transfers' has the wrong kind"),
        ("not toml", "cannot be used"),
    ],
)
def test_a_configuration_with_a_mistake_is_refused_with_a_hint(tmp_path: Path, line: str, said: str) -> None:
    places = Places(tmp_path, tmp_path / "state", is_portable=True)
    save_config(places, CONFIG)
    text = "\n".join(row for row in places.config_file.read_text().splitlines() if not row.startswith("transfers"))
    places.config_file.write_text(f"{text}\n{line}\n")
    with pytest.raises(UsageError, match=said):
        load_config(places)
    places.config_file.write_text('url = "https://h"\n')
    with pytest.raises(UsageError, match="missing"):
        load_config(places)


def test_where_the_device_secret_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: Callable[..., str] = lambda portable, insecure=False, **env: choose_keychain(  # noqa: E731
        Places(tmp_path, tmp_path, is_portable=portable), Run(no_input=True), insecure=insecure, environment=env
    )
    assert chosen(False, insecure=True, CANDADO_PASSPHRASE_FILE="x") == "file"
    assert chosen(False, CANDADO_PASSPHRASE_FILE="x") == "passphrase"
    assert chosen(True, CANDADO_PASSPHRASE_COMMAND="x") == "passphrase"
    assert chosen(True) == "file"
    with pytest.raises(SecretNeededError):
        chosen(False)
    monkeypatch.setattr("candado.adapters.keychain.KeyringKeychain.is_available", lambda: True)
    assert chosen(True) == "keyring"


# --- secrets ----------------------------------------------------------------------------------------------------


def test_secrets_come_from_file_command_or_descriptor_in_this_order(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("from option\n")
    (tmp_path / "b").write_bytes(b"from file \r\n")
    reader, writer = os.pipe()
    os.write(writer, b"from fd\n")
    os.close(writer)
    environment = {"S_FILE": str(tmp_path / "b"), "S_COMMAND": "echo 'from command'", "S_FD": str(reader)}
    assert find_secret("S", tmp_path / "a", environment) == SecretText("from option")
    assert find_secret("S", None, environment) == SecretText("from file ")
    del environment["S_FILE"]
    assert find_secret("S", None, environment) == SecretText("from command")
    del environment["S_COMMAND"]
    assert find_secret("S", None, environment) == SecretText("from fd")
    os.close(reader)
    assert find_secret("S", None, {}) is None


@pytest.mark.parametrize(
    "environment",
    [{"S_FILE": "/"}, {"S_COMMAND": "false"}, {"S_COMMAND": "/no/such/program"}, {"S_FD": "x"},
     {"S_FD": "999"}, {"S_COMMAND": "true"}, {"S_COMMAND": "printf '\\377'"}, {"S_COMMAND": "head -c 100000 /dev/zero"}],
)  # fmt: skip
def test_a_source_that_gives_nothing_usable_is_an_error(environment: dict[str, str]) -> None:
    with pytest.raises(LocalStorageError):
        find_secret("S", None, environment)


@pytest.mark.parametrize(
    "words",
    [
        ("login", "https://cloud.example", "--user", "a", "--insecure-storage", "--password-file"),
        ("init", "--phrase-file"),
        ("init", "--reset", "--password-file"),
        ("key", "show", "--password-file"),
    ],
)
@pytest.mark.parametrize("unreadable", [False, True])
def test_a_file_with_a_secret_that_is_missing_or_unreadable_is_told_the_same_way_everywhere(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    unreadable: bool,
) -> None:
    monkeypatch.setenv("CANDADO_HOME", str(tmp_path))
    save_config(Places.of(os.environ), DeviceConfig("https://cloud.example", "a", "a", "d", "file"))
    secret = tmp_path / "secret"
    if unreadable:
        secret.touch(mode=0)
        real, access = Path.open, os.access

        def refuse(path: Path, *how: Any, **more: Any) -> Any:
            if path == secret:
                raise PermissionError(13, "Permission denied", str(secret))
            return real(path, *how, **more)

        monkeypatch.setattr(Path, "open", refuse)
        monkeypatch.setattr(os, "access", lambda path, *how: str(path) != str(secret) and access(path, *how))
    status, _, told = outcome(capsys, *words, str(secret))
    assert status == (13 if unreadable else 4)
    assert f"[{'LOCAL_PERMISSION' if unreadable else 'NOT_FOUND'}]" in told
    assert f"where: {secret}" in told


def test_a_login_password_may_come_from_nextcloudcmd_s_variable_or_netrc(tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine cloud.example login alice password fromnetrc\nmachine other login alice password x\n")
    netrc.chmod(0o600)

    def ask(environment: dict[str, str], login: str = "alice") -> SecretText:
        return login_password(None, environment, url="https://cloud.example", login=login, ask=None)

    assert ask({"NC_PASSWORD": "fromenv", "NETRC": str(netrc)}) == SecretText("fromenv")
    assert ask({"NETRC": str(netrc)}) == SecretText("fromnetrc")
    with pytest.raises(SecretNeededError):
        ask({"NETRC": str(netrc)}, login="bob")
    assert netrc_password(tmp_path / "absent", "https://cloud.example", "alice") is None
    found = login_password(None, {"NETRC": "/absent"}, url="https://h", login="x", ask=lambda: "typed")
    assert found == SecretText("typed")


# --- output -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "char", ["\x00", "\x1b", "\n", "\r", "\x7f", "\x9b", "\u202e", "\u2066", "\ud800", "\u2028", "\ufeff"]
)
def test_what_could_steer_a_terminal_is_shown_as_an_escape(char: str) -> None:
    shown = printable(f"a{char}b")
    assert shown.startswith("a\\")
    assert shown.endswith("b")
    assert shown.isascii()
    shown.encode()


def test_ordinary_names_stay_as_they_are() -> None:
    for name in ("Grüße 2026.txt", "日本語", "a\\b", "naïve café"):
        assert printable(name) == name


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (1023, "1023"), (1024, "1.0K"), (20480, "20K"), (5 << 40, "5.0T")]
)
def test_sizes_are_short(count: int, text: str) -> None:
    assert human_size(count) == text


def test_progress_without_a_terminal_is_a_line_every_ten_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("candado.apps.cli.progress.time.monotonic", lambda: now[0])
    meter = Meter("up\x1bload", bar=False, color=False)
    meter.plan(3, 4096)
    for number in range(30):
        now[0] += 1
        meter(ProgressEvent("f", "up", 100 * number, 3000, finished=False))
    meter(ProgressEvent("f", "up", 3000, 3000, finished=True))
    meter.close()
    assert capsys.readouterr().err.splitlines() == [
        "candado: up\\x1bload: 0/3 files, 900/4.0K, 90/s",
        "candado: up\\x1bload: 0/3 files, 1.9K/4.0K, 95/s",
        "candado: up\\x1bload: 0/3 files, 2.8K/4.0K, 96/s",
    ]


# --- signing in through the browser -------------------------------------------------------------------------------


@pytest.fixture
def browser_server() -> Iterator[dict[str, Any]]:
    """A server that answers login flow v2: pending first, then granted; ``lie`` names what it gets wrong."""
    state: dict[str, Any] = {"polls": 0, "lie": "", "grant": True}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            url = state["url"]
            if self.path == "/index.php/login/v2":
                elsewhere = "http://evil.example"
                answer = {
                    "poll": {
                        "token": "tok",
                        "endpoint": f"{elsewhere if state['lie'] == 'endpoint' else url}/login/v2/poll",
                    },
                    "login": f"{elsewhere if state['lie'] == 'page' else url}/login/v2/flow/abc",
                }
                return self._answer(200, answer)
            assert (self.path, body) == ("/login/v2/poll", b"token=tok")
            state["polls"] += 1
            if state["polls"] < 2:
                return self._answer(404, None)
            server = "http://evil.example" if state["lie"] == "server" else url
            return self._answer(200, {"server": server, "loginName": "alice", "appPassword": "granted"})

        def do_GET(self) -> None:
            assert self.headers["Authorization"] == "Basic YWxpY2U6Z3JhbnRlZA=="
            if "getapppassword" in self.path:
                return self._answer(403, None)
            meta = {"status": "ok", "statuscode": 200, "message": "OK"}
            return self._answer(200, {"ocs": {"meta": meta, "data": {"id": "alice", "quota": {"quota": -3}}}})

        def _answer(self, status: int, document: object) -> None:
            body = b"" if document is None else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = HTTPServer(("127.0.0.1", 0), Handler)
    state["url"] = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(_: object, seconds: float) -> None:
        assert seconds >= 0

    monkeypatch.setattr("candado.adapters.ambient.SystemClock.sleep", at_once)


def test_without_a_user_the_page_and_its_qr_code_are_shown_and_the_grant_is_fetched(
    capsys: pytest.CaptureFixture[str], browser_server: dict[str, Any], no_waiting: None,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("CANDADO_HOME", str(tmp_path / "home"))
    status, out, err = outcome(capsys, "login", browser_server["url"], "--json", "--device-name", "lap")
    assert status == 0, err
    document = json.loads(out)
    assert (document["user"], document["device"], document["keychain"]) == ("alice", "lap", "file")
    assert f"{browser_server['url']}/login/v2/flow/abc" in err
    assert "█" in err or "▄" in err
    assert "granted" not in out + err
    assert browser_server["polls"] == 2


@pytest.mark.parametrize("lie", ["endpoint", "page", "server"])
def test_a_login_that_leads_to_another_server_is_refused(
    capsys: pytest.CaptureFixture[str], browser_server: dict[str, Any], no_waiting: None,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lie: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("CANDADO_HOME", str(tmp_path / "home"))
    browser_server["lie"] = lie
    status, _, err = outcome(capsys, "login", browser_server["url"])
    assert (status, "[REDIRECT]" in err) == (20, True)
    assert not (tmp_path / "home").exists()


# --- questions -------------------------------------------------------------------------------------------------


def _terminal(monkeypatch: pytest.MonkeyPatch, *, stdin: bool, stderr: bool) -> None:
    monkeypatch.setattr("sys.stdin", type("In", (), {"isatty": lambda _: stdin})())
    monkeypatch.setattr("sys.stderr.isatty", lambda: stderr, raising=False)


@pytest.mark.parametrize(
    ("stdin", "stderr", "no_input", "asks"),
    [
        (True, True, False, True),
        (False, False, False, False),
        (False, True, False, False),
        (True, True, True, False),
    ],
)
def test_a_question_is_asked_at_a_terminal_and_taken_as_answered_without_one(
    monkeypatch: pytest.MonkeyPatch, stdin: bool, stderr: bool, no_input: bool, asks: bool
) -> None:
    _terminal(monkeypatch, stdin=stdin, stderr=stderr)
    asked: list[str] = []

    def answer(question: str, **_: Any) -> bool:
        asked.append(question)
        return False

    monkeypatch.setattr(click, "confirm", answer)
    if asks:
        with pytest.raises(UsageError, match="not confirmed"):
            Run(no_input=no_input).confirm("Remove it?")
    else:
        Run(no_input=no_input).confirm("Remove it?")
    assert asked == (["Remove it?"] if asks else [])


def test_a_person_who_types_but_cannot_see_the_question_is_not_taken_to_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    _terminal(monkeypatch, stdin=True, stderr=False)
    with pytest.raises(UsageError) as caught:
        Run().confirm("Remove it?")
    assert "--yes" in caught.value.advice


def test_a_decision_on_trust_needs_its_yes_also_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    _terminal(monkeypatch, stdin=False, stderr=False)
    with pytest.raises(UsageError) as caught:
        Run().confirm("Trust it?", needs_yes=True)
    assert "--yes" in caught.value.advice
    Run(yes=True).confirm("Trust it?", needs_yes=True)


# --- settings --------------------------------------------------------------------------------------------------


def _settings(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, tuple[Any, str, str | None]]:
    status, out, _ = outcome(capsys, *words, "config", "show", "--origin", "--json")
    assert status == 0
    return {row["name"]: (row["value"], row["origin"], row["source"]) for row in json.loads(out)["settings"]}


def test_every_setting_says_where_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CANDADO_HOME", str(tmp_path / "home"))
    file = tmp_path / "home" / "config.toml"
    found = _settings(capsys)
    assert found["url"] == (None, "unset", "candado login")
    assert found["timeout"] == (60.0, "default", None)
    assert found["config_file"] == (str(file), "environment", "CANDADO_HOME")
    file.parent.mkdir()
    file.write_text('url = "https://cloud.example"\nretries = 7\ntimeout = 9\n')
    monkeypatch.setenv("CANDADO_TIMEOUT", "8")
    monkeypatch.setenv("CANDADO_TRANSFERS", "3")
    found = _settings(capsys, "--transfers", "2")
    assert found["url"] == ("https://cloud.example", "file", str(file))
    assert found["retries"] == (7, "file", str(file))
    assert found["timeout"] == (8.0, "environment", "CANDADO_TIMEOUT")
    assert found["transfers"] == (2, "flag", "--transfers")
    status, out, _ = outcome(capsys, "config", "show")
    assert (status, "retries" in out, "CANDADO_TIMEOUT" in out) == (0, True, False)
    assert "environment CANDADO_TIMEOUT" in outcome(capsys, "config", "show", "--origin")[1]


def test_another_configuration_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CANDADO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CANDADO_CONFIG", "")
    other = tmp_path / "other.toml"
    other.write_text('url = "https://other.example"\n')
    found = _settings(capsys, "--config", str(other))
    assert found["config_file"] == (str(other), "flag", "--config")
    assert found["url"] == ("https://other.example", "file", str(other))
    assert found["state_folder"][0] == str(tmp_path / "home" / "state")
    other.write_text("retrys = 1\n")
    status, _, told = outcome(capsys, "config", "show", "--config", str(other))
    assert (status, "did you mean 'retries'" in told, str(other) in told) == (2, True, True)
