"""The command line ``candado-server``.

Layer: ``apps``. Errors say four things and end with the documented exit statuses, as those of ``candado`` do.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from candado.apps.cli.common import SECRET_FILE
from candado.apps.cli.errors import EXIT_USAGE, report
from candado.apps.server_advice import as_usage, for_administrators
from candado.apps.server_audit import audit_commands
from candado.apps.server_authority import authority_commands
from candado.apps.server_common import Invocation, command_options, read_password
from candado.apps.server_config import (
    CONFIG_NAME,
    SOFTWARE_AUTHORITY,
    ServerConfig,
    check_database,
    check_storage,
    environment_setting,
    parse_authority,
    write_config,
)
from candado.apps.server_console import lock_commands, overview_command
from candado.apps.server_policy import policy_commands
from candado.apps.server_recovery import recovery_commands
from candado.apps.server_tags import tag_commands
from candado.apps.server_users import app_password, group_commands, user_commands
from candado.apps.signer_wiring import SOFTWARE_WARNING, make_authority
from candado.errors import AlreadyExistsError, CandadoError, InterruptedByUserError, LocalPermissionError, UsageError
from candado.server.check import ReadTally

__all__ = ["cli", "main", "run"]

_FINDINGS = 8


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="candado", prog_name="candado-server")
def cli() -> None:
    """A light server for end-to-end encrypted folders."""


cli.add_command(user_commands)
cli.add_command(group_commands)
cli.add_command(app_password)
cli.add_command(authority_commands)
cli.add_command(audit_commands)
cli.add_command(policy_commands)
cli.add_command(recovery_commands)
cli.add_command(lock_commands)
cli.add_command(overview_command)
cli.add_command(tag_commands)


@cli.command("init")
@click.option("--url", default="", help="Public base URL, such as https://cloud.example.org.")
@click.option(
    "--authority",
    help="Where the key is that signs certificates: software (a file, the default), or the PKCS#11 URI of a token.",
)
@click.option("--admin", help="Name of a first user who may administrate.")
@click.option("--admin-password-file", type=SECRET_FILE, help="File with that user's password.")
@click.option("--if-absent", is_flag=True, help="When it was made already, do nothing: for scripts and containers.")
@command_options
def _init(
    invocation: Invocation,
    url: str,
    authority: str | None,
    admin: str | None,
    admin_password_file: Path | None,
    if_absent: bool,
) -> None:
    r"""Make a data directory: configuration, database, blobs and the authority's key.

    A key that is on the token already under that label is taken as it is.

    \b
    candado-server init --data /srv/candado --url https://cloud.example.org
    """
    data = invocation.data
    if if_absent and (data / CONFIG_NAME).exists():
        invocation.show("init", {"data": str(data), "made": False}, f"{data} was made before")
        return
    if (data / CONFIG_NAME).exists() or (data.is_dir() and any(data.iterdir())):
        raise AlreadyExistsError("the data directory is not empty", path=str(data), advice="Choose a new directory.")
    password = read_password(admin_password_file) if admin else None
    database, storage = _places(invocation)
    authority = authority or environment_setting("authority", os.environ) or SOFTWARE_AUTHORITY
    on_token = authority != SOFTWARE_AUTHORITY
    kind = _make_on_token(invocation, authority) if on_token else SOFTWARE_AUTHORITY
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        data.chmod(0o700)
        write_config(data / CONFIG_NAME, url=url, database=database, storage=storage, authority=authority)
    except OSError as exc:
        raise LocalPermissionError(f"the data directory cannot be made: {exc.strerror}", path=str(data)) from exc
    config = invocation.config(authority=authority)

    async def work() -> str:
        from candado.apps.server_wiring import open_services

        if not on_token:
            await make_authority(config)
        async with open_services(config, create=True) as services:
            if admin and password:
                with as_usage(admin):
                    account = await services.accounts.add(admin, password, is_admin=True)
                await services.files.ensure_home(account.user_id)
            return services.pki.authority_fingerprint_hex

    try:
        fingerprint = invocation.run(work())
    except BaseException:
        _clear(data)
        raise
    lines = [
        f"initialised {data}",
        f"authority key ({kind}): {fingerprint}",
        *([] if on_token else [f"warning: {SOFTWARE_WARNING}; keep authority.pem and its backups private."]),
        f"next: candado-server user add NAME --password-file F --data {data}",
        f"then: candado-server serve --data {data}",
    ]
    invocation.show("init", {"data": str(data), "made": True, "authority_fingerprint": fingerprint}, "\n".join(lines))


def _make_on_token(invocation: Invocation, authority: str) -> str:
    """Make the authority's key before anything else: without its token there is nothing to make. What was done."""
    parse_authority(authority, "--authority")
    made = invocation.run(make_authority(ServerConfig(invocation.data, authority=authority)))
    return f"on a token, {'made' if made else 'found there'}"


