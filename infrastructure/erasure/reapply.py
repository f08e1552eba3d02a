"""Erases again whoever the ledger names and an older state of the database has brought back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from uuid import UUID, uuid4

import msgspec

from application.bus import Bus
from application.commands.erase_user import EraseUser
from application.messages import Context
from domain.access import OPERATOR
from domain.errors import Conflict, NotFound
from infrastructure.erasure.wiring import Erasure

REPLAYED = "replayed"

log = logging.getLogger("usersd.erasure")


class Reapplied(msgspec.Struct, frozen=True):
    """Who was erased again, and who was refused: the last admins of an older state."""

    erased: list[UUID]
    refused: list[UUID]


async def erase(bus: Bus, user_id: UUID, reason: str) -> None:
    """Ask for an erasure as an operator. Raises domain.errors.Refusal."""
    if not (await bus.ports.log.load(user_id)).user.exists:
        raise NotFound
    command_id = uuid4()
    context = Context(
        actor=OPERATOR, at=bus.ports.clock.now(), command_id=command_id, correlation_id=command_id
    )
    await bus.dispatch(EraseUser(user_id=user_id, reason=reason), context, wait=False)


async def reapply(bus: Bus, erasure: Erasure, entries: Iterable[UUID]) -> Reapplied:
    """Erase those of some users whom this database has not erased."""
    erased: list[UUID] = []
    refused: list[UUID] = []
    for user_id in await erasure.record.unheeded(list(entries)):
        try:
            await erase(bus, user_id, REPLAYED)
            erased.append(user_id)
        except Conflict:
            refused.append(user_id)
    return Reapplied(erased, refused)


async def reapply_at_start(bus: Bus, erasure: Erasure) -> None:
    """Before anybody is answered: the ledger is heeded, and the tables are empty of those it names.

    Raises LedgerUnusable and domain.errors.Refusal.
    """
    entries, _ = await asyncio.to_thread(erasure.ledger.entries)
    done = await reapply(bus, erasure, entries)
    if done.erased:
        await erasure.erasing.step()
        log.warning(
            "%d users stood in the ledger of erasures and were back, as in a database restored from a "
            "backup: they are erased again",
            len(done.erased),
        )
    if done.refused:
        log.error(
            "%d users of the ledger of erasures are the last admins and could not be erased again: make "
            "another admin, then run `usersd erasures replay`",
            len(done.refused),
        )
