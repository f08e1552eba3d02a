"""What waits to be done, and what is done in the background, can be read at a scrape."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from infrastructure.postgres.migrate import known
from infrastructure.telemetry.backlog import last_checkpoint
from infrastructure.telemetry.certificates import CertificateFiles
from interfaces.scheduler import Job
from tests.nats.broker import Broker
from tests.support.certificates import self_signed
from tests.support.service import Client, running_service
from tests.support.waiting import eventually
from tests.telemetry.scraping import families, scraped, value

TEN_MINUTES = timedelta(minutes=10)


def _insert(database: str, statement: str, *values: object) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(statement.encode(), values)


async def test_a_reactor_that_nobody_runs_says_how_far_it_is_behind(client: Client) -> None:
    await client.register()
    text = await scraped(client)
    assert value(text, "usersd_reactor_owned", reactor="mails") == 0
    assert value(text, "usersd_reactor_position", reactor="mails") == 0
    assert value(text, "usersd_reactor_lag_events", reactor="mails") == 2
    assert value(text, "usersd_reactor_lag_seconds", reactor="mails") > 0


async def test_mails_that_wait_are_counted_and_say_for_how_long(client: Client, database: str) -> None:
    text = await scraped(client)
    assert value(text, "usersd_mails_due") == value(text, "usersd_mails_due_seconds") == 0
    then = datetime.now(UTC) - TEN_MINUTES
    for state, at in (("due", then), ("due", then + TEN_MINUTES), ("sent", then - TEN_MINUTES)):
        _insert(
            database,
            "INSERT INTO mails (id, user_id, kind, event_id, position, state, due_at, created_at)"
            " VALUES (%s, %s, 'verification', %s, 1, %s, now(), %s)",
            uuid4(), uuid4(), uuid4(), state, at,
        )  # fmt: skip
    text = await scraped(client)
    assert value(text, "usersd_mails_due") == 2
    assert 600 <= value(text, "usersd_mails_due_seconds") < 900


async def test_what_becomes_of_mails_is_counted_by_kind(database: str, tmp_path: Path) -> None:
    async with running_service(database, mail=True, MG_USERS_DATA_DIR=str(tmp_path)) as client:
        text = await scraped(client)
        of = {"kind": "password_reset", "outcome": "sent"}
        assert value(text, "usersd_mails_tried_total", **of) == 0
        user = await client.register()
        await client.http.post("/password/reset-request", json={"email": user["email"]})

        async def sent() -> bool:
            return value(await scraped(client), "usersd_mails_tried_total", **of) == 1

        await eventually(sent)
        assert value(await scraped(client), "usersd_reactor_owned", reactor="mails") == 1


async def test_erasures_that_are_open_are_counted_and_say_for_how_long(client: Client, database: str) -> None:
    for certificate in (None, "a certificate"):
        _insert(
            database,
            "INSERT INTO erasures (user_id, position, requested_at, key_epoch, certificate)"
            " VALUES (%s, 1, %s, 1, %s)",
            uuid4(), datetime.now(UTC) - TEN_MINUTES, certificate,
        )  # fmt: skip
    text = await scraped(client)
    assert value(text, "usersd_erasures_open") == 1
    assert 600 <= value(text, "usersd_erasures_open_seconds") < 900


async def test_the_last_checkpoint_says_up_to_where_the_log_is_signed_and_since_when(
    database: str, tmp_path: Path
) -> None:
    async with running_service(database, MG_USERS_DATA_DIR=str(tmp_path)) as client:
        assert not families(await scraped(client))["usersd_checkpoint_position"].samples
        await client.register()
        began = time.time()
        assert await client.service.checkpointer.step(now=True)
        text = await scraped(client)
    assert value(text, "usersd_checkpoint_position") == value(text, "usersd_log_head_position") == 2
    assert began - 1 <= value(text, "usersd_checkpoint_timestamp_seconds") <= time.time()


async def test_the_first_event_that_is_not_signed_says_for_how_long_it_waits(
    database: str, tmp_path: Path
) -> None:
    async with running_service(
        database, MG_USERS_DATA_DIR=str(tmp_path), MG_USERS_CHECKPOINT_INTERVAL="3h"
    ) as client:
        await client.register()
        text = await scraped(client)
        assert value(text, "usersd_checkpoint_interval_seconds") == 3 * 3600
        assert value(text, "usersd_log_unsigned_seconds") > 0, "no checkpoint covers it"
        assert await client.service.checkpointer.step(now=True)
        assert value(await scraped(client), "usersd_log_unsigned_seconds") == 0
        began = time.time()
        await client.register()
        waiting = value(await scraped(client), "usersd_log_unsigned_seconds")
        assert 0 < waiting <= time.time() - began, "as long as that event, however old the checkpoint is"


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "a.e30.c", "a.!!!.c"])
def test_a_checkpoint_that_cannot_be_read_is_none(text: str) -> None:
    assert last_checkpoint(text) is None


async def test_regular_work_says_when_it_was_done_and_how_often_it_is_to_be(client: Client) -> None:
    work, done = "sealing keys", "usersd_job_done_timestamp_seconds"
    text = await scraped(client)
    assert value(text, done, work=work) == 0
    assert value(text, "usersd_job_interval_seconds", work=work) == 300
    (found,) = (one for one in client.service.scheduler.jobs if one.name == work)
    await client.service.scheduler.turn(found)
    text = await scraped(client)
    assert 0 <= time.time() - value(text, done, work=work) < 60
    assert value(text, "usersd_job_runs_total", work=work, outcome="ok") == 1


async def test_work_that_fails_again_and_again_was_last_done_when_it_was_done(
    client: Client, database: str
) -> None:
    done = "usersd_job_done_timestamp_seconds"
    _insert(
        database,
        "INSERT INTO schedule (name, begun_at, done_at) VALUES"
        " ('sweep', now() - interval '1 day', now() - interval '1 day')",
    )
    before = value(await scraped(client), done, work="sweep")
    during: list[float] = []

    async def fails() -> str:
        during.append(value(await scraped(client), done, work="sweep"))
        raise RuntimeError

    for _ in range(2):
        await client.service.scheduler.turn(Job("sweep", timedelta(hours=1), fails))
        during.append(value(await scraped(client), done, work="sweep"))
    assert during == [before] * 4, "neither a beginning nor a failure is news of its end"
    text = await scraped(client)
    assert value(text, "usersd_job_runs_total", work="sweep", outcome="failed") == 2
    assert time.time() - before > 80_000


def test_work_is_not_late_for_having_been_done_before_an_upgrade(database: str) -> None:
    (upgrade,) = (one for one in known() if one.name == "0014_work_done")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE schedule DROP COLUMN done_at")
        connection.execute("INSERT INTO schedule VALUES ('done', now()), ('failed', '-infinity')")
        connection.execute(upgrade.sql.encode())
        rows = connection.execute("SELECT name, done_at IS NOT NULL FROM schedule").fetchall()
    assert dict(rows) == {"done": True, "failed": False}


async def test_whether_a_relay_reaches_its_broker_is_told_by_who_publishes(
    database: str, broker: Broker
) -> None:
    async with running_service(database, broker.url) as client:

        async def told() -> list[float]:
            return [one.value for one in families(await scraped(client))["usersd_up_broker"].samples]

        async def says(expected: float) -> bool:
            return await told() == [expected]

        await eventually(lambda: says(1))
        broker.kill()
        await eventually(lambda: says(0), 30)
        broker.start()
        await eventually(lambda: says(1), 30)


async def test_without_a_relay_nothing_is_said_of_a_broker(client: Client) -> None:
    assert not families(await scraped(client))["usersd_up_broker"].samples


def test_a_certificate_says_when_it_runs_out_and_a_new_one_in_its_place_does_too(tmp_path: Path) -> None:
    file, _ = self_signed(tmp_path)
    files = CertificateFiles({"http": file, "grpc": tmp_path / "nowhere.pem"})
    first = files.expiry()
    assert first.keys() == {"http"}
    assert 86_000 < first["http"] - time.time() <= 86_400
    assert files.expiry() == first
    file.write_bytes(b"nothing of the kind")
    os.utime(file, ns=(1, 1))
    assert files.expiry() == {}
    self_signed(tmp_path)
    assert files.expiry()["http"] >= first["http"]


async def test_the_certificate_of_the_settings_is_the_one_that_is_watched(
    database: str, tmp_path: Path
) -> None:
    certificate, key = map(str, self_signed(tmp_path))
    async with running_service(
        database, MG_USERS_HTTP_SERVER_CERT=certificate, MG_USERS_HTTP_SERVER_KEY=key
    ) as client:
        text = await scraped(client)
    at = value(text, "usersd_certificate_expiry_timestamp_seconds", server="http")
    assert at > time.time()
