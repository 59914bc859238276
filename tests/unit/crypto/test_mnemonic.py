"""Twelve words."""

import pytest
from tests.vectors.keys import private_key

from candado.crypto import mnemonic
from candado.crypto.mnemonic import KdfVariant, WordProblem
from candado.errors import MisuseError
from candado.types import SecretText

WORDS = "canal ripple velvet ocean topic jaguar merit salon guitar laptop wagon fabric"


def test_entropy_is_read_eleven_bits_at_a_time_from_the_front() -> None:
    assert mnemonic.make_mnemonic(bytes(17)).reveal() == " ".join(["abandon"] * 12)
    assert mnemonic.make_mnemonic(b"\xff" * 20).reveal() == " ".join(["zoo"] * 12)
    assert mnemonic.make_mnemonic(b"\x00\x20" + bytes(15)).reveal() == "ability" + " abandon" * 11
    with pytest.raises(MisuseError):
        mnemonic.make_mnemonic(bytes(16))


@pytest.mark.parametrize(
    "typed",
    [
        WORDS,
        WORDS.upper(),
        WORDS.replace(" ", "\t \r\n"),
        f"  {WORDS}\n",
        " ".join(f"{n}. {word}" for n, word in enumerate(WORDS.split(), 1)),
        "\n".join(f"{n}){word}," for n, word in enumerate(WORDS.split(), 1)),
        "\n".join(f"- {word}" for word in WORDS.split()),
        "\n".join(f"\u2022 {word};" for word in WORDS.split()),
        WORDS.replace(" ", "\u00a0"),
    ],
)
def test_words_have_one_normal_form_however_they_are_typed(typed: str) -> None:
    assert mnemonic.normalise(typed) == WORDS.replace(" ", "")
    assert mnemonic.split_words(typed) == WORDS.split()
    assert mnemonic.check_words(typed) == []


def test_unknown_words_are_named_with_the_nearest_known_one() -> None:
    assert mnemonic.check_words(WORDS.replace("ripple", "riple").replace("wagon", "xqzzqx")) == [
        WordProblem(2, "riple", "ripple"),
        WordProblem(11, "xqzzqx", None),
    ]


def test_the_word_list_is_checked_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        def __init__(self, _language: str) -> None:
            self.wordlist = ["one", "two"]

    monkeypatch.setattr(mnemonic, "Mnemonic", Other)
    with pytest.raises(MisuseError):
        mnemonic.word_list.__wrapped__()


def test_a_private_key_is_sealed_in_the_current_form_and_opens_again() -> None:
    key = private_key("alice")
    text = mnemonic.seal_private_key(key, SecretText(WORDS), salt=bytes(40), nonce=bytes(12))
    assert [len(field) for field in text.split("|")][1:] == [16, 56]
    opened = mnemonic.open_private_key(text, SecretText(WORDS.upper()))
    assert (opened.key.public, opened.variant) == (key.public, KdfVariant.SHA256_600000)
    assert [variant.is_current for variant in KdfVariant] == [True, False, False]
    for salt, nonce in ((bytes(39), bytes(12)), (bytes(40), bytes(16))):
        with pytest.raises(MisuseError):
            mnemonic.seal_private_key(key, SecretText(WORDS), salt=salt, nonce=nonce)
