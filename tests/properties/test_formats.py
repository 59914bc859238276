"""What holds for all inputs: values come back, and a parser raises FormatError or gives a value, on any bytes."""

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from tests.vectors.keys import private_key
from tests.vectors.make_certificate import issue
from tests.vectors.make_cms import CONTENT, Shape

from candado.crypto import cms, der, mnemonic, x509
from candado.crypto.filebody import BodyOpener, BodySealer, seal_body
from candado.encoding import WrappedKey, join_wrapped, pem_encode, split_wrapped
from candado.errors import BadSignatureError, FormatError, OpenFailedError, UntrustedCertificateError
from candado.formats import canonjson, dav, davrequests, davsearch, legacy, metadata, ocs
from candado.types import Counter, FileKey, Nonce, SealedName, Tag, UserId

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-canonjson.INTEGER_MAX, canonjson.INTEGER_MAX) | texts,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=20,
)
clear_names = texts.filter(lambda name: metadata.clear_name_fault(name) is None)
sealed_names = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True).map(SealedName)
nonces = (st.binary(min_size=12, max_size=12) | st.binary(min_size=16, max_size=16)).map(Nonce)
tags = st.binary(min_size=16, max_size=16).map(Tag)
keys = st.binary(min_size=16, max_size=16).map(FileKey)
extras = st.dictionaries(texts, json_values, max_size=2)
KNOWN = {
    "filename",
    "mimetype",
    "key",
    "nonce",
    "initializationVector",
    "authenticationTag",
    "chunked",
    "counter",
    "deleted",
    "files",
    "folders",
    "keyChecksums",
}
unknown = extras.filter(KNOWN.isdisjoint)
mimetypes = texts.filter(lambda text: text not in {"", "httpd/unix-directory", "inode/directory"})
entries = st.builds(metadata.Entry, clear_names, mimetypes, keys, nonces, tags, unknown)
contents = st.builds(
    metadata.FolderContent,
    counter=st.integers(0, 2**53 - 1).map(Counter),
    deleted=st.booleans(),
    files=st.dictionaries(sealed_names, entries, max_size=4),
    folders=st.dictionaries(sealed_names, clear_names, max_size=4),
    key_checksums=st.none() | st.lists(st.from_regex(r"[0-9a-f]{64}", fullmatch=True), max_size=3).map(tuple),
    extra=unknown,
)


@given(json_values)
def test_json_comes_back_from_both_forms(value: Any) -> None:
    for text in (canonjson.dump_canonical(value), canonjson.dump_ascii(value), json.dumps(value, indent=2).encode()):
        assert canonjson.load_json(text, bytes_max=10**6, depth_max=100) == value


@given(st.text(max_size=40) | st.binary(max_size=40))
@example('"\\ud800"')
def test_strict_json_accepts_nothing_that_plain_json_refuses_and_agrees_where_it_accepts(text: str | bytes) -> None:
    try:
        value = canonjson.load_json(text, bytes_max=1000, floats=True)
    except FormatError:
        return
    assert json.loads(text) == value


@given(st.integers(0, 60), st.integers(0, 60), st.booleans())
def test_depth_is_counted_as_a_parser_would_count_it(lists: int, objects: int, quoted: bool) -> None:
    inner = '"[[[[{{{{"' if quoted else "0"
    text = "[" * lists + '{"a]":' * objects + inner + "}" * objects + "]" * lists
    try:
        canonjson.load_json(text, bytes_max=10_000, depth_max=50)
        accepted = True
    except FormatError:
        accepted = False
    assert accepted == (lists + objects <= 50)


@given(contents)
def test_content_comes_back(content: metadata.FolderContent) -> None:
    assert metadata.parse_content(metadata.format_content(content)) == content


@given(entries)
def test_an_arrival_comes_back(entry: metadata.Entry) -> None:
    assert metadata.parse_drop_content(metadata.format_drop_content(entry)) == entry


@given(contents, json_values, st.sampled_from(["counter", "deleted", "files", "folders", "keyChecksums"]))
def test_content_with_one_member_exchanged_gives_a_value_or_a_format_error(
    content: metadata.FolderContent, value: Any, member: str
) -> None:
    document = json.loads(metadata.format_content(content))
    document[member] = value
    try:
        again = metadata.parse_content(json.dumps(document).encode())
    except FormatError:
        return
    assert metadata.parse_content(metadata.format_content(again)).counter == again.counter


@given(st.text(max_size=200) | json_values.map(json.dumps), st.binary(max_size=200))
def test_parsers_raise_format_errors_only(text: str, data: bytes) -> None:
    for parse in (
        lambda: metadata.parse_sealed(text), lambda: metadata.parse_content(data), lambda: metadata.parse_content(text.encode("utf-8", "replace")),
        lambda: metadata.parse_drop_content(data), lambda: legacy.parse_legacy(text), lambda: legacy.parse_legacy_content(data),
        lambda: ocs.parse_ocs(data), lambda: dav.parse_multistatus(data, root_href="/"), lambda: davrequests.parse_propfind(data),
        lambda: davrequests.parse_proppatch(data), lambda: davsearch.parse_search(data), lambda: davsearch.parse_filter_files(data), lambda: dav.unquote_href(text), lambda: split_wrapped(text), lambda: der.read_der(data, indefinite=True),
        lambda: x509.parse_certificate(text), lambda: x509.parse_csr(text),
    ):  # fmt: skip
        try:
            parse()
        except FormatError:
            continue


