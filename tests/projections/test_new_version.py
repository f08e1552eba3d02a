"""A read model of another shape is built beside the old one, which others follow; nobody sees half of it."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import psycopg

from infrastructure.reads.readiness import unread
from projections import tables
from projections.catalogue import READ_MODELS
from projections.projector import Projector
from projections.users.projector import Users
from tests.projections.projecting import check_read_models, one, projecting, rows
from tests.projections.test_ownership import lonely_projector
from tests.support.service import running_service
from tests.support.waiting import eventually
from tests.support.writer import Writer

_POSITION = "SELECT position FROM projections WHERE name = 'users' AND version = %s AND live"
_RELATIONS = "SELECT relname FROM pg_class WHERE relname ~ '^users_v1' AND relkind IN ('r', 'v')"


class NewUsers(Users):
    """As a later version of the service knows it."""

    version: ClassVar[int] = 2


async def test_a_new_version_is_built_while_the_old_one_goes_on(writer: Writer) -> None:
    await writer.random_history(23, users=20, events_each=3)
    conninfo = writer.conninfo
    old = lonely_projector(writer)
    try:
        await followed(writer, 1)
        assert await readiness(conninfo) == "users is not built yet"
        async with projecting(writer, NewUsers()):
            await followed(writer, 2)
            assert await readiness(conninfo) == "ok"
            await writer.register(3)
            await followed(writer, 1)
            await followed(writer, 2)
        query = "SELECT id, version, document FROM users_v{} ORDER BY id"
        assert rows(conninfo, query.format(2)) == rows(conninfo, query.format(1))
        with psycopg.connect(conninfo, autocommit=True) as connection:
            assert tables.older(connection, NewUsers()) == [], "a process goes on with it"
            assert tables.older(connection, Users()) == []
    finally:
        old.kill()
        old.wait()
    # As after ten seconds without anybody who renews it.
    rows(conninfo, "UPDATE projections SET lease_until = now() - interval '1 min' RETURNING 1")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        assert tables.older(connection, NewUsers()) == [(1, 1)]
        connection.execute(
            "SELECT pg_advisory_lock(hashtextextended(%s, 0))", (tables.rebuild_lock("users", 1),)
        )
        with psycopg.connect(conninfo, autocommit=True) as other:
            assert not tables.drop_version(other, "users", 1), "it is being rebuilt"
        assert tables.drop_version(connection, "users", 1)
    assert rows(conninfo, _RELATIONS) == []
    assert one(conninfo, "SELECT count(*) FROM users_v2") == 23


async def test_an_old_version_is_kept_until_the_new_one_is_read(writer: Writer) -> None:
    await writer.register(3)
    with psycopg.connect(writer.conninfo, autocommit=True) as connection:
        assert tables.begin(connection, NewUsers()) == 1
        assert tables.older(connection, NewUsers()) == []


async def followed(writer: Writer, version: int) -> None:
    """Until a version of the read model has all that is in the log."""

    async def there() -> bool:
        head = one(writer.conninfo, "SELECT max(position) FROM events")
        return bool(one(writer.conninfo, _POSITION, version) == head)

    await eventually(there, 30)


async def readiness(conninfo: str) -> str:
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        return await unread(connection, [NewUsers()])


async def test_until_a_read_model_is_built_readiness_and_every_query_say_503(any_database: str) -> None:
    async with running_service(any_database, project=False) as client, Writer(any_database) as writer:
        await writer.register(5)
        admin = await client.as_admin()
        # As a database looks like that was written before there was this read model.
        with psycopg.connect(any_database, autocommit=True) as connection:
            for model in READ_MODELS:
                assert tables.drop_version(connection, model.name, model.version)
        (some_user,) = rows(any_database, "SELECT stream_id FROM events ORDER BY position DESC LIMIT 1")[0]
        for path in ("/readyz", "/users", "/users?only_total=true", f"/users/{some_user}/history"):
            answer = await client.http.get(path, headers=admin)
            assert answer.status_code == 503, path
            assert int(answer.headers["Retry-After"]) > 0
        shown = (await client.http.get("/readyz")).json()["checks"]
        assert shown["read_models"].startswith("users is not built yet; ")
        projectors = [asyncio.create_task(projector.run()) for projector in client.service.projectors]
        try:

            async def ready() -> bool:
                return (await client.http.get("/readyz")).status_code == 200

            await eventually(ready, 30)
            page = (await client.http.get("/users", headers=admin)).json()
            assert page["total"] == 6
            await check_read_models(any_database)
        finally:
            for task in projectors:
                task.cancel()
            await asyncio.gather(*projectors, return_exceptions=True)


async def test_how_far_a_read_model_is_that_is_being_built_is_told(writer: Writer) -> None:
    await writer.register(10)
    with psycopg.connect(writer.conninfo, autocommit=True) as connection:
        tables.begin(connection, NewUsers())
    assert await readiness(writer.conninfo) == "users is being built: 0 of 10 events"
    rows(writer.conninfo, "UPDATE projections SET position = 10 WHERE version = 2 RETURNING 1")
    told = "users is being built: the log is read, its indexes are made and it is verified"
    assert await readiness(writer.conninfo) == told


async def test_of_two_projectors_of_a_new_version_one_builds_it(writer: Writer) -> None:
    await writer.register(10)
    two = [NewUsers(), NewUsers()]
    async with projecting(writer, *two) as projectors:
        assert all(isinstance(projector, Projector) for projector in projectors)
        await followed(writer, 2)
    query = "SELECT generation, state FROM projections WHERE version = 2"
    assert rows(writer.conninfo, query) == [(1, "live")]
