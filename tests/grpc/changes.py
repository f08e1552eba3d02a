"""What the log has to tell those who watch, where it ends, and somebody who watches and does not read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from application.ports import Recorded
from interfaces.events.published import message_of, render
from interfaces.grpc import watching
from interfaces.grpc.stubs.users.v1.users_pb2 import WatchUsersReq
from interfaces.grpc.stubs.users.v1.users_pb2_grpc import UsersServiceStub
from tests.grpc.world import Metadata, World

PATIENCE = 30.0


async def told(here: World, after: int = 0) -> list[tuple[int, str, bytes]]:
    """What the log has to tell after a position, as a watcher should hear it."""
    found = []
    for event in await here.client.service.changes.page(after, 10_000):
        assert isinstance(event, Recorded)
        if (message := message_of(event)) is not None:
            found.append((event.position, message.type, render(event)))
    return found


async def head(here: World) -> int:
    return await here.client.service.changes.head()


@asynccontextmanager
async def not_reading(
    here: World, monkeypatch: pytest.MonkeyPatch, shows: Metadata
) -> AsyncIterator[tuple[Any, int]]:
    """A call that has read one of fifteen large answers and has room for few more, and where they begin."""
    monkeypatch.setattr(watching, "PAGE", 1)
    begin = await head(here)
    for _ in range(15):
        await here.client.register(metadata={"blob": "x" * 200_000})
    # A client that makes no more room than HTTP/2 begins with.
    options = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536))
    async with grpc.aio.insecure_channel(here.address, options) as channel:
        stub: Any = UsersServiceStub(channel)
        call = stub.WatchUsers(WatchUsersReq(after=begin), metadata=shows)
        await call.read()
        yield call, begin
