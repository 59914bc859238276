"""Rules that the organisation signed for its clients, as this device follows them inside of encrypted folders.

Layer: ``client``. No server can look there, so each device asks before it seals, sends or renames anything. The policy
is verified as any other of the organisation (``policies``): forged, replayed or broken ones are kept among the issues,
and one that is withheld changes nothing; the last good one stays in force.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from candado.client.draft import media_type
from candado.client.policies import pinned_key, policy_in_force, take_policy
from candado.client.view import split
from candado.errors import CandadoError, ClientRuleError, NotFoundError, TransportError
from candado.formats.rules import Operation

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.formats.clientrules import ClientRules

__all__ = ["OrgRules", "refresh_rules", "rules_serial"]

_KIND: Final = "client-rules"
_NO_TYPE: Final = "application/octet-stream"


def rules_serial(account: "Account") -> int:
    """The serial of the rules in force on this device; 0 without any."""
    policy = policy_in_force(account, _KIND)
    return 0 if policy is None else policy.serial


async def refresh_rules(account: "Account") -> None:
    """Take the rules that the server announces, when they are others than those in force here.

    What is refused is kept among the issues, and the work goes on under the last good ones. TransportError.
    """
    if pinned_key(account) is None:
        return
    announced, present = (await account.capabilities()).client_rules, rules_serial(account)
    if announced == present:
        return
    try:
        take_policy(account, _KIND, await account.remote.policy(_KIND) if announced else "")
    except NotFoundError:
        return
    except TransportError:
        raise
    except CandadoError:
        return


class OrgRules:
    """The rules in force during one write session.

    Args:
        account: of this device.
    """

    def __init__(self, account: "Account") -> None:
        policy = policy_in_force(account, _KIND)
        self._serial = 0 if policy is None else policy.serial
        self._rules: ClientRules | None = None if policy is None else policy.client_rules

    def check_file(self, path: str, size_bytes: Callable[[], int], *, replaces: bool) -> None:
        """Ask before a file is sealed for a clear path; its size is looked at only when there are rules.

        ClientRuleError, and the errors of ``size_bytes``.
        """
        if self._rules is not None:
            operation = Operation.UPDATE if replaces else Operation.CREATE
            self._check(operation, path, size_bytes(), is_folder=False)

    def check_folder(self, path: str) -> None:
        """Ask before a folder is made; ClientRuleError."""
        self._check(Operation.CREATE, path, None, is_folder=True)

    def check_move(self, source: str, target: str, *, is_folder: bool) -> None:
        """Ask before something is renamed or moved; what could not have been made at the new place is refused as well.

        Unless it could not have been made at the old one either. ClientRuleError.
        """
        for path in (source, target):
            self._check(Operation.RENAME, path, None, is_folder=is_folder)
        try:
            self._check(Operation.CREATE, source, None, is_folder=is_folder)
        except ClientRuleError:
            return
        self._check(Operation.CREATE, target, None, is_folder=is_folder)

    def _check(self, operation: Operation, path: str, size_bytes: int | None, *, is_folder: bool) -> None:
        if self._rules is None:
            return
        parts = split(path)
        kind = None if is_folder else media_type(parts[-1])
        rule = self._rules.denied(
            operation, parts, media_type=None if kind == _NO_TYPE else kind, size_bytes=size_bytes
        )
        if rule is not None:
            said = " ".join(rule.message.split())
            raise ClientRuleError(
                f'rule {rule.id} of the organisation does not allow this in an encrypted folder: "{said}"',
                rule_id=rule.id,
                text=rule.message,
                rules_version=self._serial,
                lasting=True,
                path=path,
            )
