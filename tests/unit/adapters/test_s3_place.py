"""Addresses of buckets, files of keys, and what refusals of an S3 store become."""

from pathlib import Path

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError

from candado.adapters.s3_place import S3Place, connect, find_keys, s3_error
from candado.errors import (
    CandadoError,
    LocalPermissionError,
    QuotaExceededError,
    SecretNeededError,
    StoreUnavailableError,
    UsageError,
)

PLACE = S3Place("bucket", "a/b", "https://s3.example.org:9000", "eu-north-1", by_host=False, credentials="/etc/keys")
ADDRESS = "s3://bucket/a/b?endpoint=https://s3.example.org:9000&region=eu-north-1&credentials=/etc/keys"


@pytest.mark.parametrize(
    ("address", "place"),
    [
        (ADDRESS, PLACE),
        ("s3://bucket", S3Place("bucket", "", "", "us-east-1", by_host=True, credentials="")),
        ("s3://bucket/?style=path", S3Place("bucket", "", "", "us-east-1", by_host=False, credentials="")),
        (
            "s3://my.bucket/p/?endpoint=http://127.0.0.1:8333/&style=host",
            S3Place("my.bucket", "p", "http://127.0.0.1:8333", "us-east-1", by_host=True, credentials=""),
        ),
    ],
)
def test_an_address_names_a_place(address: str, place: S3Place) -> None:
    assert S3Place.parse(address) == place


@pytest.mark.parametrize(
    "address",
    [
        "s3://", "s3://B", "s3://ab", "s3://b/../c", "s3://bucket/a//b", "s3://bucket/.hidden", "s3://bucket/%2e%2e",
        "s3://bucket?endpoint=ftp://x", "s3://bucket?style=both", "s3://bucket?credentials=keys", "s3://bucket?prefix=x",
        "s3://KEY:SECRET@bucket/", "s3://bucket/#SECRET", "s3://bucket?endpoint=https://KEY:SECRET@host",
    ],
)  # fmt: skip
def test_other_addresses_are_refused_and_secrets_not_repeated(address: str) -> None:
    with pytest.raises(UsageError) as caught:
        S3Place.parse(address)
    told = f"{caught.value.message} {caught.value.path} {caught.value.advice}"
    assert "SECRET@" not in told
    assert "#SECRET" not in told


def test_a_place_shows_where_it_is_and_no_key() -> None:
    assert str(PLACE) == "s3://bucket/a/b at https://s3.example.org:9000"
    assert "S3CR3T" not in repr(find_keys(S3Place.parse("s3://bucket"), environment("S3CR3T")))


def environment(secret: str) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": "K", "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": "T"}


def keys_in(folder: Path, text: str, mode: int = 0o600) -> tuple[str, str, str | None]:
    path = folder / "keys"
    path.write_text(text)
    path.chmod(mode)
    # A place that names a file takes nothing from the environment.
    found = find_keys(S3Place.parse(f"s3://bucket?credentials={path}"), environment("other"))
    return found.key_id, found.secret.reveal(), found.session.reveal() if found.session else None


def test_keys_come_from_the_file_or_from_the_environment(tmp_path: Path) -> None:
    text = "[other]\naws_access_key_id = no\n[default]\naws_access_key_id = K\naws_secret_access_key = S%(x\n"
    assert keys_in(tmp_path, text) == ("K", "S%(x", None)
    assert keys_in(tmp_path, "[mine]\nAWS_ACCESS_KEY_ID=K\naws_secret_access_key=S\naws_session_token=T") == (
        "K",
        "S",
        "T",
    )
    found = find_keys(S3Place.parse("s3://bucket"), environment("S"))
    assert (found.key_id, found.secret.reveal(), found.session and found.session.reveal()) == ("K", "S", "T")


@pytest.mark.parametrize("text", ["", "[default]\n", "aws_secret_access_key = S3CR3T", "[default]\nS3CR3T", "\xff"])
def test_a_file_without_keys_is_an_error_that_repeats_nothing(tmp_path: Path, text: str) -> None:
    with pytest.raises(SecretNeededError) as caught:
        keys_in(tmp_path, text)
    assert "S3CR3T" not in f"{caught.value.message}{caught.value.path}{caught.value.__cause__}"


def test_a_file_that_others_read_or_nobody_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalPermissionError, match="read by others"):
        keys_in(tmp_path, "[default]", 0o640)
    with pytest.raises(LocalPermissionError, match="cannot be read"):
        find_keys(S3Place.parse(f"s3://bucket?credentials={tmp_path}/absent"), {})
    with pytest.raises(SecretNeededError):
        find_keys(S3Place.parse("s3://bucket"), {})


def refusal(status: int, code: str) -> str:
    return f"Server returned non-2xx status code: {status} X: <Error><Code>{code}</Code><Message>m</Message></Error>"


@pytest.mark.parametrize(
    ("exc", "kind", "words"),
    [
        (PermissionDeniedError(refusal(403, "SignatureDoesNotMatch")), LocalPermissionError, "our keys (SignatureDoes"),
        (PermissionDeniedError(refusal(403, "AccessDenied")), LocalPermissionError, "our keys (AccessDenied)"),
        (PermissionDeniedError(refusal(403, "RequestTimeTooSkewed")), LocalPermissionError, "of their time"),
        (PermissionDeniedError(refusal(403, "QuotaExceeded")), QuotaExceededError, "no space"),
        (GenericError(refusal(507, "XMinioStorageFull")), QuotaExceededError, "no space"),
        (GenericError(refusal(503, "SlowDown")), StoreUnavailableError, "answers SlowDown"),
        (GenericError("Server returned non-2xx status code: 500 Oops:"), StoreUnavailableError, "answers status 500"),
        (GenericError("HTTP error: error sending request"), StoreUnavailableError, "does not answer"),
    ],
)
def test_refusals_become_errors_of_our_tree(exc: GenericError, kind: type[CandadoError], words: str) -> None:
    error = s3_error(exc, PLACE)
    assert type(error) is kind
    assert words in error.message


def test_a_bucket_may_be_named_in_the_host() -> None:
    keys = find_keys(S3Place.parse("s3://bucket"), environment("S"))
    client = connect(S3Place.parse("s3://bucket?endpoint=https://s3.example.org&style=host"), keys)
    assert dict(client.config)["endpoint"] == "https://bucket.s3.example.org"
