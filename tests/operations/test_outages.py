"""What an operator reads while PostgreSQL, a replica or a folder cannot be used."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path

import pytest

from infrastructure import standing as footing
from infrastructure.bootstrap import open_service
from infrastructure.embedded import Endpoints
from infrastructure.embedded.folder import take
from infrastructure.mendable import plainly
from infrastructure.postgres.notifications import EVENTS, Notifications, Signal
from infrastructure.postgres.pool import open_pool
from infrastructure.postgres.replica import Replica
from infrastructure.roles import Role
from infrastructure.server.trial import try_out
from infrastructure.settings import load
from infrastructure.standing import attach, open_keys
from interfaces.cli.output import TRY_AGAIN
from interfaces.cli.tools import CommandFailed
from projections.projector import Projector
from projections.users.projector import Users
from tests.event_store.proxy import Proxy
from tests.support.databases import ROOT_KEY, Databases, standing
from tests.support.service import running_service
from tests.support.waiting import eventually

NOBODY = "host=127.0.0.1 port=1 user=usersd password=kept-to-itself connect_timeout=5"


def told(caplog: pytest.LogCaptureFixture, part: str, level: str = "WARNING") -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == f"usersd.{part}" and record.levelname == level
    ]


async def test_an_outage_of_postgresql_is_a_line_for_each_part_and_one_more_when_it_is_over(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    reader = open_keys(standing(database)).reader
    async with Proxy(database) as proxy, Notifications(proxy.conninfo, EVENTS):
        projecting = asyncio.create_task(Projector(Users(), reader, proxy.conninfo, Signal()).run())

        async def tried_often() -> bool:
            return proxy.refused >= 12

        async def over() -> bool:
            ended = told(caplog, "notifications", "INFO") + told(caplog, "projections", "INFO")
            return sum(line.startswith("over after") for line in ended) == 3

        await eventually(lambda: connected(proxy, 3))
        proxy.mode = "refuse"
        proxy._cut_all()
        await eventually(tried_often, 30)
        (line,) = told(caplog, "notifications")
        assert line.startswith("PostgreSQL notifies this process of nothing: ")
        assert "server closed the connection" in line
        assert "OperationalError" not in line
        assert len(told(caplog, "projections")) == 2, "of its generation, and of whether there are more"
        proxy.mode = "pass"
        await eventually(over, 30)
        projecting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await projecting


async def connected(proxy: Proxy, count: int) -> bool:
    return len(proxy._writers) >= 2 * count


async def test_a_pool_that_tries_in_vain_says_so_once(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with Proxy(database) as proxy:
        proxy.mode = "refuse"
        async with open_pool(proxy.conninfo, 1) as pool:

            def of_this_pool() -> list[str]:
                return [line for line in told(caplog, "pool") if f"port {proxy.port} " in line]

            async def tried_again() -> bool:
                return proxy.refused >= 2 and bool(of_this_pool())

            await eventually(tried_again, 30)
            (line,) = of_this_pool()
            assert line.startswith("the pool gets no connection to PostgreSQL: ")
            proxy.mode = "pass"
            async with pool.connection(30):
                assert [line for line in told(caplog, "pool", "INFO") if line.startswith("over after ")]
            own = [record.getMessage() for record in caplog.records if pool.name in record.getMessage()]
    assert not own, "each try is told by the outage alone"


@pytest.mark.parametrize(("role", "lines"), [(Role.API, 1), (Role.RELAY, 0)], ids=["api", "relay"])
async def test_who_answers_nobody_does_not_warn_of_tokens(
    role: Role, lines: int, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = load({"MG_USERS_BCRYPT_COST": "4"}).settings
    keys = open_keys(standing(database))
    async with Proxy(database) as proxy, open_service(settings, standing(proxy.conninfo), keys, role=role):
        proxy.mode = "refuse"
        proxy._cut_all()

        async def tried_often() -> bool:
            return proxy.refused >= 12

        await eventually(tried_often, 30)
    assert len(told(caplog, "revocation")) == lines


async def test_a_replica_that_is_not_there_is_told_of_at_the_start_with_its_setting(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_service(database, replica=NOBODY, project=False):
        (line,) = told(caplog, "replica")
    assert "Connection refused" in line
    assert "MG_USERS_DB_REPLICA_HOST" in line
    assert "kept-to-itself" not in line


async def test_a_replica_that_answers_is_tried_out_without_a_word(
    databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    with databases.fresh() as one:
        replica = Replica(one, one, 1)
        await replica.try_out()
        assert replica.standing().up
        assert replica.standing().answered == replica.standing().passed_on == 0
        await replica.close()
    assert told(caplog, "replica") == []


@pytest.mark.parametrize("role", [Role.RUN, Role.SWEEPER, Role.MAILER], ids=str)
@pytest.mark.parametrize("below", ["", "data"], ids=["a file", "in a file"])
def test_a_data_folder_that_is_a_file_is_refused_by_who_writes_there(
    role: Role, below: str, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()
    ground = {"MG_USERS_DATA_DIR": str(file / below), "MG_USERS_OPERATIONS_PORT": "0"}
    with pytest.raises(CommandFailed, match=r"MG_USERS_DATA_DIR=.*: should be a directory"):
        try_out(role, load(ground | {"MG_USERS_HTTP_PORT": "0", "MG_USERS_GRPC_PORT": "0"}).settings)


def test_a_command_waits_for_servers_that_another_process_is_starting(tmp_path: Path) -> None:
    settings = load({"MG_USERS_DATA_DIR": str(tmp_path), "MG_USERS_ROOT_KEY": ROOT_KEY.hex()}).settings
    owner = take(tmp_path, 0)
    announced = Endpoints(pid=os.getpid(), postgres="host=/there", nats="nats://there")

    class Watch:
        """Announces the servers when the command has found them not ready."""

        @staticmethod
        def monotonic() -> float:
            return 0.0

        @staticmethod
        def sleep(seconds: float) -> None:
            owner.publish(announced)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(footing, "time", Watch)
        with attach(settings, create=True) as found:
            assert (found.conninfo, found.nats_url) == ("host=/there", "nats://there")
    owner.withdraw()
    owner.release()


def test_servers_that_are_not_ready_in_time_are_worth_another_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load({"MG_USERS_DATA_DIR": str(tmp_path), "MG_USERS_ROOT_KEY": ROOT_KEY.hex()}).settings
    monkeypatch.setattr(footing, "BEGINNING", 0.0)
    owner = take(tmp_path, 0)
    again = pytest.raises(CommandFailed, match="Try again in a moment")
    with again as refused, plainly(), attach(settings, create=True):
        pass
    assert refused.value.code == TRY_AGAIN
    owner.release()
