"""Holds the rows of the live read models against the log all the time, a few users at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import psycopg

from application.projections import Difference, UnknownGeneration
from interfaces.scheduler import Job
from projections import proof
from projections.catalogue import READ_MODELS
from projections.comparing import FIRST, behind
from projections.readmodel import LogPages, ReadModel
from projections.verify import Checked, Verifier, verifying

EVERY = timedelta(minutes=1)

AT_ONCE = 50
"""Users who are folded in one go: a few milliseconds, for which requests have to wait."""

BETWEEN = 0.02
"""Seconds of rest after them."""

_WHERE_FROM = "SELECT checked_after FROM projections WHERE name = %s AND version = %s AND generation = %s"

_DONE = """
UPDATE projections SET checked = checked + %s, checked_after = %s, checked_at = now()
WHERE name = %s AND version = %s AND generation = %s"""

log = logging.getLogger("usersd.projections")


class BackgroundCheck:
    """Goes through all users of each live read model, round after round, so many of them a minute."""

    def __init__(self, conninfo: str, pages: LogPages, per_minute: int) -> None:
        self._conninfo = conninfo
        self._pages = pages
        self._per_minute = per_minute

    def job(self) -> Job:
        """To be done once a minute by one replica."""
        return Job("check the read models", EVERY, self.run)

    async def run(self) -> str:
        """Check the next users of each; says who differs, and nothing where nobody does."""
        found = [f"{await self._check(model)} of {model.name}" for model in READ_MODELS]
        return ", ".join(differing for differing in found if not differing.startswith("0"))

    async def _check(self, model: ReadModel) -> int:
        async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
            number = await proof.live(connection, model)
            if number is None:
                return 0
            key = (model.name, model.version, number)
            row = await (await connection.execute(_WHERE_FROM, key)).fetchone()
            try:
                async with verifying(self._conninfo, self._pages, model, number) as verifier:
                    users, differing, after = await self._turn(verifier, row[0] if row else None)
            except (UnknownGeneration, psycopg.errors.UndefinedTable):
                # It was switched away from and dropped in this very moment.
                return 0
            await connection.execute(_DONE, (users, after, *key))
        _tell(model, number, differing)
        return len(differing)

    async def _turn(
        self, verifier: Verifier, after: UUID | None
    ) -> tuple[int, Sequence[Difference], UUID | None]:
        users, differing = 0, list[Difference]()
        start = behind(after) if after else FIRST
        while users < self._per_minute:
            checked = await verifier.check_from(start, min(AT_ONCE, self._per_minute - users))
            users += _counted(checked)
            differing += checked.differences
            if checked.last is None:
                # A round is done; whatever counts the rows is looked at once in each.
                if places := await verifier.disagreements():
                    log.error("totals do not agree with the rows they count, in %d places", len(places))
                return users, differing, None
            after = checked.last
            start = behind(after)
            await asyncio.sleep(BETWEEN)
        return users, differing, after


def _counted(checked: Checked) -> int:
    return checked.users + checked.skipped


def _tell(model: ReadModel, number: int, differing: Sequence[Difference]) -> None:
    for difference in differing:
        log.error(
            "%s: generation %d is not what the log says for user %s: %d rows missing, %d too many, "
            "%d different (%s)%s",
            model.name, number, difference.user_id, difference.missing, difference.extra,
            difference.different, ", ".join(difference.columns),
            f", and the event at {difference.unreadable} cannot be applied" if difference.unreadable else "",
        )  # fmt: skip
