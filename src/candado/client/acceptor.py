"""From a server's document to a state this device stands by.

Layer: ``client``. ``accept_metadata`` decides, with the pins of this device; here its outcome is made lasting: pins and
keys in one transaction, or the refusal with its document. Source: threats.md, section 3.
"""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from candado.client.account import Account
from candado.client.handover import follow_authority
from candado.client.recovery import refresh_quietly
from candado.errors import (
    CandadoError,
    CryptoError,
    EscrowError,
    FormatError,
    NotAMemberError,
    RemoteError,
    SignerError,
    TamperError,
    UntrustedCertificateError,
)
from candado.folder.model import Accepted, NestedPosition, Position, RawText, RootPosition
from candado.folder.opening import accept_metadata

__all__ = ["Acceptor"]

_BY_ANOTHER: Final = frozenset({"meta.signer-unknown", "sig.removed-member"})


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was accepted in this process, and for which bytes and which place."""

    fingerprint: bytes
    accepted: Accepted


class Acceptor:
    """Accepts documents for one account; the same bytes at the same place are not checked twice in its life."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._seen: dict[int, _Seen] = {}

    def accept(self, position: Position, raw: RawText, *, path: str) -> Accepted:
        """Accept a document and commit its pins, or record the refusal with the document and raise it."""
        try:
            return self._accept(position, raw, path=path)
        except (TamperError, FormatError, CryptoError) as error:
            raise self._recorded(error, position, raw, path) from None

    async def accept_root(self, position: RootPosition, raw: RawText, *, path: str) -> Accepted:
        """As ``accept``, by way of the changes of members that this device has missed.

        The newest state may be signed by somebody who became a member after this device looked last. Then the server is
        asked for the documents that changed the members since. Each has to pass the whole acceptance after the one
        before it, so nobody gets in this way whom a device that looked every time would not have let in.
        """
        try:
            return await self._announced(position, raw, path=path)
        except (TamperError, FormatError, CryptoError) as error:
            if isinstance(error, UntrustedCertificateError) and await follow_authority(self._account):
                return self.accept(position, raw, path=path)
            missed = isinstance(error, SignerError) and error.event in _BY_ANOTHER
            if position.pin is None or not missed:
                raise self._recorded(error, position, raw, path) from None
        try:
            steps = await self._account.remote.membership_steps(position.file_id, after=position.pin.counter)
        except (RemoteError, FormatError):
            steps = []  # the state itself is then refused, for its signer
        for step in steps:
            document = RawText(step.text, step.signature)
            try:
                self._accept(self._anew(position), document, path=path)
            except NotAMemberError:
                continue  # taken out meanwhile; one who was a member before may have let us in again
            except (TamperError, FormatError, CryptoError) as error:
                raise self._recorded(error, position, document, path) from None
        return self.accept(self._anew(position), raw, path=path)

    async def _announced(self, position: RootPosition, raw: RawText, *, path: str) -> Accepted:
        """As ``_accept``; a recovery key that no policy announces may be of one that this device has not seen yet."""
        try:
            return self._accept(position, raw, path=path)
        except EscrowError as error:
            if error.event != "escrow.unsigned":
                raise
        await refresh_quietly(self._account, fresh=True)
        return self._accept(position, raw, path=path)

    def _anew(self, position: RootPosition) -> RootPosition:
        return replace(position, pin=self._account.book.folder(position.file_id))

    def _accept(self, position: Position, raw: RawText, *, path: str) -> Accepted:
        account = self._account
        mark = _fingerprint(position, raw)
        seen = self._seen.get(position.file_id)
        pin = account.book.folder(position.file_id)
        if seen is not None and seen.fingerprint == mark and pin is not None and pin.digest == seen.accepted.pin.digest:
            return seen.accepted
        root_id = position.root.file_id if isinstance(position, NestedPosition) else position.file_id
        accepted = accept_metadata(
            position,
            raw,
            pins=account.pins(),
            identity=account.require_identity(),
            known_keys=account.book.metadata_keys(root_id),
            now=account.clock.now(),
        )
        account.commit_accepted(accepted, path=path)
        self._seen[position.file_id] = _Seen(mark, accepted)
        return accepted

    def _recorded(self, error: CandadoError, position: Position, raw: RawText, path: str) -> CandadoError:
        error.path = path
        self._account.record_refusal(error, path=path, file_id=position.file_id, raw=raw)
        return error


def _fingerprint(position: Position, raw: RawText) -> bytes:
    place = ""
    if isinstance(position, NestedPosition):
        place = f"{position.parent.file_id} {position.sealed_name} {position.root.digest}"
    return sha256(f"{place}\0{raw.signature}\0{raw.text}".encode("utf-8", "surrogatepass")).digest()