xml_texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=30)


@given(st.dictionaries(xml_texts.filter(lambda t: t not in {"", ".", ".."} and "/" not in t), xml_texts, max_size=5))
def test_a_listing_comes_back(files: dict[str, str]) -> None:
    name = "{http://owncloud.org/ns}name"
    responses = [dav.DavResponse("/dav" + dav.quote_href(f"/{file}"), [(name, text)]) for file, text in files.items()]
    nodes = dav.parse_multistatus(dav.format_multistatus(responses), root_href="/dav")
    assert nodes == [dav.DavNode(f"/{file}", {name: text}) for file, text in files.items()]


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 50))
def test_a_range_is_never_empty_and_never_outside(first: int, last: int, size: int) -> None:
    for header in (f"bytes={first}-{last}", f"bytes={first}-", f"bytes=-{last}"):
        try:
            found = davrequests.parse_range(header, size)
        except FormatError:
            continue
        if found is not None:
            assert 0 <= found[0] < found[1] <= size


@given(st.binary(min_size=17, max_size=80), nonces, st.binary(min_size=40, max_size=40))
def test_a_wrapped_key_is_among_its_readings_with_both_separators(ciphertext: bytes, nonce: Nonce, salt: bytes) -> None:
    wrapped = WrappedKey(ciphertext, nonce, salt)
    text = join_wrapped(wrapped)
    assert split_wrapped(text) == [wrapped]
    assert wrapped in split_wrapped(text.replace("|", "fA=="))


@given(st.binary(max_size=200), st.lists(st.integers(1, 70), min_size=1, max_size=20))
def test_a_body_in_any_pieces_is_the_same_body(plain: bytes, sizes: list[int]) -> None:
    key, nonce = FileKey(bytes(16)), Nonce(bytes(12))
    body = seal_body(key, nonce, plain)
    sealer, opener, out = BodySealer(key, nonce), BodyOpener(key, nonce, len(body)), bytearray(300)

    def pieces(data: bytes) -> list[bytes]:
        found, at = [], 0
        for size in sizes:
            found.append(data[at : at + size])
            at += size
        return [*found, data[at:]]

    sealed = b"".join(bytes(out[: sealer.update_into(piece, out)]) for piece in pieces(plain))
    assert sealed + sealer.finish() == body
    assert b"".join(bytes(out[: opener.update_into(piece, out)]) for piece in pieces(body)) == plain
    opener.finish()


@given(st.integers(0, 2), st.integers(0), st.integers(1, 255))
def test_no_altered_byte_of_a_body_goes_unnoticed(blocks: int, at: int, change: int) -> None:
    key, nonce = FileKey(bytes(16)), Nonce(bytes(12))
    body = bytearray(seal_body(key, nonce, bytes(blocks * 16)))
    body[at % len(body)] ^= change
    opener = BodyOpener(key, nonce, len(body))
    opener.update_into(bytes(body), bytearray(len(body)))
    try:
        opener.finish()
    except OpenFailedError:
        return
    raise AssertionError


BLOB = Shape().build()
ALICE = {UserId("alice"): [private_key("alice").public]}


@given(st.integers(0, len(BLOB) - 1), st.integers(1, 255))
def test_an_altered_signature_is_refused_unless_only_what_is_ignored_was_altered(at: int, change: int) -> None:
    blob = bytearray(BLOB)
    blob[at] ^= change
    certificate = issue("alice", "alice")
    begin = BLOB.index(certificate)
    try:
        cms.verify_detached(bytes(blob), CONTENT, ALICE)
    except (FormatError, BadSignatureError):
        return
    identifier = BLOB.index(
        der.sequence(der.read_der(certificate).children[0].children[3].raw, der.integer(0)), begin + len(certificate)
    )
    assert begin <= at < begin + len(certificate) or identifier <= at < identifier + 25


CERTIFICATE = issue("alice", "alice")


@given(st.integers(0, len(CERTIFICATE) - 1), st.integers(1, 255))
def test_no_altered_certificate_is_accepted(at: int, change: int) -> None:
    data = bytearray(CERTIFICATE)
    data[at] ^= change
    try:
        certificate = x509.parse_certificate(pem_encode("CERTIFICATE", bytes(data)))
        x509.check_certificate(
            certificate, user_id=UserId("alice"), authority=private_key("authority").public, now=1.8e9
        )
    except (FormatError, UntrustedCertificateError):
        return
    raise AssertionError


@given(st.integers(0, 2**200), st.binary(max_size=300))
def test_der_comes_back(number: int, content: bytes) -> None:
    data = der.sequence(der.integer(number), der.tlv(der.OCTET_STRING, content))
    node = der.read_der(data)
    assert (der.read_integer(node.children[0]), node.children[1].content, der.encode(node)) == (number, content, data)


@given(st.binary(min_size=17, max_size=20))
def test_words_stand_for_the_first_132_bits(entropy: bytes) -> None:
    words = mnemonic.make_mnemonic(entropy).reveal().split(" ")
    value = 0
    for word in words:
        value = value << 11 | mnemonic.word_list().index(word)
    assert value == int.from_bytes(entropy, "big") >> (len(entropy) * 8 - 132)
    assert mnemonic.check_words(" ".join(words)) == []
