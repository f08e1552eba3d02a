"""Takes mails that are due, sends them, and tries again what could not be sent, later and later."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from application.cancelling import heed_cancellation
from application.ports import Clock
from application.security import SecurityFact, SecurityLog
from infrastructure.event_store.log import EventReader
from infrastructure.mail import rows
from infrastructure.mail.composing import Composed, Composer, Erased, HistoryClosed, Pointless
from infrastructure.mail.kinds import MAILS
from infrastructure.mail.rows import CLAIMED_FOR, Claimed
from infrastructure.mail.transport import NotNow, Transport, Undeliverable

AT_ONCE = 4
"""Mails on their way at the same time: one slow server is not the whole queue's."""

POLL = 1.0
"""Seconds after which due mails are looked for, though nobody said that there are any."""

TIDY_EVERY = timedelta(minutes=10)
FAREWELL = 5.0
"""Seconds that mails on their way have to get there when the service stops."""

T = TypeVar("T")

_FORGOTTEN = "SELECT user_id FROM user_keys WHERE user_id = ANY(%s) AND destroyed_at IS NOT NULL"

log = logging.getLogger("usersd.mail")


class Pace(msgspec.Struct, frozen=True):
    """How long to wait after a failed try: twice as long each time, and never longer than the longest."""

    first: timedelta = timedelta(seconds=2)
    longest: timedelta = timedelta(minutes=5)

    def after(self, attempts: int) -> timedelta:
        pause = min(self.first * float(2 ** min(attempts - 1, 20)), self.longest)
        return pause * random.uniform(0.8, 1.2)  # noqa: S311


