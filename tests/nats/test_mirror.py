"""The example that copies all users ends with exactly what the read model holds, whatever happens."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import nats
import psycopg
import pytest

from application.commands.erase_user import EraseUser
from application.messages import Context
from domain.access import OPERATOR
from examples import mirror_users
from infrastructure.accounts.clients import PostgresClientAdministration
from infrastructure.nats.connection import close
from infrastructure.nats.stream import STREAM
from infrastructure.serving import application
from infrastructure.settings import load
from infrastructure.standing import prepare
from tests.nats.broker import Broker
from tests.support.databases import standing
from tests.support.listening import listening
from tests.support.service import Client, running_service
from tests.support.waiting import eventually

MIRRORS = int(os.environ.get("USERSD_TEST_MIRRORS", "10"))
WRITES = int(os.environ.get("USERSD_TEST_MIRROR_WRITES", "200"))
PATIENCE = 60.0 + MIRRORS

Users = dict[str, tuple[int, dict[str, Any]]]


class World:
    """A service with everything running, and somebody who writes to it."""

    def __init__(self, client: Client, url: str, broker: Broker, folder: Path) -> None:
        self.client = client
        self.url = url
        self.broker = broker
        self.folder = folder
        self.users: list[str] = []
        account = PostgresClientAdministration(client.service.pool.conninfo, lambda: datetime.now(UTC)).add(
            "mirror", ["follow_feed"]
        )
        self.account = f"{account.id}:{account.secret}"

    async def write(self, times: int, seed: int) -> None:
        """So many changes of all kinds, to anybody."""
        chance = random.Random(seed)
        admin = await self.client.as_admin()
        for _ in range(times):
            if len(self.users) < 10 or chance.random() < 0.2:
                self.users.append((await self.client.register(metadata={"site": chance.random()}))["id"])
                continue
            user = chance.choice(self.users)
            name = f"n{chance.getrandbits(40):x}"
            method, path, body = chance.choice(
                [
                    ("PATCH", "", {"first_name": name, "metadata": {"ü": name}}),
                    ("PATCH", "", {"private_metadata": {"canary": name}}),
                    ("PATCH", "/tags", {"tags": [name]}),
                    ("PATCH", "/email", {"email": f"{name}@example.com"}),
                    ("PATCH", "/username", {"username": name}),
                    ("POST", "/disable", None),
                    ("POST", "/enable", None),
                    ("DELETE", "", None),
                ]
            )
            await self.client.http.request(method, f"/users/{user}{path}", json=body, headers=admin)
            if chance.random() < 0.05:
                await self.erase(self.users.pop(chance.randrange(len(self.users))))

    async def erase(self, user_id: str) -> None:
        command_id = uuid4()
        context = Context(
            actor=OPERATOR, at=datetime.now(UTC), command_id=command_id, correlation_id=command_id
        )
        await self.client.service.bus.dispatch(EraseUser(user_id=UUID(user_id)), context)

    async def last_word(self) -> int:
        """The position of one last message, when every erasure is done."""
        await eventually(self._nobody_is_being_erased, PATIENCE)
        await self.client.register()
        return await self.client.service.bus.ports.log.head()

    async def _nobody_is_being_erased(self) -> bool:
        async with self.client.service.pool.connection() as connection:
            cursor = await connection.execute("SELECT count(*) FROM erasures WHERE certificate IS NULL")
            return bool(await cursor.fetchone() == (0,))

    async def read_model(self) -> Users:
        """What the read model holds, in the form of the copies."""
        async with self.client.service.pool.connection() as connection:
            rows = await (await connection.execute("SELECT version, document FROM users_v1")).fetchall()
        documents = [(version, msgspec.json.decode(document)) for version, document in rows]
        return {user["id"]: (version, mirror_users.from_feed(user)) for version, user in documents}

    async def mirror(self, name: str, until: int) -> Users:
        """Run a copy until it is at a position; what it holds."""
        copy = mirror_users.Copy(str(self.folder / name))
        try:
            async with await nats.connect(self.broker.url) as connection:
                mirror = mirror_users.Mirror(copy, self.url, self.account, connection.jetstream())
                async with asyncio.timeout(PATIENCE):
                    await mirror.run(until)
        finally:
            copy.database.close()
        return held(self.folder / name)

    async def start_program(self, name: str, until: int) -> asyncio.subprocess.Process:
        """The same as a program of its own."""
        environ = {"NATS_URL": self.broker.url, "USERSD_URL": self.url, "USERSD_CLIENT": self.account}
        return await asyncio.create_subprocess_exec(
            sys.executable, mirror_users.__file__, str(self.folder / name), "--until", str(until),
            env=os.environ | environ,
        )  # fmt: skip


def held(file: Path) -> Users:
    """What a copy holds."""
    database = sqlite3.connect(file)
    try:
        rows = database.execute("SELECT id, version, document FROM users").fetchall()
        return {user_id: (version, msgspec.json.decode(document)) for user_id, version, document in rows}
    finally:
        database.close()


@asynccontextmanager
async def running(database: str, broker: Broker, folder: Path) -> AsyncIterator[World]:
    prepare(standing(database))
    # The copies read the feed in threads of this process.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(MIRRORS + 8))
    variables: dict[str, Any] = {
        "MG_USERS_ERASURE_LEDGER": str(folder / "ledger.ndjson"),
        "MG_USERS_DATA_DIR": str(folder),
    }
    async with running_service(database, broker.url, **variables) as client:
        app = application(client.service, load({}).settings)
        erasing = asyncio.create_task(client.service.erasure.run())
        async with listening(app) as made:
            yield World(client, f"http://127.0.0.1:{made.port}", broker, folder)
        erasing.cancel()
        await asyncio.gather(erasing, return_exceptions=True)


@pytest.fixture
async def world(database: str, broker: Broker, tmp_path: Path) -> AsyncIterator[World]:
    async with running(database, broker, tmp_path) as made:
        yield made


async def test_copies_that_begin_at_any_moment_while_others_write_end_as_the_read_model_is(
    world: World,
) -> None:
    chance = random.Random(7)
    done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    log = world.client.service.bus.ports.log

    async def copied(number: int, begins: int) -> Users:
        async def reached() -> bool:
            return done.done() or await log.head() >= begins

        await eventually(reached, PATIENCE)
        # Once to begin while others write, and again to go on to the end.
        await world.mirror(f"{number}.db", begins + 5)
        return await world.mirror(f"{number}.db", await done)

    async def written() -> None:
        await asyncio.gather(*(world.write(WRITES // 4, seed) for seed in range(4)))
        done.set_result(await world.last_word())

    begins = [chance.randrange(WRITES // 2) for _ in range(MIRRORS)]
    *copies, _ = await asyncio.gather(
        *(copied(number, begun) for number, begun in enumerate(begins)), written()
    )
    wanted = await world.read_model()
    assert len(wanted) > 10
    assert "canary" not in str(copies)
    for copy in copies:
        assert copy == wanted


async def test_a_copy_that_is_killed_again_and_again_goes_on_where_it_was(world: World) -> None:
    await world.write(40, 1)
    for number in range(3):
        reading = await world.start_program("copy.db", 10**9)
        await world.write(20, 10 + number)
        reached = await world.client.service.bus.ports.log.head()

        async def is_there(goal: int = reached - 5) -> bool:
            return (world.folder / "copy.db").exists() and _position(world.folder / "copy.db") >= goal

        await eventually(is_there, PATIENCE)
        reading.kill()
        assert await reading.wait() == -9
    last = await world.start_program("copy.db", await world.last_word())
    assert await asyncio.wait_for(last.wait(), PATIENCE) == 0
    assert held(world.folder / "copy.db") == await world.read_model()


def _position(file: Path) -> int:
    database = sqlite3.connect(file)
    try:
        return int(database.execute("SELECT max(position) FROM place").fetchone()[0] or 0)
    except sqlite3.OperationalError:
        return 0
    finally:
        database.close()


async def test_a_copy_begins_anew_when_the_stream_is_another_or_has_let_go_of_what_it_never_saw(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    await world.write(20, 1)
    await world.mirror("copy.db", await world.last_word())
    client = await world.broker.client()
    try:
        await client.jetstream().delete_stream(STREAM)
        await world.write(20, 2)
        assert await world.mirror("copy.db", await world.last_word()) == await world.read_model()
        assert "another than before" in capsys.readouterr().out
        await world.write(20, 3)
        await world.client.register()
        await eventually(lambda: _relayed(world), PATIENCE)
        await client.jetstream().purge_stream(STREAM)
        await world.write(5, 4)
        assert await world.mirror("copy.db", await world.last_word()) == await world.read_model()
        assert "let go of messages" in capsys.readouterr().out
    finally:
        await close(client)


async def _relayed(world: World) -> bool:
    head = await world.client.service.bus.ports.log.head()
    async with await psycopg.AsyncConnection.connect(world.client.service.pool.conninfo) as connection:
        row = await (await connection.execute("SELECT position FROM relays")).fetchone()
        return row is not None and row[0] >= head
