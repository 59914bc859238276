"""HttpRemote and the header of a refusal by a rule, from an honest and from a hostile server."""

from typing import Any

import pytest
from tests.unit.adapters.lying_server import Reply
from tests.unit.adapters.test_http_remote import TOKEN, failing

from candado.errors import ForbiddenError, LockLostError, PolicyDeniedError
from candado.types import FileId

RULE = "rule=hr-pdf; version=7; encrypt=1; lasting=1; text=Seal it%3B ask Ana."


def denying(value: str, status: int = 403) -> Any:
    return lambda _: Reply(status, b"<html>phish</html>", {"X-Candado-Denied": value})


@pytest.mark.parametrize(
    ("act", "arguments", "options"),
    [
        ("put_bytes", ("/a", b"x"), {"token": None}),
        ("put_bytes", ("/a", b"x"), {"token": TOKEN}),
        ("make_folder", ("/a",), {"token": TOKEN}),
        ("move", ("/a", "/b"), {"token": None}),
        ("delete", ("/a",), {"token": None}),
        ("get_bytes", ("/a",), {"size_max": 5}),
        ("get", ("/a",), {"size_expected": 5}),
        ("unlock", (FileId(5), TOKEN), {}),
        ("create_metadata", (FileId(5), TOKEN, "{}", "c2ln"), {}),
        ("update_metadata", (FileId(5), TOKEN, "{}", "c2ln"), {}),
        ("mark_encrypted", (FileId(5),), {}),
        ("create_share", ("/a", "bob"), {"permissions": 1}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_refusal_by_a_rule_is_told_as_that_whatever_was_asked(
    act: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    error, got, clock = await failing(denying(RULE), act, *arguments, **options)
    assert isinstance(error, PolicyDeniedError)
    assert error.message == 'the server\'s rule hr-pdf does not allow this, which says: "Seal it; ask Ana."'
    facts = (error.rule_id, error.text, error.rules_version, error.needs_encryption, error.lasting)
    assert facts == ("hr-pdf", "Seal it; ask Ana.", 7, True, True)
    assert error.advice == "Put it into an end-to-end encrypted folder: `candado sync LOCAL NEWFOLDER --encrypt`."
    assert error.path in ("/a", "5")
    assert (len(got), clock.sleeps) == (1, [])


async def test_a_rule_without_words_is_named() -> None:
    error, _, _ = await failing(denying("rule=quiet"), "put_bytes", "/a", b"x", token=None)
    assert error.message == "the server's rule quiet does not allow this"
    assert error.advice == "Change what the rule is about, or ask the administrator who wrote it."


async def test_a_header_that_is_no_refusal_is_a_refusal_like_any_other() -> None:
    for value in ("", "rule=", "rule=a; text=%ff", "rule=a; encrypt=yes"):
        error, _, _ = await failing(denying(value), "put_bytes", "/a", b"x", token=None)
        assert type(error) is ForbiddenError


async def test_the_header_means_nothing_beside_another_status() -> None:
    error, _, _ = await failing(denying(RULE, 423), "put_bytes", "/a", b"x", token=TOKEN)
    assert not isinstance(error, PolicyDeniedError)
    lost, _, _ = await failing(denying(RULE, 404), "unlock", FileId(5), TOKEN)
    assert type(lost) is LockLostError


async def test_text_of_a_hostile_server_reaches_nobody_as_it_is() -> None:
    error, _, _ = await failing(denying("rule=a; text=%1b]0;x%07"), "put_bytes", "/a", b"x", token=None)
    assert type(error) is ForbiddenError  # the semicolon ends the text, and what follows is no member
    error, _, _ = await failing(denying("rule=a; text=%1b]0%3Bx%07%0aroot"), "put_bytes", "/a", b"x", token=None)
    assert error.message == 'the server\'s rule a does not allow this, which says: "]0;x root"'
