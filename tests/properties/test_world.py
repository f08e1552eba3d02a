"""Any sequence of decisions over the guarded in-memory log keeps what must always hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from application.ports import Change, History
from domain import decisions, events
from domain.access import OPERATOR, Actor
from domain.errors import Refusal
from domain.events import Event
from domain.user import User, evolve, fold
from domain.values import Role, Status, name_key
from infrastructure.event_store.memory import MemoryRecorder
from tests.support.memory import NOON, MemoryLog, context, keyring

KEYS = keyring()
NAMES = st.sampled_from(["ada", "ADA", "bob", "Bob", "eve"])


class Accounts(RuleBasedStateMachine):
    people = Bundle("people")

    def __init__(self) -> None:
        super().__init__()
        self.recorder = MemoryRecorder()
        self.log = MemoryLog(self.recorder, KEYS)
        self.ids: list[UUID] = []
        self.minutes = 0

    @initialize(target=people)
    def first_admin(self) -> UUID:
        return self._register("root", Role.ADMIN, OPERATOR) or UUID(int=0)

    @rule(target=people, name=NAMES, role=st.sampled_from(Role), by_operator=st.booleans())
    def register(self, name: str, role: Role, by_operator: bool) -> UUID:
        by = OPERATOR if by_operator else Actor("anonymous")
        return self._register(name, role, by) or self.ids[0]

    @rule(who=people, by=people, name=NAMES)
    def rename(self, who: UUID, by: UUID, name: str) -> None:
        self._change(who, by, lambda user, actor: decisions.change_username(user, name, by=actor, at=NOON))
        self._change(
            who, by, lambda user, actor: decisions.change_email(user, f"{name}@x.example", by=actor, at=NOON)
        )

    @rule(who=people, by=people, role=st.sampled_from(Role))
    def change_role(self, who: UUID, by: UUID, role: Role) -> None:
        self._change(who, by, lambda user, actor: decisions.change_role(user, role, by=actor, at=NOON))

    @rule(who=people, by=people)
    def disable(self, who: UUID, by: UUID) -> None:
        self._change(who, by, lambda user, actor: decisions.disable(user, by=actor, at=NOON))

    @rule(who=people, by=people)
    def enable(self, who: UUID, by: UUID) -> None:
        self._change(who, by, lambda user, actor: decisions.enable(user, by=actor, at=NOON))

    @rule(who=people)
    def delete(self, who: UUID) -> None:
        self._change(who, who, lambda user, _: [events.Deleted(at=NOON)] if user.exists else [])

    @invariant()
    def an_enabled_admin_is_kept(self) -> None:
        users = [self._load(user_id) for user_id in self.ids]
        admins = [user for user in users if user.role is Role.ADMIN and user.status is Status.ENABLED]
        assert admins or not users

    @invariant()
    def the_version_is_the_number_of_events(self) -> None:
        for user_id in self.ids:
            rows = self.recorder.select_events(user_id)
            assert [row.originator_version for row in rows] == list(range(1, len(rows) + 1))
            assert self._load(user_id).version == len(rows)

    @invariant()
    def names_are_unique_and_reserved_for_those_who_carry_them(self) -> None:
        users = [self._load(user_id) for user_id in self.ids]
        carried = {
            (kind, name_key(name)): user.id
            for user in users
            for kind, name in (("email", user.email), ("username", user.username))
            if name
        }
        assert len(carried) == sum(bool(user.email) + bool(user.username) for user in users)
        reserved = {key: holder for key, holder in self.recorder.names.items() if key[0] != "first_admin"}
        assert reserved == {
            (kind, KEYS.digest(kind, name)): holder for (kind, name), holder in carried.items()
        }

    @invariant()
    def credentials_say_what_the_log_says(self) -> None:
        for user_id in self.ids:
            user, row = self._load(user_id), self.recorder.credentials[user_id]
            assert (row.epoch, row.status, row.role) == (user.epoch, user.status, user.role)

    def _register(self, name: str, role: Role, by: Actor) -> UUID | None:
        user_id = uuid4()
        account = events.Registered(at=NOON, email=f"{name}@x.example", username=name, role=role)
        before = History(user=User(id=user_id))
        if self._attempt(before, lambda: decisions.register(account, by=by, self_register=True)):
            self.ids.append(user_id)
            return user_id
        return None

    def _change(self, who: UUID, by: UUID, decide: Callable[[User, Actor], Sequence[Event]]) -> None:
        asking = self._load(by)
        # Whoever is shut out gets no further than the check of their token.
        if asking.status is Status.ENABLED and who in self.ids:
            actor = Actor("user", by, asking.role, "access")
            before = History(user=self._load(who), key=self.recorder.user_keys[who])
            self._attempt(before, lambda: decide(before.user, actor))

    def _attempt(self, before: History, decide: Callable[[], Sequence[Event]]) -> bool:
        self.minutes += 1
        try:
            decided = decide()
            if not decided:
                return False
            after = before.user
            for event in decided:
                after = evolve(after, event)
            at = NOON + timedelta(minutes=self.minutes)
            self.log.append_at_once(
                Change(before=before, after=after, events=decided, context=context(at=at))
            )
        except Refusal:
            return False
        return True

    def _load(self, user_id: UUID) -> User:
        return fold(user_id, (recorded.event for recorded in asyncio.run(self.log.timeline(user_id))))


TestAccounts = Accounts.TestCase
TestAccounts.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
