"""Tells a receiver that the operator has named, once a day, which versions run and roughly for how many.

Nobody is named and nothing is told apart: no id, no address, no host. What is sent is all in `Message`.
"""

from __future__ import annotations

import base64
import logging
import platform
import random
import threading
import urllib.request
from datetime import timedelta
from math import log10
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from interfaces.scheduler import Job

SECONDS = 5.0
"""How long the receiver may take."""

COUNTED = 1_000
"""Up to so many users are counted; beyond it, the statistics of the database say how many there are."""

FACTS = """
SELECT current_setting('server_version_num')::int / 10000,
       CASE WHEN counted.users < %(counted)s THEN counted.users
            ELSE greatest(counted.users, (SELECT reltuples FROM pg_class WHERE oid = 'credentials'::regclass))
       END
FROM (SELECT count(*) AS users FROM (SELECT 1 FROM credentials LIMIT %(counted)s) AS first_ones) AS counted"""

log = logging.getLogger("usersd.telemetry")


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is sent. `users` is rounded to a power of ten."""

    service: str = "users"
    version: str
    python: str
    postgres: int
    users: int


class CallHome:
    """Sends a message and forgets it: whatever goes wrong is told at debug and tried again the next day."""

    def __init__(self, url: str, pool: AsyncConnectionPool, version: str) -> None:
        self._url = url
        self._pool = pool
        self._version = version

    def job(self) -> Job:
        """Once a day over all replicas; the jitter keeps installations from calling all at once."""
        jitter = timedelta(seconds=random.randrange(3600))  # noqa: S311
        return Job("telemetry", timedelta(days=1) + jitter, self.run)

    async def run(self) -> str:
        """Begin to send; a stop does not wait for a slow receiver."""
        try:
            message = await self.message()
        except (psycopg.Error, PoolTimeout) as error:
            log.debug("no telemetry: %s", type(error).__name__)
            return ""
        threading.Thread(target=self._send, args=(message,), name="telemetry", daemon=True).start()
        return f"sending {msgspec.json.encode(message).decode()}"

    async def message(self) -> Message:
        """What would be sent now."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(FACTS, {"counted": COUNTED})).fetchone()
        assert row is not None
        return message_of(row, self._version)

    def _send(self, message: Message) -> None:
        try:
            with urllib.request.urlopen(_request(self._url, message), timeout=SECONDS):  # noqa: S310
                log.debug("telemetry was sent")
        except (OSError, ValueError) as error:
            log.debug("telemetry was not sent: %s", type(error).__name__)


def message_of(row: tuple[Any, ...], version: str) -> Message:
    """The message that follows from what the database says."""
    postgres, users = row
    return Message(
        version=version, python=platform.python_version(), postgres=postgres, users=rounded(int(users))
    )


def rounded(count: int) -> int:
    """The nearest power of ten; 0 for nobody."""
    return 10 ** round(log10(count)) if count else 0


def _request(url: str, message: Message) -> urllib.request.Request:
    """A POST; a user and password in the URL become a header (RFC 7617), as every client has it."""
    parts = urlsplit(url)
    headers = {"Content-Type": "application/json", "User-Agent": "usersd"}
    if parts.username is not None:
        both = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(both.encode()).decode()
        parts = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    # The table of settings lets http and https through and nothing else.
    return urllib.request.Request(parts.geturl(), msgspec.json.encode(message), headers, method="POST")  # noqa: S310
