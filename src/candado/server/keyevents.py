"""Events on keys: the leaves of the key directory, and the use of the authority's key.

Layer: ``server``. Whatever issues, stores, replaces, gives up or revokes a certificate records it here, in its own
transaction: a key that is not in the log was never this server's to give out.
"""

from candado.crypto.rsa import PublicKey
from candado.crypto.x509 import parse_certificate
from candado.errors import CandadoError
from candado.ports.server import Database, Rows, Signer
from candado.server.audit import Event, key_ref, record, user_ref

__all__ = ["key_event", "key_given_up", "sign_on_record"]

_CURRENT = "SELECT certificate FROM user_keys WHERE user_id = $1 AND certificate IS NOT NULL"


async def key_event(
    rows: Rows, kind: str, user_id: str, key: PublicKey | str, *, serial: int | str, reason: str = ""
) -> None:
    """Record what happened to a certificate of ``user_id`` for ``key``, a key or its fingerprint in hex."""
    fingerprint = key if isinstance(key, str) else key.fingerprint_hex
    details = {"subject": user_ref(user_id), "serial": str(serial)}
    await record(rows, Event(kind, target=key_ref(fingerprint), reason=reason, details=details))


async def key_given_up(rows: Rows, user_id: str, reason: str) -> None:
    """Record that the user's present certificate, if there is one, is about to go."""
    row = await rows.one(_CURRENT, user_id)
    if row is not None:
        certificate = parse_certificate(str(row[0]))
        serial = certificate.serial
        await key_event(rows, "certificate.removed", user_id, certificate.public_key, serial=serial, reason=reason)


async def sign_on_record(database: Database, signer: Signer, message: bytes, what: str) -> bytes:
    """Sign with the authority's key; the intent is on record before, and how it ended after.

    Raises:
        SignerUnavailableError, SignerSetupError: nothing was signed. Whatever the database raises: if the intent cannot
        be recorded, the key is not used.
    """

    async def note(kind: str, outcome: str, reason: str = "") -> None:
        await database.write(lambda rows: record(rows, Event(kind, target=what, outcome=outcome, reason=reason)))

    await note("authority.signing", "intent")
    try:
        signature = await signer.sign(message)
    except CandadoError as error:
        await note("authority.signed", "failed", error.code)
        raise
    await note("authority.signed", "done")
    return signature
