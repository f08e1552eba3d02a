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


class Statistics(Protocol):
    def signups(self) -> Sequence[SignupCount]:
        """All users that there are, in groups: by day, status and role, the first day first."""
