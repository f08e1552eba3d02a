"""A replay tells one consumer what the stream told everybody, and nobody else anything."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from nats.js.api import StreamConfig

from application.replaying import Replay, Replayed, ReplayStopped, UnfitPosition, UnfitSubject
from domain import events
from infrastructure.nats.connection import close
from infrastructure.nats.replaying import check_subject
from infrastructure.operations.replay import PostgresReplays
from infrastructure.settings import load
from infrastructure.standing import Standing, open_keys
from interfaces.cli.output import TRY_AGAIN
from tests.nats.broker import Broker
from tests.nats.service import AT, ROOT, Service, until
from tests.projections.commanding import settings
from tests.support.program import USERSD, program

SUBJECT = "copies.of.mine"


@pytest.fixture
def replays(service: Service) -> PostgresReplays:
    standing = Standing(
        conninfo=service.conninfo, direct=service.conninfo, nats_url=service.nats_url, root_key=ROOT
    )
    return PostgresReplays(standing, load({}).settings, open_keys(standing))


async def replay(
    replays: PostgresReplays, steps: list[tuple[int, int]] | None = None, **wanted: Any
) -> Replayed:
    """In a thread, since the command line runs it in a loop of its own."""
    seen = [] if steps is None else steps
    question = Replay(**({"to": SUBJECT} | wanted))
    return await asyncio.to_thread(replays.replay, question, lambda done, total: seen.append((done, total)))


async def kept(broker: Broker, stream: str) -> list[tuple[str, bytes, dict[str, str]]]:
    """What a stream of the consumer's own holds: subject, body and headers, in order."""
    client = await broker.client()
    try:
        js = client.jetstream()
        last = (await js.stream_info(stream)).state.last_seq
        messages = [await js.get_msg(stream, seq=number) for number in range(1, last + 1)]
        return [(m.subject or "", m.data or b"", dict(m.headers or {})) for m in messages]
    finally:
        await close(client)


async def make_stream(broker: Broker, **options: Any) -> None:
    client = await broker.client()
    await client.jetstream().add_stream(StreamConfig(name="MINE", subjects=["copies.>"], **options))
    await close(client)


async def test_a_stream_of_the_consumers_own_gets_the_same_messages_and_the_stream_of_all_none(
    service: Service, broker: Broker, replays: PostgresReplays
) -> None:
    users = await service.register(300)
    await service.rename(users[0], 2)
    async with service.relaying():
        await service.relayed()
    told = await broker.messages()
    await make_stream(broker)
    steps: list[tuple[int, int]] = []
    assert await replay(replays, steps) == Replayed(position=302, messages=302, stream="MINE")
    copies = await kept(broker, "MINE")
    assert [body for _, body, _ in copies] == [message.body for message in told]
    assert {subject for subject, _, _ in copies} == {SUBJECT}
    assert [headers["Nats-Msg-Id"] for *_, headers in copies] == [m.event["id"] for m in told]
    assert len(await broker.messages()) == len(told)
    assert steps[-1] == (302, 302)


async def test_it_goes_from_one_position_to_another_and_on_from_there(
    service: Service, broker: Broker, replays: PostgresReplays
) -> None:
    await service.register(10)
    await make_stream(broker)
    assert (await replay(replays, after=3, until=7)).position == 7
    assert (await replay(replays, after=7, rate=1000)).position == 10
    assert (await replay(replays, after=10)).messages == 0
    positions = [
        body.partition(b'"position":"')[2][:2].strip(b'"') for _, body, _ in await kept(broker, "MINE")
    ]
    assert positions == [b"4", b"5", b"6", b"7", b"8", b"9", b"10"]


async def test_what_the_stream_does_not_store_again_is_told(
    service: Service, broker: Broker, replays: PostgresReplays
) -> None:
    await service.register(5)
    await make_stream(broker)
    assert (await replay(replays, until=3)).known == 0
    client = await broker.client()
    await client.jetstream().purge_stream("MINE")
    await close(client)
    assert await replay(replays) == Replayed(position=5, messages=5, stream="MINE", known=3)


