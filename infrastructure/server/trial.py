"""Tries ports, templates, keys and certificates before anything is made or started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from stat import S_ISDIR

from infrastructure.mail.mailer import templates_of
from infrastructure.roles import Role
from infrastructure.server.addresses import grpc_place
from infrastructure.server.certificates import (
    Named,
    TlsFiles,
    UnfitCertificate,
    read_authorities,
    read_pair,
    variable_of,
)
from infrastructure.server.rehearsal import rehearse
from infrastructure.serving import address_of
from infrastructure.settings import Loaded, Settings
from interfaces.cli.output import USAGE
from interfaces.cli.tools import CommandFailed

__all__ = ["UnfitCertificate", "require_fit", "try_out"]

_CLIENTS = ("es_client", "auth_grpc_client", "domains_grpc_client")
_AUTHORITIES = (
    "es_ca_certs",
    "auth_grpc_server_ca_certs",
    "domains_grpc_server_ca_certs",
    "spicedb_ca_certs",
    "email_ca_certs",
)


def try_out(role: Role, settings: Settings) -> None:
    """Raises CannotListen for a port that is taken, TemplateError for a mail that cannot be written.

    Raises CommandFailed for a data folder that is none, where the role writes there.
    """
    if role.does(Role.SWEEPER) or (role is Role.MAILER and not settings.email_host):
        _require_folder(settings.data_dir)
    address_of(settings, role)
    if role.answers and settings.grpc_enabled:
        grpc_place(settings)
    if role.does(Role.MAILER):
        templates_of(settings)


def _require_folder(data_dir: Path) -> None:
    try:
        fits = S_ISDIR(data_dir.stat().st_mode)
    except NotADirectoryError:
        fits = False
    except OSError:
        # What is not there yet is made, and what is closed is told of by whoever cannot write.
        return
    if not fits:
        raise CommandFailed(f"MG_USERS_DATA_DIR={data_dir}: should be a directory (it is a file)", USAGE)


def require_fit(loaded: Loaded) -> list[str]:
    """One line for each certificate that clients refuse today. Takes half a second where HTTPS is served.

    Raises CommandFailed with one line for each file that cannot be used.
    """
    faults, warnings = [], []
    for look in _looks(loaded.settings):
        try:
            for field, trouble in look().items():
                warnings.append(
                    f"{variable_of(field, loaded.sources)}={getattr(loaded.settings, field)}: {trouble}: "
                    "clients that check it refuse to connect. A new one is taken up without a restart."
                )
        except UnfitCertificate as error:
            faults.append(error.line(loaded.sources))
    if faults:
        raise CommandFailed("\n".join(faults), USAGE)
    return warnings


def _looks(settings: Settings) -> Iterator[Callable[[], dict[str, str]]]:
    """One look for each; it raises UnfitCertificate, or tells by setting why clients refuse it."""
    for server in ("http", "grpc"):
        if files := TlsFiles.of(settings, server):
            yield partial(_at_server, files)
    for client in _CLIENTS:
        certificate, key = _named(settings, f"{client}_cert"), _named(settings, f"{client}_key")
        if certificate and key:
            yield partial(_at_client, certificate, key)
    for field in _AUTHORITIES:
        if named := _named(settings, field):
            yield partial(_at_authorities, named)


def _at_server(files: TlsFiles) -> dict[str, str]:
    material = files.read()
    if files.server == "http":
        rehearse(files, material)
    trouble = material.trouble(datetime.now(UTC))
    return {files.certificate_field: trouble} if trouble else {}


def _at_client(certificate: Named, key: Named) -> dict[str, str]:
    read_pair(certificate, key, served=False)
    return {}


def _at_authorities(named: Named) -> dict[str, str]:
    read_authorities(named)
    return {}


def _named(settings: Settings, field: str) -> Named | None:
    file = getattr(settings, field)
    return Named(field, file) if file else None
