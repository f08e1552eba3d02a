"""What no single variable shows: combinations with which the service must not start."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from infrastructure.settings.client_files import unfit_authorities, unfit_pair
from infrastructure.settings.model import Settings
from infrastructure.settings.secret import MASK
from infrastructure.settings.table import BY_FIELD

DEFAULT = "default"

_PUBLIC_PASSWORDS = {"12345678"}
# The README of Mainflux names the first, its code the second.
_PUBLIC_SECRET_KEYS = {"mainflux", "secret"}
# A command for operators is asked for what `usersd run` is, but for the secrets of whoever answers.
_ROLES_WITH_STREAM = {"run", "relay", "command"}
# What migrates prepares what `usersd run` will find, its own database too.
_ROLES_WITH_SERVERS = {"run", "migrate", "command"}
_ROLES_THAT_ANSWER = {"run", "api"}
_PAIRS = (
    ("http_server_cert", "http_server_key"),
    ("grpc_server_cert", "grpc_server_key"),
    ("es_client_cert", "es_client_key"),
    ("auth_grpc_client_cert", "auth_grpc_client_key"),
    ("domains_grpc_client_cert", "domains_grpc_client_key"),
)

ONLY_WITH_AUTH = ("spicedb_host", "spicedb_port", "spicedb_pre_shared_key", "domains_grpc_url")
"""What an Auth service takes beside it, and what nobody asks without one."""


class Refusal(NamedTuple):
    """The settings a refusal is about, and its one line."""

    fields: tuple[str, ...]
    line: str


class _Names:
    """The variable each setting came from, or the first one it could have come from."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources

    def __getitem__(self, field: str) -> str:
        return self._sources[field] if self.chosen(field) else BY_FIELD[field].name

    def chosen(self, field: str) -> bool:
        return self._sources.get(field, DEFAULT) != DEFAULT


def check(settings: Settings, role: str = "run", sources: Mapping[str, str] | None = None) -> list[str]:
    """One line for each reason not to start in this role; `sources` makes the lines name what was set."""
    return [refusal.line for refusal in refusals(settings, role, sources or {})]


def refusals(settings: Settings, role: str, sources: Mapping[str, str]) -> Iterator[Refusal]:
    if role == "health":
        # It starts nothing, so that nothing is risked by what it is told.
        return
    names = _Names(sources)
    yield from _embedded(settings, role, names)
    yield from _root_key(settings, names)
    yield from _replica(settings, names)
    if role in _ROLES_THAT_ANSWER:
        yield from _public_secrets(settings, names)
    yield from _tls(settings, names)
    yield from _stream(settings, names)
    yield from _auth_service(settings, names)


def listens_beyond_loopback(settings: Settings) -> bool:
    return _exposed_field(settings) is not None


def _exposed_field(settings: Settings) -> str | None:
    if not is_loopback(settings.http_host):
        return "http_host"
    return None if is_loopback(settings.grpc_host) else "grpc_host"


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _embedded(settings: Settings, role: str, names: _Names) -> Iterator[Refusal]:
    """Data that matters is not kept by accident in a folder beside the program."""
    if settings.embedded:
        return
    exposed = _exposed_field(settings)
    if settings.embedded is False:
        why = f"since {names['embedded']} is false"
    elif role not in _ROLES_WITH_SERVERS:
        why = f"since only `usersd run` brings its own, or any role with {names['embedded']}=true"
    elif exposed:
        why = (
            f"since {names[exposed]}={getattr(settings, exposed)} listens beyond loopback; "
            f"{names['embedded']}=true keeps the embedded one"
        )
    else:
        return
    involved = ("embedded", "http_host", "grpc_host")
    if settings.db_host is None:
        yield Refusal(
            ("db_host", *involved),
            f"{names['db_host']} is not set: should be the host of a PostgreSQL, {why}",
        )
    if settings.es_url is None and role in _ROLES_WITH_STREAM:
        yield Refusal(
            ("es_url", *involved),
            f"{names['es_url']} is not set: should be the URL of a NATS with JetStream, {why}",
        )


def _root_key(settings: Settings, names: _Names) -> Iterator[Refusal]:
    if settings.db_host is not None and settings.root_key is None:
        expected = BY_FIELD["root_key"].kind.expected
        yield Refusal(
            ("root_key", "db_host"),
            f"{names['root_key']} is not set: should be {expected}, since {names['db_host']} names an "
            "external PostgreSQL; `openssl rand -base64 32` makes one, to be kept with the backups",
        )


