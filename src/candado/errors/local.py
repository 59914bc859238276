"""This machine, and limits that we set ourselves."""

from candado.errors.base import CandadoError


class LocalStorageError(CandadoError):
    """The local file system refused."""

    code = "LOCAL_STORAGE"
    default_safe = "The file on the server is unchanged; no half-written file was left behind."


class DiskFullError(LocalStorageError):
    """There is no space left on the local disk."""

    code = "DISK_FULL"
    default_advice = "Free space and run the command again; finished files are kept."


class LocalPermissionError(LocalStorageError):
    """The local file or folder cannot be read or written."""

    code = "LOCAL_PERMISSION"
    default_advice = "Change its permissions or run as its owner."


class LocalNameError(LocalStorageError):
    """A name cannot exist on the other side."""

    code = "NAME_UNSAFE"
    default_advice = "Rename the file and run the command again."


class FileChangedError(LocalStorageError):
    """A file changed while it was being read."""

    code = "FILE_CHANGED"
    retry = True
    default_advice = "Close the program that writes to it; the next sync takes the new content."


class BusyError(LocalStorageError):
    """Another candado process works on the same state."""

    code = "BUSY"
    retry = True
    default_advice = "Wait for the other process to end."


class StoreUnavailableError(LocalStorageError):
    """The database or the store of bodies of a server does not answer."""

    code = "STORE_UNAVAILABLE"
    retry = True
    default_safe = "What was answered stays; what was under way is undone or not visible."
    default_advice = "Wait until it runs again, then repeat; see its log and the network."


class CorruptStateError(LocalStorageError):
    """The local state of candado was altered or damaged."""

    code = "CORRUPT_STATE"
    default_safe = "Local files and the server are unchanged; nothing that cannot be verified again was lost."
    default_advice = "Restore the state directory from a backup, or log out and join again with the twelve words."


class NotLoggedInError(CandadoError):
    """This device is not logged in."""

    code = "NOT_LOGGED_IN"
    default_advice = "Run `candado login URL --user NAME`."


class SecretNeededError(CandadoError):
    """A secret is needed and there is nobody to ask."""

    code = "SECRET_NEEDED"


class SafetyLimitError(CandadoError):
    """A safety limit stopped the run before it would delete."""

    code = "SAFETY_LIMIT"
    default_advice = "Look with --dry-run; if the deletions are wanted, allow them with --max-delete N."


class UsageError(CandadoError):
    """The command's words do not fit together."""

    code = "USAGE"
    default_advice = "See the command's --help."


class InterruptedByUserError(CandadoError):
    """The run was interrupted."""

    code = "INTERRUPTED"
    default_safe = "Finished files stay finished; the unfinished session is undone."
    default_advice = "Run the command again to go on."


class SignerUnavailableError(CandadoError):
    """The authority's key cannot be reached now."""

    code = "SIGNER_UNAVAILABLE"
    retry = True
    default_safe = "Nothing was signed; everything that needs no new certificate goes on."
    default_advice = (
        "Connect the token; the server finds it by itself. `candado-server ca status` tells when it is back."
    )


class SignerSetupError(CandadoError):
    """The authority's key is not set up as it must be."""

    code = "SIGNER_SETUP"
    default_safe = "Nothing was signed."
    default_advice = "Compare the setting `authority` with the token; see docs/ops/authority.md."


class PinRefusedError(SignerSetupError):
    """The token does not accept the PIN."""

    code = "PIN_REFUSED"
    default_safe = "Nothing was signed; the same PIN is not tried again, so that the token does not lock itself."
    default_advice = "Put the right PIN into its file; the server reads it anew."


class AuthorityChangedError(SignerSetupError):
    """The key is not the one this server's certificates are signed with."""

    code = "AUTHORITY_CHANGED"
    default_safe = "Nothing was signed; clients would refuse certificates of another key."
    default_advice = "Connect the right token, or restore the right key."
