"""Attacks on the visitors of links, who have an address and no pins: A77 and A78; A76 is the server's (``tests/e2e``).

The naive visitor takes the list of members as the server shows it, and falls for all of them.
"""

import json

import pytest
from tests.attacks.scene import NOW, Scene, entry, key
from tests.sim import rsa_key

from candado.errors import FormatError, UntrustedCertificateError
from candado.folder.filedrop import open_drop
from candado.folder.model import RawText
from candado.folder.recipients import Recipients, drop_recipients, seal_drop
from candado.formats.metadata import parse_drop, parse_sealed
from candado.types import Nonce

AUTHORITY = rsa_key("authority").public
NAME = "d0" * 16


def fingerprint(user: str) -> str:
    return rsa_key(user).public.fingerprint_hex


def chosen(raw: RawText, by: str = "alice") -> Recipients:
    return drop_recipients(raw, by=fingerprint(by) if by else "", authority=AUTHORITY, now=NOW)


def names(found: Recipients) -> list[str]:
    return [member.user_id for member in found.members]


def naive(raw: RawText) -> list[str]:
    return [user.user_id for user in parse_sealed(raw.text).users or ()]


def folder(scene: Scene, *members: str, signer: str = "alice") -> RawText:
    return scene.root(scene.content(1), members=members or ("alice", "bob"), signer=signer)


def test_the_members_that_the_maker_signed_are_those_to_seal_for(scene: Scene) -> None:
    found = chosen(folder(scene))
    assert (names(found), found.pinned, found.left_out) == (["alice", "bob"], True, 0)
    raw = seal_drop(entry("scan.pdf"), found.members, key=key("drop"), nonce=Nonce(bytes(12)))
    for user in ("alice", "bob"):
        assert open_drop(parse_drop(NAME, raw), scene.who(user)) == entry("scan.pdf")


def test_a77_a_member_whom_the_server_adds_gets_nothing(scene: Scene) -> None:
    def add(document: dict[str, object]) -> None:
        users = document["users"]
        assert isinstance(users, list)
        users.append(json.loads(folder(scene, "mallory").text)["users"][0])

    added = scene.unsigned_change(folder(scene), add)
    assert "mallory" in naive(added)
    found = chosen(added)
    assert (names(found), found.pinned, found.left_out) == (["alice"], True, 2)


def test_a77_a_list_that_somebody_else_signed_is_not_believed(scene: Scene) -> None:
    forged = folder(scene, "alice", "mallory", signer="mallory")
    assert "mallory" in naive(forged)
    assert names(chosen(forged)) == ["alice"]
    assert names(chosen(RawText(forged.text, None))) == ["alice"]
    assert names(chosen(RawText(forged.text, "not a signature"))) == ["alice"]


def test_a77_a_folder_without_the_maker_takes_nothing(scene: Scene) -> None:
    swapped = folder(scene, "mallory", signer="mallory")
    with pytest.raises(UntrustedCertificateError):
        chosen(swapped)


def test_a77_the_makers_name_on_another_key_takes_nothing(scene: Scene) -> None:
    impostor = scene.impostor("alice", "mallory")
    forged = scene.root(
        scene.content(1),
        members=(scene.user("mallory", key("first"), as_user="alice", certificate=impostor.certificate.pem),),
        signer=impostor,
    )
    assert naive(forged) == ["alice"]
    with pytest.raises(UntrustedCertificateError):
        chosen(forged)


def test_a77_a_certificate_for_somebody_else_or_of_another_authority_takes_nothing(scene: Scene) -> None:
    wrong = [
        scene.user("mallory", key("first"), as_user="bob"),
        scene.user("bob", key("first"), certificate=scene.certificate("bob", "bob", issuer="mallory")),
    ]
    for user in wrong:
        raw = scene.root(scene.content(1), members=("alice", user), signer="alice")
        assert naive(raw) == ["alice", "bob"]
        with pytest.raises(UntrustedCertificateError):
            chosen(raw)


def test_the_key_in_the_address_outranks_an_authority_that_changed(scene: Scene) -> None:
    """As A04: the maker's key is known from the address, whoever certified it."""
    other = scene.certificate("alice", "alice", issuer="mallory")
    raw = scene.root(scene.content(1), members=(scene.user("alice", key("first"), certificate=other),), signer="alice")
    assert names(chosen(raw)) == ["alice"]


def test_links_are_no_people_to_seal_for(scene: Scene) -> None:
    visitor = scene.user(
        "rob", key("first"), as_user="s:TOKENTOKENTOKEN", certificate=scene.certificate("s:TOKENTOKENTOKEN", "rob")
    )
    raw = scene.root(scene.content(1), members=("alice", visitor), signer="alice", version="2.1")
    assert names(chosen(raw)) == ["alice"]


def test_without_a_fingerprint_the_servers_word_is_taken_and_that_is_said(scene: Scene) -> None:
    found = chosen(folder(scene, "alice", "mallory", signer="mallory"), by="")
    assert (names(found), found.pinned) == (["alice", "mallory"], False)
    empty = scene.unsigned_change(folder(scene), lambda document: document.update(users=[]))
    with pytest.raises(UntrustedCertificateError):
        chosen(empty, by="")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version":"3.0"}'])
def test_a_document_that_is_none_takes_nothing(text: str) -> None:
    with pytest.raises(FormatError):
        chosen(RawText(text, ""))
