"""Following the authority to its successor.

Layer: ``client``. The authority's key is pinned at enrolment and never fetched again (threats.md, A04). It changes on
this device in one way: the pinned key itself signed who comes after it. The server is asked only when something is
signed by a key that this device does not know.
"""

from candado.client.account import Account
from candado.crypto.handover import Handover, follow_handovers, parse_handover, predecessors
from candado.crypto.rsa import PublicKey
from candado.crypto.x509 import parse_certificate
from candado.errors import CandadoError, CryptoError, FormatError, TamperError
from candado.protocol.enrolment import check_own_certificate

__all__ = ["follow_authority"]


async def follow_authority(account: Account) -> bool:
    """Look whether the pinned authority handed over, pin its successor and tell people; whether anything is new.

    A hand-over that cannot be read or is not signed by both keys is recorded as a refusal and changes nothing.

    Raises:
        DowngradeError, RemoteError, TransportError: the server could not be asked.
    """
    if not (await account.capabilities()).handovers:
        return False
    try:
        chain = [parse_handover(text) for text in await account.remote.handovers()]
        return await _follow(account, chain)
    except (FormatError, CryptoError) as error:
        account.record_refusal(error, path="/")
        return False


async def _follow(account: Account, chain: list[Handover]) -> bool:
    pins = account.pins()
    current = follow_handovers(pins.authority, chain)
    former = tuple(dict.fromkeys([*pins.former_authorities, *predecessors(current, chain)]))
    if current == pins.authority and former == pins.former_authorities:
        return False
    account.store.commit(account.book.rows_account(current, former))
    if current != pins.authority:
        account.issue_book.add(
            "notice",
            "authority.rotated",
            "The server's authority has another key now, which the one that this device knew signed as its successor: "
            f"{current.fingerprint_hex[:16]}",
            path="/",
            advice="Compare the fingerprint with what the administrator announced, on another channel.",
        )
        await _take_certificate(account, current)
    return True


async def _take_certificate(account: Account, authority: PublicKey) -> None:
    """Take the account's renewed certificate, if it is there and for our key; the old one goes on until then."""
    identity = account.require_identity()
    try:
        found = await account.remote.certificates([account.user_id])
        certificate = parse_certificate(found[account.user_id])
        check_own_certificate(
            certificate,
            user_id=account.user_id,
            own_key=identity.key.public,
            authority=authority,
            now=account.clock.now(),
        )
    except (CandadoError, KeyError) as error:
        if isinstance(error, TamperError):
            account.record_refusal(error, path="/")
        return
    account.replace_certificate(certificate)