async def test_positions_between_which_nothing_can_be_are_refused(
    service: Service, broker: Broker, replays: PostgresReplays
) -> None:
    await service.register(5)
    await make_stream(broker)
    with pytest.raises(UnfitPosition, match=r"beyond the end of the log, which is 5.*a snapshot anew"):
        await replay(replays, after=6)
    with pytest.raises(UnfitPosition, match="nothing after position 4 and up to 3"):
        await replay(replays, after=4, until=3)


async def test_where_no_stream_keeps_it_whoever_listens_gets_it_and_somebody_has_to(
    service: Service, broker: Broker, replays: PostgresReplays
) -> None:
    await service.register(5)
    with pytest.raises(UnfitSubject, match="nobody is subscribed"):
        await replay(replays)
    client = await broker.client()
    listening = await client.subscribe(SUBJECT)
    await client.flush()
    assert await replay(replays) == Replayed(position=5, messages=5, stream=None)
    ids = [((await listening.next_msg(timeout=5)).headers or {})["Nats-Msg-Id"] for _ in range(5)]
    assert ids == await service.event_ids()
    await close(client)


async def test_of_who_is_erased_only_that_is_told(
    service: Service, broker: Broker, replays: PostgresReplays
) -> None:
    kept_user, gone = await service.register(2)
    await service.append(gone, events.Erased(at=AT))
    await service.execute(
        "UPDATE user_keys SET wrapped = NULL, destroyed_at = now() WHERE user_id = %s", gone
    )
    await make_stream(broker)
    assert (await replay(replays)).messages == 2
    bodies = [body for _, body, _ in await kept(broker, "MINE")]
    assert str(kept_user).encode() in bodies[0]
    assert b'"type":"users.erased.v1"' in bodies[1]


async def test_what_stops_it_says_from_where_to_go_on(
    service: Service, broker: Broker, replays: PostgresReplays
) -> None:
    await service.register(20)
    await make_stream(broker, max_msg_size=10)
    with pytest.raises(ReplayStopped, match="go on with --from 3"):
        await replay(replays, after=3)
    broker.kill()
    with pytest.raises(ReplayStopped, match=r"no NATS at .*go on with --from 5"):
        await replay(replays, after=5)


async def test_ended_by_a_signal_it_says_from_where_to_go_on(service: Service, broker: Broker) -> None:
    await service.register(40)
    await make_stream(broker)

    async def some() -> bool:
        return len(await kept(broker, "MINE")) > 0

    there = settings(service.conninfo) | {"MG_USERS_ROOT_KEY": ROOT.hex(), "MG_USERS_ES_URL": broker.url}
    with program(**there) as made:
        running = await asyncio.create_subprocess_exec(
            str(USERSD), "events", "replay", "--to", SUBJECT, "--rate", "2",
            env=made.environ, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            await until(some, "the first messages", within=60)
            running.terminate()
            _, said = await running.communicate()
        finally:
            if running.returncode is None:
                running.kill()
    assert running.returncode == TRY_AGAIN
    found = re.search(rb"go on with --from (\d+)", said)
    assert found, said
    assert int(found[1]) <= len(await kept(broker, "MINE")) < 40


@pytest.mark.parametrize(
    "subject",
    [
        "users.x", "users", "events.magistrala.user", "a.*", "a.>", ">", "", ".", "a..b", "a.", "a b",
        "$JS.API.INFO", "_INBOX.x", "a\r\nPUB x", "x" * 300,
    ],
)  # fmt: skip
def test_subjects_of_everybody_and_what_is_none_are_refused(subject: str) -> None:
    with pytest.raises(UnfitSubject):
        check_subject(subject)


@pytest.mark.parametrize("subject", ["copies", "copies.of.mine", "usersd.copy", "a$b.ü"])
def test_a_subject_of_ones_own_is_taken(subject: str) -> None:
    check_subject(subject)
