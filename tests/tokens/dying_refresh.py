"""A process that refreshes a token and dies as by kill -9 at a step of it.

Started by a test: the arguments are the database, the token and the step.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any, NoReturn
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from infrastructure.event_store.keyring import open_keyring
from infrastructure.tokens.rotation import Rotate
from infrastructure.tokens.sessions import PostgresSessions
from tests.support.databases import ROOT_KEY
from tests.support.memory import NOON
from tests.tokens.conftest import ISSUER, REFRESH_LIFE

STEPS = ("before the read", "between read and rotation", "within the rotation", "before the answer")


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


class DyingSessions(PostgresSessions):
    """Sessions that come no further than a step."""

    step = ""

    async def _rotated(self, session_id: UUID, made: Rotate, network: str) -> int | None:
        if self.step == "between read and rotation":
            die()
        if self.step == "within the rotation":
            # The statement is on its way, and nobody is there to hear what became of it.
            rotating = asyncio.create_task(super()._rotated(session_id, made, network))
            async with self._pool.connection() as other:
                query = "SELECT 1 FROM sessions WHERE id = %s AND token_hash = %s"
                while not await (await other.execute(query, (session_id, made.chain.current))).fetchone():
                    if rotating.done():
                        break
            die()
        return await super()._rotated(session_id, made, network)


async def main(conninfo: str, token: str, step: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        keyring = open_keyring(connection, ROOT_KEY)
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
        conninfo, min_size=2, kwargs={"autocommit": True}, open=False
    )
    async with pool:
        sessions = DyingSessions(pool, keyring, life=REFRESH_LIFE, issuer=ISSUER)
        sessions.step = step
        if step == "before the read":
            die()
        await sessions.refresh(token, NOON)
        die()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3]))
