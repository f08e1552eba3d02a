"""The daily message: only where it is wanted, what the page says and no more, no harm if nobody hears it."""

from __future__ import annotations

import json
import logging
import platform
import time
from importlib.metadata import version
from typing import Any

import msgspec
import pytest
from psycopg.conninfo import make_conninfo

from infrastructure.operations.telemetry import telemetry
from infrastructure.settings import load
from infrastructure.telemetry.call_home import CallHome, Message, rounded
from interfaces.cli.tools import CommandFailed
from tests.projections.commanding import settings
from tests.support.databases import Databases
from tests.support.program import program
from tests.support.service import Client, running_service
from tests.support.waiting import at_last
from tests.telemetry.receiver import Receiver

HUSH = "hush-4711"


def _calls_home(client: Client) -> bool:
    return "telemetry" in {job.name for job in client.service.scheduler.jobs}


async def test_nothing_is_sent_unless_a_receiver_is_named(database: str, collector: Receiver) -> None:
    cases: tuple[tuple[dict[str, Any], bool], ...] = (
        ({}, False),
        ({"MG_SEND_TELEMETRY": "true"}, False),
        ({"MG_TELEMETRY_URL": collector.url, "MG_SEND_TELEMETRY": "false"}, False),
        ({"MG_TELEMETRY_URL": collector.url}, True),
    )
    for environ, sends in cases:
        async with running_service(database, **environ) as client:
            assert _calls_home(client) is sends, environ


async def test_the_message_holds_what_the_page_says_and_no_more(client: Client, collector: Receiver) -> None:
    await client.register()
    url = collector.url.replace("http://", f"http://u:{HUSH}@") + "/telemetry"
    home = CallHome(url, client.service.pool, version("usersd"))
    line = await home.run()
    at_last(lambda: collector.received)
    (received,) = collector.received
    sent = json.loads(received.body)
    postgres = sent.pop("postgres")
    assert 15 <= postgres < 30
    assert sent == {
        "service": "users", "version": version("usersd"), "python": platform.python_version(), "users": 1,
    }  # fmt: skip
    assert received.path == "/telemetry"
    assert {name.lower() for name in received.headers} == {
        "host", "accept-encoding", "content-length", "content-type", "user-agent", "authorization",
        "connection",
    }  # fmt: skip
    assert received.headers["User-Agent"] == "usersd"
    assert received.headers["Authorization"] == "Basic dTpodXNoLTQ3MTE="
    assert line == f"sending {received.body.decode()}"
    assert HUSH not in line


@pytest.mark.parametrize(
    ("count", "told"), [(0, 0), (1, 1), (3, 1), (4, 10), (31, 10), (32, 100), (999, 1000), (123_456, 100_000)]
)
def test_the_number_of_users_is_told_as_a_power_of_ten(count: int, told: int) -> None:
    assert rounded(count) == told


async def test_a_receiver_that_is_away_or_silent_is_no_trouble(
    client: Client, collector: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    collector.silent.set()
    caplog.set_level(logging.INFO, "usersd")
    started = time.monotonic()
    for url in (collector.url, "http://127.0.0.1:1/", "http://nowhere.invalid/"):
        assert await CallHome(url, client.service.pool, "1").run()
    assert time.monotonic() - started < 1
    at_last(lambda: collector.received)
    assert not [record for record in caplog.records if record.name == "usersd.telemetry"]


async def test_it_is_done_once_a_day_and_not_by_all_at_one_time(client: Client) -> None:
    every = {CallHome("http://127.0.0.1:1/", client.service.pool, "1").job().every for _ in range(20)}
    assert len(every) > 1
    assert all(24 <= one.total_seconds() / 3600 < 25 for one in every)


def test_what_would_be_sent_is_shown_and_nothing_is_sent(database: str, collector: Receiver) -> None:
    port = collector.url.rpartition(":")[2]
    named = {"MG_TELEMETRY_URL": f"http://u:{HUSH}@127.0.0.1:{port}/in?key={HUSH}"}
    with program(**settings(database), **named) as usersd:
        ended = usersd.cli("telemetry", "show")
    assert ended.code == 0, ended
    (sent,) = ended.rows
    assert list(sent) == [field.name for field in msgspec.structs.fields(Message)]
    assert sent["users"] == 0
    assert f"this is sent to http://127.0.0.1:{port}/in once in 24 to 25 hours" in ended.err
    assert HUSH not in ended.err + ended.out
    assert not collector.received


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({}, "MG_TELEMETRY_URL names no receiver"),
        (
            {"MG_TELEMETRY_URL": "http://in.invalid/", "MG_SEND_TELEMETRY": "false"},
            "MG_SEND_TELEMETRY is false",
        ),
        ({"MG_TELEMETRY_URL": "http://in.invalid/"}, ""),
    ],
    ids=["nobody named", "not wanted", "wanted"],
)
def test_why_nothing_is_sent_is_said(database: str, environ: dict[str, str], why: str) -> None:
    assert telemetry(load(environ).settings, database).withheld == why


def test_a_database_without_users_of_ours_is_no_fault(databases: Databases) -> None:
    with pytest.raises(CommandFailed, match="usersd migrate"):
        telemetry(load({}).settings, make_conninfo(databases.server, dbname="postgres"))
