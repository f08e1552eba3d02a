"""A JetStream cluster of three loses any one of its servers, and consumers miss nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from infrastructure.nats.stream import Shape
from tests.nats.service import Service, until
from tests.scaling.trio import Trio
from tests.support.servers import throw_away_folder

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

RECOVERED = 30.0
"""Seconds within which the relay publishes again after one of three servers was killed."""


@pytest.fixture
def trio() -> Iterator[Trio]:
    with throw_away_folder() as folder:
        made = Trio(folder)
        made.start()
        try:
            yield made
        finally:
            made.kill()


@asynccontextmanager
async def writing(service: Service) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Somebody registers without a pause; the answer waits until more of it was published."""
    going_on = True

    async def write() -> None:
        while going_on:
            await service.register(5)

    task = asyncio.create_task(write())

    async def more() -> None:
        await service.relayed(await service.log.head() + 20, within=RECOVERED)

    try:
        yield more
    finally:
        going_on = False
        await task


async def test_its_servers_are_killed_one_after_the_other_and_nothing_is_missing_or_twice(
    database: str, trio: Trio
) -> None:
    await trio.ready()
    async with Service(database, trio.url) as service:
        async with service.relaying(shape=Shape(replicas=3)), writing(service) as more:
            await more()
            for led in (True, False, True):
                leader = await trio.leader()
                victim = leader if led else next(node for node in trio.nodes if node is not leader)
                victim.kill()
                await more()
                victim.start()
                await trio.leader()
        async with service.relaying(shape=Shape(replicas=3)):
            await service.relayed(within=RECOVERED)
        stored = await until(trio.messages, "the messages can be read")
        assert [message.position for message in stored] == list(range(1, await service.log.head() + 1))
        assert [message.event["id"] for message in stored] == await service.event_ids()


async def test_with_two_of_three_gone_it_waits_and_goes_on_when_one_is_back(
    database: str, trio: Trio
) -> None:
    await trio.ready()
    async with Service(database, trio.url) as service, service.relaying(shape=Shape(replicas=3)):
        await service.register(10)
        await service.relayed(within=RECOVERED)
        leader = await trio.leader()
        gone = [leader, next(node for node in trio.nodes if node is not leader)]
        for node in gone:
            node.kill()
        await service.register(10)
        gone[0].start()
        await service.relayed(within=2 * RECOVERED)
        stored = await until(trio.messages, "the messages can be read")
        assert [message.position for message in stored] == list(range(1, 21))
