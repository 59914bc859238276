"""The events of the audit log: a word and a number for each kind, neither of which ever changes its meaning.

Layer: ``formats``. The number is for machines that index, the word for people and rules. What is no longer recorded
keeps its row; a new kind takes a free number of its hundred. ``docs/spec/audit.md`` says what each one means.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KEY_KINDS", "KINDS", "Kind"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of event.

    ``urgent``: a checkpoint follows within seconds: acts on keys, recovery and the authority. ``of_key``: a leaf of the
    key directory: its target is a key, its details name whose.
    """

    number: int
    word: str
    urgent: bool = False
    of_key: bool = False


def _table(*kinds: Kind) -> "Mapping[str, Kind]":
    return MappingProxyType({kind.word: kind for kind in kinds})


KINDS: Final = _table(
    # sign-in, devices
    Kind(1001, "signin.accepted"),
    Kind(1002, "signin.refused"),
    Kind(1003, "signin.limited"),
    Kind(1010, "apppassword.made"),
    Kind(1011, "apppassword.revoked"),
    Kind(1012, "device.wipe-asked"),
    Kind(1013, "device.wiped"),
    Kind(1020, "password.changed"),
    # keys and certificates
    Kind(2001, "certificate.issued", urgent=True, of_key=True),
    Kind(2002, "certificate.stored", urgent=True, of_key=True),
    Kind(2003, "certificate.renewed", urgent=True, of_key=True),
    Kind(2004, "certificate.revoked", urgent=True, of_key=True),
    Kind(2005, "certificate.removed", urgent=True, of_key=True),
    Kind(2006, "certificate.served"),
    Kind(2010, "privatekey.stored", urgent=True),
    Kind(2011, "privatekey.removed", urgent=True),
    Kind(2020, "key.requested", urgent=True),
    Kind(2021, "key.approved", urgent=True),
    Kind(2022, "key.rejected", urgent=True),
    # encrypted folders
    Kind(3001, "folder.marked"),
    Kind(3002, "folder.unmarked"),
    Kind(3010, "session.locked"),
    Kind(3011, "session.unlocked"),
    Kind(3012, "session.rolled-back"),
    Kind(3013, "session.expired"),
    Kind(3020, "metadata.written"),
    Kind(3021, "metadata.removed"),
    # shares
    Kind(4001, "share.made"),
    Kind(4002, "share.changed"),
    Kind(4003, "share.ended"),
    Kind(4010, "link.made"),
    Kind(4011, "link.changed"),
    Kind(4012, "link.ended"),
    Kind(4020, "drop.received"),
    # acts of administrators
    Kind(5001, "user.made"),
    Kind(5002, "user.changed"),
    Kind(5003, "user.removed"),
    Kind(5010, "group.made"),
    Kind(5011, "group.removed"),
    Kind(5012, "group.joined"),
    Kind(5013, "group.left"),
    Kind(5014, "group.changed"),
    Kind(5020, "invitation.made"),
    Kind(5021, "invitation.used"),
    Kind(5022, "invitation.withdrawn"),
    # the authority and its token
    Kind(6001, "authority.adopted", urgent=True),
    Kind(6002, "authority.signing", urgent=True),
    Kind(6003, "authority.signed", urgent=True),
    Kind(6004, "authority.rotated", urgent=True),
    Kind(6005, "authority.tested"),
    Kind(6006, "authority.ceremony", urgent=True),
    Kind(6010, "revocations.published", urgent=True),
    # recovery
    Kind(7001, "recovery.installed", urgent=True),
    Kind(7002, "recovery.off", urgent=True),
    Kind(7003, "recovery.accepted", urgent=True),
    Kind(7004, "recovery.withdrawn", urgent=True),
    Kind(7005, "recovery.used", urgent=True),
    Kind(7006, "recovery.granted", urgent=True),
    Kind(7010, "orgkey.installed", urgent=True),
    Kind(7011, "orgpolicy.changed", urgent=True),
    # rules
    Kind(8001, "policy.changed", urgent=True),
    Kind(8002, "policy.hit"),
    Kind(8003, "policy.reported"),
    Kind(8004, "policy.imported", urgent=True),
    Kind(8005, "policy.tagged", urgent=True),
    Kind(8010, "clientpolicy.changed", urgent=True),
    # the log itself, and what leaves the server as a whole
    Kind(9001, "audit.started", urgent=True),
    Kind(9002, "audit.configured", urgent=True),
    Kind(9003, "audit.rotated", urgent=True),
    Kind(9004, "audit.tombstone", urgent=True),
    Kind(9005, "audit.held", urgent=True),
    Kind(9006, "audit.released", urgent=True),
    Kind(9007, "audit.exported"),
    Kind(9008, "audit.read"),
    Kind(9010, "sink.failed"),
    Kind(9011, "sink.recovered"),
    Kind(9020, "backup.started"),
    Kind(9021, "backup.made"),
    Kind(9022, "backup.restored", urgent=True),
    Kind(9030, "export.started"),
    Kind(9031, "export.made"),
    Kind(9040, "server.configured"),
)
"""Every kind by its word."""

KEY_KINDS: Final = frozenset(word for word, kind in KINDS.items() if kind.of_key)
