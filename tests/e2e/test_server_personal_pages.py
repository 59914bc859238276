"""The pages about the own keys, encrypted folders and shares, over a real server."""

import re
from collections.abc import Iterator
from html import unescape

import pytest
from tests.e2e.cli_world import PASSWORD, Cloud, running_cloud
from tests.e2e.server_process import Answer, Caller

KEYS, SHARING = "/settings/user/keys", "/settings/user/sharing"
SIGN_IN = "/settings/user/security/sign-in"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("pages")) as running:
        yield running


@pytest.fixture(scope="module")
def words(cloud: Cloud) -> dict[str, str]:
    """Alice and bob have keys and a folder each, of which bob shares his; what alice's own client says of her key."""
    alice, bob = cloud.ready("alice"), cloud.ready("bob")
    bob.run("encrypt", "Plans <i>")
    bob.run("share", "Plans <i>", "alice", "--read-only")
    alice.run("encrypt", "Diary")
    shown: dict[str, str] = alice.run("fingerprint", "--json").json
    return shown


class Person(Caller):
    """A browser that keeps its cookie."""

    def __init__(self, cloud: Cloud, user: str) -> None:
        super().__init__(cloud.url, None)
        self.name, self.secret = user, f"{PASSWORD} {user}"

    async def sign_in(self, to: str = "", password: str = "") -> Answer:
        form = {"user": self.name, "password": password or self.secret, "to": to}
        answer = await self.send("POST", SIGN_IN, body=form, Origin=self.url)
        if "Set-Cookie" in answer.headers:
            self.headers["Cookie"] = answer.headers["Set-Cookie"].partition(";")[0]
        return answer

    async def fill(self, path: str, action: str, **form: str) -> Answer:
        page = (await self.send("GET", path)).text
        token = re.search(r'name="token" value="([0-9a-f]+)"', page)
        assert token is not None
        return await self.send("POST", action, body={"token": token[1], **form}, Origin=self.url)


async def test_a_stranger_signs_in_and_comes_to_the_page_that_was_asked_for(cloud: Cloud) -> None:
    async with Person(cloud, cloud.user("anna")) as anna:
        page = await anna.send("GET", KEYS)
        assert (page.status, f'<input type="hidden" name="to" value="{KEYS}">' in page.text) == (200, True)
        assert "<h1>Sign in</h1>" in page.text
        wrong = await anna.sign_in(KEYS, "not this")
        assert (wrong.status, f'name="to" value="{KEYS}"' in wrong.text) == (403, True)
        for to, where in ((KEYS, KEYS), ("https://evil.example/", None), ("//evil.example", None), (f"{KEYS}?x", None)):
            done = await anna.sign_in(to)
            assert (done.status, done.headers["Location"]) == (303, where or "/settings/user/security")
        assert "has no keys for end-to-end encryption yet" in (await anna.send("GET", KEYS)).text
        nothing = (await anna.send("GET", SHARING)).text
        for sentence in ("You have no encrypted folder.", "Nobody shares anything with you.", "You share nothing."):
            assert sentence in nothing


async def test_the_page_shows_the_words_that_the_client_shows(cloud: Cloud, words: dict[str, str]) -> None:
    async with Person(cloud, "alice") as person:
        await person.sign_in()
        page = unescape((await person.send("GET", KEYS)).text)
        assert f">{words['words']}</p>" in page
        assert " ".join(re.findall(r"....", words["hex"])) in page
        assert page.count("<svg ") == 1
        assert 'role="img" aria-label="QR code of the fingerprint"' in page
        sharing = (await person.send("GET", SHARING)).text
        assert re.search(r'data-label="Folder">/Diary</td><td data-label="Size">\d+', sharing)
        assert "/Plans &lt;i&gt;<br>" in sharing
        assert '<td data-label="From">bob</td><td data-label="Rights">read</td>' in sharing
        assert "end-to-end encrypted" in sharing


async def test_keys_are_given_up_only_with_password_and_typed_name(cloud: Cloud, words: dict[str, str]) -> None:
    del words
    reset = f"{KEYS}/reset"
    async with Person(cloud, "bob") as bob:
        await bob.sign_in()
        asked = (await bob.send("GET", reset)).text
        for part in (
            "<li>/Plans &lt;i&gt;</li>",
            "What stays",
            "Nobody shares an encrypted folder with you.",
            'type="password"',
        ):
            assert part in asked
        assert "twelve words" in asked
        for form, sentence in (
            ({"typed": "someone", "password": bob.secret}, "That is not your user name. Nothing was changed."),
            ({"typed": "bob", "password": "wrong"}, "The password is wrong. Nothing was changed."),
            ({"typed": "bob"}, "The password is wrong. Nothing was changed."),
        ):
            refused = await bob.fill(reset, reset, **form)
            assert (refused.status, sentence in refused.text) == (403, True)
        forged = {"typed": "bob", "password": bob.secret, "token": "0" * 64}
        assert (await bob.send("POST", reset, body=forged, Origin=bob.url)).status == 403
        assert "Fingerprint of your key" in (await bob.send("GET", KEYS)).text
        done = await bob.fill(reset, reset, typed="bob", password=bob.secret)
        assert (done.status, done.headers["Location"]) == (303, f"{KEYS}?done=reset")
        after = (await bob.send("GET", done.headers["Location"])).text
        assert 'role="status">Your keys were removed.' in after
        assert "Fingerprint of your key" not in after
