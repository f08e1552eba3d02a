"""Whatever is killed, no data is lost, no server is left behind, and no stranger is harmed."""

import asyncio
import fcntl
import json
import os
import signal
import subprocess
from pathlib import Path

import nats
import psycopg
import pytest

from infrastructure.embedded import FolderInUse, running, start
from tests.embedded.conftest import Launcher
from tests.embedded.running_app import alive, answers, eventually, record, run


def test_killing_the_app_stops_both_servers_cleanly(data_dir: Path, launch: Launcher) -> None:
    app = launch(data_dir)
    assert app.owns
    pids = [app.server("postgres"), app.server("nats"), app.nanny]
    app.kill()
    eventually(lambda: not any(alive(pid) for pid in pids))
    assert "database system is shut down" in (data_dir / "postgres.log").read_text()
    assert running(data_dir) is None


def test_a_restart_right_after_the_app_was_killed_finds_its_data(data_dir: Path, launch: Launcher) -> None:
    first = launch(data_dir)
    run(first.postgres, "CREATE TABLE kept AS SELECT 42 AS n")
    first.kill()
    second = launch(data_dir)
    assert run(second.postgres, "SELECT n FROM kept") == [(42,)]
    assert second.nats == first.nats


def test_an_app_killed_in_its_first_start_leaves_a_folder_that_starts(home: Path, launch: Launcher) -> None:
    first = launch(home / "data")
    eventually(lambda: list((home / "data").glob("pg.new-*/base")))
    first.kill()
    second = launch(home / "data")
    assert run(second.postgres, "SELECT 1") == [(1,)]
    assert not list((home / "data").glob("pg.new-*"))


def test_a_killed_database_comes_back_in_the_same_place(data_dir: Path, launch: Launcher) -> None:
    app = launch(data_dir)
    run(app.postgres, "CREATE TABLE kept AS SELECT 42 AS n")
    killed = app.server("postgres")
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: app.launches("postgres") > 1 and answers(app.postgres))
    assert app.server("postgres") != killed
    assert run(app.postgres, "SELECT n FROM kept") == [(42,)]
    assert "ended by signal 9; it is launched again" in (data_dir / "postgres.log").read_text()
    app.close()
    assert app.process.returncode == 0
    assert app.launches("nats") == 1


def test_a_killed_database_waits_for_its_last_backend_before_it_comes_back(
    data_dir: Path, launch: Launcher
) -> None:
    app = launch(data_dir)
    with psycopg.connect(app.postgres) as connection:
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        os.kill(app.server("postgres"), signal.SIGKILL)
        log = data_dir / "postgres.log"
        eventually(lambda: "is still in use" in log.read_text() and app.launches("postgres") > 2)
        assert not answers(app.postgres)
        os.kill(backend, signal.SIGKILL)
    eventually(lambda: answers(app.postgres))


def test_a_killed_broker_comes_back_on_its_port_with_its_messages(data_dir: Path, launch: Launcher) -> None:
    app = launch(data_dir)
    assert app.owns
    asyncio.run(_publish(app.nats, 200))
    os.kill(app.server("nats"), signal.SIGKILL)
    eventually(lambda: app.launches("nats") > 1)
    assert asyncio.run(_stored(app.nats)) == 200
    app.kill()
    assert asyncio.run(_stored(launch(data_dir).nats)) == 200


def test_without_its_nanny_the_app_still_stops_its_servers(data_dir: Path, launch: Launcher) -> None:
    app = launch(data_dir)
    assert app.owns
    pids = [app.server("postgres"), app.server("nats")]
    app.kill_nanny()
    assert all(alive(pid) for pid in pids)
    app.close()
    assert app.process.returncode == 0
    assert not any(alive(pid) for pid in pids)


def test_a_nanny_that_is_asked_to_end_stays_as_long_as_the_app(data_dir: Path, launch: Launcher) -> None:
    app = launch(data_dir)
    assert app.owns
    os.kill(app.nanny, signal.SIGTERM)
    os.kill(app.server("nats"), signal.SIGTERM)
    eventually(lambda: app.launches("nats") > 1)
    assert answers(app.postgres)


