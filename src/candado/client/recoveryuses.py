"""Uses of the recovery key that concern this account: fetched, verified, told.

Layer: ``client``. The server says which uses there were; what each was is in a record that the recovery key itself
signed, and only one of a key that the organisation's policy names is believed. A server can hold a record back, which
the audit log of the organisation shows; it cannot make one up.

Space of the state: ``recovery/uses``: id of a use to the state that was told.
"""

import time
from typing import TYPE_CHECKING, Final

from candado.client.account import Account
from candado.errors import CryptoError, EscrowError, FormatError, NotFoundError
from candado.folder.recoveryrecords import parse_use_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from candado.folder.recoveryrecords import UseRecord

__all__ = ["tell_uses"]

_TOLD: Final = "recovery/uses"
_TOLD_MAX: Final = 1000
_ADVICE: Final = "Ask your organisation if you did not expect it; then `candado issues --dismiss ID`."


async def tell_uses(account: Account, use_ids: "Sequence[str]") -> None:
    """Fetch the records that were not told yet and keep an issue for each, until a person dismisses it.

    What is not signed by a recovery key of the organisation is kept as a refusal. RemoteError, TransportError.
    """
    told = account.store.load_all(_TOLD)
    for use_id in use_ids:
        if told.get(use_id) == b"done" or len(told) > _TOLD_MAX:
            continue
        try:
            text = await account.remote.recovery_use(use_id)
        except NotFoundError:
            continue
        try:
            use = _verified(account, use_id, text)
        except (FormatError, CryptoError, EscrowError) as error:
            account.record_refusal(error, path="/")
            continue
        if told.get(use_id) != use.state.encode():
            code, words = f"recovery.used-{use.state}", _words(account, use)
            account.issue_book.add("problem", code, words, path="/", advice=_ADVICE, pair=use.record_id)
            account.store.commit([(_TOLD, use_id, use.state.encode())])


def _verified(account: Account, use_id: str, text: str) -> "UseRecord":
    use = parse_use_record(text)
    if use.record_id != use_id or use.public_key.fingerprint_hex not in account.pins().recovery.values():
        raise EscrowError(
            "recovery.use-forged",
            "The server shows a use of a recovery key in a record that no recovery key of the organisation signed.",
            got=use.public_key.fingerprint_hex,
        )
    return use


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _words(account: Account, use: "UseRecord") -> str:
    day = time.strftime("%Y-%m-%d", time.gmtime(use.ended or use.begun))
    people = " and ".join([", ".join(use.persons[:-1]), use.persons[-1]])
    whose = "your folders" if use.account == account.user_id else f"folders of {use.account} that you share"
    if use.kind == "regrant":
        what = f"to give {use.account} access again to {_count(len(use.roots), 'folder')}"
    else:
        what = f"to open {whose}: {_count(use.files, 'file')} in {_count(len(use.roots), 'folder')}"
    begun = "" if use.state == "done" else " A use was begun; whether it ended is not known yet."
    return f"The recovery key was used on {day} by {people} {what}. Purpose: {use.purpose}.{begun}"
