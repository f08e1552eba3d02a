"""Prepares commands as the service does, for tests that hand them to a recorder or to the appender."""

from __future__ import annotations

from uuid import UUID, uuid4

from application.ports import Change, History
from domain import events
from domain.events import Event
from domain.user import User, evolve
from domain.values import Role
from infrastructure.event_store.keyring import Keyring
from infrastructure.event_store.mapper import EventMapper
from infrastructure.event_store.prepared import Prepared, prepare
from tests.support.memory import NOON, context, keyring

HASH = "$2b$04$this.is.the.hash.of.a.secret"


class Writer:
    """Knows every user it has prepared something for, as they are once that is stored."""

    def __init__(self, keys: Keyring | None = None) -> None:
        self.keys = keys or keyring()
        self.mapper = EventMapper()
        self._histories: dict[UUID, History] = {}

    def register(
        self,
        name: str,
        role: Role = Role.USER,
        *,
        user_id: UUID | None = None,
        first_admin: bool = False,
        more: tuple[Event, ...] = (),
    ) -> Prepared:
        """The registration of a user with an email and a username of that name."""
        account = events.Registered(at=NOON, email=f"{name}@example.com", username=name, role=role)
        before = History(user=User(id=user_id or uuid4()))
        return self._prepared(before, (account, *more), secret_hash=HASH, first_admin=first_admin)

    def change(self, user_id: UUID, *changes: Event, advance: bool = True) -> Prepared:
        """A change of a user; without `advance` the next one is prepared as if it had not been."""
        before = self._histories[user_id]
        prepared = self._prepared(before, changes)
        if not advance:
            self._histories[user_id] = before
        return prepared

    def tag(self, user_id: UUID, tag: str = "x", *, advance: bool = True) -> Prepared:
        """Some change that needs no guard."""
        return self.change(user_id, events.TagsChanged(at=NOON, tags=[tag]), advance=advance)

    def email(self, user_id: UUID, name: str) -> Prepared:
        return self.change(user_id, events.EmailChanged(at=NOON, email=f"{name}@example.com"))

    def demote(self, user_id: UUID) -> Prepared:
        return self.change(user_id, events.RoleChanged(at=NOON, role=Role.USER))

    def disable(self, user_id: UUID) -> Prepared:
        return self.change(user_id, events.Disabled(at=NOON))

    def digest(self, name: str) -> tuple[str, bytes]:
        """The reservation of the email that belongs to a name."""
        return "email", self.keys.digest("email", f"{name}@example.com")

    def _prepared(
        self,
        before: History,
        changes: tuple[Event, ...],
        *,
        secret_hash: str | None = None,
        first_admin: bool = False,
    ) -> Prepared:
        after = before.user
        for event in changes:
            after = evolve(after, event)
        change = Change(
            before=before,
            after=after,
            events=changes,
            context=context(),
            secret_hash=secret_hash,
            first_admin=first_admin,
        )
        prepared = prepare(change, self.mapper, self.keys)
        self._histories[after.id] = History(user=after, key=prepared.new_key or before.key)
        return prepared