def test_servers_that_lost_app_and_nanny_are_stopped_by_the_next_start(
    data_dir: Path, launch: Launcher
) -> None:
    first = launch(data_dir)
    run(first.postgres, "CREATE TABLE kept AS SELECT 42 AS n")
    orphans = [first.server("postgres"), first.server("nats")]
    first.kill_nanny()
    first.kill()
    assert all(alive(pid) for pid in orphans)
    second = launch(data_dir)
    assert run(second.postgres, "SELECT n FROM kept") == [(42,)]
    assert not any(alive(pid) for pid in orphans)
    assert "received fast shutdown request" in (data_dir / "postgres.log").read_text()


def test_a_stuck_backend_with_nobody_left_is_ended_by_the_next_start(
    data_dir: Path, launch: Launcher
) -> None:
    first = launch(data_dir)
    with psycopg.connect(first.postgres) as connection:
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        postmaster = first.server("postgres")
        first.kill_nanny()
        os.kill(postmaster, signal.SIGKILL)
        first.kill()
    second = launch(data_dir, wait_for_lock=1.0)
    assert run(second.postgres, "SELECT 1") == [(1,)]
    assert not alive(backend)


def test_servers_of_another_container_are_never_signalled(data_dir: Path, launch: Launcher) -> None:
    app = launch(data_dir)
    assert app.owns
    pids = [app.server("postgres"), app.server("nats")]
    app.kill_nanny()
    app.kill()
    lock = data_dir / "lock"
    known = lock.read_text()
    lock.write_text(json.dumps(record(data_dir) | {"place": "elsewhere"}))
    with pytest.raises(FolderInUse, match="another container"):
        start(data_dir, wait_for_lock=0.3)
    assert all(alive(pid) for pid in pids)
    lock.write_text(known)


def test_a_recycled_number_in_a_stale_pid_file_harms_nobody(data_dir: Path, launch: Launcher) -> None:
    owner = (data_dir / "pg").stat()
    lesser = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    with subprocess.Popen(["sleep", "60"], cwd="/", **lesser) as innocent:  # type: ignore[call-overload]
        try:
            for name in ("pg/postmaster.pid", "socket/.s.PGSQL.5432.lock"):
                (data_dir / name).write_text(f"{innocent.pid}\n{data_dir / 'pg'}\n1700000000\n5432\n")
                os.chown(data_dir / name, owner.st_uid, owner.st_gid)
            app = launch(data_dir)
            assert run(app.postgres, "SELECT 1") == [(1,)]
            app.close()
            assert innocent.poll() is None
        finally:
            innocent.kill()


def test_a_recycled_number_in_the_owners_record_harms_nobody(data_dir: Path, launch: Launcher) -> None:
    first = launch(data_dir)
    assert first.owns
    stale = record(data_dir)
    first.close()
    mark = stale["mark"]
    # It has the dead owner's number and speaks of the mark, but it is no server of ours.
    with subprocess.Popen(["sh", "-c", "sleep 60; :", mark, "postgres"]) as innocent:
        try:
            stale["owner"]["pid"] = stale["nanny"]["pid"] = innocent.pid
            (data_dir / "lock").write_text(json.dumps(stale))
            with open(data_dir / "lock") as held:
                fcntl.flock(held, fcntl.LOCK_EX)
                with pytest.raises(FolderInUse):
                    start(data_dir, wait_for_lock=0.3)
            assert launch(data_dir).owns
            assert innocent.poll() is None
        finally:
            innocent.kill()


def test_a_forked_child_of_a_killed_app_does_not_keep_its_servers(data_dir: Path, launch: Launcher) -> None:
    app = launch(data_dir, forks=True)
    child = app.answer()["child"]
    try:
        pids = [app.server("postgres"), app.server("nats")]
        app.process.kill()
        eventually(lambda: not any(alive(pid) for pid in pids))
        assert alive(child)
        assert launch(data_dir).owns
    finally:
        os.kill(child, signal.SIGKILL)


async def _publish(url: str, count: int) -> None:
    connection = await nats.connect(url)
    stream = connection.jetstream()
    await stream.add_stream(name="kept", subjects=["kept"])
    for number in range(count):
        await stream.publish("kept", str(number).encode())
    await connection.close()


async def _stored(url: str) -> int:
    connection = await nats.connect(url, max_reconnect_attempts=50, reconnect_time_wait=0.1)
    try:
        stream = connection.jetstream()
        info = await stream.stream_info("kept")
        last = await stream.get_msg("kept", seq=info.state.messages)
        assert last.data == str(info.state.messages - 1).encode()
        return int(info.state.messages)
    finally:
        await connection.close()
