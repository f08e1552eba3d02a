"""The log in memory, with the same guards as the append function: for fast tests of the application."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from eventsourcing.popo import POPOApplicationRecorder

from infrastructure.event_store.keyring import UserKey
from infrastructure.event_store.prepared import CredentialRow, Outcome, Prepared, RepeatRow


class MemoryRecorder(POPOApplicationRecorder):
    """The library's in-memory recorder with names, credentials, keys and repeats beside the events."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[tuple[str, bytes], UUID] = {}
        self.credentials: dict[UUID, CredentialRow] = {}
        self.carried: dict[UUID, tuple[UUID, int]] = {}
        self.user_keys: dict[UUID, UserKey] = {}
        self.repeats: dict[bytes, tuple[RepeatRow, UUID, int]] = {}

    def append(self, batch: Sequence[Prepared]) -> list[Outcome]:
        """Append commands in order, each whole or not at all."""
        with self._database_lock:
            return [self._append_one(item) for item in batch]

    def _append_one(self, item: Prepared) -> Outcome:
        stored = {event.originator_version: event for event in self.select_events(item.stream_id)}
        first = item.events[0]
        present = stored.get(first.originator_version)
        if present is not None:
            known = present.state == first.state
            position = self._position(item.stream_id, item.events[-1].originator_version) if known else None
            if known or not self._is_repeat(item):
                return Outcome("known" if known else "conflict", None, position)
        if self._is_repeat(item):
            return Outcome("repeated")
        if first.originator_version > 1 and first.originator_version - 1 not in stored:
            return Outcome("conflict")
        for name in item.names:
            holder = self.names.get((name.kind, name.digest), item.stream_id)
            if name.claims and holder != item.stream_id:
                return Outcome("taken", name.kind)
        if self._empties_the_admins(item):
            return Outcome("last_admin")
        position = list(self.insert_events(list(item.events)) or ())[-1]
        self._write_beside(item)
        if item.repeat:
            self.repeats[item.repeat.digest] = (item.repeat, item.stream_id, position)
        return Outcome("stored", None, position)

    def _is_repeat(self, item: Prepared) -> bool:
        if item.repeat is None or item.repeat.digest not in self.repeats:
            return False
        return self.repeats[item.repeat.digest][0].expires_at > item.repeat.at

    def _empties_the_admins(self, item: Prepared) -> bool:
        if item.credentials is None or _is_enabled_admin(item.credentials):
            return False
        admins = {user_id for user_id, row in self.credentials.items() if _is_enabled_admin(row)}
        return admins == {item.stream_id}

    def _write_beside(self, item: Prepared) -> None:
        for name in sorted(item.names, key=lambda name: name.claims):
            if name.claims:
                self.names[name.kind, name.digest] = item.stream_id
            elif self.names.get((name.kind, name.digest)) == item.stream_id:
                del self.names[name.kind, name.digest]
        if row := item.credentials:
            before = self.credentials.get(item.stream_id)
            kept = row.secret_hash or (before.secret_hash if before else None)
            if item.forgets:
                kept = None
            if before and row.epoch > before.epoch:
                self._carry(item.stream_id, row.session, before.epoch)
            self.credentials[item.stream_id] = CredentialRow(
                kept, row.epoch, row.status, row.role, row.verified
            )
            if row.role == "admin":
                self.names.setdefault(("first_admin", b""), item.stream_id)
        if item.new_key:
            self.user_keys[item.stream_id] = item.new_key
        if item.forgets:
            self.user_keys.pop(item.stream_id, None)
            self.repeats = {key: known for key, known in self.repeats.items() if known[1] != item.stream_id}

    def _carry(self, user_id: UUID, session: UUID | None, epoch: int) -> None:
        """Of the sessions that an epoch ends one may live on, with the tokens it has been issued."""
        carried, since = self.carried.pop(user_id, (None, epoch))
        if session is not None:
            self.carried[user_id] = (session, since if session == carried else epoch)

    def _position(self, stream_id: UUID, version: int) -> int | None:
        for notification in self.select_notifications(1, 1_000_000):
            if (notification.originator_id, notification.originator_version) == (stream_id, version):
                return notification.id
        return None


def _is_enabled_admin(row: CredentialRow) -> bool:
    return row.role == "admin" and row.status == "enabled"
