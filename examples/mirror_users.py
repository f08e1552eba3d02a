"""Keep a copy of every user in SQLite: take a snapshot once, then follow what happens.

Run it beside `usersd run`, with a service account that may read the feed:

    usersd clients add mirror --scope follow_feed
    USERSD_CLIENT=<id>:<secret> python examples/mirror_users.py mirror.db

It may be killed at any moment and goes on where it was: each change and the place it came from are one
transaction. USERSD_URL and NATS_URL name a service elsewhere.
"""

import argparse
import asyncio
import base64
import contextlib
import http.client
import json
import os
import sqlite3
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import nats.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

STREAM = "USERS"
BEGINNING = {"registered", "imported"}
TOUCHING_NOTHING = {
    "registered",
    "imported",
    "verified",
    "verification_requested",
    "password_reset_requested",
}
NEVER_SET = "0001-01-01T00:00:00Z"

Document = dict[str, Any]
EMPTY: Document = {
    "email": "", "username": "", "first_name": "", "last_name": "", "name": "", "tags": [], "metadata": {},
    "profile_picture": "", "status": "enabled", "role": "user", "auth_provider": "",
    "created_at": None, "updated_at": None, "verified_at": None,
}  # fmt: skip


class Missed(Exception):
    """Something happened that this copy has not heard of: it has to begin anew, with a snapshot."""


def from_feed(user: Document) -> Document:
    """A user of the feed in the form in which this copy holds them."""
    found = EMPTY | {name: value for name, value in user.items() if name in EMPTY and value != NEVER_SET}
    return found | {"username": user["credentials"].get("username", "")}


def changed(user: Document, event: Document) -> Document:
    """The user after an event."""
    what, data, at = event["type"].split(".")[1], event["data"], event["time"]
    if missing := set(data.get("changed", ())) - data.keys() - {"private_metadata"}:
        raise SystemExit(f"Only the names of changed fields are told ({', '.join(sorted(missing))}): the "
                         "service runs with MG_USERS_EVENTS_PII=none, and a copy takes `full`.")  # fmt: skip
    after = user | {name: value for name, value in data.items() if name in EMPTY}
    if what == "registered":
        after["created_at"] = at
    if what == "verified":
        after["verified_at"] = at
    if what == "email_changed":
        after["verified_at"] = None
    if what not in TOUCHING_NOTHING:
        after["updated_at"] = at
    return after


class Copy:
    """The users, and how far this copy has come: in the stream, and in the positions of events."""

    def __init__(self, file: str) -> None:
        self.database = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("CREATE TABLE IF NOT EXISTS users (id PRIMARY KEY, version, document)")
        self.database.execute("CREATE TABLE IF NOT EXISTS place (stream, sequence, snapshot, position)")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it, or, after a fault or a kill, nothing."""
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")

    def place(self) -> tuple[str, int, int, int] | None:
        """Which stream, its last sequence, the position of the snapshot, that of the last event."""
        found: tuple[str, int, int, int] | None = self.database.execute("SELECT * FROM place").fetchone()
        return found

    def start(self, stream: str, sequence: int, feed: Iterator[Document]) -> None:
        """Replace everything by a snapshot. The stream's end was looked up before the feed was asked for."""
        with self.transaction():
            self.database.execute("DELETE FROM users")
            position = next(feed)["position"]
            for line in feed:
                row = (line["user"]["id"], line["version"], json.dumps(from_feed(line["user"])))
                self.database.execute("INSERT INTO users VALUES (?, ?, ?)", row)
            self.database.execute("DELETE FROM place")
            place = (stream, sequence, position, position)
            self.database.execute("INSERT INTO place VALUES (?, ?, ?, ?)", place)

    def follow(self, messages: list[tuple[int, Document]]) -> None:
        """Apply messages and remember the last one's sequence, in one transaction."""
        with self.transaction():
            for sequence, event in messages:
                self._apply(event)
                self.database.execute(
                    "UPDATE place SET sequence = ?, position = max(position, ?)",
                    (sequence, int(event["position"])),
                )

    def _apply(self, event: Document) -> None:
        user_id, version, what = event["subject"], event["streamversion"], event["type"].split(".")[1]
        if what == "erased":
            # Whatever else there is about them has to go too.
            self.database.execute("DELETE FROM users WHERE id = ?", (user_id,))
            return
        ((snapshot, reached),) = self.database.execute("SELECT snapshot, position FROM place")
        position = int(event["position"])
        if position <= snapshot:
            return  # The snapshot holds it.
        row = self.database.execute("SELECT version, document FROM users WHERE id = ?", (user_id,)).fetchone()
        if row is not None and version <= row[0]:
            return  # It came twice, or the snapshot was ahead of its position.
        if position < reached and (row or what in BEGINNING):
            raise Missed(f"position {position} came late, and others may have been taken for it")
        if row is None:
            if what in BEGINNING:
                values = (user_id, version, json.dumps(changed(EMPTY, event)))
                self.database.execute("INSERT INTO users VALUES (?, ?, ?)", values)
            return  # Anybody else was erased since, and their last message says so.
        if version > row[0] + 1:
            raise Missed(f"version {row[0] + 1} of a user")
        after = json.dumps(changed(json.loads(row[1]), event))
        self.database.execute(
            "UPDATE users SET version = ?, document = ? WHERE id = ?", (version, after, user_id)
        )