def _replica(settings: Settings, names: _Names) -> Iterator[Refusal]:
    """A standby that nobody would ask is not what its operator meant."""
    for field, needed, what in (
        ("db_replica_host", "db_host", "the primary that it follows"),
        ("db_replica_lists", "db_replica_host", "the standby that answers them"),
    ):
        if getattr(settings, field) and getattr(settings, needed) is None:
            yield Refusal(
                (field, needed), f"{names[needed]} is not set: should be {what}, for {names[field]}"
            )


def _public_secrets(settings: Settings, names: _Names) -> Iterator[Refusal]:
    """What every reader of the documentation knows protects nothing."""
    exposed = _exposed_field(settings)
    if exposed is None:
        return
    address = f"{names[exposed]}={getattr(settings, exposed)}"
    why = f"since {address} listens beyond loopback and everybody knows this one"
    if settings.admin_password.reveal() in _PUBLIC_PASSWORDS:
        yield Refusal(
            ("admin_password", "http_host", "grpc_host"),
            f"{names['admin_password']}={MASK}: should be a password of your own, {why}",
        )
    # Unset, the key is harmless unless tokens are signed with it.
    matters = names.chosen("secret_key") or settings.signing_algorithm == "HS512"
    if matters and settings.secret_key.reveal() in _PUBLIC_SECRET_KEYS:
        yield Refusal(
            ("secret_key", "http_host", "grpc_host", "signing_algorithm"),
            f"{names['secret_key']}={MASK}: should be a secret of your own, {why}",
        )


def _tls(settings: Settings, names: _Names) -> Iterator[Refusal]:
    for cert, key in _PAIRS:
        for missing, given in ((cert, key), (key, cert)):
            if getattr(settings, missing) is None and getattr(settings, given) is not None:
                yield Refusal(
                    (cert, key),
                    f"{names[missing]} is not set: should be {BY_FIELD[missing].kind.expected}, "
                    f"since {names[given]} is set",
                )
    for server in ("http", "grpc"):
        authorities, cert = f"{server}_client_ca_certs", f"{server}_server_cert"
        if getattr(settings, authorities) is not None and getattr(settings, cert) is None:
            yield Refusal(
                (authorities, cert),
                f"{names[cert]} is not set: should be {BY_FIELD[cert].kind.expected}, "
                f"since {names[authorities]} asks clients for certificates",
            )


def _stream(settings: Settings, names: _Names) -> Iterator[Refusal]:
    """One way to be known to NATS, and only where there is one to be known to."""
    if settings.es_creds is not None and settings.es_nkey_seed is not None:
        yield Refusal(
            ("es_creds", "es_nkey_seed"),
            f"{names['es_nkey_seed']}={MASK}: should not be set, since {names['es_creds']} holds a seed",
        )


def _auth_service(settings: Settings, names: _Names) -> Iterator[Refusal]:
    """An Auth service issues to nobody whom SpiceDB does not hold, and somebody has to write that there."""
    if settings.auth_grpc_url is None:
        return
    why = {
        "spicedb_host": "where the Auth service looks up every user before it issues tokens",
        "spicedb_pre_shared_key": "without which nobody is written there",
        "domains_grpc_url": "which has to be told of users who are gone",
    }
    for field, reason in why.items():
        if getattr(settings, field) is None:
            yield Refusal(
                (field, "auth_grpc_url"),
                f"{names[field]} is not set: should be {BY_FIELD[field].kind.expected}, {reason}, "
                f"since {names['auth_grpc_url']} is set",
            )
    for service in ("auth", "domains"):
        yield from _shown_to(service, settings, names)
    yield from _vouching("spicedb_ca_certs", settings, names)


def _shown_to(service: str, settings: Settings, names: _Names) -> Iterator[Refusal]:
    """The files for one service of the platform."""
    authorities, cert, key = (
        f"{service}_grpc_{what}" for what in ("server_ca_certs", "client_cert", "client_key")
    )
    yield from _vouching(authorities, settings, names)
    shown, with_key = getattr(settings, cert), getattr(settings, key)
    if shown is None or with_key is None:
        return
    if getattr(settings, authorities) is None:
        yield Refusal(
            (authorities, cert),
            f"{names[authorities]} is not set: should be {BY_FIELD[authorities].kind.expected}, since "
            f"{names[cert]} is set and without authorities everything would cross the network in clear",
        )
    if fault := unfit_pair(shown, with_key):
        yield Refusal(
            (key, cert),
            f"{names[key]}={with_key}: should be the private key (PEM) of the certificate in {names[cert]}, "
            f"without a passphrase ({fault})",
        )


def _vouching(authorities: str, settings: Settings, names: _Names) -> Iterator[Refusal]:
    file = getattr(settings, authorities)
    if file is not None and (fault := unfit_authorities(file)):
        yield Refusal(
            (authorities,), f"{names[authorities]}={file}: should hold certificates (PEM) ({fault})"
        )
