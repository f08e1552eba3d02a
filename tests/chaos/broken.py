"""Roles that are wrong on purpose. The storm has to find each of them, or it would find nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from application.messages import Context
from infrastructure.event_store import log
from infrastructure.mail.outbox import Outbox
from infrastructure.nats import outgoing
from infrastructure.tokens.revocation import PostgresRevocations
from interfaces.http import user_commands
from projections.users.projector import Users

_chance = random.Random(7)


def _deaf_to_revocations() -> None:
    """Wrong: what was once said of a token is believed for ever."""

    async def no_news(*_: object) -> None:
        return None

    setattr(PostgresRevocations, "_catch_up", no_news)  # noqa: B010
    setattr(PostgresRevocations, "is_current", property(lambda _: True))  # noqa: B010


def _answers_before_it_stores() -> None:
    """Wrong: some changes are acknowledged and never stored."""
    append = log.PostgresEventLog.append

    async def sometimes(self: Any, change: Any) -> int:
        if change.before.user.version and _chance.random() < 0.1:
            return int(change.before.position)
        return await append(self, change)

    setattr(log.PostgresEventLog, "append", sometimes)  # noqa: B010


def _overlooks_keys() -> None:
    """Wrong: a repeat is taken for another request."""

    async def unmarked(request: object, context: Context, *, status: int = 200) -> Context:
        return context

    setattr(user_commands, "once", unmarked)  # noqa: B010


def _leaves_out_messages() -> None:
    """Wrong: now and then the world is not told."""
    tell = outgoing._outgoing

    def sometimes(event: Any, limits: Any) -> Any:
        return None if _chance.random() < 0.05 else tell(event, limits)

    setattr(outgoing, "_outgoing", sometimes)  # noqa: B010


def _leaves_out_rows() -> None:
    """Wrong: now and then a user's row stays as it was."""
    write = Users.write

    async def sometimes(self: Users, connection: Any, table: str, changes: Sequence[Any]) -> None:
        await write(self, connection, table, [one for one in changes if _chance.random() > 0.05])

    setattr(Users, "write", sometimes)  # noqa: B010


def _throws_mails_away() -> None:
    """Wrong: some mails are said to be sent that were not."""
    deliver = Outbox.deliver

    async def sometimes(self: Outbox, composed: Any) -> None:
        if _chance.random() > 0.3:
            await deliver(self, composed)

    setattr(Outbox, "deliver", sometimes)  # noqa: B010


BREAKAGES: dict[str, Callable[[], None]] = {
    "deaf to revocations": _deaf_to_revocations,
    "answers before it stores": _answers_before_it_stores,
    "overlooks keys": _overlooks_keys,
    "leaves out messages": _leaves_out_messages,
    "leaves out rows": _leaves_out_rows,
    "throws mails away": _throws_mails_away,
}

FOUND_AS: dict[str, str] = {
    "deaf to revocations": "survived",
    "answers before it stores": "acknowledged, and not in the log",
    "overlooks keys": "409",
    "leaves out messages": "the stream has",
    "leaves out rows": "users: ",
    "throws mails away": "mails: ",
}
"""What a finding holds that gives each of them away."""
