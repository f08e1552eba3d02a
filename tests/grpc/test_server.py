"""What every gRPC server owes: health, reflection, deadlines, limits, a clean end, and telling no secrets."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.rpc.error_details_pb2 import RetryInfo
from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

from infrastructure.server.addresses import CannotListen, grpc_place
from infrastructure.server.grpc import LARGEST_REQUEST, GrpcServer
from infrastructure.serving import application, serve_grpc
from infrastructure.settings import load
from interfaces.grpc.services import NAMES
from interfaces.grpc.stubs.mainflux.users.policies.auth_pb2 import IdentifyReq
from interfaces.grpc.stubs.token.v1.token_pb2 import ListUserRefreshTokensReq
from interfaces.grpc.stubs.users.v1.users_pb2 import RetrieveUsersReq, WatchUsersReq
from tests.grpc.world import World, is_ready, reason_of, refusal, serving, status_of, world
from tests.support.databases import standing
from tests.support.service import running_service
from tests.support.waiting import eventually
from tests.telemetry.receiver import receiver
from tests.telemetry.scraping import scraped, value

STATES = HealthCheckResponse


def health(here: World) -> Any:
    return HealthStub(here.channel)


def reflection(here: World) -> Any:
    stub: Any = ServerReflectionStub
    return stub(here.channel)


async def test_everybody_may_ask_whether_each_service_is_served(here: World) -> None:
    for name in ("", *NAMES, "grpc.health.v1.Health"):
        answer = await health(here).Check(HealthCheckRequest(service=name))
        assert answer.status == STATES.SERVING
    error = await refusal(health(here).Check(HealthCheckRequest(service="nobody")))
    assert error.code() is StatusCode.NOT_FOUND
    call = health(here).Watch(HealthCheckRequest(service="nobody"))
    assert (await call.read()).status == STATES.SERVICE_UNKNOWN
    call.cancel()


async def test_health_is_as_true_as_readiness(here: World) -> None:
    state = {"postgres": "OperationalError"}

    async def readiness() -> dict[str, str]:
        return state

    async with serving(here.client, readiness) as made:
        watch = health(made).Watch(HealthCheckRequest())
        assert (await watch.read()).status == STATES.NOT_SERVING
        assert (await health(made).Check(HealthCheckRequest())).status == STATES.NOT_SERVING
        state["postgres"] = "ok"
        async with asyncio.timeout(20):
            assert (await watch.read()).status == STATES.SERVING
        watch.cancel()


async def test_reflection_describes_every_service(here: World) -> None:
    call = reflection(here).ServerReflectionInfo(metadata=here.shows("introspect"))
    await call.write(ServerReflectionRequest(list_services=""))
    listed = {service.name for service in (await call.read()).list_services_response.service}
    assert listed >= {*NAMES, "grpc.health.v1.Health"}
    for name in NAMES:
        await call.write(ServerReflectionRequest(file_containing_symbol=name))
        (file, *_) = (await call.read()).file_descriptor_response.file_descriptor_proto
        assert name.startswith(FileDescriptorProto.FromString(file).package)
    await call.done_writing()
    assert not await call.read()


async def test_a_deadline_ends_the_work_too(here: World, shared_database: str) -> None:
    shows = here.shows("issue_tokens", "follow_feed")
    async with await psycopg.AsyncConnection.connect(shared_database) as blocking:
        await blocking.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
        request = ListUserRefreshTokensReq(user_id="4ddf6ba4-5bbe-4f0f-8f6c-d5cbe6e0f3a4")
        started = time.monotonic()
        call = here.tokens.ListUserRefreshTokens(request, metadata=shows, timeout=0.5)
        assert (await refusal(call)).code() is StatusCode.DEADLINE_EXCEEDED
        assert time.monotonic() - started < 10

        async def the_server_knows() -> bool:
            rpc = "token.v1.TokenService/ListUserRefreshTokens"
            return any(line[:2] == (rpc, "DEADLINE_EXCEEDED") for line in here.lines)

        await eventually(the_server_knows)
        await blocking.rollback()
    watch = here.users.WatchUsers(WatchUsersReq(), metadata=shows, timeout=0.5)
    assert (await refusal(_to_the_end(watch))).code() is StatusCode.DEADLINE_EXCEEDED


async def _to_the_end(call: Any) -> None:
    async for _ in call:
        pass


async def test_what_is_too_large_is_refused_before_it_is_read(here: World) -> None:
    shows = here.shows("introspect")
    request = IdentifyReq(token="x" * LARGEST_REQUEST)
    error = await refusal(here.policies.Identify(request, metadata=shows))
    assert error.code() is StatusCode.RESOURCE_EXHAUSTED
    large = (*shows, ("x-large", "x" * 40_000))
    error = await refusal(here.policies.Identify(IdentifyReq(token="x"), metadata=large))
    assert error.code() is StatusCode.RESOURCE_EXHAUSTED


async def test_without_its_database_the_service_says_when_to_try_again(database: str) -> None:
    async with world(database) as made:
        shows = made.shows("read_users")
        request = RetrieveUsersReq(ids=["4ddf6ba4-5bbe-4f0f-8f6c-d5cbe6e0f3a4"])
        await made.users.RetrieveUsers(request, metadata=shows)
        name = Identifier(conninfo_to_dict(database)["dbname"])  # type: ignore[arg-type]
        admin = make_conninfo(database, dbname="postgres")
        async with await psycopg.AsyncConnection.connect(admin, autocommit=True) as connection:
            switch = SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
            await connection.execute(switch.format(name, SQL("false")))
            try:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                    (conninfo_to_dict(database)["dbname"],),
                )
                error = await refusal(made.users.RetrieveUsers(request, metadata=shows))
            finally:
                await connection.execute(switch.format(name, SQL("true")))
        assert (error.code(), reason_of(error)) == (StatusCode.UNAVAILABLE, "UNAVAILABLE")
        retry = RetryInfo()
        assert any(detail.Unpack(retry) for detail in status_of(error).details)
        assert retry.retry_delay.seconds == 1
        assert ("grpc-retry-pushback-ms", "1000") in tuple(error.trailing_metadata())


async def test_a_stop_finishes_calls_and_sends_streams_elsewhere(here: World, shared_database: str) -> None:
    async with serving(here.client) as made:
        shows = made.shows("issue_tokens", "follow_feed")
        watch = made.users.WatchUsers(WatchUsersReq(), metadata=shows)
        while (await watch.read()).HasField("change"):
            pass
        healthy = health(made).Watch(HealthCheckRequest())
        assert (await healthy.read()).status == STATES.SERVING
        reflecting = reflection(made).ServerReflectionInfo(metadata=shows)
        await reflecting.write(ServerReflectionRequest(list_services=""))
        await reflecting.read()
        async with await psycopg.AsyncConnection.connect(shared_database) as blocking:
            await blocking.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
            request = ListUserRefreshTokensReq(user_id="4ddf6ba4-5bbe-4f0f-8f6c-d5cbe6e0f3a4")
            slow = asyncio.ensure_future(_answer(made.tokens.ListUserRefreshTokens(request, metadata=shows)))
            await _until_it_waits(shared_database)
            stopping = asyncio.create_task(made.server.stop(30))
            error = await refusal(watch.read())
            assert (error.code(), reason_of(error)) == (StatusCode.UNAVAILABLE, "STOPPING")
            assert (await healthy.read()).status == STATES.NOT_SERVING
            assert not slow.done()
            await blocking.rollback()
        started = time.monotonic()
        assert not (await slow).refresh_tokens
        await stopping
        assert time.monotonic() - started < 10
        error = await refusal(made.policies.Identify(IdentifyReq(), metadata=shows))
        assert error.code() is StatusCode.UNAVAILABLE


async def _answer(call: Any) -> Any:
    return await call


async def _until_it_waits(conninfo: str) -> None:
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as looking:

        async def somebody_waits() -> bool:
            cursor = await looking.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            row = await cursor.fetchone()
            return row is not None and row[0] > 0

        await eventually(somebody_waits)


async def test_a_call_is_counted_and_noted_and_nothing_that_was_sent_is_told(here: World) -> None:
    here.lines.clear()
    shows = here.shows("introspect")
    canary = "canary-Zq9"
    await refusal(
        here.policies.Identify(
            IdentifyReq(token=canary), metadata=(*shows, ("x-request-id", "asked-42"), ("x-other", canary))
        )
    )

    async def noted() -> bool:
        # The note comes after the answer.
        return bool(here.lines)

    await eventually(noted)
    (line,) = here.lines
    assert line[:2] == ("mainflux.users.policies.AuthService/Identify", "UNAUTHENTICATED")
    assert (line[3], line[2] < 10) == ("asked-42", True)
    assert canary not in repr(line)
    text = await scraped(here.client)
    labels = {"rpc": "mainflux.users.policies.AuthService/Identify", "code": "UNAUTHENTICATED"}
    assert value(text, "usersd_grpc_call_duration_seconds_count", **labels) >= 1
    assert canary not in text


async def test_a_call_is_a_span_above_its_query(database: str) -> None:
    with receiver() as collector:
        async with (
            running_service(database, MG_JAEGER_URL=collector.url, MG_JAEGER_TRACE_RATIO="0") as client,
            serving(client) as made,
        ):
            caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            metadata = (*made.shows("introspect"), ("traceparent", caller))
            await refusal(made.policies.Identify(IdentifyReq(token="canary-Zq9"), metadata=metadata))
            tracing = client.service.tracing
            assert tracing is not None
            await asyncio.to_thread(tracing.flush)
            spans = {span.name: span for span in collector.spans}
        call, query = spans["mainflux.users.policies.AuthService/Identify"], spans["Identify"]
        assert (call.trace, call.parent) == (caller[3:35], caller[36:52])
        assert query.parent == call.id
        assert call.attributes["rpc.response.status_code"] == "UNAUTHENTICATED"
        assert b"canary-Zq9" not in collector.everything


async def test_a_port_that_is_taken_is_said_and_never_shared(here: World) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        with pytest.raises(CannotListen, match="MG_USERS_GRPC_PORT"):
            grpc_place(load({"MG_USERS_GRPC_PORT": port}).settings)
    settings = load({"MG_USERS_GRPC_PORT": here.address.rpartition(":")[2]}).settings
    with pytest.raises(CannotListen):
        grpc_place(settings)
    place = grpc_place(load({"MG_USERS_GRPC_PORT": "0"}).settings)
    taken = type(place)(place.host, (int(here.address.rpartition(":")[2]),))
    second = GrpcServer(here.client.service, settings, taken, is_ready)
    with pytest.raises(CannotListen, match="taken"):
        await second.start()


async def test_grpc_can_be_left_out(here: World, shared_database: str) -> None:
    settings = load({"MG_USERS_GRPC_ENABLED": "false", "MG_USERS_GRPC_PORT": "0"}).settings
    footing = standing(shared_database)
    app = application(here.client.service, settings)
    assert await serve_grpc(here.client.service, settings, footing, app) is None


async def test_both_ports_of_the_originals_are_served(here: World) -> None:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        first, second = str(one.getsockname()[1]), str(two.getsockname()[1])
    ports = {"MG_USERS_GRPC_PORT": first, "MG_USERS_GRPC_SECOND_PORT": second}
    async with serving(here.client, **ports) as made:
        assert made.address == f"127.0.0.1:{first}"
        for port in (first, second):
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                stub: Any = HealthStub(channel)
                assert (await stub.Check(HealthCheckRequest())).status == STATES.SERVING
