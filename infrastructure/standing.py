"""What the service stands on: the servers it was given, or those it starts itself, and the root key."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import msgspec
import psycopg

from infrastructure import embedded
from infrastructure.event_store.keyring import Keyring, open_keyring, read_epochs
from infrastructure.event_store.log import EventReader
from infrastructure.event_store.mapper import EventMapper
from infrastructure.keys.root_key import root_key
from infrastructure.postgres.lending import lends_servers
from infrastructure.postgres.migrate import migrate, shape
from infrastructure.settings import Settings
from projections import tables
from projections.catalogue import READ_MODELS

OLDEST_POSTGRES = 150000

BEGINNING = 30.0
"""Seconds for which a command waits for servers that another process is starting, or stopping."""

_LOOKS_EVERY = 0.1


class StandingError(Exception):
    """What the service needs is not there; the text says what to do."""


class TakesNoWrites(StandingError):
    """The database is a standby, or it is read-only; it may become the one that is written in a moment."""


class ServersBusy(StandingError):
    """Another process is starting or stopping the servers of the folder; they may be there in a moment."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where the servers are. `direct` reaches PostgreSQL past any pooler, for LISTEN and the append.

    `replica` is a standby that may answer reads.
    """

    conninfo: str
    direct: str
    replica: str | None = None
    nats_url: str
    root_key: bytes
    servers: embedded.EmbeddedServers | None = None


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """What the root key opens."""

    keyring: Keyring
    mapper: EventMapper
    reader: EventReader


@contextmanager
def stand(settings: Settings) -> Iterator[Standing]:
    """Own the data folder and start what was not given. Raises embedded.EmbeddedError, StandingError."""
    conninfo, es_url = settings.postgres_conninfo(), settings.es_url
    with embedded.start(settings.data_dir, postgres=conninfo is None, nats=es_url is None) as servers:
        yield _standing(settings, servers.postgres, servers.nats, servers)


@contextmanager
def attach(settings: Settings, *, create: bool = False) -> Iterator[Standing]:
    """Stand where a running service stands, or start its servers for as long as a command takes.

    Waits for another process that is just starting them. Raises StandingError where there is nothing to
    stand on yet and `create` does not say to make it, ServersBusy and embedded.EmbeddedError.
    """
    running = embedded.running(settings.data_dir)
    if settings.postgres_conninfo() is None and running is None:
        if not create and not (settings.data_dir / "pg").exists():
            raise StandingError(
                f"There is no data in {settings.data_dir}. A command works where the service does: set "
                "MG_USERS_DB_HOST, or MG_USERS_DATA_DIR, to what the service has. Where there is no service "
                "yet, `usersd run` makes one."
            )
        with ExitStack() as held:
            yield _own_or_shared(settings, held)
    else:
        yield _standing(
            settings, running.postgres if running else None, running.nats if running else None, None
        )


def _own_or_shared(settings: Settings, held: ExitStack) -> Standing:
    """What this process starts, or what another one has started that owns the folder and is not ready yet."""
    deadline = time.monotonic() + BEGINNING
    while True:
        try:
            return held.enter_context(stand(settings))
        except embedded.FolderInUse as error:
            if running := embedded.running(settings.data_dir):
                return _standing(settings, running.postgres, running.nats, None)
            if time.monotonic() > deadline:
                raise ServersBusy(
                    f"{error.happened} Its servers were not ready within {BEGINNING:.0f} s. "
                    "Try again in a moment."
                ) from None
            time.sleep(_LOOKS_EVERY)


def prepare(standing: Standing, report: object = None) -> None:
    """Bring the database to the shape this version needs."""
    say = report if callable(report) else lambda line: None
    _require_fit(standing)
    migrate(standing.direct, say)
    _tell_of_newer(shape(standing.direct).newer, say)
    _ensure_read_models(standing)


def wait_until_prepared(standing: Standing, report: Callable[[str], None], look: float = 1.0) -> None:
    """Wait, and say so once, until `usersd migrate` has brought the database to this version's shape.

    Looks every `look` seconds. Raises MigrationError where a newer version has gone too far.
    """
    _require_fit(standing)
    told = ""
    while (found := shape(standing.direct)).missing:
        first = found.missing[0].name
        if told != first:
            report(f"waiting for `usersd migrate` of this version: {first} is still missing")
            told = first
        time.sleep(look)
    _tell_of_newer(found.newer, report)
    _ensure_read_models(standing)


def _tell_of_newer(newer: Sequence[str], report: Callable[[str], None]) -> None:
    if newer:
        report(
            f"a newer version has migrated the database ({', '.join(newer)}), "
            "and this one goes on beside it: replace it when you can"
        )


def _require_fit(standing: Standing) -> None:
    if lends_servers(standing.direct):
        raise StandingError(
            "A pooler that lends a server for one transaction at a time stands where PostgreSQL itself is "
            "needed: notifications and locks do not outlive a transaction there. Set MG_USERS_DB_DIRECT_HOST "
            "and MG_USERS_DB_DIRECT_PORT to PostgreSQL; MG_USERS_DB_HOST may stay the pooler."
        )
    with psycopg.connect(standing.direct, autocommit=True) as connection:
        if connection.info.server_version < OLDEST_POSTGRES:
            raise StandingError(
                f"PostgreSQL {connection.info.server_version // 10000} is too old: 15 or later is needed."
            )
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise StandingError(f"The database is encoded in {encoding}: names of all people need UTF8.")
        if connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
            raise TakesNoWrites(
                "This PostgreSQL is a standby and takes no writes. Set MG_USERS_DB_HOST to the primary, or "
                "try again when this one has been promoted."
            )
        if connection.execute("SHOW default_transaction_read_only").fetchone() == ("on",):
            raise TakesNoWrites(
                "This database takes no writes: default_transaction_read_only is on for it or for its user. "
                "Switch that off, or try again when whoever switched it on is done."
            )


def _ensure_read_models(standing: Standing) -> None:
    with psycopg.connect(standing.direct, autocommit=True) as connection:
        for model in READ_MODELS:
            tables.ensure(connection, model)


def open_keys(standing: Standing) -> Keys:
    """Open the keyring. Raises keyring.WrongRootKey."""
    with psycopg.connect(standing.direct, autocommit=True) as connection:
        keyring = open_keyring(connection, standing.root_key)
    keyring.learn_from(lambda: read_epochs(standing.direct, standing.root_key))
    mapper = EventMapper()
    return Keys(keyring=keyring, mapper=mapper, reader=EventReader(mapper, keyring))


def _standing(
    settings: Settings,
    postgres: str | None,
    nats: str | None,
    servers: embedded.EmbeddedServers | None,
) -> Standing:
    conninfo = settings.postgres_conninfo() or postgres
    if conninfo is None:
        raise StandingError("There is no PostgreSQL: set MG_USERS_DB_HOST.")
    return Standing(
        conninfo=conninfo,
        direct=settings.postgres_direct_conninfo() or conninfo,
        replica=settings.postgres_replica_conninfo(),
        nats_url=(settings.es_url.reveal() if settings.es_url else nats) or "",
        root_key=root_key(settings, conninfo),
        servers=servers,
    )
