"""How a mail leaves the house: what every way of sending promises, and in which words it fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from infrastructure.mail.composing import Composed


class Undeliverable(Exception):
    """This mail will never be taken; the text is the kind of fault and holds no value."""


class NotNow(Exception):
    """A later try may succeed; the text is the kind of fault and holds no value."""


Forgotten = Callable[[Sequence[UUID]], Awaitable[set[UUID]]]
"""Which of these users were erased."""


class Transport(Protocol):
    async def deliver(self, composed: Composed) -> None:
        """Hand a mail over; when this returns, it is somebody else's. Raises Undeliverable, NotNow."""

    async def tidy(self, now: datetime, forgotten: Forgotten) -> None:
        """Remove what is kept of mails that are old, or whose users were erased."""
