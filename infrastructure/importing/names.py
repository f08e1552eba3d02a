"""Finds who has the name that an account is to get here, and how names that go round come round.

Two people there who have exchanged their emails cannot do so here one after the other: neither email is free
until the other one is. One of them gives theirs up for a moment, for a name that nobody else can have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

import msgspec

from application.following import differences
from application.importing import Account
from application.ports import EventLog
from domain import events
from domain.errors import HistoryUnreadable
from domain.events import Event
from domain.user import fold
from domain.values import Role
from infrastructure.event_store.keyring import Keyring
from infrastructure.importing.followed import FollowedAccounts, Name

_MAY_BE_REFUSED: Final = (events.RoleChanged, events.Disabled, events.Deleted)
"""What the last admin cannot become: they would never get further than the name for a moment."""


_BOTH_THERE: Final = (
    "The account {holder} has the {kind} here, perhaps in another spelling: give one of the two another one."
)
_GONE_THERE: Final = (
    "The account {holder} has the {kind} here and is not in the table there. A closed account keeps its "
    "names until its grace is over: `usersd users erase {holder}` forgets it for good and frees them at "
    "once, and this account comes with the next sweep."
)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """The names that an account would give up here, and those that it would take."""

    gives: frozenset[Name] = frozenset()
    takes: frozenset[Name] = frozenset()


class Wanted(msgspec.Struct, frozen=True):
    """What each of some accounts wishes, and who has the names that are wished for."""

    wishes: Mapping[UUID, Wish]
    holders: Mapping[Name, UUID]

    def holder(self, one: UUID) -> tuple[str, UUID] | None:
        """The kind of the first name that an account cannot have, and the other account that has it."""
        for name in sorted(self.wishes[one].takes):
            if (found := self.holders.get(name)) is not None and found != one:
                return name[0], found
        return None

    def why(self, one: UUID, there: Collection[UUID]) -> str | None:
        """Why an account cannot have a name, and what to do; `there` are those in the table there."""
        if (found := self.holder(one)) is None:
            return None
        kind, holder = found
        return (_BOTH_THERE if holder in there else _GONE_THERE).format(kind=kind, holder=holder)

    def in_rings(self) -> dict[UUID, frozenset[Name]]:
        """Which accounts have to give up which names for a moment, so that every ring comes round."""
        able = self._able()
        asked = frozenset[Name]().union(*(self.wishes[one].takes for one in able))
        found: dict[UUID, frozenset[Name]] = {}
        seen: set[UUID] = set()
        for start in sorted(able):
            path: list[UUID] = []
            one: UUID | None = start
            while one is not None and one not in seen:
                seen.add(one)
                path.append(one)
                blocked = self.holder(one)
                one = blocked[1] if blocked else None
            if one is not None and one in path:
                found[one] = self.wishes[one].gives & asked
        return found

    def _able(self) -> set[UUID]:
        """Those who get all that they wish as soon as each of them has given up what they do not keep."""
        asked = Counter(name for wish in self.wishes.values() for name in wish.takes)
        able = {one for one, wish in self.wishes.items() if all(asked[name] == 1 for name in wish.takes)}
        while True:
            coming = frozenset[Name]().union(*(self.wishes[one].gives for one in able))
            stuck = {
                one
                for one in able
                if any(name in self.holders and name not in coming for name in self.wishes[one].takes)
            }
            if not stuck:
                return able
            able -= stuck


class Names:
    """Asks the log and the names that are taken."""

    def __init__(self, log: EventLog, followed: FollowedAccounts, keyring: Keyring) -> None:
        self._log = log
        self._followed = followed
        self._keyring = keyring

    async def wanted(self, accounts: Mapping[UUID, Account], at: datetime) -> Wanted:
        """What the accounts wish, by what they are there and here. Raises Unavailable."""
        wishes = {one: await self._wish(account, at) for one, account in accounts.items()}
        names = {name for wish in wishes.values() for name in wish.takes}
        return Wanted(wishes, await self._followed.holders(sorted(names)))

    async def _wish(self, account: Account, at: datetime) -> Wish:
        try:
            user = fold(account.id, (one.event for one in await self._log.timeline(account.id)))
        except HistoryUnreadable:
            return Wish()
        here = self._names(user.email, user.username) if user.exists else frozenset()
        # A username that is there no more stays here.
        there = self._names(account.email, account.username or user.username)
        if user.role is Role.ADMIN and any(
            isinstance(event, _MAY_BE_REFUSED) for event in differences(user, account, at)
        ):
            return Wish(takes=there - here)
        return Wish(gives=here - there, takes=there - here)

    def _names(self, email: str, username: str | None) -> frozenset[Name]:
        found = {("email", email), ("username", username)}
        return frozenset((kind, self._keyring.digest(kind, name)) for kind, name in found if name)


def for_a_moment(names: Sequence[Name], at: datetime) -> list[Event]:
    """The events by which a user gives up names; no mail reaches the one domain (RFC 2606, section 2)."""
    kinds = {kind for kind, _ in names}
    found: list[Event] = []
    if "email" in kinds:
        found.append(events.EmailChanged(at=at, email=f"{uuid4().hex}@moving.invalid"))
    if "username" in kinds:
        found.append(events.UsernameChanged(at=at, username=f"moving-{uuid4().hex}"))
    return found
