"""Says afterwards what is wrong: by the log, the tables, the stream, the mails and what clients were told."""

from __future__ import annotations

import asyncio
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg

from application.ports import Recorded, Unreadable
from domain import events
from infrastructure.mail.kinds import FOLLOW_FROM
from projections.catalogue import READ_MODELS
from tests.chaos.book import Book
from tests.chaos.ground import Ground
from tests.chaos.measures import Report
from tests.chaos.playing import play
from tests.e2e.everything import check_names
from tests.projections.commanding import settings
from tests.soak.judge import CHECKS
from tests.soak.processes import Crew
from tests.support.databases import ROOT_KEY
from tests.support.stream import message_ids, told
from tests.support.truth import check_chain, read_log

Log = Sequence[Recorded | Unreadable]
Connection = psycopg.Connection[tuple[Any, ...]]

_MAILS = "SELECT id, user_id, kind, event_id, state, last_error FROM mails"

_NOT_SENT = ("superseded", "same address")
"""Why a mail may be dropped that nobody misses."""

_STAY = (events.ErasureRequested.stored_name, events.Erased.stored_name)

_ADMINS = """
SELECT count(*) FROM credentials WHERE role = 'admin' AND status = 'enabled'"""

_LONGEST_COMMAND = 120.0


class Judge:
    """Looks at what is left of a storm, as often as it is asked."""

    def __init__(self, ground: Ground, everybody: Crew, book: Book) -> None:
        self._ground = ground
        self._crew = everybody
        self._book = book

    def found(self, report: Report, *, asks_the_service: bool = True) -> list[str]:
        """What is wrong, in words; nothing where all is well. The service itself need not be asked."""
        log = asyncio.run(read_log(self._ground.postgres, ROOT_KEY))
        report.events = len(log)
        with psycopg.connect(self._ground.postgres, autocommit=True) as connection:
            connection.execute("SET enable_nestloop = off")
            wrong = [*_tried("the log", lambda: check_chain(connection))]
            wrong += self._writes(log)
            wrong += _tried("names", lambda: check_names(connection, ROOT_KEY, log))
            for model in READ_MODELS:
                wrong += _tried(model.name, lambda model=model: CHECKS[model.name](connection, log))  # type: ignore[misc]
            wrong += [
                "{}: {} is parked at {} ({})".format(*row)
                for row in connection.execute(
                    "SELECT projection, user_id, position, reason FROM parked_streams"
                )
            ]
            wrong += self._mails(connection, log, report)
            if connection.execute(_ADMINS).fetchone() == (0,):
                wrong.append("there is no enabled admin any more")
            row = connection.execute("SELECT count(*) FROM log_checkpoints").fetchone()
            report.checkpoints = row[0] if row else 0
        wrong += self._stream(log, report)
        return [*wrong, *(self._verified() if asks_the_service else ())]

    def _writes(self, log: Log) -> Iterator[str]:
        """Whatever was acknowledged is there once, where it was said to be; what was refused is not."""
        at = {event.position: event for event in log}
        for write in self._book.writes:
            event = at.get(write.position)
            found = (event.user_id, event.name, _mark(event)) if isinstance(event, Recorded) else None
            # Of who was erased in the meantime nothing is left but that it happened.
            unmarked = not write.mark or (isinstance(event, Recorded) and event.forgotten)
            if found != (write.user_id, write.event, _mark(event) if unmarked else write.mark):
                yield f"acknowledged, and not in the log: {write}; there is {found}"
        for position, times in Counter(write.position for write in self._book.writes).items():
            if times > 1:
                yield f"{times} writes were acknowledged at position {position}"
        marks = Counter(_mark(event) for event in log if isinstance(event, Recorded))
        yield from (f"stored {marks[one]} times: {one}" for one in self._book.attempted if marks[one] > 1)
        yield from (f"refused, and stored: {mark}" for mark in self._book.refused if marks[mark])
        commands = Counter(
            (event.command_id, event.user_id, event.version) for event in log if isinstance(event, Recorded)
        )
        yield from (f"one command stored twice: {one}" for one, times in commands.items() if times > 1)

    def _mails(self, connection: Connection, log: Log, report: Report) -> Iterator[str]:
        """Each event that a mail follows from has its mails, each of which was written or had no point."""
        due = Counter(
            (event.event_id, kind)
            for event in log
            if isinstance(event, Recorded) and not event.forgotten
            for kind in FOLLOW_FROM.get(event.name, ())
        )
        rows = connection.execute(_MAILS).fetchall()
        there = Counter((event_id, kind) for _, _, kind, event_id, _, _ in rows)
        if there != due:
            yield f"mails: too few {list(due - there)[:3]}, too many {list(there - due)[:3]}"
        gone = {str(event.user_id) for event in log if event.forgotten}
        files = {
            path.name for folder in self._ground.folder.glob("mailer*") for path in folder.glob("mail/*.eml")
        }
        report.mails, report.erased = len(files), len(gone)
        for mail_id, user_id, kind, _, state, error in rows:
            name = f"{user_id}.{mail_id}.eml"
            if state == "sent" and name not in files:
                yield f"mails: {kind} {mail_id} is said to be sent, and was not"
            elif state != "sent" and error not in _NOT_SENT:
                yield f"mails: {kind} {mail_id} is {state} ({error})"
        known = {f"{user_id}.{mail_id}.eml" for mail_id, user_id, *_ in rows}
        # The files of who was erased go within ten minutes on every machine.
        strange = [name for name in files - known if name.partition(".")[0] not in gone]
        yield from (f"mails: nobody knows of {name}" for name in strange)

    def _stream(self, log: Log, report: Report) -> Iterator[str]:
        """The stream holds what the log says in its order; a message twice bears the same id."""
        ids = asyncio.run(message_ids(self._ground.nats))
        first = list(dict.fromkeys(ids))
        report.messages, report.duplicates = len(first), len(ids) - len(first)
        wanted = told([event for event in log if not _is_taken_back(event)])
        if first != wanted:
            place = next(
                (at for at, pair in enumerate(zip(first, wanted, strict=False)) if pair[0] != pair[1]), -1
            )
            missing, strange = set(wanted) - set(first), set(first) - set(wanted)
            yield (
                f"the stream has {len(first)} of {len(wanted)} messages; {len(missing)} are missing, "
                f"{len(strange)} are strange, and it differs from the log first at {place}"
            )

    def _verified(self) -> Iterator[str]:
        """What the service says itself, by the commands that an operator has."""
        home = next(self._ground.folder.glob("sweeper*/"))
        environ = {"MG_USERS_DATA_DIR": str(home), "HOME": str(home)} | settings(self._ground.postgres)
        commands = [["events", "verify"], *(["projections", "verify", model.name] for model in READ_MODELS)]
        started = [(words, self._crew.join("command", play, environ, None, (), words)) for words in commands]
        for words, member in started:
            if (code := member.wait(_LONGEST_COMMAND)) != 0:
                yield f"`usersd {' '.join(words)}` ended with {code}: {member.said()}"


def _is_taken_back(event: Recorded | Unreadable) -> bool:
    """Whether the message of an event has left the stream, since its user was erased."""
    return isinstance(event, Recorded) and event.forgotten and event.name not in _STAY


def _mark(event: Recorded | Unreadable | None) -> str:
    """The unique text that a write carries."""
    if isinstance(event, Recorded) and isinstance(event.event, (events.Registered, events.ProfileUpdated)):
        return event.event.first_name or ""
    return ""


def _tried(what: str, check: Callable[[], object]) -> Iterator[str]:
    try:
        check()
    except (AssertionError, KeyError) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        yield f"{what}: {where.name}: {where.line}: {str(error)[:1000]}"
