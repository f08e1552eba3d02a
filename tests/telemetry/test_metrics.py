"""What /metrics tells, and that nobody can be recognised in it."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

from infrastructure.accounts.passwords import BcryptHasher
from infrastructure.telemetry.catalogue import BY_NAME, METRICS, Metric
from infrastructure.telemetry.database import NOTHING, PATIENCE, Database
from infrastructure.telemetry.requests import BUCKETS, METHODS, OTHER, RequestTimes
from projections.catalogue import READ_MODELS
from tests.http.answers import routes_of
from tests.support.service import Client, bearer, running_service
from tests.support.waiting import eventually
from tests.telemetry.scraping import families, scraped, value

CANARY = "canary-Zq9"
LATENCY = "usersd_http_request_duration_seconds"
FROM_THE_LIBRARY = ("process_",)
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-")


async def test_what_is_scraped_is_what_the_catalogue_says(client: Client) -> None:
    await client.as_user((await client.register())["email"])
    found = families(await scraped(client))
    found = {name: family for name, family in found.items() if not name.startswith(FROM_THE_LIBRARY)}
    assert found.keys() == BY_NAME.keys()
    for name, family in found.items():
        metric = BY_NAME[name]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        for sample in family.samples:
            assert set(sample.labels) - {"le", "quantile"} == set(metric.labels), sample


async def test_the_process_is_measured_too(client: Client) -> None:
    text = await scraped(client)
    assert value(text, "process_resident_memory_bytes") > 10_000_000
    assert value(text, "usersd_build_info") == 1


async def test_every_route_has_its_label(client: Client) -> None:
    routes = {(method, path) for method, path in routes_of(client) if path != "/metrics"}
    for method, path in routes:
        await client.http.request(method, re.sub(r"\{\w+\}", str(uuid4()), path))
    await scraped(client)
    counted = {
        (sample.labels["method"], sample.labels["route"])
        for sample in families(await scraped(client))[LATENCY].samples
    }
    assert counted == routes | {("GET", "/metrics")}


async def test_each_status_is_counted_refusals_before_any_handler_too(client: Client) -> None:
    await client.http.get("/nowhere")
    await client.http.get("/elsewhere")
    await client.http.delete("/users")
    await client.http.get("/users/profile")
    await client.http.post("/users", content=b"{", headers={"Content-Type": "application/json"})
    text = await scraped(client)
    for method, route, status, count in (
        ("GET", "unmatched", "404", 2),
        ("DELETE", "unmatched", "405", 1),
        ("GET", "/users/profile", "401", 1),
        ("POST", "/users", "400", 1),
    ):
        assert value(text, f"{LATENCY}_count", method=method, route=route, status=status) == count


def test_a_time_falls_into_the_first_bucket_that_holds_it() -> None:
    times = RequestTimes()
    for seconds in (0.0, *BUCKETS, 60.0):
        times.add("GET", "/users", 200, seconds)
    (timed,) = times.timed.values()
    assert [count for _, count in timed.buckets()] == [2, *range(3, len(BUCKETS) + 2), len(BUCKETS) + 2]
    assert timed.seconds == sum(BUCKETS) + 60.0


def test_methods_that_callers_make_up_share_one_label() -> None:
    times = RequestTimes()
    for number in range(1000):
        times.add(f"{CANARY}{number}", "/users", 405, 0.001)
    assert list(times.timed) == [(OTHER, "/users", 405)]
    assert times.timed[OTHER, "/users", 405].count == 1000
    assert OTHER not in METHODS


async def test_nobody_and_nothing_that_was_sent_can_be_read_in_a_label(client: Client) -> None:
    http = client.http
    body = client.account(
        first_name=CANARY, email=f"{CANARY}@example.com", tags=[CANARY], metadata={"a": CANARY},
        credentials={"username": CANARY, "secret": f"{CANARY}-secret"},
    )  # fmt: skip
    user = (await http.post("/users", json=body)).json()
    tokens = await client.login(CANARY, f"{CANARY}-secret")
    own = bearer(tokens["access_token"])
    for method, path in (
        ("GET", f"/users/{user['id']}"), ("GET", f"/users/{CANARY}"), ("GET", f"/{CANARY}/{CANARY}"),
        ("GET", f"/users?email={CANARY}"), ("GET", f"/users/search?username={CANARY}"),
        (CANARY, "/users"), (CANARY, f"/{CANARY}"), ("DELETE", f"/users/{user['id']}/{CANARY}"),
        ("PATCH", f"/users/{user['id']}/role"),
    ):  # fmt: skip
        await http.request(method, path, headers=own | {"X-Request-ID": CANARY, "User-Agent": CANARY})
    await http.post("/users", json=body)
    await http.post("/users/tokens/issue", json={"identity": CANARY, "secret": CANARY})
    text = await scraped(client)
    assert CANARY.lower() not in text.lower()
    assert not UUID.search(text)
    assert tokens["access_token"][:20] not in text


async def test_logins_use_cases_and_appends_are_counted(client: Client) -> None:
    user = await client.register()
    await client.login(user["email"])
    await client.http.post("/users/tokens/issue", json={"identity": user["email"], "secret": "wrong"})
    text = await scraped(client)
    assert value(text, "usersd_logins_total", outcome="ok") == 1
    assert value(text, "usersd_logins_total", outcome="failed") == 1
    name = "usersd_use_case_duration_seconds"
    assert value(text, f"{name}_count", use_case="RegisterUser", outcome="ok") == 1
    assert value(text, f"{name}_count", use_case="IssueTokens", outcome="wrong_credentials") == 1
    assert value(text, f"{name}_sum", use_case="IssueTokens", outcome="ok") > 0
    assert value(text, "usersd_append_batch_commands_sum") == 2
    assert value(text, "usersd_append_batch_commands_bucket", le="1") == 2
    assert value(text, "usersd_sessions_open") == 1


async def test_commands_that_share_an_append_are_one_batch(client: Client) -> None:
    answers = await asyncio.gather(*(client.http.post("/users", json=client.account()) for _ in range(30)))
    assert {answer.status_code for answer in answers} == {201}
    text = await scraped(client)
    assert value(text, "usersd_append_batch_commands_sum") == 31
    assert value(text, "usersd_append_batch_commands_count") < 31
    assert value(text, "usersd_append_batch_commands_bucket", le="256") == value(
        text, "usersd_append_batch_commands_count"
    )


async def test_hashes_that_wait_for_a_core_are_seen(client: Client) -> None:
    hasher, released = client.service.bus.ports.hasher, threading.Event()
    assert isinstance(hasher, BcryptHasher)
    hashing = [asyncio.create_task(hasher._run(released.wait)) for _ in range(hasher.cores + 3)]
    await asyncio.sleep(0)
    text = await scraped(client)
    released.set()
    assert value(text, "usersd_hashing_in_use") == hasher.cores
    assert value(text, "usersd_hashing_waiting") == 3
    await asyncio.gather(*hashing)
    assert value(await scraped(client), "usersd_hashing_in_use") == 0


async def test_a_read_model_that_is_behind_says_how_far_and_how_long(database: str) -> None:
    async with running_service(database, project=False) as client:
        answers = [
            await client.http.post("/users", json=client.account(), headers={"Prefer": "respond-async"})
            for _ in range(2)
        ]
        assert {answer.status_code for answer in answers} == {201}
        text = await scraped(client)
    for projection in (model.name for model in READ_MODELS):
        of = {"projection": projection, "state": "live", "generation": "1"}
        assert value(text, "usersd_projection_position", **of) == 0
        assert value(text, "usersd_projection_lag_events", **of) == 3
        assert value(text, "usersd_projection_lag_seconds", **of) > 0
        assert value(text, "usersd_projection_owned", **of) == 0
        assert value(text, "usersd_parked_streams", **of) == 0
    assert value(text, "usersd_log_head_position") == 3


async def test_a_read_model_that_is_up_to_date_has_no_lag(client: Client) -> None:
    await client.register()

    async def nothing_waits() -> bool:
        text = await scraped(client)
        of = {"projection": "history", "state": "live", "generation": "1"}
        lag = value(text, "usersd_projection_lag_events", **of)
        return (
            lag == value(text, "usersd_projection_lag_seconds", **of) == 0
            and value(text, "usersd_projection_owned", **of) == 1
        )

    await eventually(nothing_waits)


async def test_the_relay_tells_its_lag_before_it_has_ever_run_elsewhere(
    client: Client, database: str
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO relays (name, position) VALUES ('users', 0)")
    await client.register()
    text = await scraped(client)
    assert value(text, "usersd_relay_position", relay="users") == 0
    assert value(text, "usersd_relay_lag_events", relay="users") == 2
    assert value(text, "usersd_relay_lag_seconds", relay="users") > 0
    assert value(text, "usersd_relay_owned", relay="users") == 0


async def test_a_scrape_without_a_database_says_so_and_the_rest(client: Client, database: str) -> None:
    assert value(await scraped(client), "usersd_up_database") == 1
    _allow_connections(database, False)
    try:
        text = await scraped(client)
        assert value(text, "usersd_up_database") == 0
        assert "usersd_log_head_position" not in text
        assert value(text, f"{LATENCY}_count", route="/metrics") == 1
    finally:
        _allow_connections(database, True)
    text = await scraped(client)
    assert value(text, "usersd_up_database") == 1
    assert value(text, "usersd_log_head_position") == 1


async def test_a_connection_that_died_since_the_last_scrape_is_made_anew(
    client: Client, database: str
) -> None:
    await scraped(client)
    _allow_connections(database, False)
    _allow_connections(database, True)
    assert value(await scraped(client), "usersd_up_database") == 1


async def test_a_database_that_is_stuck_holds_up_a_scrape_for_a_bounded_time(
    client: Client, database: str
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
        started = time.monotonic()
        text = await scraped(client)
        assert time.monotonic() - started < PATIENCE + 1
        assert value(text, "usersd_up_database") == 0
    assert value(await scraped(client), "usersd_up_database") == 1


async def test_scrapes_that_come_together_share_one_reading(database: str) -> None:
    figures = Database(database, {"users": 1})
    first, second = await asyncio.gather(figures.read(), figures.read())
    assert first is second
    assert first.up
    await figures.close()


async def test_no_server_at_all_is_no_error() -> None:
    figures = Database("host=127.0.0.1 port=1 connect_timeout=2", {"users": 1})
    assert await figures.read() == NOTHING
    await figures.close()


def test_every_name_says_whose_it_is_and_each_is_there_once() -> None:
    assert len(BY_NAME) == len(METRICS)
    assert all(metric.name.startswith(("usersd_", "users_api_request_")) for metric in METRICS)
    assert all(metric.name.endswith("_total") for metric in METRICS if metric.kind == "counter"
               and metric.name.startswith("usersd_"))  # fmt: skip


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_no_label_is_one_that_prometheus_renames_or_keeps_for_itself(metric: Metric) -> None:
    assert not {"job", "instance"} & set(metric.labels)
    assert not [label for label in metric.labels if label.startswith(("exported_", "__"))]


def _allow_connections(database: str, allowed: bool) -> None:
    """Open a database, or shut it and end whoever is in it."""
    name = str(conninfo_to_dict(database)["dbname"])
    with psycopg.connect(make_conninfo(database, dbname="postgres"), autocommit=True) as connection:
        connection.execute(
            SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(Identifier(name), SQL(str(allowed)))
        )
        if not allowed:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
                " AND backend_type = 'client backend'",
                (name,),
            )
