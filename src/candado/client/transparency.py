"""The server's log of keys: followed, compared, and asked before a key is trusted with a folder.

Layer: ``client``. A server that announces the log must show every key that it gives out in it. This device keeps the
newest checkpoint that it accepted and demands that each newer one continues it; it looks at what is logged in its own
user's name, and before a folder is shared it wants the other person's key in the log. A server that once showed the log
and does so no more is not let off.

Space of the state: ``pin/keylog`` (the newest checkpoint, and when it was asked for).
Source: threats.md, B08, A02, A14, A112.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Final

from candado.client.account import Account
from candado.client.handover import follow_authority
from candado.crypto.checkpoint import Checkpoint
from candado.encoding import decode_b64, encode_b64
from candado.errors import (
    BadSignatureError,
    CandadoError,
    CorruptStateError,
    CryptoError,
    DowngradeError,
    FormatError,
    KeyUnloggedError,
    NotFoundError,
    TamperError,
)
from candado.folder.model import RawText
from candado.protocol.keylog import KeyLogAnswer, KeyRecord, KeyRecords, check_key_log
from candado.types import UserId

__all__ = ["LogPin", "forget_log", "known_log", "look_up", "require_logged", "watch_own"]

_SPACE: Final = "pin/keylog"
_NEWEST: Final = "newest"
_ASKED_SECONDS: Final = 60.0
_ATTEMPTS: Final = 5
_PAUSE_SECONDS: Final = 1.5
_SAFE: Final = "Nothing was shared and nothing was sent."


@dataclass(frozen=True, slots=True)
class LogPin:
    """The newest checkpoint that this device accepted, and its note; the time is in seconds since the epoch.

    What it says is kept apart from the note, since the authority may have another key by now.
    """

    origin: str
    size: int
    root: str
    note: str
    asked_at: float

    @property
    def checkpoint(self) -> Checkpoint:
        """What the note said when it was accepted."""
        return Checkpoint(self.origin, self.size, decode_b64(self.root))


def known_log(account: Account) -> Checkpoint | None:
    """The newest checkpoint that this device accepted; None where it has met no log yet."""
    pin = _pin(account)
    return None if pin is None else pin.checkpoint


def forget_log(account: Account) -> None:
    """Let the next log that the server shows be met as for the first time; NotFoundError when none is known."""
    if _pin(account) is None:
        raise NotFoundError("This device knows no log of keys.", advice="See `candado status`.")
    account.store.commit([(_SPACE, _NEWEST, None)])
    for issue in account.issues():
        if issue.code in ("kt.other-log", "kt.rollback", "kt.fork", "kt.missing"):
            account.issue_book.dismiss(issue.issue_id)


async def look_up(account: Account, users: Sequence[UserId]) -> dict[UserId, KeyRecords] | None:
    """What the log shows of the keys of ``users``; None on a server that never announced one.

    Raises:
        DowngradeError: ``kt.missing``: the server showed it before. TamperError: ``kt.*``: it shows two histories, or a
        part of one; the signed checkpoints are kept as evidence. CryptoError, FormatError: it is not the authority's.
        RemoteError, TransportError: it cannot be asked.
    """
    pin, pinned = _pin(account), known_log(account)
    answer = await _ask(account, users, 0 if pinned is None else pinned.size)
    if answer is None:
        if pin is None:
            return None
        message = "The server no longer shows the log of the keys that it gives out."
        missing = DowngradeError("kt.missing", message, safe=_SAFE)
        account.record_refusal(missing, path="/")
        raise missing
    try:
        try:
            point, found = check_key_log(answer, account.pins().authority, users, pinned)
        except BadSignatureError:
            if not await follow_authority(account):
                raise
            point, found = check_key_log(answer, account.pins().authority, users, pinned)
    except (CryptoError, FormatError, TamperError) as error:
        account.record_refusal(error, path="/", raw=_evidence(pin, answer))
        raise
    newest = LogPin(point.origin, point.size, encode_b64(point.root), answer.checkpoint, account.clock.now())
    account.store.commit([(_SPACE, _NEWEST, json.dumps(asdict(newest)).encode())])
    own = found.get(account.user_id)
    if own is not None:
        _compare_own(account, own, answer)
    return {UserId(user): records for user, records in found.items()}


async def _ask(account: Account, users: Sequence[UserId], known_size: int) -> KeyLogAnswer | None:
    if not (await account.capabilities()).key_log:
        return None
    try:
        return await account.remote.key_log(users, known_size=known_size)
    except NotFoundError:
        return None


async def watch_own(account: Account) -> None:
    """Look, at most once a minute, what the log shows in our own name; what is wrong becomes an issue, nothing more.

    It hinders nothing: the folders have their own checks, and a server that cannot be reached shows that by itself.
    """
    pin, now = _pin(account), account.clock.now()
    if account.identity is None or (pin is not None and 0 <= now - pin.asked_at < _ASKED_SECONDS):
        return
    with suppress(CandadoError):
        await look_up(account, [account.user_id])


async def require_logged(account: Account, user_id: UserId, key_fingerprint: str) -> bool:
    """Whether the log has this key as the person's present one; False only on a server that has no log.

    A key that was made a moment ago is waited for, as long as a checkpoint takes.

    Raises:
        KeyUnloggedError: the log has no such key of the person, or says that it was taken back. As ``look_up``.
    """
    for attempt in range(_ATTEMPTS):
        found = await look_up(account, [user_id, account.user_id])
        if found is None:
            return False
        if found[user_id].current == key_fingerprint:
            return True
        if attempt + 1 < _ATTEMPTS:
            await account.clock.sleep(_PAUSE_SECONDS)
    error = KeyUnloggedError(f"The key that the server gave out for {user_id} is not in its log.", path=user_id)
    account.record_refusal(error, path=user_id)
    raise error


def _compare_own(account: Account, own: KeyRecords, answer: KeyLogAnswer) -> None:
    """An issue for each key that was given out in our name and is not ours."""
    if account.identity is None:
        return
    ours = account.identity.key.public.fingerprint_hex
    for record in own.given_after(ours):
        told = f"told/{record.sequence}"  # once: with each checkpoint the evidence is another
        if account.store.load(_SPACE, told) is not None:
            continue
        account.issue_book.add(
            "refused",
            "kt.foreign-cert",
            f"The server gave out another key in your name ({record.key_fingerprint[:16]}, {record.time})",
            path="/",
            safe="This device encrypts to its own key only.",
            advice="If you did not set up your keys anew yourself, warn the members of your folders on another "
            "channel, let them compare `candado fingerprint`, and ask the administrator.",
            file_id=record.sequence,
            raw=RawText(_record_of(answer, account.user_id, record), answer.checkpoint),
        )
        account.store.commit([(_SPACE, told, b"1")])
    if own.current not in (ours, None) or (own.records and own.current is None):
        account.issue_book.add(
            "problem", "kt.own-missing", "The server's log says that your key is no longer in use", path="/"
        )


def _record_of(answer: KeyLogAnswer, user: str, record: KeyRecord) -> str:
    """The leaf with its proof, which the checkpoint beside it signs."""
    leaf = next(leaf for leaf in answer.users[user] if f'"seq":{record.sequence},' in leaf.record)
    return json.dumps({"record": leaf.record, "proof": [encode_b64(one) for one in leaf.proof]})


def _evidence(pin: LogPin | None, answer: KeyLogAnswer) -> RawText:
    """Two checkpoints that the authority signed, and what was said to connect them."""
    proof = [encode_b64(one) for one in answer.consistency]
    before = "" if pin is None else pin.note
    return RawText(json.dumps({"before": before, "after": answer.checkpoint, "consistency": proof}), answer.checkpoint)


def _pin(account: Account) -> LogPin | None:
    stored = account.store.load(_SPACE, _NEWEST)
    if stored is None:
        return None
    try:
        return LogPin(**json.loads(stored))
    except (ValueError, TypeError) as exc:
        raise CorruptStateError("the stored checkpoint of the log of keys cannot be read") from exc