def _places(invocation: Invocation) -> tuple[str, str]:
    """Where the options put rows and bodies, empty for the data directory; UsageError when they cannot be there."""
    database, storage = (str(invocation.overrides[name] or "") for name in ("database", "storage"))
    if database:
        check_database(database)
    if storage:
        check_storage(storage)
    return database, storage


def _clear(data: Path) -> None:
    """Empty the directory again, as it was before, so that ``init`` can be repeated; what cannot be removed stays."""
    for entry in data.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


@cli.command("serve")
@click.option("--listen", help="HOST:PORT; port 0 is any free one. Default 127.0.0.1:8080.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that serve. Default 1.")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="Of the log on stderr. Default text.")
@click.option("--tls-cert", type=click.Path(), help="PEM file with the certificate chain: serve HTTPS without a proxy.")
@click.option("--tls-key", type=click.Path(), help="PEM file with its key. SIGHUP reads both anew.")
@command_options
def _serve(
    invocation: Invocation,
    listen: str | None,
    workers: int | None,
    log_format: str | None,
    tls_cert: str | None,
    tls_key: str | None,
) -> int:
    r"""Serve until SIGTERM; prints one line when ready.

    \b
    candado-server serve --data /srv/candado --listen 127.0.0.1:8080
    """
    from candado.apps.server_log import start_log
    from candado.apps.server_serve import serve

    config = invocation.config(
        listen=listen, workers=workers, log_format=log_format, tls_cert=tls_cert, tls_key=tls_key
    )
    start_log(config.log_format)
    return serve(config, lambda url: invocation.show("serve", {"listening": url}, f"listening on {url}"))


@cli.command("check")
@click.option("--read-data", is_flag=True, help="Also read every body and compare it with its checksum.")
@command_options
def _check(invocation: Invocation, read_data: bool) -> int:
    """Compare rows and blobs; status 8 when there are findings.

    Without --read-data bodies are only measured. With it every body is compared with the checksum of what was received;
    bodies that a version without checksums stored are read to their end, and their number is said.
    """
    config, tally = invocation.config(), ReadTally()

    async def work() -> list[dict[str, Any]]:
        from candado.apps.server_wiring import open_backend
        from candado.server.check import check_store

        async with open_backend(config) as backend:
            found = await check_store(backend, read_data=read_data, tally=tally)
        return [{"code": f.code, "severity": f.severity, "subject": f.subject, "message": f.message} for f in found]

    findings = invocation.run(work())
    lines = [f"{f['severity']}: {f['code']} {f['subject']}: {f['message']}" for f in findings]
    lines.append("sound" if not findings else f"{len(findings)} findings")
    document: dict[str, Any] = {"findings": findings, "sound": not findings}
    if read_data:
        document |= {"read": tally.read, "compared": tally.compared}
        lines.append(_told(tally))
    invocation.show("check", document, "\n".join(lines))
    return _FINDINGS if findings else 0


def _told(tally: "ReadTally") -> str:
    text = f"{tally.read} {'body' if tally.read == 1 else 'bodies'} read, {tally.compared} compared"
    rest = tally.read - tally.compared
    if rest:
        text += f"; {rest} {'body has' if rest == 1 else 'bodies have'} no checksum and "
        text += f"{'was' if rest == 1 else 'were'} read only"
    return text


