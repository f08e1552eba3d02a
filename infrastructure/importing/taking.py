"""Takes changed rows of another service into the log: what each comes to, by the append of every command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final, Literal
from uuid import UUID, uuid4

import msgspec

from application.following import FOLLOWED, Followed, Notice, changed_here, differences
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
from domain.values import Status, user_id
from infrastructure.importing.followed import FollowedAccounts

AT_ONCE: Final = 256
TRIES: Final = 8


class _Whose(msgspec.Struct):
    id: str = ""


_whose = msgspec.json.Decoder(_Whose).decode

Row = tuple[Offered, datetime | None]
Became = Literal["imported", "changed", "same", "left", "wait"]
"""`left`: told, and not looked at again until it changes there; `wait`: told, and looked at again."""

_REFUSALS: Final[Mapping[type[Refusal], str]] = {
    EmailTaken: "Another account here has the email, perhaps in another spelling.",
    UsernameTaken: "Another account here has the username, perhaps in another spelling.",
    LastAdmin: "It is the last admin here. Make another one.",
    HistoryUnreadable: "Its history here cannot be read.",
}


class Taking:
    """Takes rows as they have become there. What cannot be taken is told once for each account and reason."""

    def __init__(
        self,
        log: EventLog,
        followed: FollowedAccounts,
        hash_known: Callable[[str], bool],
        notice: Callable[[Notice], None],
    ) -> None:
        self._log = log
        self._followed = followed
        self._hash_known = hash_known
        self._notice = notice
        self._told: set[tuple[str, str]] = set()
        self.count = Followed()

    async def take(self, rows: Sequence[Row], *, anew: bool = False) -> bool:
        """Take rows, the earliest change first; whether any of them had changed."""
        known = await self._followed.taken([row.account.id for row, _ in rows if row.account])
        readable: dict[UUID, tuple[Account, datetime | None]] = {}
        for offered, changed in rows:
            if (account := self._fit(offered)) and (
                anew or account.id not in known or known[account.id] != changed
            ):
                readable[account.id] = account, changed
        moved = False
        ids = list(readable)
        for start in range(0, len(ids), AT_ONCE):
            some = {one: readable[one] for one in ids[start : start + AT_ONCE]}
            moved |= await self._take(some, known)
        return moved

    async def close(self, ids: Sequence[UUID]) -> None:
        """Close the accounts that are gone there, as deleting them would."""
        for one in ids:
            became, why = await self._settled(partial(self._close, one))
            self.count.closed += became == "changed"
            self._tell(str(one), why)
            if became != "wait":
                await self._followed.leave([one])

    def _fit(self, offered: Offered) -> Account | None:
        account = offered.account
        found = list(faults(account, hash_known=self._hash_known)) if account else list(offered.faults)
        if not found:
            return account
        told = account.id if account else user_id(_id_in(offered)) or "(no id)"
        self._tell(str(told), " ".join(f"{fault.pointer}: {fault.message}" for fault in found))
        return None

    async def _take(
        self, some: Mapping[UUID, tuple[Account, datetime | None]], known: Mapping[UUID, datetime | None]
    ) -> bool:
        self.count.looked_at += len(some)
        hashes = await self._followed.hashes(list(some))
        left, moved = dict(some), False
        # A name that one account gives up may be what another has taken: until nothing moves any more.
        while left:
            work = [partial(self._one, *left[one], known.get(one), hashes.get(one)) for one in left]
            outcomes = await asyncio.gather(*(self._settled(each) for each in work))
            settled: list[tuple[UUID, datetime | None]] = []
            waiting: dict[UUID, str] = {}
            for one, (became, why) in zip(list(left), outcomes, strict=True):
                if became == "wait":
                    waiting[one] = why
                    continue
                settled.append((one, left.pop(one)[1]))
                self._tell(str(one), why)
                self.count.imported += became == "imported"
                self.count.changed += became == "changed"
            moved |= any(became in ("imported", "changed") for became, _ in outcomes)
            await self._followed.take(settled)
            if not any(became in ("imported", "changed") for became, _ in outcomes):
                for one, why in waiting.items():
                    self._tell(str(one), why)
                break
        return moved

    async def _settled(self, work: Callable[[], Awaitable[tuple[Became, str]]]) -> tuple[Became, str]:
        """Do it until the log says what it came to; what is refused by a rule of ours waits."""
        for _ in range(TRIES):
            try:
                return await work()
            except (VersionConflict, OutcomeUnknown, Overloaded):
                # It may have been stored: the log says what there is.
                continue
            except tuple(_REFUSALS) as refusal:
                return "wait", _REFUSALS[type(refusal)]
        raise Unavailable

    async def _one(
        self, account: Account, changed: datetime | None, taken: datetime | None, hashed: str | None
    ) -> tuple[Became, str]:
        recorded = await self._log.timeline(account.id)
        if not recorded:
            return await self._import(account)
        user = fold(account.id, (one.event for one in recorded))
        if not user.exists:
            # Not even that it was here is remembered beside the log.
            return "wait", "It was erased here and does not come back."
        at = _utc(changed) or datetime.now(UTC)
        follows = list(differences(user, account, at))
        new_hash = account.secret_hash if _has_new_secret(recorded, account, changed, taken, hashed) else None
        if new_hash is not None:
            follows.append(events.SecretChanged(at=at))
        if not follows:
            return "same", ""
        if changed_here(recorded):
            return (
                "left",
                "It was changed here since it came, and differently there: what was done here stays.",
            )
        await self._append(recorded, follows, new_hash)
        return "changed", ""

    async def _import(self, account: Account) -> tuple[Became, str]:
        before = History(user=User(id=account.id))
        event = imported(account, datetime.now(UTC))
        await self._log.append(_change(before, [event], account.secret_hash))
        return "imported", ""

    async def _close(self, one: UUID) -> tuple[Became, str]:
        recorded = await self._log.timeline(one)
        user = fold(one, (each.event for each in recorded))
        if not user.exists or user.status is Status.DELETED:
            return "same", ""
        if changed_here(recorded):
            return "left", "It is gone there and was changed here since it came: it stays."
        await self._append(recorded, [events.Deleted(at=datetime.now(UTC))], None)
        return "changed", ""

    async def _append(
        self, recorded: Sequence[Recorded], follows: Sequence[Event], new_hash: str | None
    ) -> None:
        before = await self._log.load(recorded[0].user_id)
        if before.user.version != recorded[-1].version:
            # What was decided upon is no longer so.
            raise VersionConflict
        await self._log.append(_change(before, follows, new_hash))

    def _tell(self, one: str, why: str) -> None:
        if why and (one, why) not in self._told:
            self._told.add((one, why))
            self.count.left += 1
            self._notice(Notice(one, why))


def _has_new_secret(
    recorded: Sequence[Recorded],
    account: Account,
    changed: datetime | None,
    taken: datetime | None,
    hashed: str | None,
) -> bool:
    """Whether the secret was changed there; a login here may have made another hash of the same secret."""
    if account.secret_hash is None or account.secret_hash == hashed:
        return False
    first = recorded[0].event
    if taken is None and isinstance(first, events.Imported):
        return account.updated_at != first.updated_at
    return taken != changed


def _change(before: History, follows: Sequence[Event], secret_hash: str | None) -> Change:
    after = before.user
    for event in follows:
        after = evolve(after, event)
    context = Context(actor=OPERATOR, at=datetime.now(UTC), command_id=uuid4(), correlation_id=FOLLOWED)
    return Change(before=before, after=after, events=follows, context=context, secret_hash=secret_hash)


def _utc(time: datetime | None) -> datetime | None:
    return time.replace(tzinfo=UTC) if time else None


def _id_in(offered: Offered) -> str:
    # What cannot be an account may still say whose row it was.
    return _whose(offered.raw or b"{}").id
