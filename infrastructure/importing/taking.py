"""Takes changed rows of another service into the log: what each comes to, by the append of every command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final, Literal
from uuid import UUID

from application.following import Followed, Notice, changed_here, differences, staying
from application.importing import imported
from application.ports import EventLog, History
from domain import events
from domain.errors import (
    EmailTaken,
    HistoryUnreadable,
    LastAdmin,
    Refusal,
    Unavailable,
    UsernameTaken,
    VersionConflict,
)
from domain.user import User, fold
from domain.values import Status
from infrastructure.importing.access import NEVER, Access
from infrastructure.importing.changed_secrets import ChangedSecrets
from infrastructure.importing.changes import append, evolved, followed_change, in_utc, now
from infrastructure.importing.fitting import Part, Row, Unfit, fitting
from infrastructure.importing.followed import FollowedAccounts, Name, Taken
from infrastructure.importing.names import Names, Wanted, for_a_moment
from infrastructure.importing.originals import Dated
from infrastructure.importing.patient import patiently
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
        self._access = Access(log, followed, self._secrets)
        self.count = Followed()
        self._telling = Telling(self.count, notice)

    async def take(self, rows: Sequence[Dated], *, anew: bool = False) -> bool:
        """Take rows, the earliest change first; whether any of them had changed."""
        known = await self._followed.taken([row.account.id for row, _ in rows if row.account])
        readable: dict[UUID, Row] = {}
        moved = False
        for offered, times in rows:
            row = fitting(offered, times, self._hash_flaw)
            if isinstance(row, Unfit):
                moved |= await self._tell_of(row)
                continue
            taken = known.get(row.account.id)
            if anew or taken is None or taken.times != times.digest:
                readable[row.account.id] = row
        ids = list(readable)
        for start in range(0, len(ids), AT_ONCE):
            # Those that were drawn in before were read again since, and some of them are settled.
            some = {one: readable[one] for one in ids[start : start + AT_ONCE] if one in readable}
            moved |= await self._take(some, readable)
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

    async def _tell_of(self, unfit: Unfit) -> bool:
        """Tell of a row that is no account, and follow its access; whether that had changed."""
        moved, followed = await self._follow_access(unfit.row) if unfit.row else (False, "")
        self._telling.tell_of_a_row(unfit.key, unfit.why + followed)
        return moved

    async def _follow_access(self, row: Row) -> tuple[bool, str]:
        """Follow what can be of a row that waits; whether that had changed, and what it is, to be told."""
        parts: list[Part] = []

        async def work() -> tuple[Became, str]:
            moved, parts[:] = await self._access.follow(row)
            return "changed" if moved else "same", ""

        became, _ = await self._settled(work)
        self.count.changed += became == "changed"
        told = f" Until then only this of it is followed: {', '.join(parts)}." if parts else ""
        return became == "changed", told

    async def _take(self, some: Mapping[UUID, Row], later: dict[UUID, Row]) -> bool:
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
            wanted = await patiently(partial(self._names.wanted, blocked, now()))
            if await self._release(wanted, released):
                continue
            holders = {found[1] for one in blocked if (found := wanted.holder(one))}
            if more := holders - left.keys() - asked_for:
                asked_for |= more
                there |= await self._draw_in(more, left, later)
                continue
            for one, (_, why) in waiting.items():
                named = wanted.why(one, there | left.keys()) if one in blocked else None
                followed_so, told = await self._follow_access(left[one])
                moved |= followed_so
                self._telling.tell(str(one), (named or why) + told)
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
        if (taken := (await self._followed.taken([one])).get(one)) is not None:
            # Whatever ends this before they have another name, the next sweep finds them.
            await self._followed.take({one: Taken(taken.changed, taken.secret, NEVER)})
        await append(self._log, await self._log.timeline(one), for_a_moment(names, now()))
        return "changed", ""

    async def _draw_in(
        self, ids: Collection[UUID], left: dict[UUID, Row], later: dict[UUID, Row]
    ) -> set[UUID]:
        """Look at accounts, too, that have names which others are to get; those of them that are there.

        What was read of them before, to be taken `later`, is older and is not taken any more.
        """
        for one in ids:
            later.pop(one, None)
        there: set[UUID] = set()
        async for page in self._rows_of([str(one) for one in ids]):
            for offered, times in page:
                row = fitting(offered, times, self._hash_flaw)
                if isinstance(row, Unfit):
                    await self._tell_of(row)
                else:
                    left[row.account.id] = row
                there.add(UUID(offered.key))
        return there

    async def _settled(self, work: Callable[[], Awaitable[tuple[Became, str]]]) -> tuple[Became, str]:
        """Do it until the log says what it came to; what is refused by a rule of ours waits."""
        for _ in range(TRIES):
            try:
                return await patiently(partial(_or_waits, work))
            except VersionConflict:
                # Somebody was faster: the log says what there is.
                continue
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
        at = in_utc(row.changed)
        follows = list(differences(user, account, at))
        new_hash = await self._secrets.new_hash(recorded, account, row.changed, taken, hashed)
        if new_hash is not None:
            follows.append(events.SecretChanged(at=at))
        stays = list(staying(recorded, evolved(user, follows), account))
        if not follows and not stays:
            return "same", ""
        if changed_here(recorded):
            return (
                "left",
                "It was changed here since it came, and differently there: what was done here stays.",
            )
        if not follows:
            return "left", " ".join(stays)
        await append(self._log, recorded, follows, new_hash)
        return "changed", " ".join([*stays, *row.unkept_told])

    async def _import(self, row: Row) -> tuple[Became, str]:
        before = History(user=User(id=row.account.id))
        event = imported(row.account, now())
        await self._log.append(followed_change(before, [event], row.account.secret_hash))
        return "imported", " ".join(row.unkept_told)

    async def _close(self, one: UUID) -> tuple[Became, str]:
        recorded = await self._log.timeline(one)
        user = fold(one, (each.event for each in recorded))
        if not user.exists or user.status is Status.DELETED:
            return "same", ""
        if changed_here(recorded):
            return "left", "It is gone there and was changed here since it came: it stays."
        await append(self._log, recorded, [events.Deleted(at=now())])
        return "changed", ""


async def _or_waits(work: Callable[[], Awaitable[tuple[Became, str]]]) -> tuple[Became, str]:
    try:
        return await work()
    except tuple(_WAIT) as refusal:
        return _WAIT[type(refusal)]
