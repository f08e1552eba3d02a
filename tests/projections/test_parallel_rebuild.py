"""Several processes fill a generation at once, each the users of one part; any of them may be killed."""

from __future__ import annotations

import asyncio
import base64
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import psycopg
import pytest

from application.operations import Progress, RebuildRunning, WorkerLost
from infrastructure.rebuilding import SpawnedWorkers
from projections import parts
from projections import rebuild as rebuilding
from projections.catalogue import READ_MODELS
from projections.generation import Generation
from projections.others import Others
from projections.pace import Pace
from projections.readmodel import ReadModel
from projections.rebuild import rebuild
from projections.users.projector import Users
from tests.projections.commanding import rebuild_and_die, rebuild_and_get
from tests.projections.projecting import caught_up, check_read_models, one, projecting, rows
from tests.projections.test_rebuild import generations
from tests.support.databases import ROOT_KEY, standing
from tests.support.waiting import eventually
from tests.support.writer import Writer

each_model = pytest.mark.parametrize("model", READ_MODELS, ids=lambda model: model.name)

_PARTS = "SELECT part, parts, position, target FROM projection_parts ORDER BY part"


@pytest.fixture
async def writer(database: str) -> AsyncIterator[Writer]:
    """Appends to an empty log. One server is enough: what is special here are the processes."""
    async with Writer(database) as ready:
        yield ready


@pytest.fixture(autouse=True)
def _worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "WORTH", 10)


@each_model
async def test_parts_that_are_filled_at_once_make_the_same_rows(writer: Writer, model: ReadModel) -> None:
    users = await writer.random_history(5, users=60, events_each=4)
    for user in users[:3]:
        writer.forget(user)
    async with projecting(writer):
        written = asyncio.create_task(writer.random_history(6, users=40, events_each=4))
        workers = SpawnedWorkers(standing(writer.conninfo))
        # The rate makes pages of a few events, so that the workers write many times at once.
        rebuilt = await rebuild(model, writer.reader, writer.conninfo, workers=workers, parallel=3, rate=300)
        await written
    assert len(workers.running) == 3
    assert (rebuilt.generation, rebuilt.parked) == (2, 0)
    async with projecting(writer):
        await caught_up(writer.conninfo)
        await check_read_models(writer.conninfo)
    assert rows(writer.conninfo, _PARTS) == []


async def test_every_user_is_in_one_part_only(writer: Writer) -> None:
    await writer.random_history(2, users=20, events_each=3)
    async with await psycopg.AsyncConnection.connect(writer.conninfo, autocommit=True) as connection:
        whole = await writer.reader.read(connection, 0, 1000)
        divided = [await writer.reader.read_part(connection, 0, len(whole), number, 3) for number in range(3)]
    assert sorted(event.position for part in divided for event in part) == [event.position for event in whole]
    users = [{event.user_id for event in part} for part in divided]
    assert len(set.union(*users)) == sum(len(of_part) for of_part in users)
    for part in divided:
        assert [event.position for event in part] == sorted(event.position for event in part)


async def test_a_rebuild_whose_worker_is_killed_ends_and_goes_on_with_its_parts(writer: Writer) -> None:
    await writer.register(400)
    async with projecting(writer):
        await caught_up(writer.conninfo)
    workers = SpawnedWorkers(standing(writer.conninfo))
    work = asyncio.create_task(
        rebuild(Users(), writer.reader, writer.conninfo, workers=workers, parallel=2, rate=80)
    )

    async def both_have_begun() -> bool:
        return {place[2] > 0 for place in rows(writer.conninfo, _PARTS)} == {True}

    await eventually(both_have_begun, 30)
    for worker in workers.running:
        _holds_no_key(worker.pid)
    workers.running[0].kill()
    with pytest.raises(WorkerLost, match="was ended by signal 9"):
        await work
    assert [worker.returncode is not None for worker in workers.running] == [True, True]
    before = {number: position for number, _, position, _ in rows(writer.conninfo, _PARTS)}
    written = set(rows(writer.conninfo, "SELECT xmin::text, id FROM users_v1_g2"))
    assert 0 < len(written) < 400
    seen: list[Sequence[tuple[int, ...]]] = []

    def look(step: Progress) -> None:
        seen.append(rows(writer.conninfo, _PARTS))

    await rebuilt_at_last(writer, workers, look)
    assert {count for _, count, _, _ in seen[0]} == {2}, "it keeps its number of parts"
    assert all(position >= before[number] for number, _, position, _ in seen[0])
    assert written <= set(rows(writer.conninfo, "SELECT xmin::text, id FROM users_v1_g2"))
    async with projecting(writer):
        await caught_up(writer.conninfo)
        await check_read_models(writer.conninfo)


