"""A server under the service dies and comes back, or the service is told to stop: what callers see of it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from domain.errors import Unavailable
from tests.e2e.everything import check_everything
from tests.support.load import ADMIN, Load, more_writes
from tests.support.program import Program, program
from tests.support.service import Client
from tests.support.waiting import at_last, eventually


@asynccontextmanager
async def working(usersd: Program) -> AsyncIterator[Load]:
    """A load on a started program, stopped in good order at the end."""
    await asyncio.to_thread(usersd.start)
    load, stop = Load(seed=1), asyncio.Event()
    task = asyncio.create_task(load.run(usersd.url, stop, workers=4))
    try:
        yield load
    finally:
        stop.set()
        await task


async def killed_and_launched_again(usersd: Program, name: str) -> None:
    """Kill a server, and wait until the nanny has launched another."""
    before = usersd.server(name)
    os.kill(before["pid"], signal.SIGKILL)

    async def launched() -> bool:
        now = usersd.server(name)
        return now["launches"] > before["launches"] and now["pid"] is not None

    await eventually(launched)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


async def test_a_broker_that_dies_costs_no_request_and_no_event(usersd: Program) -> None:
    async with working(usersd) as load:
        for _ in range(3):
            await more_writes(load, 40)
            await killed_and_launched_again(usersd, "nats")
        await more_writes(load, 40)
    assert not {status for status in load.answers if status >= 500}, load.answers
    await check_everything(usersd, load)


async def test_requests_are_served_while_the_broker_stays_away(usersd: Program) -> None:
    async with working(usersd) as load:
        await more_writes(load, 20)
        os.kill(usersd.server("nats")["pid"], signal.SIGSTOP)
        try:
            await more_writes(load, 100)
        finally:
            os.kill(usersd.server("nats")["pid"], signal.SIGCONT)
    assert not {status for status in load.answers if status >= 500}, load.answers
    await check_everything(usersd, load)


async def test_a_database_that_dies_is_answered_with_503_until_it_is_back(usersd: Program) -> None:
    async with working(usersd) as load:
        for _ in range(2):
            await more_writes(load, 40)
            await killed_and_launched_again(usersd, "postgres")
        await more_writes(load, 40)
    assert load.answers[503], "the outage was never seen, so nothing was shown"
    await check_everything(usersd, load)


async def test_after_an_outage_of_the_database_writes_are_seen_at_once_again(usersd: Program) -> None:
    await asyncio.to_thread(usersd.start)
    await killed_and_launched_again(usersd, "postgres")
    await asyncio.to_thread(usersd.wait_until_ready)
    async with httpx.AsyncClient(base_url=usersd.url, timeout=30, trust_env=False) as http:
        number = iter(range(1000))

        async def seen_at_once() -> bool:
            name = f"ada{next(number)}"
            started = time.monotonic()
            answer = await http.post("/users", json=account(name))
            return (
                answer.status_code == 201
                and "usersd-read-model" not in answer.headers
                and time.monotonic() - started < 0.2
            )

        await eventually(seen_at_once, within=15)


async def test_a_stored_change_is_shown_without_being_read_and_a_repeat_that_cannot_be_promises_nothing(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(user_id: object) -> None:
        raise Unavailable

    monkeypatch.setattr(client.service.bus.ports.directory, "find", gone)
    body, key = client.account(), {"Idempotency-Key": "once"}
    answer = await client.http.post("/users", json=body, headers=key)
    assert (answer.status_code, answer.json()["email"]) == (201, body["email"])
    # A repeat knows who was registered then, and has to look for how they are now.
    repeat = await client.http.post("/users", json=body, headers=key)
    assert (repeat.status_code, repeat.json()["code"]) == (503, "outcome_unknown")
    assert "was stored" in repeat.json()["detail"]
    assert repeat.headers["retry-after"]
    assert (await client.http.post("/users", json=body)).status_code == 409


async def test_a_login_in_flight_is_answered_before_the_service_stops() -> None:
    with program(MG_USERS_BCRYPT_COST="14", MG_USERS_SHUTDOWN_TIMEOUT="20s") as usersd:
        await asyncio.to_thread(usersd.start)
        servers = [usersd.server(name)["pid"] for name in ("postgres", "nats")]
        async with httpx.AsyncClient(base_url=usersd.url, timeout=30, trust_env=False) as http:
            idle = cpu_ticks(usersd)
            login = asyncio.create_task(http.post("/users/tokens/issue", json=ADMIN))
            await eventually(lambda: at_work(usersd, idle))
            usersd.terminate()
            started = time.monotonic()
            answer = await login
        assert answer.status_code == 201, answer.text
        assert await asyncio.to_thread(usersd.wait) == 0, usersd.output()
        assert time.monotonic() - started < 20
        assert all(is_gone(pid) for pid in servers)
        assert not (usersd.data / "endpoints.json").exists()
        assert "Traceback" not in usersd.output()


async def at_work(usersd: Program, idle: int) -> bool:
    return cpu_ticks(usersd) > idle + 20


def cpu_ticks(usersd: Program) -> int:
    """What the program has used of the processor: only bcrypt makes an idle one use much."""
    assert usersd.process is not None
    fields = Path(f"/proc/{usersd.process.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_second_service_on_one_folder_says_who_owns_it(usersd: Program) -> None:
    usersd.start()
    assert usersd.process is not None
    second = usersd.cli("run")
    assert second.code == 1
    assert f"process {usersd.process.pid}, owns the data folder" in second.err
    assert "Traceback" not in second.err
    assert second.out == ""
    assert usersd.is_ready()


def test_a_port_in_use_is_one_line() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with program(MG_USERS_HTTP_PORT=str(port)) as usersd:
            refused = usersd.cli("run")
    assert refused.code == 1
    assert last_line_of(refused.err).startswith(f"Cannot listen on localhost:{port}: Address already in use.")
    assert "Traceback" not in refused.err


def test_a_wrong_root_key_is_one_line(usersd: Program) -> None:
    assert usersd.cli("migrate").code == 0
    assert usersd.cli("projections", "status").code == 0
    refused = usersd.cli("run", MG_USERS_ROOT_KEY="ab" * 32)
    assert refused.code == 1
    assert last_line_of(refused.err).startswith("MG_USERS_ROOT_KEY is not the key of this database")
    assert "Traceback" not in refused.err


@pytest.mark.parametrize(
    ("name", "value"), [("MG_USERS_HTTP_PORT", "eighty"), ("MG_USERS_SHUTDOWN_TIMEOUT", "soon")]
)
def test_a_wrong_setting_is_one_line_before_anything_is_started(
    usersd: Program, name: str, value: str
) -> None:
    refused = usersd.cli("run", **{name: value})
    assert refused.code == 2
    assert len(refused.err.splitlines()) == 1
    assert name in refused.err
    assert value in refused.err
    assert not usersd.data.exists()


def test_the_service_stops_within_its_time_when_a_caller_holds_on() -> None:
    """A connection that is kept open without a request in flight keeps nobody from stopping."""
    with program(MG_USERS_SHUTDOWN_TIMEOUT="2s") as usersd:
        usersd.start()
        host, port = usersd.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as held, psycopg.connect(usersd.postgres):
            held.sendall(b"GET /livez HTTP/1.1\r\nHost: usersd\r\n\r\n")
            assert held.recv(12) == b"HTTP/1.1 200"
            usersd.terminate()
            at_last(lambda: usersd.process is None or usersd.process.poll() is not None, within=10)
        assert usersd.wait() == 0, usersd.output()


def account(name: str) -> dict[str, object]:
    return {
        "first_name": "Ada", "last_name": "Lovelace", "email": f"{name}@example.com",
        "credentials": {"username": name, "secret": "changeMe123"},
    }  # fmt: skip


def last_line_of(text: str) -> str:
    return text.rstrip("\n").splitlines()[-1]
