"""Writers in processes of their own: they race for the same users and note whatever was acknowledged."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg

from application.messages import Context
from application.ports import Change
from domain import events
from domain.access import SYSTEM, Actor
from domain.errors import Refusal
from domain.events import Event
from domain.user import evolve
from tests.support.writer import AT, Writer

AT_ONCE = 8
NAIVE_AT_ONCE = 8
ERASURES = 0.01
AGAIN = 0.05


def crowd(seed: int, size: int) -> list[UUID]:
    """The users that all writers of a seed write about."""
    chance = random.Random(seed)
    return [UUID(int=chance.getrandbits(128), version=4) for _ in range(size)]


class Racer:
    """One process's writer; `number` is no other one's, nor that of an earlier process."""

    def __init__(self, writer: Writer, users: Sequence[UUID], number: int, seed: int, notes: int) -> None:
        self._writer = writer
        self._users = users
        self._chance = random.Random(f"{seed}:{number}")
        self._notes = notes

    async def write(self, pause: float) -> None:
        """Append without end, with pauses of so many seconds on average."""
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / pause))
            user_id = self._chance.choice(self._users)
            try:
                await self._command(user_id)
            except Refusal as refusal:
                self._note(f"{refusal.code}\n")

    async def _command(self, user_id: UUID) -> None:
        before = await self._writer.log.load(user_id)
        if before.user.version and not before.user.exists:
            return
        by = SYSTEM if self._chance.random() < 0.3 else Actor("user", self._chance.choice(self._users))
        new = self._events(before.user.version, by)
        after = before.user
        for event in new:
            after = evolve(after, event)
        context = Context(actor=by, at=AT, command_id=uuid4(), correlation_id=uuid4())
        position = await self._writer.log.append(
            Change(before=before, after=after, events=new, context=context)
        )
        self._note(f"stored {position} {user_id} {after.version} {context.command_id}\n")

    def _events(self, version: int, by: Actor) -> list[Event]:
        if version and self._chance.random() < ERASURES:
            return [events.ErasureRequested(at=AT, by=by.id)]
        first = [] if version else [self._writer.beginning(self._chance)]
        more = self._chance.choice((0, 0, 0, 1, 2)) if first else self._chance.choice((1, 1, 1, 2, 3))
        later = (
            self._writer.any_event(self._chance, AT + timedelta(seconds=version + number), by.id)
            for number in range(1, more + 1)
        )
        return [*first, *later]

    def _note(self, line: str) -> None:
        os.write(self._notes, line.encode())


def write(conninfo: str, folder: Path, seed: int, number: int, size: int, pause: float) -> None:
    """Write until killed."""
    notes = os.open(folder / f"acknowledged.{number}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def race() -> None:
        async with Writer(conninfo, first=number * 1_000_000) as writer:
            racer = Racer(writer, crowd(seed, size), number, seed, notes)
            await asyncio.gather(*(racer.write(pause * AT_ONCE) for _ in range(AT_ONCE)))

    while True:
        try:
            asyncio.run(race())
        except (psycopg.OperationalError, psycopg.InterfaceError):
            # The database was away when the keys were asked for.
            asyncio.run(asyncio.sleep(AGAIN))


def write_naively(conninfo: str) -> None:
    """Fill the naive log from transactions that overlap, until killed."""

    async def one(chance: random.Random) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(conninfo) as connection:
                    while True:
                        await connection.execute("INSERT INTO naive_events DEFAULT VALUES")
                        await asyncio.sleep(chance.random() * 0.1)
                        await connection.commit()
                        await asyncio.sleep(chance.random() * 0.02)
            except psycopg.Error:
                await asyncio.sleep(AGAIN)

    async def overlapping() -> None:
        await asyncio.gather(*(one(random.Random(number)) for number in range(NAIVE_AT_ONCE)))

    asyncio.run(overlapping())


class Acknowledged:
    """What the writers noted: the writes that were stored, and how often each refusal was met."""

    def __init__(self, folder: Path) -> None:
        self.stored: list[tuple[int, UUID, int, UUID]] = []
        self.refused: dict[str, int] = {}
        for path in sorted(folder.glob("acknowledged.*")):
            # The last line of a killed one may be cut short.
            for line in path.read_text().split("\n")[:-1]:
                if line.startswith("stored "):
                    _, position, user_id, version, command = line.split()
                    self.stored.append((int(position), UUID(user_id), int(version), UUID(command)))
                else:
                    self.refused[line] = self.refused.get(line, 0) + 1
