"""One trace from the request to the read model and the message, and nobody to be recognised in it."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import psycopg
import pytest

from tests.nats.broker import Broker
from tests.support.service import Client, bearer, running_service
from tests.support.waiting import eventually
from tests.telemetry.receiver import Receiver, Span

CANARY = "canary-Zq9"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
STOPS_WITHIN = 4.0
"""Seconds: two for the last delivery, and whatever else a stop takes on a busy machine."""


@pytest.fixture(autouse=True)
def delivered_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infrastructure.telemetry.tracing.EVERY_MILLISECONDS", 50)


@asynccontextmanager
async def traced_service(
    database: str, collector: Receiver, nats_url: str = "", **environ: str
) -> AsyncIterator[Client]:
    settings: dict[str, Any] = {"MG_JAEGER_URL": f"{collector.url}/v1/traces"} | environ
    async with running_service(database, nats_url, **settings) as client:
        yield client


async def test_one_trace_leads_from_the_caller_to_the_read_model_and_the_message(
    database: str, collector: Receiver, broker: Broker
) -> None:
    followers = {"project users", "project history", "publish"}
    async with traced_service(database, collector, broker.url) as client:
        # The first admin's trace has been followed to its end, so that no page holds both.
        await eventually(lambda: _has(collector, followers))
        answer = await client.http.post("/users", json=client.account(), headers=SAMPLED)
        user = answer.json()["id"]
        position = int(answer.headers["usersd-position"])
        wanted = {"POST /users", "RegisterUser", "ViewUser", "append"} | followers
        await eventually(lambda: _has(collector, wanted, TRACE))
    of = {span.name: span for span in collector.spans if span.trace == TRACE}
    assert of["POST /users"].parent == CALLER
    assert of["RegisterUser"].parent == of["ViewUser"].parent == of["POST /users"].id
    assert of["append"].parent == of["RegisterUser"].id
    for follower in followers:
        assert of[follower].parent == of["append"].id
    assert of["POST /users"].attributes == {
        "http.request.method": "POST", "http.route": "/users", "http.response.status_code": 201,
    }  # fmt: skip
    assert of["append"].attributes == {
        "usersd.user": user, "usersd.events": ["users.registered.v1"], "usersd.position": position,
    }  # fmt: skip
    assert of["RegisterUser"].attributes == {"usersd.outcome": "ok"}
    assert of["ViewUser"].attributes == {"user.id": user, "usersd.outcome": "ok"}
    assert of["project users"].attributes["usersd.position"] == position
    assert _stored_trace(database, position) == f"00-{TRACE}-{of['append'].id}-01"
    assert collector.received[0].path == "/v1/traces"
    assert collector.resource["service.name"] == "users"
    assert collector.resource["host.id"] == client.service.instance_id


async def test_a_page_with_events_of_several_traces_is_linked_to_them(
    database: str, collector: Receiver
) -> None:
    async with traced_service(database, collector) as client:
        await asyncio.gather(*(client.register() for _ in range(20)))
        await eventually(lambda: _projected(collector, 20))
    appends = {span.id for span in collector.spans if span.name == "append"}
    pages = [span for span in collector.spans if span.name == "project users"]
    linked = [{span.parent, *span.links} for span in pages]
    assert set.union(*linked) == appends
    assert sum(map(len, linked)) == len(appends)


async def test_without_a_caller_s_word_the_ratio_decides(database: str, collector: Receiver) -> None:
    async with traced_service(database, collector, MG_JAEGER_TRACE_RATIO="0") as client:
        await client.register()
        asked = await client.http.post("/users", json=client.account(), headers=SAMPLED)
        assert asked.status_code == 201
        await eventually(lambda: _has(collector, {"POST /users"}))
    assert {span.trace for span in collector.spans} == {TRACE}


async def test_of_the_flags_only_the_one_that_says_traced_counts(database: str, collector: Receiver) -> None:
    async with traced_service(database, collector, MG_JAEGER_TRACE_RATIO="0") as client:
        answer = await client.http.post(
            "/users", json=client.account(), headers={"traceparent": f"00-{TRACE}-{CALLER}-03"}
        )
        await eventually(lambda: _has(collector, {"append"}))
    stored = _stored_trace(database, int(answer.headers["usersd-position"]))
    assert stored.startswith(f"00-{TRACE}-")
    assert stored.endswith("-01")


async def test_a_caller_who_does_not_trace_is_not_traced(database: str, collector: Receiver) -> None:
    async with traced_service(database, collector) as client:
        headers = {"traceparent": f"00-{TRACE}-{CALLER}-00"}
        await client.http.post("/users", json=client.account(), headers=headers)
        await client.register()
        await eventually(lambda: _has(collector, {"POST /users"}))
    assert TRACE not in {span.trace for span in collector.spans}


@pytest.mark.parametrize(
    "sent", ["", CANARY, f"00-{'0' * 32}-{CALLER}-01", f"00-{TRACE}-{CALLER}-0g", "00-1-2-01"]
)
async def test_a_traceparent_that_is_none_begins_a_trace_of_our_own(
    database: str, collector: Receiver, sent: str
) -> None:
    async with traced_service(database, collector) as client:
        await client.http.get("/users/profile", headers={"traceparent": sent})
        await eventually(lambda: _has(collector, {"GET /users/profile"}))
    (span,) = (span for span in collector.spans if span.name == "GET /users/profile")
    assert span.parent == ""
    assert span.trace != TRACE


async def test_refusals_and_faults_are_told_apart(
    database: str, collector: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with traced_service(database, collector) as client:
        user = await client.register()
        await client.http.post("/users", json=client.account(email=user["email"]))
        await client.http.get("/nowhere")
        monkeypatch.setattr(client.service.bus.ports.directory, "find", None)
        await client.http.get("/users/profile", headers=await client.as_user(user["email"]))
        await eventually(lambda: _has(collector, {"GET unmatched", "GET /users/profile"}))
    conflicts = [span for span in collector.spans if span.attributes.get("usersd.outcome") == "email_taken"]
    assert [(span.name, span.error) for span in conflicts] == [("RegisterUser", False)]
    faults = {span.name for span in collector.spans if span.error}
    assert faults == {"GET /users/profile", "ViewUser"}


async def test_what_machines_ask_for_all_day_is_not_traced(database: str, collector: Receiver) -> None:
    async with traced_service(database, collector) as client:
        for path in ("/metrics", "/livez", "/readyz", "/health"):
            await client.http.get(path, headers=SAMPLED)
        await client.http.get("/openapi.json")
        await eventually(lambda: _has(collector, {"GET /openapi.json"}))
    asked = [span.name for span in collector.spans if span.name.startswith(("GET", "HTTP"))]
    assert asked == ["GET /openapi.json"]


async def test_nothing_that_was_sent_can_be_read_in_a_trace(database: str, collector: Receiver) -> None:
    async with traced_service(database, collector) as client:
        http = client.http
        marks = {
            "X-Request-ID": CANARY, "User-Agent": CANARY, "tracestate": f"vendor={CANARY}",
            "baggage": f"a={CANARY}", "Cookie": CANARY,
        }  # fmt: skip
        body = client.account(
            first_name=CANARY, email=f"{CANARY}@example.com", tags=[CANARY], metadata={"a": CANARY},
            credentials={"username": CANARY, "secret": f"{CANARY}-secret"},
        )  # fmt: skip
        user = (await http.post("/users", json=body, headers=marks)).json()
        tokens = await client.login(CANARY, f"{CANARY}-secret")
        own = marks | bearer(tokens["access_token"])
        for method, path in (
            ("GET", "/users/profile"), ("GET", f"/users/{CANARY}"), ("GET", f"/{CANARY}?a={CANARY}"),
            ("GET", f"/users/search?username={CANARY}"), (CANARY, "/users"), ("GET", f"/users/{user['id']}"),
        ):  # fmt: skip
            await http.request(method, path, headers=own)
        await http.post("/users", json=body, headers=marks)
        await http.patch(f"/users/{user['id']}", json={"last_name": CANARY}, headers=own)
        await http.post("/users/tokens/refresh", headers=marks | bearer(tokens["refresh_token"]))
        await eventually(
            lambda: _has(collector, {"RefreshTokens", "UpdateProfile", "POST /users/tokens/refresh"})
        )
    sent = collector.everything
    assert CANARY.lower().encode() not in sent.lower()
    for token in (tokens["access_token"], tokens["refresh_token"]):
        for part in token.split("."):
            assert part.encode() not in sent
    assert b"127.0.0.1" not in b"".join(one.body for one in collector.received)


async def test_a_collector_that_is_away_is_said_once_and_costs_nobody_anything(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    nobody = f"http://127.0.0.1:{_free_port()}/v1/traces"
    async with running_service(database, MG_JAEGER_URL=nobody) as client:
        for _ in range(3):
            await client.register()
            tracing = client.service.tracing
            assert tracing is not None
            await asyncio.to_thread(tracing.flush)
        ends = time.monotonic()
    assert time.monotonic() - ends < STOPS_WITHIN
    lines = [record.getMessage() for record in caplog.records
             if record.name.startswith(("opentelemetry", "urllib3", "usersd.telemetry"))]  # fmt: skip
    assert lines == ["traces are dropped: the collector that MG_JAEGER_URL names does not take them"]


async def test_a_collector_that_never_answers_does_not_hold_up_a_stop(
    database: str, collector: Receiver
) -> None:
    collector.silent.set()
    async with traced_service(database, collector) as client:
        await client.register()
        await eventually(lambda: _received(collector))
        started = time.monotonic()
        await client.register()
        assert time.monotonic() - started < 1
        ends = time.monotonic()
    assert time.monotonic() - ends < STOPS_WITHIN


async def test_the_last_spans_are_delivered_when_it_stops(database: str, collector: Receiver) -> None:
    async with traced_service(database, collector) as client:
        await client.register()
    assert "RegisterUser" in {span.name for span in collector.spans}


async def test_without_a_collector_the_caller_s_trace_is_stored_as_it_came(
    client: Client, database: str
) -> None:
    assert client.service.tracing is None
    answer = await client.http.post("/users", json=client.account(), headers=SAMPLED)
    assert _stored_trace(database, int(answer.headers["usersd-position"])) == SAMPLED["traceparent"]


def test_without_a_collector_the_libraries_are_not_even_loaded() -> None:
    program = "import sys, infrastructure.serving; sys.exit('opentelemetry' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


async def _has(collector: Receiver, names: set[str], trace: str = "") -> bool:
    return names <= {span.name for span in collector.spans if trace in ("", span.trace)}


async def _projected(collector: Receiver, count: int) -> bool:
    pages: list[Span] = [span for span in collector.spans if span.name == "project users"]
    return sum(1 + len(span.links) for span in pages) >= count


async def _received(collector: Receiver) -> bool:
    return bool(collector.received)


def _stored_trace(database: str, position: int) -> str:
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT state FROM events WHERE position = %s", (position,)).fetchone()
    assert row is not None
    return str(msgspec.json.decode(row[0])["trace"])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