class Sender:
    """Sends mails; any number of them may run, and each mail is one's at a time."""

    def __init__(
        self,
        pool: AsyncConnectionPool,
        reader: EventReader,
        composer: Composer,
        transport: Transport,
        clock: Clock,
        security_log: SecurityLog,
        pace: Pace,
    ) -> None:
        self._pool = pool
        self._reader = reader
        self._composer = composer
        self._transport = transport
        self._clock = clock
        self._security_log = security_log
        self._pace = pace
        self._wake = asyncio.Event()
        self._tidied: datetime | None = None
        self._on_the_way: set[asyncio.Task[Any]] = set()
        self.tried: Counter[tuple[str, str]] = Counter(
            {(kind, outcome): 0 for kind in MAILS for outcome in ("sent", "again", "given_up", "needless")}
        )
        """How many tries of each kind of mail came to what."""

    def wake(self) -> None:
        """Say that mails are due."""
        self._wake.set()

    async def run(self) -> None:
        """Run until cancelled."""
        try:
            while True:
                heed_cancellation()
                if not await self._turn():
                    await self._rest()
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL):
                    while self._on_the_way:
                        await asyncio.wait(self._on_the_way)
            late = list(self._on_the_way)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _turn(self) -> bool:
        """Begin to send a mail; whether there was one."""
        try:
            await self._tidy()
            if len(self._on_the_way) >= AT_ONCE:
                await asyncio.wait(self._on_the_way, return_when=asyncio.FIRST_COMPLETED)
            # Who is told to stop in this moment has claimed a mail or has not: what is claimed is sent.
            claiming = self._begin(self._claim(), "claim")
            return await asyncio.shield(claiming)
        except (psycopg.OperationalError, PoolTimeout):
            return False
        except Exception as error:
            log.error("looking for due mails failed: %s", type(error).__name__)
            return False

    async def _claim(self) -> bool:
        async with self._pool.connection() as connection:
            mail = await rows.claim(connection, self._clock.now())
        if mail is not None:
            self._begin(self._watched(mail), f"mail {mail.id}")
        return mail is not None

    def _begin(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name=name)
        self._on_the_way.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._on_the_way.discard(task)
        if not task.cancelled():
            # Nobody waits any more for a claim that fails while the sender stops.
            task.exception()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(POLL):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._wake.clear()

    async def _watched(self, mail: Claimed) -> None:
        try:
            await self._send(mail)
        except (psycopg.OperationalError, PoolTimeout):
            # Nothing could be marked: when the claim has run out, somebody takes the mail up again.
            return
        except Exception as error:
            log.error("mail %s (%s) failed: %s", mail.id, mail.kind, type(error).__name__)
            with contextlib.suppress(psycopg.OperationalError, PoolTimeout):
                await self._again(mail, type(error).__name__)

    async def _send(self, mail: Claimed) -> None:
        spec = MAILS[mail.kind]
        if self._clock.now() - mail.created_at >= spec.patience:
            await self._drop(mail, "too late")
            return
        try:
            composed = await self._compose(mail)
            await self._transport.deliver(composed)
        except Erased:
            async with self._pool.connection() as connection:
                await rows.forget(connection, mail.user_id)
        except Pointless as reason:
            await self._drop(mail, str(reason))
        except Undeliverable as fault:
            await self._drop(mail, str(fault))
        except HistoryClosed:
            await self._again(mail, "the user's history cannot be read")
        except NotNow as fault:
            await self._again(mail, str(fault))
        else:
            await self._sent(mail)

    async def _compose(self, mail: Claimed) -> Composed:
        spec = MAILS[mail.kind]
        async with self._pool.connection() as connection:
            stream = await self._reader.read_stream(connection, mail.user_id)
            composed = self._composer.compose(mail, stream)
            if spec.link:
                # Whoever is quick, or whose mail was sent by a process that died over it, has a link
                # that works; the exact time is written when the mail is handed over.
                until = self._clock.now() + spec.life + CLAIMED_FOR
                await rows.live_until(connection, mail, until)
        return composed

    async def _sent(self, mail: Claimed) -> None:
        now, spec = self._clock.now(), MAILS[mail.kind]
        async with self._pool.connection() as connection, connection.transaction():
            await rows.mark_sent(connection, mail, now)
            if spec.link:
                await rows.live_until(connection, mail, now + spec.life)
        self.tried[mail.kind, "sent"] += 1
        log.info("mail %s (%s) was handed over", mail.id, mail.kind)

    async def _again(self, mail: Claimed, fault: str) -> None:
        due = self._clock.now() + self._pace.after(mail.attempts)
        due = min(due, mail.created_at + MAILS[mail.kind].patience)
        async with self._pool.connection() as connection:
            await rows.try_again(connection, mail, due, fault)
        self.tried[mail.kind, "again"] += 1
        log.warning(
            "mail %s (%s) could not be handed over (%s, try %d); it is tried again",
            mail.id, mail.kind, fault, mail.attempts,
        )  # fmt: skip

    async def _drop(self, mail: Claimed, reason: str) -> None:
        async with self._pool.connection() as connection:
            if not await rows.drop(connection, mail, reason):
                return
        pointless = reason in ("superseded", "same address")
        self.tried[mail.kind, "needless" if pointless else "given_up"] += 1
        log.log(
            logging.INFO if pointless else logging.WARNING,
            "mail %s (%s) was dropped: %s", mail.id, mail.kind, reason,
        )  # fmt: skip
        if mail.kind == "password_reset" and not pointless:
            await self._security_log.record(
                SecurityFact(
                    kind="reset_mail_dropped",
                    at=self._clock.now(),
                    user_id=mail.user_id,
                    detail=reason,
                )
            )

    async def _tidy(self) -> None:
        now = self._clock.now()
        if self._tidied is not None and now - self._tidied < TIDY_EVERY:
            return
        self._tidied = now
        await self._transport.tidy(now, self._forgotten)

    async def _forgotten(self, users: Sequence[UUID]) -> set[UUID]:
        async with self._pool.connection() as connection:
            found = await connection.execute(_FORGOTTEN, (list(users),))
            return {row[0] for row in await found.fetchall()}
