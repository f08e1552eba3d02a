"""A service with its gRPC server on a port of its own, and clients that the stubs make."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import grpc
import msgspec
from google.rpc import status_pb2

from application.clients import SCOPES, ClientSecret, Scope
from infrastructure.accounts.clients import PostgresClientAdministration
from infrastructure.server.addresses import grpc_place
from infrastructure.server.grpc import GrpcServer
from infrastructure.settings import load
from interfaces.grpc.stubs.auth.v1.auth_pb2_grpc import AuthServiceStub
from interfaces.grpc.stubs.mainflux.users.policies.auth_pb2_grpc import AuthServiceStub as PoliciesStub
from interfaces.grpc.stubs.token.v1.token_pb2_grpc import TokenServiceStub
from interfaces.grpc.stubs.users.v1.users_pb2_grpc import UsersServiceStub
from tests.support.service import Client, running_service

Metadata = tuple[tuple[str, str], ...]
STOPPED_WITHIN = 10.0


async def is_ready() -> dict[str, str]:
    return {"postgres": "ok"}


class World(msgspec.Struct, frozen=True):
    """Everything that a test speaks to."""

    client: Client
    server: GrpcServer
    address: str
    channel: grpc.aio.Channel
    lines: list[tuple[str, str, float, str]]

    @property
    def users(self) -> Any:
        return UsersServiceStub(self.channel)

    @property
    def tokens(self) -> Any:
        return TokenServiceStub(self.channel)

    @property
    def auth(self) -> Any:
        return AuthServiceStub(self.channel)

    @property
    def policies(self) -> Any:
        return PoliciesStub(self.channel)

    @property
    def administration(self) -> PostgresClientAdministration:
        return PostgresClientAdministration(self.client.service.pool.conninfo, lambda: datetime.now(UTC))

    def account(self, *scopes: Scope) -> ClientSecret:
        """A new service account; with every scope where none is named."""
        return self.administration.add("a program", scopes or SCOPES)

    def shows(self, *scopes: Scope) -> Metadata:
        """The metadata of a new service account."""
        return shown(self.account(*scopes))


def shown(account: ClientSecret, secret: str | None = None) -> Metadata:
    """A credential as metadata."""
    both = f"{account.id}:{secret or account.secret}"
    return (("authorization", f"Basic {base64.b64encode(both.encode()).decode()}"),)


@asynccontextmanager
async def serving(client: Client, readiness: Any = is_ready, **environ: str) -> AsyncIterator[World]:
    """A gRPC server beside a service that runs."""
    settings = load({"MG_USERS_GRPC_PORT": "0", **environ}).settings
    lines: list[tuple[str, str, float, str]] = []
    server = GrpcServer(
        client.service, settings, grpc_place(settings), readiness, lambda *line: lines.append(line)
    )
    address = await server.start()
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            yield World(client, server, address, channel, lines)
    finally:
        await server.stop(STOPPED_WITHIN)


@asynccontextmanager
async def world(conninfo: str, **environ: str) -> AsyncIterator[World]:
    """A service and its gRPC server."""
    async with running_service(conninfo) as client, serving(client, **environ) as made:
        yield made


async def refusal(call: Any) -> grpc.aio.AioRpcError:
    """How a call was refused."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError(f"it was answered: {answer}")


def status_of(error: grpc.aio.AioRpcError) -> Any:
    """The details that go with a refusal."""
    trailing: dict[str, Any] = dict(error.trailing_metadata())
    return status_pb2.Status.FromString(trailing["grpc-status-details-bin"])


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The stable name of a refusal."""
    from google.rpc.error_details_pb2 import ErrorInfo

    for detail in status_of(error).details:
        info = ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason)
    raise AssertionError("there is no ErrorInfo")
