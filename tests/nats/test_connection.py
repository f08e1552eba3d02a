"""A connection starts within its bound and keeps credentials to itself."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from infrastructure.nats.connection import BrokerUnreachable, close, connect, where
from tests.nats.broker import Broker
from tests.nats.service import until


async def test_a_server_that_is_not_there_is_given_up_within_the_bound(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.kill()
    started = time.monotonic()
    with pytest.raises(BrokerUnreachable) as refusal:
        await connect(broker.odd_url, name="test", within=0.7)
    assert time.monotonic() - started < 2
    assert "p%40ss" not in str(refusal.value)
    assert caplog.text == ""


async def test_a_wrong_password_is_named_as_the_reason_and_not_shown(broker: Broker) -> None:
    with pytest.raises(BrokerUnreachable, match="Authorization Violation") as refusal:
        await connect(broker.odd_url.replace("p%40ss", "wrong"), name="test", within=1)
    assert "wrong" not in str(refusal.value)


async def test_a_password_that_needs_encoding_in_a_url_is_decoded(broker: Broker) -> None:
    client = await connect(broker.odd_url, name="test")
    assert client.is_connected
    await close(client)


async def test_a_lost_connection_is_reported_in_lines_without_traceback_and_comes_back(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    lost = asyncio.Event()
    client = await connect(broker.odd_url, name="test", on_lost=lost.set)
    with caplog.at_level(logging.INFO):
        broker.kill()
        await asyncio.wait_for(lost.wait(), 5)
        broker.start()

        async def back() -> bool:
            return client.is_connected

        await until(back, "the connection to come back")
    await close(client)
    assert all(record.exc_info is None for record in caplog.records)
    assert len({record.getMessage() for record in caplog.records}) == len(caplog.records)
    assert "p%40ss" not in caplog.text


def test_where_it_connects_to_is_shown_without_credentials() -> None:
    assert where("nats://user:secret@one:4333, tls://token@two,three") == "one:4333,two:4222,three:4222"