@cli.command("migrate")
@click.option("--check", "only_check", is_flag=True, help="Change nothing; status 8 when steps are outstanding.")
@command_options
def _migrate(invocation: Invocation, only_check: bool) -> int:
    """Bring the schema of the database to that of this program, in one transaction, and say what was done.

    Every command that opens the database does so as well, the server too; several that start at once take turns. This
    one is for those who want to look first, or to do it at a time of their choice.
    """
    config = invocation.config()

    async def work() -> tuple[int, tuple[tuple[int, tuple[str, ...]], ...]]:
        from candado.apps.server_wiring import open_backend, outstanding_steps

        found = await outstanding_steps(config)
        if found[1] and not only_check:
            async with open_backend(config):
                pass
        return found

    version, steps = invocation.run(work())
    shown = [{"step": number, "statements": [" ".join(s.split()) for s in statements]} for number, statements in steps]
    document = {"version": version, "outstanding": shown} if only_check else {"version": version, "done": shown}
    lines = [f"step {number}: {' '.join(s.split())}" for number, statements in steps for s in statements]
    lines.append(f"{'outstanding' if only_check else 'done'}: {len(steps)}; the schema was {version}")
    invocation.show("migrate", document, "\n".join(lines))
    return _FINDINGS if steps and only_check else 0


@cli.command("backup")
@click.argument("dest", type=click.Path(path_type=Path))
@command_options
def _backup(invocation: Invocation, dest: Path) -> None:
    """Copy everything into DEST while the server runs; a second run copies only what is new."""
    from candado.apps.server_backup import make_backup

    summary = invocation.run(make_backup(invocation.config(), dest.absolute()))
    invocation.show("backup", summary, f"{summary['blobs']} bodies, {summary['bytes']} bytes in {dest}")


@cli.command("restore")
@click.argument("src", type=click.Path(path_type=Path))
@click.option("--verify", is_flag=True, help="Read everything back and compare.")
@command_options
def _restore(invocation: Invocation, src: Path, verify: bool) -> int:
    """Make a new data directory from a backup; --database and --storage say where rows and bodies go.

    Devices that have seen newer states refuse the older ones with status 14 until a person on each device runs
    `candado trust forget --folder FOLDER`. To them this looks like an attack, so tell your users by another way than
    this server, before you start it; see "After a restore" in docs/ops/backup.md.
    """
    from candado.apps.server_backup import restore_backup, verify_restored

    database, storage = (str(invocation.overrides[name] or "") for name in ("database", "storage"))
    if database:
        check_database(database)
    target = ServerConfig(data=invocation.data, database=database, storage=storage)
    summary = invocation.run(restore_backup(src.absolute(), target))
    problems: list[str] = []
    if verify:
        problems = invocation.run(verify_restored(src.absolute(), invocation.config()))
        summary["problems"] = problems
    lines = [f"{summary['blobs']} bodies restored into {invocation.data}", *problems]
    if verify:
        lines.append("verified" if not problems else f"{len(problems)} problems")
    lines.append(
        f"The state is that of {summary['time']}. Tell your users before you serve it: devices that saw newer states "
        "refuse this one until `candado trust forget --folder FOLDER`."
    )
    invocation.show("restore", summary, "\n".join(lines))
    return _FINDINGS if problems else 0


def run(arguments: list[str]) -> int:
    """Run one command; its exit status."""
    as_json = "--json" in arguments
    context: click.Context | None = None
    try:
        with cli.make_context("candado-server", list(arguments)) as context:
            result = cli.invoke(context)
            return result if isinstance(result, int) else 0
    except CandadoError as error:
        verbose = context.obj if context is not None and isinstance(context.obj, int) else 0
        return report(for_administrators(error), as_json=as_json, verbose=verbose)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        return report(InterruptedByUserError(safe="Nothing was changed."), as_json=as_json, verbose=0)
    except click.ClickException as error:
        if as_json:
            return report(UsageError(error.format_message()), as_json=True, verbose=0)
        error.show()
        return EXIT_USAGE


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