def feed_lines(url: str, client: str) -> Iterator[Document]:
    """Every line of the feed but the last; one that breaks off is gone on with behind the last user."""
    after, first = "", True
    authorization = "Basic " + base64.b64encode(client.encode()).decode()
    while True:
        query = f"?{urllib.parse.urlencode({'after': after})}" if after else ""
        request = urllib.request.Request(f"{url}/users/feed{query}", headers={"Authorization": authorization})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                for raw in answer:
                    line = json.loads(raw)
                    if line.get("complete"):
                        return
                    if "user" in line:
                        after = line["user"]["id"]
                        yield line
                    elif first and "position" in line:
                        first = False  # The first position is the one that counts.
                        yield line
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise SystemExit(f"The feed is refused: {error.read().decode()}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            print(f"the feed broke off: {type(error).__name__}", flush=True)
        time.sleep(1)


class Mirror:
    def __init__(self, copy: Copy, service: str, client: str, stream: JetStreamContext) -> None:
        self.copy = copy
        self.service = service
        self.client = client
        self.stream = stream

    async def run(self, until: int | None) -> None:
        """Follow for ever, or until the copy is at a position."""
        while True:
            try:
                await self._start_where_needed()
                if await self._follow(until):
                    return
            except Missed as missed:
                print(f"beginning anew: {missed}", flush=True)
                self.copy.database.execute("DELETE FROM place")
            except nats.errors.Error as error:
                print(f"trying again: {type(error).__name__}", flush=True)
                await asyncio.sleep(0.5)

    async def _start_where_needed(self) -> None:
        name, first, last = await self._look()
        place = self.copy.place()
        if place is None:
            # The order matters: first where the stream ends, then the feed. Nothing falls in between.
            feed = feed_lines(self.service, self.client)
            await asyncio.to_thread(self.copy.start, name, last, feed)
        elif place[0] != name or last < place[1]:
            raise Missed("the stream is another than before")
        elif first > place[1] + 1:
            raise Missed("the stream has let go of messages that were never seen")

    async def _look(self) -> tuple[str, int, int]:
        """What tells this stream from one made anew under its name, and its first and last sequence."""
        found = await self.stream.stream_info(STREAM)
        return str(found.created), found.state.first_seq, found.state.last_seq

    async def _follow(self, until: int | None) -> bool:
        """Apply what comes until something has to be looked into; whether the end is reached."""
        place = self.copy.place()
        assert place is not None
        config = ConsumerConfig(
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=place[1] + 1,
            inactive_threshold=60,
            mem_storage=True,
        )
        messages = await self.stream.pull_subscribe("users.>", stream=STREAM, config=config)
        delivered = 0
        try:
            while until is None or (self.copy.place() or place)[3] < until:
                try:
                    batch = await messages.fetch(256, timeout=1)
                except TimeoutError:
                    if (task := asyncio.current_task()) and task.cancelling():
                        raise asyncio.CancelledError from None
                    return False  # Nothing came: perhaps the stream is another by now.
                delivered = in_one_piece(batch, delivered)
                await asyncio.to_thread(self.copy.follow, [told(message) for message in batch])
            return True
        finally:
            await messages.unsubscribe()


def in_one_piece(batch: list[Msg], delivered: int) -> int:
    """Messages can be lost on their way with a connection; the count of those that were sent shows it."""
    for message in batch:
        delivered += 1
        if message.metadata.sequence.consumer != delivered:
            raise nats.errors.StaleConnectionError
    return delivered


def told(message: Msg) -> tuple[int, Document]:
    """The sequence of a message, and its event in either mode of CloudEvents."""
    headers = message.headers or {}
    event = json.loads(message.data)
    if "ce-id" in headers:
        attributes = {
            name[3:]: urllib.parse.unquote(value) for name, value in headers.items() if name[:3] == "ce-"
        }
        event = attributes | {"data": event, "streamversion": int(attributes["streamversion"])}
    return message.metadata.sequence.stream, event


def found(variable: str, endpoint: str) -> str:
    """An address: of the environment, or of a service that runs in this folder."""
    if url := os.environ.get(variable):
        return url
    endpoints = Path(os.environ.get("MG_USERS_DATA_DIR") or ".usersd", "endpoints.json")
    if not endpoints.exists() or not (url := json.loads(endpoints.read_text())[endpoint]):
        raise SystemExit(f"Set {variable}, or run this where `usersd run` runs with servers of its own.")
    return str(url)


async def mirror(file: str, until: int | None) -> None:
    client = os.environ.get("USERSD_CLIENT", "")
    async with await nats.connect(found("NATS_URL", "nats")) as connection:
        copy = Copy(file)
        await Mirror(copy, found("USERSD_URL", "http"), client, connection.jetstream()).run(until)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("database", help="the SQLite file of the copy")
    arguments.add_argument("--until", type=int, metavar="POSITION", help="end when the copy is there")
    chosen = arguments.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(mirror(chosen.database, chosen.until))
