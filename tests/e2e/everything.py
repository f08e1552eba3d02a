"""The question that every end-to-end test of violence ends with: is all of it still true?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import psycopg

from application.ports import Recorded, Unreadable
from infrastructure.event_store.keyring import open_keyring
from tests.support.load import Load
from tests.support.program import Program
from tests.support.stream import message_ids, told
from tests.support.truth import check_chain, check_history, check_users, documents, read_log
from tests.support.waiting import at_last

_READERS = """
SELECT min(position) = (SELECT max(position) FROM events)
FROM (SELECT position FROM projections WHERE live UNION ALL SELECT position FROM relays) AS readers"""


def wait_for_the_readers(usersd: Program, within: float = 20.0) -> None:
    """Until every read model and the relay have reached the end of the log."""
    with psycopg.connect(usersd.postgres, autocommit=True) as connection:

        def at_the_end() -> bool:
            row = connection.execute(_READERS).fetchone()
            return row is not None and row[0] is True

        at_last(at_the_end, within)


async def check_everything(usersd: Program, load: Load) -> int:
    """Log, both read models, stream and names against each other and the acknowledged; answers the head."""
    await asyncio.to_thread(wait_for_the_readers, usersd)
    log = await read_log(usersd.postgres, usersd.root_key)
    load.check(log)
    with psycopg.connect(usersd.postgres, autocommit=True) as connection:
        assert check_chain(connection) == len(log)
        check_users(connection, log)
        check_history(connection, log)
        check_names(connection, usersd.root_key, log)
        parked = connection.execute("SELECT count(*) FROM parked_streams").fetchone()
        assert parked == (0,)
    assert await message_ids(usersd.nats) == told(log)
    return len(log)


def check_names(
    connection: psycopg.Connection, root_key: bytes, log: Sequence[Recorded | Unreadable]
) -> None:
    """No name has two owners, and each is held by the very account that shows it."""
    keyring = open_keyring(connection, root_key)
    wanted: dict[tuple[str, bytes], UUID] = {}
    for user_id, (_, document) in documents(log).items():
        names = {"email": document["email"], "username": document["credentials"].get("username")}
        for kind, name in names.items():
            if name:
                key = kind, keyring.digest(kind, name)
                assert key not in wanted, f"two accounts hold one {kind}"
                wanted[key] = user_id
    rows = connection.execute("SELECT kind, digest, user_id FROM names WHERE kind <> 'first_admin'")
    assert {(kind, bytes(digest)): user_id for kind, digest, user_id in rows} == wanted
