"""Throw-away databases: migrated once into a template, copied for each test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Composable, Identifier

from infrastructure.standing import Standing, prepare
from tests.support.waiting import at_last

ROOT_KEY = b"0123456789abcdef" * 2
_numbers = itertools.count(1)


class Databases:
    """Makes databases on one PostgreSQL server."""

    def __init__(self, server: str) -> None:
        self.server = server
        self._admin = make_conninfo(server, dbname="postgres")
        self._template = f"usersd_template_{os.getpid()}"
        self._run(SQL("CREATE DATABASE {}").format(Identifier(self._template)))
        prepare(standing(make_conninfo(server, dbname=self._template)))

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """The conninfo of a migrated, empty database."""
        with self._made(
            SQL(" TEMPLATE {} STRATEGY file_copy").format(Identifier(self._template))
        ) as conninfo:
            yield conninfo

    @contextmanager
    def unmigrated(self) -> Iterator[str]:
        """The conninfo of a database without a single table."""
        with self._made(SQL("")) as conninfo:
            yield conninfo

    @contextmanager
    def _made(self, how: Composable) -> Iterator[str]:
        name = f"usersd_test_{os.getpid()}_{next(_numbers)}"
        self._run(SQL("CREATE DATABASE {}").format(Identifier(name)) + how)
        try:
            yield make_conninfo(self.server, dbname=name)
        finally:
            at_last(lambda: self._dropped(name))

    def _dropped(self, name: str) -> bool:
        try:
            self._run(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))
        except psycopg.errors.InsufficientPrivilege:
            # An autovacuum worker is in it, whom only a superuser may end; it leaves by itself.
            return False
        return True

    def _run(self, statement: object) -> None:
        with psycopg.connect(self._admin, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]


def standing(conninfo: str, nats_url: str = "") -> Standing:
    """A service's footing on a test database."""
    return Standing(conninfo=conninfo, direct=conninfo, nats_url=nats_url, root_key=ROOT_KEY)
