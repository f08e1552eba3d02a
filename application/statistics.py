"""How many users there are: counted by day of creation, status and role."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Protocol

import msgspec

from domain.values import Role, Status


class SignupCount(msgspec.Struct, frozen=True):
    """How many users were created on a day (UTC) and have this status and this role now."""

    day: date
    status: Status
    role: Role
    users: int


class NotCountedYet(Exception):
    """The read model that counts is built for the first time, or by nobody at the moment."""

    def __init__(self) -> None:
        super().__init__(
            "The users are not counted yet: the read model signups is being built, which usersd run does. "
            "usersd projections status shows how far it is; try again then."
        )


class Statistics(Protocol):
    def signups(self) -> Sequence[SignupCount]:
        """All users that there are, in groups: by day, status and role, the first day first.

        Raises NotCountedYet.
        """
