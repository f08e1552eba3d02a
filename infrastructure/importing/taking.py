"""Takes changed rows of another service into the log: what each comes to, by the append of every command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final, Literal
from uuid import UUID, uuid4

import msgspec

from application.following import FOLLOWED, Followed, Notice, changed_here, differences, staying
from application.importing import Account, Offered, faults, imported
from application.messages import Context
from application.ports import Change, EventLog, History, Recorded
from domain import events
from domain.access import OPERATOR
from domain.errors import (
    EmailTaken,
    HistoryUnreadable,
    LastAdmin,
    OutcomeUnknown,
    Overloaded,
    Refusal,
    Unavailable,
    UsernameTaken,
    VersionConflict,
)
from domain.events import Event
from domain.user import User, evolve, fold
from domain.values import Status
from infrastructure.importing.changed_secrets import ChangedSecrets
from infrastructure.importing.followed import FollowedAccounts, Name, Taken, secret_digest
from infrastructure.importing.names import Names, Wanted, for_a_moment
from infrastructure.importing.originals import Dated
from infrastructure.importing.rows import LOST_DIGITS
from infrastructure.importing.telling import Telling

AT_ONCE: Final = 256
TRIES: Final = 8
RowsOf = Callable[[Sequence[str]], AsyncIterator[list[Dated]]]
Became = Literal["imported", "changed", "same", "left", "wait", "name"]
"""`left`: told, and not looked at again until it changes there; `wait`: told, and looked at again; `name`:
likewise, because another account has its name."""

_WAIT: Final[Mapping[type[Refusal], tuple[Became, str]]] = {
    EmailTaken: ("name", "Another account here has the email, perhaps in another spelling."),
    UsernameTaken: ("name", "Another account here has the username, perhaps in another spelling."),
    LastAdmin: ("wait", "It is the last admin here. Make another one."),
    HistoryUnreadable: ("wait", "Its history here cannot be read."),
}


class Row(msgspec.Struct, frozen=True):
    """A row that can be an account, when it was changed there, and what of it no account can keep."""

    account: Account
    changed: datetime | None
    unkept: tuple[str, ...]

    @property
    def taken(self) -> Taken:
        """What is remembered of it once it was taken."""
        return Taken(self.changed, secret_digest(self.account.secret_hash))

    @property
    def unkept_told(self) -> tuple[str, ...]:
        """What is told of it as often as it comes; the rest is what no account has a place for."""
        if LOST_DIGITS in self.unkept:
            return ("/metadata: A number there has more digits than are kept here (IEEE 754).",)
        return ()


class Taking:
    """Takes rows as they have become there. What cannot be taken is told once for each account and reason."""

    def __init__(
        self,
        log: EventLog,
        followed: FollowedAccounts,
        hash_flaw: Callable[[str], str | None],
        notice: Callable[[Notice], None],
        names: Names,
        rows_of: RowsOf,
    ) -> None:
        self._log = log
        self._followed = followed
        self._hash_flaw = hash_flaw
        self._names = names
        self._rows_of = rows_of
        self._secrets = ChangedSecrets()
        self.count = Followed()
        self._telling = Telling(self.count, notice)

    async def take(self, rows: Sequence[Dated], *, anew: bool = False) -> bool:
        """Take rows, the earliest change first; whether any of them had changed."""
        known = await self._followed.taken([row.account.id for row, _ in rows if row.account])
        readable: dict[UUID, Row] = {}
        for offered, changed in rows:
            if (row := self._fit(offered, changed)) is None:
                continue
            taken = known.get(row.account.id)
            if anew or taken is None or taken.changed != changed:
                readable[row.account.id] = row
        moved = False
        ids = list(readable)
        for start in range(0, len(ids), AT_ONCE):
            moved |= await self._take({one: readable[one] for one in ids[start : start + AT_ONCE]})
        return moved

    async def close(self, ids: Sequence[UUID]) -> None:
        """Close the accounts that are gone there, as deleting them would."""
        for one in ids:
            became, why = await self._settled(partial(self._close, one))
            self.count.closed += became == "changed"
            self._telling.tell(str(one), why)
            if became != "wait":
                await self._followed.leave([one])

    def tell_of_the_rest(self) -> None:
        """Everything was looked at: say how many there are that were not named one by one."""
        self._telling.tell_of_the_rest()

    def _fit(self, offered: Offered, changed: datetime | None) -> Row | None:
        account = offered.account
        found = list(faults(account, hash_flaw=self._hash_flaw)) if account else list(offered.faults)
        if account and not found:
            return Row(account, changed, offered.unkept)
        why = " ".join(f"{fault.pointer}: {fault.message}" for fault in found)
        self._telling.tell_of_a_row(str(account.id) if account else offered.key, why)
        return None

    async def _take(self, some: Mapping[UUID, Row]) -> bool:
        self.count.looked_at += len(some)
        left, moved = dict(some), False
        released: set[UUID] = set()
        asked_for: set[UUID] = set()
        there: set[UUID] = set()
        # A name that one account gives up may be what another has taken: until nothing moves any more.
        while left:
            went_on, waiting = await self._round(left)
            moved |= went_on
            if went_on:
                continue
            blocked = {one: left[one].account for one, (became, _) in waiting.items() if became == "name"}
            wanted = await self._names.wanted(blocked, _now())
            if await self._release(wanted, released):
                continue
            holders = {found[1] for one in blocked if (found := wanted.holder(one))}
            if more := holders - left.keys() - asked_for:
                asked_for |= more
                there |= await self._draw_in(more, left)
                continue
            for one, (_, why) in waiting.items():
                named = wanted.why(one, there | left.keys()) if one in blocked else None
                self._telling.tell(str(one), named or why)
            break
        return moved

    async def _round(self, left: dict[UUID, Row]) -> tuple[bool, dict[UUID, tuple[Became, str]]]:
        """Try every row that is left, once: whether any of them moved, and why the others wait."""
        known, hashes = await self._followed.taken(list(left)), await self._followed.hashes(list(left))
        work = [partial(self._one, row, known.get(one), hashes.get(one)) for one, row in left.items()]
        outcomes = await asyncio.gather(*(self._settled(each) for each in work))
        moved = any(became in ("imported", "changed") for became, _ in outcomes)
        settled: dict[UUID, Taken] = {}
        waiting: dict[UUID, tuple[Became, str]] = {}
        for one, (became, why) in zip(list(left), outcomes, strict=True):
            if became in ("wait", "name"):
                waiting[one] = became, why
                continue
            settled[one] = left.pop(one).taken
            self._telling.tell(str(one), why)
            self.count.imported += became == "imported"
            self.count.changed += became == "changed"
        await self._followed.take(settled)
        return moved, waiting

    async def _release(self, wanted: Wanted, released: set[UUID]) -> bool:
        """Have somebody in each ring of names give theirs up for a moment; whether anybody did."""
        rings = {one: names for one, names in wanted.in_rings().items() if one not in released}
        released |= rings.keys()
        for one, names in rings.items():
            await self._settled(partial(self._give_up, one, sorted(names)))
        return bool(rings)

    async def _give_up(self, one: UUID, names: Sequence[Name]) -> tuple[Became, str]:
        await self._append(await self._log.timeline(one), for_a_moment(names, _now()), None)
        return "changed", ""

    async def _draw_in(self, ids: Collection[UUID], left: dict[UUID, Row]) -> set[UUID]:
        """Look at accounts, too, that have names which others are to get; those of them that are there."""
        there: set[UUID] = set()
        async for page in self._rows_of([str(one) for one in ids]):
            for offered, changed in page:
                if (row := self._fit(offered, changed)) is not None:
                    left[row.account.id] = row
                there.add(UUID(offered.key))
        return there

    async def _settled(self, work: Callable[[], Awaitable[tuple[Became, str]]]) -> tuple[Became, str]:
        """Do it until the log says what it came to; what is refused by a rule of ours waits."""
        for _ in range(TRIES):
            try:
                return await work()
            except (VersionConflict, OutcomeUnknown, Overloaded):
                # It may have been stored: the log says what there is.
                continue
            except tuple(_WAIT) as refusal:
                return _WAIT[type(refusal)]
        raise Unavailable

    async def _one(self, row: Row, taken: Taken | None, hashed: str | None) -> tuple[Became, str]:
        account = row.account
        recorded = await self._log.timeline(account.id)
        if not recorded:
            return await self._import(row)
        user = fold(account.id, (one.event for one in recorded))
        if not user.exists:
            # Not even that it was here is remembered beside the log.
            return "wait", "It was erased here and does not come back."
        at = _utc(row.changed) or _now()
        follows = list(differences(user, account, at))
        new_hash = await self._secrets.new_hash(recorded, account, row.changed, taken, hashed)
        if new_hash is not None:
            follows.append(events.SecretChanged(at=at))
        stays = list(staying(recorded, _after(user, follows), account))
        if not follows and not stays:
            return "same", ""
        if changed_here(recorded):
            return (
                "left",
                "It was changed here since it came, and differently there: what was done here stays.",
            )
        if not follows:
            return "left", " ".join(stays)
        await self._append(recorded, follows, new_hash)
        return "changed", " ".join([*stays, *row.unkept_told])

    async def _import(self, row: Row) -> tuple[Became, str]:
        before = History(user=User(id=row.account.id))
        event = imported(row.account, _now())
        await self._log.append(_change(before, [event], row.account.secret_hash))
        return "imported", " ".join(row.unkept_told)

    async def _close(self, one: UUID) -> tuple[Became, str]:
        recorded = await self._log.timeline(one)
        user = fold(one, (each.event for each in recorded))
        if not user.exists or user.status is Status.DELETED:
            return "same", ""
        if changed_here(recorded):
            return "left", "It is gone there and was changed here since it came: it stays."
        await self._append(recorded, [events.Deleted(at=_now())], None)
        return "changed", ""

    async def _append(
        self, recorded: Sequence[Recorded], follows: Sequence[Event], new_hash: str | None
    ) -> None:
        before = await self._log.load(recorded[0].user_id)
        if before.user.version != recorded[-1].version:
            # What was decided upon is no longer so.
            raise VersionConflict
        await self._log.append(_change(before, follows, new_hash))


def _change(before: History, follows: Sequence[Event], secret_hash: str | None) -> Change:
    after = _after(before.user, follows)
    context = Context(actor=OPERATOR, at=_now(), command_id=uuid4(), correlation_id=FOLLOWED)
    return Change(before=before, after=after, events=follows, context=context, secret_hash=secret_hash)


def _after(user: User, follows: Sequence[Event]) -> User:
    for event in follows:
        user = evolve(user, event)
    return user


def _utc(time: datetime | None) -> datetime | None:
    return time.replace(tzinfo=UTC) if time else None


def _now() -> datetime:
    return datetime.now(UTC)
