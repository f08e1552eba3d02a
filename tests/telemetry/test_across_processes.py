"""Where roles are processes of their own, a trace leads through them, and each says which it is."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.nats.broker import Broker
from tests.projections.commanding import settings
from tests.support.databases import Databases
from tests.support.servers import throw_away_folder
from tests.support.waiting import at_last
from tests.telemetry.receiver import Receiver, Span, receiver
from tests.telemetry.roles import PATIENCE, Process, processes
from tests.telemetry.scraping import value

ROLES = ("api", "projector", "relay")
SIDE_BY_SIDE = [f"side-{number}" for number in range(8)]
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
BODY = {
    "first_name": "Canary-Zq9", "last_name": "Lovelace", "email": "canary-Zq9@example.com",
    "credentials": {"username": "canary-Zq9", "secret": "canary-Zq9-secret"},
}  # fmt: skip


class Platform:
    """What runs, what the collector got, and what was asked of it."""

    def __init__(self, running: dict[str, Process], collector: Receiver, broker: Broker) -> None:
        self.broker = broker
        self.running = running
        self.collector = collector

    @property
    def spans(self) -> dict[str, Span]:
        """Those of the one trace, by name."""
        return {span.name: span for span in self.collector.spans if span.trace == TRACE}


def _log_in_at_once(http: httpx.Client) -> None:
    """Requests that are answered side by side, each with an id of its own."""
    wrong = {"identity": "nobody@example.com", "secret": "wrong-Zq9"}
    with ThreadPoolExecutor(len(SIDE_BY_SIDE)) as threads:
        asked = [
            threads.submit(http.post, "/users/tokens/issue", json=wrong, headers={"X-Request-ID": one})
            for one in SIDE_BY_SIDE
        ]
    assert {one.result().status_code for one in asked} == {401}


@pytest.fixture(scope="module")
def platform(databases: Databases) -> Iterator[Platform]:
    """Three roles as processes of their own, after somebody registered in a trace."""
    with throw_away_folder() as folder, databases.fresh() as database, receiver() as collector:
        broker = Broker(Path(folder))
        broker.start()
        environ = settings(database) | {
            "MG_USERS_ES_URL": broker.url,
            "MG_JAEGER_URL": f"{collector.url}/v1/traces",
            "MG_JAEGER_TRACE_RATIO": "0",
            "MG_USERS_ADMIN_PASSWORD": "rings-twice-77",
            "MG_USERS_LOG_LEVEL": "debug",
        }
        try:
            with processes(ROLES, environ) as running:
                platform = Platform(running, collector, broker)
                with httpx.Client(base_url=running["api"].url, timeout=30, trust_env=False) as http:
                    traced = {"traceparent": f"00-{TRACE}-{CALLER}-01", "X-Request-ID": "req-4711"}
                    assert http.post("/users", json=BODY, headers=traced).status_code == 201
                    _log_in_at_once(http)
                wanted = {"POST /users", "RegisterUser", "append", "project users", "publish"}
                at_last(lambda: wanted <= platform.spans.keys(), PATIENCE)
                yield platform
        finally:
            broker.kill()


def test_one_trace_leads_through_the_processes(platform: Platform) -> None:
    spans = platform.spans
    assert spans["POST /users"].parent == CALLER
    assert spans["RegisterUser"].parent == spans["POST /users"].id
    assert spans["append"].parent == spans["RegisterUser"].id
    for follower in ("project users", "publish"):
        assert spans[follower].parent == spans["append"].id
    roles = {name: span.resource["usersd.role"] for name, span in spans.items()}
    assert {roles[name] for name in ("POST /users", "RegisterUser", "append")} == {"api"}
    assert (roles["project users"], roles["publish"]) == ("projector", "relay")
    instances = {span.resource["service.instance.id"] for span in spans.values()}
    assert instances == {"api-7", "projector-7", "relay-7"}


async def test_the_message_hands_the_trace_on_to_consumers(platform: Platform) -> None:
    traces = {message.event.get("traceparent") for message in await platform.broker.messages()}
    assert f"00-{TRACE}-{platform.spans['append'].id}-01" in traces


def test_nothing_of_the_person_is_in_a_trace(platform: Platform) -> None:
    assert b"canary-zq9" not in platform.collector.everything.lower()


@pytest.mark.parametrize("role", ROLES)
def test_every_role_shows_the_metrics_of_its_own_work(platform: Platform, role: str) -> None:
    text = platform.running[role].metrics()
    assert value(text, "usersd_build_info", role=role) == 1
    assert value(text, "usersd_up_database") == 1
    assert value(text, "usersd_projection_owned", projection="users") == 1
    assert value(text, "usersd_relay_owned", relay="users") == 1
    assert ("usersd_up_broker 1.0" in text) is (role == "relay")
    assert ('usersd_job_runs_total{outcome="ok",work="check the read models"}' in text) is (
        role == "projector"
    )
    assert "canary-zq9" not in text.lower()


@pytest.mark.parametrize("role", ROLES)
def test_every_line_of_a_log_is_json_and_says_whose_it_is(platform: Platform, role: str) -> None:
    lines = platform.running[role].lines
    assert all((line["role"], line["instance_id"]) == (role, f"{role}-7") for line in lines)
    assert all(line["time"].endswith("Z") for line in lines)
    assert {line["level"] for line in lines} <= {"DEBUG", "INFO", "WARN", "ERROR"}


def test_lines_on_account_of_a_request_have_its_id(platform: Platform) -> None:
    at_last(lambda: [line for line in platform.running["api"].lines if line["logger"] == "usersd.access"])
    named = [line for line in platform.running["api"].lines if line.get("request_id") == "req-4711"]
    assert {"usersd.bus", "usersd.access"} <= {line["logger"] for line in named}
    side_by_side = [
        line.get("request_id")
        for line in platform.running["api"].lines
        if line["msg"].startswith("IssueTokens: wrong_credentials")
    ]
    assert sorted(map(str, side_by_side)) == SIDE_BY_SIDE
    assert not [line for line in platform.running["projector"].lines if line.get("request_id") == "req-4711"]
