"""Looks for canaries wherever a service can leave something behind: logs, disk, tables, messages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import nats
import psycopg
from psycopg.sql import SQL, Identifier

from tests.fuzz import canaries
from tests.support.program import Program

_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_ERRORS = ('"level":"ERROR"', "Traceback", "panicked", " ERROR:  ")
"""Of the service, of an interpreter that gives up, of the HTTP server, and of PostgreSQL."""

_WHOLE = 1 << 22
_OVERLAP = 512

_PERSONAL_TABLES = ("users_v", "history_v")
"""The read models, from which profiles, lists and timelines are answered: names and emails in clear."""

_PRIVATE_COLUMNS = {("users_v", "document"), ("history_v", "entry")}
"""Where private metadata is kept, to be shown to its owner and to admins."""


def in_files(usersd: Program) -> Iterator[str]:
    """Anything at all in a log; secrets, tokens and keys in any other file of the data folder."""
    for path in sorted(usersd.home.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        for kind, place in _kinds(path).items():
            if kind not in _allowed_in(path.relative_to(usersd.home)):
                yield f"{kind} in the file {path.relative_to(usersd.home)}: {place!r}"


def _allowed_in(path: Path) -> set[str]:
    """PostgreSQL's own files hold what the tables do, JetStream's what the messages do, and a log nothing."""
    if path.parts[:2] == ("data", "pg"):
        return {"mail", "name", "private", "hash"}
    is_log = len(path.parts) == 1 or path.suffix in (".log", ".json")
    # Without a mail server the console names the recipient of each mail, on the developer's own machine.
    console = {"mail", "name"} if path.name.startswith("out.") else set()
    return console if is_log else {"mail", "name"}


def _kinds(path: Path) -> dict[str, bytes]:
    kinds: dict[str, bytes] = {}
    before = b""
    try:
        with path.open("rb") as file:
            while block := file.read(_WHOLE):
                kinds = canaries.found(before + block) | kinds
                before = block[-_OVERLAP:]
    except FileNotFoundError:
        # A server has taken it away in the meantime, as it does with its segments.
        return kinds
    return kinds


def in_tables(conninfo: str) -> Iterator[str]:
    """Whatever stands in a column that must not hold it, in the clear or encoded."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        ).fetchall()
        seen: set[str] = set()
        for table, column in columns:
            kinds: dict[str, bytes] = {}
            read = SQL("SELECT {} FROM {}").format(Identifier(column), Identifier(table))
            with connection.cursor() as cursor:
                for (value,) in cursor.stream(read):
                    kinds = canaries.found(_bytes(value)) | kinds
            seen |= kinds.keys()
            for kind in kinds.keys() - _allowed(table, column):
                yield f"{kind} in {table}.{column}: {kinds[kind]!r}"
    if not {"name", "mail", "private", "hash"} <= seen:
        yield f"the tables do not hold what they must, so the search was blind: {sorted(seen)}"


def _allowed(table: str, column: str) -> set[str]:
    if (table, column) == ("credentials", "secret_hash"):
        return {"hash"}
    if table.startswith(_PERSONAL_TABLES):
        private = any(table.startswith(name) and column == kept for name, kept in _PRIVATE_COLUMNS)
        return {"mail", "name"} | ({"private"} if private else set())
    return set()


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")


async def in_messages(url: str) -> list[str]:
    """What no message may hold; names and emails may be told."""
    found: dict[str, bytes] = {}
    count = 0
    async with await nats.connect(url) as connection:
        context = connection.jetstream()
        last = (await context.stream_info("USERS")).state.messages
        subscription = await context.subscribe("users.>", stream="USERS", ordered_consumer=True)
        while count < last:
            message = await subscription.next_msg(timeout=10)
            text = message.subject.encode() + repr(message.headers).encode() + message.data
            found = canaries.found(text) | found
            count += 1
    wrong = [
        f"{kind} in a message: {place!r}" for kind, place in found.items() if kind not in ("mail", "name")
    ]
    if not {"mail", "name"} <= found.keys():
        wrong.append(f"the messages do not tell of names, so the search was blind: {sorted(found)}")
    return wrong


def error_lines(lines: Iterable[str]) -> Iterator[str]:
    """Lines of a log that tell of a fault of ours, times and ids left out."""
    for line in lines:
        if any(word in line for word in _ERRORS):
            told = _ID.sub("...", line.partition('"msg":')[2] or line)
            # The beginning says what, and the end where: the innermost call comes last.
            yield told if len(told) < 900 else f"{told[:300]} ... {told[-600:]}"
