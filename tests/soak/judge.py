"""Says afterwards whether every read model is what the log says: from the log, the rows and the diary."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from application.ports import Recorded, Unreadable
from projections.catalogue import READ_MODELS
from projections.readmodel import ReadModel, suffixes, table_name
from tests.soak.audit import Audit
from tests.soak.ground import Ground
from tests.soak.naive import OF_THE_NAIVE_LOG
from tests.soak.writing import Acknowledged
from tests.support.databases import ROOT_KEY
from tests.support.truth import check_chain, check_history, check_signups, check_users, read_log

Log = Sequence[Recorded | Unreadable]
Connection = psycopg.Connection[tuple[Any, ...]]

CHECKS: dict[str, Callable[[Connection, Log], None]] = {
    "users": check_users,
    "history": check_history,
    "signups": check_signups,
}
"""The independent fold of each read model, against what its view shows."""

_GENERATIONS = """
SELECT generation, live, position FROM projections
WHERE name = %s AND version = %s AND state <> 'building' ORDER BY live DESC, generation"""

_BACKWARDS = """
SELECT name, generation, came_from, position, last FROM (
    SELECT *, lag(position) OVER one AS last, lag(fencing) OVER one AS last_fencing FROM soak_moves
    WINDOW one AS (PARTITION BY name, version, generation ORDER BY number)) AS moves
WHERE was_state <> 'none' AND (position < came_from OR came_from <> coalesce(last, 0)
      OR fencing < was_fencing OR was_fencing <> coalesce(last_fencing, 0)) LIMIT 5"""

_APPLIED = SQL("""
SELECT position, times FROM (
    SELECT e.position, count(a.position) AS times FROM events e LEFT JOIN {} AS a USING (position, version)
    GROUP BY e.position) AS applied
WHERE times <> 1 ORDER BY position""")

_READ = SQL("""
SELECT position, times FROM (
    SELECT e.position, count(r.position) AS times
    FROM {} AS e LEFT JOIN naive_rows r ON r.position = e.position AND r.reader = %(reader)s
    WHERE e.position <= (SELECT greatest(max(p.position), (SELECT max(position) FROM naive_rows
                                                            WHERE reader = %(reader)s))
                         FROM naive_positions p WHERE p.reader = %(reader)s)
    GROUP BY e.position) AS read
WHERE times <> 1 ORDER BY position""")

_STRAYS = SQL("SELECT count(*) FROM {} AS a LEFT JOIN events e USING (position) WHERE e.position IS NULL")

_DIFFERENT = SQL("SELECT count(*) FROM (SELECT * FROM {0} EXCEPT ALL SELECT * FROM {1}) AS others")


async def judge_ours(ground: Ground) -> list[str]:
    """What is wrong with the log and the read models, in words; nothing where all is well."""
    log = await read_log(ground.conninfo, ROOT_KEY)
    with psycopg.connect(ground.conninfo, autocommit=True) as connection:
        connection.execute("SET enable_nestloop = off")
        wrong = [*_tried("the log", lambda: check_chain(connection))]
        wrong += _missing(log, Acknowledged(ground.folder))
        for model in READ_MODELS:
            wrong += _tried(model.name, lambda model=model: CHECKS[model.name](connection, log))  # type: ignore[misc]
            wrong += _generations(connection, model, len(log))
        wrong += _audited(connection, len(log))
        for name, generation, came_from, position, last in connection.execute(_BACKWARDS):
            wrong.append(f"{name} {generation}: moved from {came_from} to {position}, and was at {last}")
        for row in connection.execute("SELECT projection, generation, position, reason FROM parked_streams"):
            wrong.append("{} {}: parked at {} ({})".format(*row))
    if twice := noted(ground)["TWICE"]:
        wrong.append(f"a page that was handed over a second time was not refused, {twice} times")
    return wrong


def noted(ground: Ground) -> Counter[str]:
    """What the owners met with, and how often."""
    return Counter(
        line for path in ground.folder.glob("notes.*") for line in path.read_text().splitlines() if line
    )


def judge_naive(connection: Connection, reader: str) -> list[str]:
    """What a reader of the naive kind has skipped or applied twice, in words."""
    log = "naive_events" if reader in OF_THE_NAIVE_LOG else "events"
    rows = connection.execute(_READ.format(Identifier(log)), {"reader": reader}).fetchall()
    found = list(_told(reader, rows))
    kept = connection.execute("SELECT count(*) FROM naive_rows WHERE reader = %s", (reader,)).fetchone()
    return found if kept != (0,) else [f"{reader}: has read nothing"]


def _told(what: str, rows: Sequence[tuple[Any, ...]]) -> Iterator[str]:
    skipped = [position for position, times in rows if times == 0]
    doubled = [position for position, times in rows if times > 1]
    if skipped:
        yield f"{what}: skipped {len(skipped)} events, the first at {skipped[:5]}"
    if doubled:
        yield f"{what}: applied {len(doubled)} events more than once, the first at {doubled[:5]}"


def _tried(what: str, check: Callable[[], object]) -> Iterator[str]:
    try:
        check()
    except AssertionError as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        yield f"{what}: {where.name}: {where.line}: {str(error)[:2000]}"


def _missing(log: Log, acknowledged: Acknowledged) -> Iterator[str]:
    at = {event.position: event for event in log}
    for position, user_id, version, command in acknowledged.stored:
        event = at.get(position)
        found = (event.user_id, event.version, event.command_id) if isinstance(event, Recorded) else None
        if found != (user_id, version, command):
            yield f"acknowledged at {position} for {user_id}, version {version}; the log has {found}"
            return


def _generations(connection: Connection, model: ReadModel, head: int) -> Iterator[str]:
    """Whether each generation is at the head, and has the same rows as the live one."""
    rows = connection.execute(_GENERATIONS, (model.name, model.version)).fetchall()
    if [live for _, live, _ in rows].count(True) != 1:
        yield f"{model.name}: the generations are {rows}"
        return
    for number, _, position in rows:
        if position != head:
            yield f"{model.name} {number}: at {position} of {head}"
        for suffix in suffixes(model):
            tables = [table_name(model, each) + suffix for each in (rows[0][0], number)]
            for pair in (tables, tables[::-1]):
                different = connection.execute(_DIFFERENT.format(*map(Identifier, pair))).fetchone()
                if different != (0,):
                    yield f"{model.name}: {different} rows of {pair[0]} are not in {pair[1]}"


def _audited(connection: Connection, head: int) -> Iterator[str]:
    """Whether each generation of the audit has applied every event exactly once."""
    model = Audit()
    for number, _, position in connection.execute(_GENERATIONS, (model.name, model.version)).fetchall():
        if position != head:
            yield f"audit {number}: at {position} of {head}"
        table = Identifier(table_name(model, number))
        yield from _told(f"audit {number}", connection.execute(_APPLIED.format(table)).fetchall())
        if (strays := connection.execute(_STRAYS.format(table)).fetchone()) != (0,):
            yield f"audit {number}: {strays} rows of events that the log does not have"
