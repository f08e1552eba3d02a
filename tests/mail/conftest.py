"""A mail server, and services that send their mails to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from infrastructure.mail import sender
from tests.support.mail_server import MailServer
from tests.support.service import Client, running_service

PUBLIC = "https://id.example"

Mailing = Callable[..., AbstractAsyncContextManager[Client]]


class Clock:
    """Runs like any other, and can be put forward."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def advance(self, by: timedelta) -> None:
        self._ahead += by


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Due mails are looked for often, because these tests put the clock forward."""
    monkeypatch.setattr(sender, "POLL", 0.02)


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    """A server that takes every mail, as it comes."""
    server = MailServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def mailing(database: str, mail_server: MailServer, clock: Clock) -> Mailing:
    """Makes a service that sends its mails to the server, with more settings."""

    def made(**environ: Any) -> AbstractAsyncContextManager[Client]:
        settings = {
            "MG_EMAIL_HOST": "127.0.0.1",
            "MG_EMAIL_PORT": str(mail_server.port),
            "MG_EMAIL_TIMEOUT": "2s",
            "MG_EMAIL_FROM_ADDRESS": "accounts@id.example",
            "MG_EMAIL_FROM_NAME": "The Accounts",
            "MG_USERS_PUBLIC_URL": PUBLIC,
        }
        return running_service(database, mail=True, clock=clock, **(settings | environ))

    return made


@pytest.fixture
async def client(mailing: Mailing) -> AsyncIterator[Client]:
    """Somebody who speaks HTTP to a service that sends mails."""
    async with mailing() as ready:
        yield ready


@pytest.fixture
async def rows(database: str) -> AsyncIterator[Callable[..., Any]]:
    """Asks the database."""
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:

        async def ask(statement: Any, *parameters: Any) -> list[Any]:
            cursor = await connection.execute(statement, parameters)
            return await cursor.fetchall() if cursor.description else []

        yield ask
