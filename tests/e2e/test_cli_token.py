"""A person whose key is on a token: from the set-up to a lost token, with real commands and a real SoftHSM 2."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.cli_world import Cloud, Device, running_cloud
from tests.softhsm import SoftToken


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("token")) as running:
        yield running


@pytest.fixture
def token(tmp_path: Path) -> SoftToken:
    made = SoftToken(tmp_path / "hsm")
    made.add()
    return made


def _signed_in(cloud: Cloud, user: str, token: SoftToken) -> Device:
    device = cloud.device(user, **token.environment)
    device.login("--insecure-storage")
    return device


def test_folders_are_kept_shared_and_read_with_a_key_on_a_token(cloud: Cloud, token: SoftToken, tmp_path: Path) -> None:
    anna = _signed_in(cloud, cloud.user("anna"), token)
    made = anna.run("init", "--token", token.address("mine"), "--json")
    assert (made.json["joined"], made.json["token"]) == (False, "candado/mine")
    assert "no words bring them back" in made.err
    (tmp_path / "passport.txt").write_text("scan")
    anna.run("encrypt", "Papers")
    anna.run("put", tmp_path / "passport.txt", "Papers")
    ben = cloud.ready("ben")
    anna.run("share", "Papers", "ben")
    assert ben.run("cat", "Papers/passport.txt").out == "scan"
    (tmp_path / "reply.txt").write_text("seen")
    ben.run("put", tmp_path / "reply.txt", "Papers")
    # A further device needs the token and no words.
    further = _signed_in(cloud, "anna", token)
    assert further.run("init", "--token", token.address("mine"), "--json").json["joined"] is True
    assert further.run("cat", "Papers/reply.txt").out == "seen"
    refused = further.run("key", "show", "--password-file", cloud.folder / "anna.password", expect=None)
    assert (refused.status != 0, "there are no words" in refused.err) == (True, True)
    assert "KEYS_EXIST" in further.run("init", "--token", token.address("mine"), "--json", expect=None).out
    _without_the_token(cloud, token, further)


def _without_the_token(cloud: Cloud, token: SoftToken, device: Device) -> None:
    token.pull()
    gone = device.run("cat", "Papers/reply.txt", "--json", expect=None)
    error = gone.json["error"]
    assert (error["code"], "server" in error["hint"] + error["safe"]) == ("SIGNER_UNAVAILABLE", False)
    token.plug()
    token.pin_file.write_text("wrong\n")
    refused = device.run("cat", "Papers/reply.txt", "--json", expect=12)
    assert refused.json["error"]["code"] == "PIN_REFUSED"
    # A device without the token is told what it needs, before it would reset anything.
    plain = cloud.device("anna")
    plain.login("--insecure-storage")
    told = plain.run("init", "--json", "--phrase-out", cloud.folder / "no.words", expect=None).json["error"]
    assert (told["code"], "--token" in told["hint"]) == ("INCOMPLETE_KEYS", True)


def test_a_token_with_another_key_and_wrong_options_make_nothing(cloud: Cloud, token: SoftToken) -> None:
    cara = cloud.ready("cara")
    cara.environment |= token.environment
    with_token = _signed_in(cloud, "cara", token)
    told = with_token.run("init", "--token", token.address("mine"), "--json", expect=1).json["error"]
    assert (told["code"], "another one" in told["message"]) == ("KEYS_EXIST", True)
    assert cara.run("init", "--token", token.address("mine"), "--json", expect=1).json["error"]["code"] == "KEYS_EXIST"
    assert with_token.run("init", "--token", "nonsense", "--json", expect=2).json["error"]["code"] == "USAGE"
    both = with_token.run("init", "--token", token.address("mine"), "--reset", "--json", expect=2)
    assert both.json["error"]["code"] == "USAGE"
