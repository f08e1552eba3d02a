"""Finds out from the stream itself how far the log was published, when it and our record disagree.

That happens when a relay ended between a publish and its record of it, when the broker lost what it had
not written to disk, and when the stream was deleted or somebody else wrote to it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import psycopg
from nats.js import JetStreamContext

from application.ports import Recorded, Unreadable
from domain.events import ErasureRequested
from infrastructure.event_store.log import EventReader
from infrastructure.nats.position import Lease, advance
from infrastructure.nats.stream import LOOK_BACK, STREAM, last_sequence, newest_first
from interfaces.events.published import message_of

log = logging.getLogger("usersd.relay")


async def resynchronise(
    connection: psycopg.AsyncConnection, name: str, lease: Lease, js: JetStreamContext, reader: EventReader
) -> frozenset[str]:
    """Make the record agree with the stream. Raises Fenced.

    Answers with the ids of events beyond the recorded position that the stream holds nevertheless: they
    overtook another one, which a message of somebody else had displaced.
    """
    reached, held = await last_sequence(js)
    recorded = lease.last_sequence
    if reached == recorded:
        return frozenset()
    lost = reached < recorded
    there = {
        str(published.event_id): published.position
        async for published in newest_first(js, 0 if lost else recorded)
    }
    # Where we have not seen all that came after the record, what we have seen says where to begin.
    seen_all = not lost and reached - recorded <= LOOK_BACK
    start = lease.position if seen_all or not there else min(there.values()) - 1
    events = await reader.read(connection, start, 2 * LOOK_BACK, max(there.values(), default=start))
    found = _through(events, there, start if seen_all else None)
    position = lease.position if found is None else found if lost else max(found, lease.position)
    _report(lease.position, position, held, lost=lost, ours=found is not None)
    await advance(connection, name, lease, position, reached)
    return frozenset(
        str(event.event_id)
        for event in events
        if isinstance(event, Recorded) and event.position > position and str(event.event_id) in there
    )


def _through(
    events: Sequence[Recorded | Unreadable], there: Mapping[str, int], since: int | None
) -> int | None:
    """The position up to which nothing is missing in the stream: from one known, or from the first found.

    Events are compared by id: a database that was restored from a backup has other events at the
    positions that the stream tells of, and those must not move us.
    """
    for event in events:
        # That a user was forgotten cannot be seen in the stream: it is done again.
        if isinstance(event, Unreadable) or isinstance(event.event, ErasureRequested):
            break
        if str(event.event_id) in there or (since is not None and message_of(event) is None):
            since = event.position
        elif since is not None:
            break
    return since


def _report(before: int, after: int, held: int, *, lost: bool, ours: bool) -> None:
    if not lost:
        log.info("the stream %s is ahead of the record: on from position %d", STREAM, after)
    elif ours:
        log.warning(
            "the stream %s has lost messages: publishing again after position %d, from %d", STREAM,
            after, before,
        )  # fmt: skip
    else:
        log.warning(
            "the stream %s is another than before and holds %d messages, none of ours: on from position %d",
            STREAM, held, after,
        )  # fmt: skip
