"""What the log says, worked out a second time and in another way: the measure for the read models.

Nothing here is shared with the projections but the reading of rows: the fold is over plain dictionaries,
from the first event to the last, without pages and without a state that was parsed back from a row.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from application.ports import Recorded, Unreadable
from domain.values import name_key
from infrastructure.event_store.keyring import open_keyring
from infrastructure.event_store.log import EventReader
from infrastructure.event_store.mapper import EventMapper

ZERO = "0001-01-01T00:00:00Z"
_STATUS = {"disabled": "disabled", "deleted": "deleted", "enabled": "enabled", "restored": "enabled"}
_SHOWN = ("email", "username", "first_name", "last_name", "name", "tags", "metadata", "private_metadata",
          "profile_picture", "status", "role", "dialect", "auth_provider")  # fmt: skip


async def read_log(conninfo: str, root_key: bytes) -> list[Recorded | Unreadable]:
    """Every event of a log, in order."""
    with psycopg.connect(conninfo, autocommit=True) as opening:
        reader = EventReader(EventMapper(), open_keyring(opening, root_key))
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        # It may lead through a pooler.
        connection.prepare_threshold = None
        return list(await reader.read(connection, 0, 10**7))


def documents(log: Iterable[Recorded | Unreadable]) -> dict[UUID, tuple[int, dict[str, Any]]]:
    """The version and the public document of every user that a log leaves, whoever was forgotten left out."""
    states: dict[UUID, dict[str, Any]] = {}
    gone: set[UUID] = set()
    for event in log:
        assert isinstance(event, Recorded), event
        if event.forgotten or event.name.split(".")[1] in ("erasure_requested", "erased"):
            gone.add(event.user_id)
        state = states.setdefault(event.user_id, {"version": 0})
        state["version"] += 1
        assert state["version"] == event.version, f"a gap in the stream of {event.user_id}"
        _apply(state, event)
    return {
        user_id: (state["version"], _document(user_id, state))
        for user_id, state in states.items()
        if user_id not in gone
    }


def _apply(state: dict[str, Any], event: Recorded) -> None:
    kind = event.name.split(".")[1]
    fields: dict[str, Any] = msgspec.to_builtins(event.event, builtin_types=(datetime,))
    at, by = event.event.at, event.actor.id
    if kind in ("registered", "imported"):
        # Defaults are not in what is stored; an account begins with every field.
        state.update({name: getattr(event.event, name) for name in _SHOWN})
        state["created_at"] = fields.get("created_at", at)
        for name in ("updated_at", "updated_by", "verified_at"):
            state[name] = fields.get(name)
        return
    if kind == "verified":
        state["verified_at"] = at
        return
    if kind in ("verification_requested", "password_reset_requested"):
        return
    replaced = {"tags_changed": "tags", "picture_changed": "profile_picture"}.get(kind)
    for name in _SHOWN:
        if name == replaced or fields.get(name) is not None:
            state[name] = getattr(event.event, name)
    if kind in _STATUS:
        state["status"] = _STATUS[kind]
    if kind == "email_changed":
        state["verified_at"] = None
    state["updated_at"], state["updated_by"] = at, str(by) if by else None


def _document(user_id: UUID, state: dict[str, Any]) -> dict[str, Any]:
    credentials = {"username": state["username"] or "",
                   "identity": state["email"] if state["dialect"] == "mainflux" else ""}  # fmt: skip
    shown = {name: state[name] for name in _SHOWN if name not in ("dialect", "username")}
    present = {name: value for name, value in shown.items() if value not in ("", [], {}, None)}
    return present | {
        "id": str(user_id),
        "status": str(state["status"]),
        "role": str(state["role"]),
        "credentials": {name: value for name, value in credentials.items() if value},
        "created_at": _time(state["created_at"]),
        "updated_at": _time(state["updated_at"]),
        "verified_at": _time(state["verified_at"]),
    } | ({"updated_by": state["updated_by"]} if state["updated_by"] else {})  # fmt: skip


def _time(value: datetime | None) -> str:
    return ZERO if value is None else str(msgspec.to_builtins(value))


def timelines(log: Iterable[Recorded | Unreadable]) -> dict[tuple[UUID, int], tuple[int, str]]:
    """The position and the kind of every entry that the read model `history` must hold."""
    events = [event for event in log if isinstance(event, Recorded)]
    gone = {event.user_id for event in events if event.forgotten}
    return {
        (event.user_id, event.version): (event.position, event.name.split(".")[1])
        for event in events
        if event.user_id not in gone
    }


def check_users(connection: psycopg.Connection, log: Sequence[Recorded | Unreadable]) -> None:
    """The read model `users` holds what the log says, row by row and column by column."""
    wanted = documents(log)
    rows = connection.execute(
        "SELECT id, version, email, username, first_name, last_name, name, status, role, created_at,"
        " changed_at, tags, metadata, document FROM users_v1"
    ).fetchall()
    assert len(rows) == len(wanted), f"{len(rows)} rows for {len(wanted)} users"
    for user_id, version, *columns, document in rows:
        assert (version, msgspec.json.decode(document)) == wanted[user_id]
        assert columns == _columns(wanted[user_id][1])


def _columns(document: dict[str, Any]) -> list[Any]:
    created = msgspec.convert(document["created_at"], datetime)
    changed = msgspec.convert(document["updated_at"], datetime)
    return [
        name_key(document.get("email", "")),
        name_key(document["credentials"].get("username", "")),
        *(name_key(document.get(name, "")) for name in ("first_name", "last_name", "name")),
        document["status"],
        document["role"],
        created,
        created if document["updated_at"] == ZERO else changed,
        document.get("tags", []),
        document.get("metadata", {}),
    ]


def check_history(connection: psycopg.Connection, log: Sequence[Recorded | Unreadable]) -> None:
    """The read model `history` holds one entry for each event, and no other."""
    found = {}
    for user_id, version, raw in connection.execute("SELECT user_id, version, entry FROM history_v1"):
        entry = msgspec.json.decode(raw)
        assert entry["version"] == version
        found[user_id, version] = (entry["position"], entry["event"])
    assert found == timelines(log)


def check_signups(connection: psycopg.Connection, log: Sequence[Recorded | Unreadable]) -> None:
    """The read model `signups` holds a row for each user, and totals that are the sums of them."""
    wanted = {}
    for user_id, (version, document) in documents(log).items():
        created = msgspec.convert(document["created_at"], datetime).astimezone(UTC)
        wanted[user_id] = (version, created.date(), document["status"], document["role"])
    rows = connection.execute("SELECT user_id, version, day, status, role FROM signups_v1").fetchall()
    assert {user_id: tuple(of_user) for user_id, *of_user in rows} == wanted
    totals = connection.execute("SELECT day, status, role, users FROM signups_v1_totals WHERE users <> 0")
    found = {tuple(group): users for *group, users in totals}
    assert found == Counter(of_user[1:] for of_user in wanted.values())


def check_chain(connection: psycopg.Connection) -> int:
    """Positions are 1 to n without a gap, and every stream's hashes chain; answers n."""
    last: dict[UUID, tuple[int, bytes]] = {}
    count = 0
    for position, stream, version, name, state, previous, digest in connection.execute(
        "SELECT position, stream_id, version, name, state, prev_hash, hash FROM events ORDER BY position"
    ):
        count += 1
        assert position == count, f"position {count} is missing"
        before, link = last.get(stream, (0, None))
        assert version == before + 1, f"version {before + 1} of {stream} is missing"
        assert previous == link
        text = (link or b"") + stream.bytes + version.to_bytes(8) + name.encode() + b"\x00" + state
        assert digest == hashlib.sha256(text).digest(), f"the chain of {stream} breaks at {version}"
        last[stream] = (version, digest)
    return count
