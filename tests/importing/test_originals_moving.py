"""A whole database of a service before this one moves in, and everybody logs in as they always have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from application.import_runs import ImportWanted
from application.importing import Offered, SourceLost
from infrastructure.importing import originals
from infrastructure.importing.bringing import bring
from infrastructure.importing.originals import Original, source_of
from infrastructure.standing import Keys, open_keys
from tests.importing.original_crowd import SHAPES, Row, crowd, document, names, original
from tests.support.databases import Databases, standing
from tests.support.service import Client, running_service
from tests.support.waiting import eventually

AT_ONCE = 24
FEW, MANY = 250, 10_000
FEWER = 60
LAST = ("magistrala_users", "mainflux_clients")
"""What most deployments will come from."""
SLOW = (pytest.mark.system, pytest.mark.timeout(1800))
"""So many logins take minutes, and more where others use the machine."""


async def logs_in(client: Client, row: Row, shape: str) -> str:
    """What comes of logging in by every name and in the dialect's own words; empty where all is as it was."""
    expected = 201 if row["plain"] and (row["status"] == 0) else 401
    for name in names(row, SHAPES[shape] if shape != "magistrala_clients" else "mainflux"):
        if SHAPES[shape] == "magistrala":
            body = {"username": name, "password": row["plain"] or "changeMe123"}
        else:
            body = {"identity": name, "secret": row["plain"] or "changeMe123"}
        answer = await client.http.post("/users/tokens/issue", json=body)
        if answer.status_code != expected:
            return f"{name}: {answer.status_code} and not {expected}: {answer.text}"
    return ""


async def everybody(client: Client, rows: Sequence[Row], shape: str) -> list[str]:
    """Whoever could not log in as before, some at a time."""
    complaints: list[str] = []
    left = iter(rows)

    async def work() -> None:
        for row in left:
            if complaint := await logs_in(client, row, shape):
                complaints.append(complaint)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return complaints


async def listed(client: Client) -> dict[str, Row]:
    """Every user as an admin sees them in lists, and alone where lists leave something out."""
    headers = await client.as_admin()
    found: dict[str, Row] = {}
    link = "/users?limit=100&status=all"
    while link:
        answer = await client.http.get(link, headers=headers)
        assert answer.status_code == 200, answer.text
        found |= {user["id"]: user for user in answer.json()["users"]}
        link = answer.headers.get("link", "").partition(">")[0].lstrip("<")
    return found


@pytest.fixture
def keys(database: str) -> Keys:
    return open_keys(standing(database))


@pytest.fixture
def rows(shape: str, count: int) -> list[Row]:
    found = crowd(count)
    # There was no third status in the oldest one.
    return [row | {"status": min(row["status"], 1)} for row in found] if shape == "mainflux_users" else found


@pytest.fixture
def there(databases: Databases, shape: str, rows: list[Row]) -> Iterator[str]:
    """Made before a service runs, since making and removing a database waits for every connection."""
    with original(databases, shape, rows) as dsn:
        yield dsn


@pytest.fixture
async def here(there: str, database: str) -> AsyncIterator[Client]:
    async with running_service(database) as client:
        yield client


@pytest.mark.parametrize(
    ("shape", "count"),
    [
        *(pytest.param(shape, FEW if shape in LAST else FEWER, id=f"{shape}, some") for shape in SHAPES),
        *(pytest.param(shape, MANY, id=f"{shape}, 10,000", marks=SLOW) for shape in LAST),
    ],
)
async def test_everybody_moves_in_and_logs_in_with_the_old_secret_in_the_old_words(
    there: str, database: str, here: Client, keys: Keys, shape: str, count: int, rows: list[Row]
) -> None:
    brought = await bring(database, keys, source_of(there, SHAPES[shape]), ImportWanted())
    assert (brought.imported, brought.refused) == (count, 0), brought.reasons
    assert await everybody(here, rows, shape) == []

    async def seen() -> bool:
        answer = await here.http.get("/users?limit=1&status=all", headers=await here.as_admin())
        return bool(answer.json()["total"] == count + 1)

    await eventually(seen, within=60)
    if count <= FEW:
        users = await listed(here)
        headers = await here.as_admin()
        for row in rows:
            full = (await here.http.get(f"/users/{row['id']}", headers=headers)).json()
            assert full == document(row, shape)
            assert users[row["id"]]["email"] == row["email"]


async def test_nothing_comes_twice_when_the_other_database_goes_away_in_the_middle(
    databases: Databases, database: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(originals, "PAGE", 50)
    rows = crowd(200)
    with original(databases, "magistrala_users", rows) as dsn:
        with closed_for_new_ones(dsn) as close:
            going = LostAt(60, source_of(dsn, "magistrala", patience=0.3), close)
            with pytest.raises(SourceLost):
                await bring(database, keys, going, ImportWanted())
        brought = await bring(database, keys, source_of(dsn, "magistrala"), ImportWanted())
    assert brought.refused == 0
    assert brought.already >= 60
    assert brought.imported + brought.already == 200
    with psycopg.connect(database) as connection:
        events = connection.execute("SELECT count(*), count(DISTINCT stream_id) FROM events").fetchone()
    assert events == (200, 200)


class LostAt:
    """A source whose database goes away at a place."""

    def __init__(self, place: int, source: Original, close: Callable[[], None]) -> None:
        self._place = place
        self._source = source
        self._close = close
        self.size = source.size

    def offered(self, after: int = 0) -> Iterator[Offered]:
        for offered in self._source.offered(after):
            if offered.place == self._place:
                self._close()
            yield offered


@contextmanager
def closed_for_new_ones(dsn: str) -> Iterator[Callable[[], None]]:
    """What cuts the connections of a database and lets nobody in again, until the end."""
    name = conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(make_conninfo(dsn, dbname="postgres"), autocommit=True) as connection:

        def close() -> None:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
            )

        yield close
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