async def rebuilt_at_last(writer: Writer, workers: SpawnedWorkers | None, look: object = None) -> None:
    """Rebuild, as soon as the database has noticed that the one before is gone."""

    async def tried() -> bool:
        try:
            await rebuild(
                Users(), writer.reader, writer.conninfo,
                look if callable(look) else lambda step: None, workers=workers, parallel=5,
            )  # fmt: skip
        except RebuildRunning:
            return False
        return True

    await eventually(tried, 30)


def _holds_no_key(pid: int) -> None:
    """Neither the command line nor the environment of a process shows the root key."""
    place = Path(f"/proc/{pid}")
    if not place.is_dir():
        return
    shown = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
    for form in (ROOT_KEY, ROOT_KEY.hex().encode(), base64.b64encode(ROOT_KEY)):
        assert form not in shown


async def test_workers_die_with_a_rebuild_that_is_killed_and_the_next_goes_on_alone(writer: Writer) -> None:
    await writer.register(400)
    await asyncio.to_thread(
        rebuild_and_die, writer.conninfo, "users", "40", "--parallel", "2", "--rate", "80"
    )

    async def nobody_writes() -> bool:
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND query LIKE %s"
        )
        return bool(one(writer.conninfo, query, "%users_v1_g2%") == 0)

    await eventually(nobody_writes, 30)
    left = rows(writer.conninfo, _PARTS)
    assert [count for _, count, _, _ in left] == [2, 2]
    assert all(position < target == 400 for _, _, position, target in left)
    written = set(rows(writer.conninfo, "SELECT xmin::text, id FROM users_v1_g2"))
    await rebuilt_at_last(writer, None)
    assert generations(writer, Users()) == [(1, False), (2, True)]
    assert written < set(rows(writer.conninfo, "SELECT xmin::text, id FROM users_v1_g2"))
    async with projecting(writer):
        await caught_up(writer.conninfo)
        await check_read_models(writer.conninfo)


async def test_ctrl_c_ends_a_rebuild_with_one_line_that_says_how_to_go_on(writer: Writer) -> None:
    await writer.register(400)
    ended = await asyncio.to_thread(
        rebuild_and_get, writer.conninfo, signal.SIGINT, "users", "40", "--parallel", "2", "--rate", "80"
    )
    assert ended.code == 130, ended
    assert ended.out == ""
    *progress, last = ended.err.splitlines()
    assert "usersd projections rebuild users goes on from there" in last
    assert progress, "where nobody looks, progress is told in lines"
    assert all(line.startswith("users: reading the log, ") for line in progress), progress


async def test_of_two_who_fill_the_same_part_the_second_writes_nothing(writer: Writer) -> None:
    await writer.register(30)
    with pytest.raises(parts.Moved):
        await rebuild(Users(), writer.reader, writer.conninfo, workers=Twice(writer), parallel=1)
    assert one(writer.conninfo, "SELECT count(*) FROM users_v1_g2") == 30
    assert rows(writer.conninfo, _PARTS) == [(0, 1, 30, 30)]


class Twice:
    """Fills a part, and then once more with what it knew at the beginning, as one that slept."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def fill(
        self, generation: Generation, todo: Sequence[parts.Part], rate: float | None, *, gentle: bool
    ) -> None:
        reader, conninfo = self._writer.reader, self._writer.conninfo
        for _ in range(2):
            await parts.fill(
                conninfo, reader, generation.model, generation.number, todo[0], rate, gentle=gentle
            )


async def test_a_rate_is_kept_and_nothing_is_caught_up_in_a_rush() -> None:
    loop, pace = asyncio.get_running_loop(), Pace(400)
    assert pace.page() == 100
    began = loop.time()
    for _ in range(3):
        await pace.spend(20)
    assert loop.time() - began >= 0.14
    assert Pace().page() == 5000


async def test_while_others_work_pages_are_small_and_half_of_the_time_is_left_to_them() -> None:
    loop, others = asyncio.get_running_loop(), Others()
    others.at_work = True
    pace, began = Pace(None, others, sharers=2), loop.time()
    assert pace.page() == 1000
    worked = await _some_work()
    await pace.spend(1000)
    # Of two who share the work each rests for three times as long as it has worked.
    assert loop.time() - began >= 3.9 * worked
    others.at_work = False
    began = loop.time()
    assert pace.page() == 5000
    worked = await _some_work()
    await pace.spend(5000)
    assert loop.time() - began < 3 * worked


async def _some_work() -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(0.1)
    return loop.time() - began
