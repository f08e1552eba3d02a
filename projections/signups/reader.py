"""Answers how many users there are from the read model `signups`."""

from __future__ import annotations

from typing import Final, LiteralString

import psycopg

from application.statistics import SignupCount
from domain.values import Role, Status

TOTAL: Final[LiteralString] = "SELECT coalesce(sum(users), 0)::int8 FROM signups_v1_totals"
"""Counts all users; a condition on `status` and `role` leaves some of them."""

_COUNTS: Final = """
SELECT day, status, role, users FROM signups_v1_totals WHERE users <> 0 ORDER BY day, status, role"""


def signup_counts(connection: psycopg.Connection) -> list[SignupCount]:
    """How many users were created on each day, by the status and the role that they have now."""
    rows = connection.execute(_COUNTS).fetchall()
    return [SignupCount(day, Status(status), Role(role), users) for day, status, role, users in rows]
