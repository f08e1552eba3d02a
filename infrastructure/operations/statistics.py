"""What operators ask about the users as a whole."""

from __future__ import annotations

import psycopg

from application.statistics import NotCountedYet, SignupCount
from projections.signups.reader import signup_counts


class PostgresStatistics:
    """Implements the port Statistics."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo

    def signups(self) -> list[SignupCount]:
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            try:
                return signup_counts(connection)
            except psycopg.errors.UndefinedTable:
                raise NotCountedYet from None
