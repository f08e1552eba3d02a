"""Writes how a list is counted: exactly in whichever way bounds the time, or no further than a cap.

Who is counted by status and role alone stands in the totals of `signups`. Anything else takes the indexes:
those of the conditions where few meet them, and one that is read from end to end where nearly everybody does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from psycopg.sql import SQL, Composed, Identifier, Literal

from projections.signups.reader import TOTAL
from projections.users.conditions import Condition, all_of

CAP: Final = 10_000
"""Where a total may be cut, it is counted no further."""

ENOUGH: Final = 100
"""So many, found at little cost, are answered as the least that there are."""

FETCHED: Final = 1000
"""So many are fetched to be counted where fewer than enough were found so: that many or fewer are exact."""

WITHIN: Final = 20_000
"""So many entries of an index are looked through."""

WITHIN_THE_TABLE: Final = 2000
"""The same, where no index holds all that is asked for."""

_BRIEF: Final = frozenset({"tags", "metadata"})
"""The columns of the index that holds what is said of a user, of all of whom that is brief."""

_OF_SIGNUPS = SQL(TOTAL + " WHERE {standing}")

_BY_CONDITIONS = SQL("SELECT count(*) FROM users_v1 WHERE {listed}")

# A condition of FILTER is none that an index is chosen for: the planner reads the smallest index that holds
# the column, from end to end. That takes as long for a text that all have as for one that few have, and a
# fraction of what it takes to fetch from the table what nearly all meet.
_IN_AN_INDEX = SQL("SELECT count(*) FILTER (WHERE {seen}) FROM users_v1 WHERE {standing}")
_OF_BRIEF_AND_LONG = SQL("""
    (SELECT count(*) FILTER (WHERE {seen}) FROM users_v1 WHERE brief AND {standing})
    + (SELECT count(*) FROM users_v1 WHERE NOT brief AND {listed})""")

_OF_A_RANGE = SQL("""
    SELECT CASE WHEN count(*) > {cap} THEN -{cap} ELSE count(*) END
    FROM (SELECT FROM users_v1 WHERE {listed} LIMIT {cap} + 1) AS met""")

# Beneath the inner LIMIT the planner cannot go by the conditions, which would gather all hits first. In an
# index by the very text that is asked for hits lie together: where none are found, they may begin with it.
_SOME = SQL("""
    SELECT CASE WHEN found >= {enough} THEN -found WHEN begun >= {enough} THEN -begun ELSE ({of_hits}) END
    FROM (
        SELECT found, CASE WHEN found < {enough} THEN ({begun}) END AS begun FROM (
            SELECT count(*) AS found FROM (
                SELECT FROM (SELECT {columns} FROM users_v1 WHERE {standing} LIMIT {within}) AS entries
                WHERE {seen} LIMIT {cap}) AS met) AS counted OFFSET 0) AS counted""")

_OF_HITS = SQL("""
    SELECT CASE WHEN count(*) > {fetched} THEN -{fetched} ELSE count(*) END
    FROM (SELECT FROM hits LIMIT {fetched} + 1) AS met""")

_BEGUN = SQL("SELECT count(*) FROM (SELECT FROM users_v1 WHERE {standing} AND {begun} LIMIT {cap}) AS met")


class Asked(NamedTuple):
    """What is counted: the condition of status, the others, and the bounds of the order if it has any.

    `listed` is all of it, in the words that the indexes of the conditions understand.
    """

    status: Composed
    conditions: Sequence[Condition]
    bounds: Sequence[Composed]
    listed: Composed

    @property
    def standing(self) -> Composed:
        return all_of([self.status, *(each.met for each in self.conditions if each.column == "role")])

    @property
    def of_standing_alone(self) -> bool:
        """Whether nothing but status and role is asked for."""
        return not self.bounds and all(each.column == "role" for each in self.conditions)

    @property
    def seen(self) -> list[Condition]:
        return [each for each in self.conditions if each.seen is not None]

    @property
    def only_seen(self) -> bool:
        """Whether an index that is read from end to end shows who meets all of it."""
        others = [each for each in self.conditions if each.seen is None and each.column != "role"]
        return bool(self.seen) and not others and not self.bounds

    @property
    def columns(self) -> set[str]:
        return {each.column for each in self.seen}

    def all_seen(self) -> Composed:
        return all_of(each.seen for each in self.seen if each.seen is not None)


def exactly(asked: Asked) -> Composed:
    """Counts all."""
    if asked.of_standing_alone:
        return _OF_SIGNUPS.format(standing=asked.standing)
    query = _BY_CONDITIONS
    if asked.only_seen and asked.columns <= _BRIEF:
        query = _OF_BRIEF_AND_LONG
    elif asked.only_seen and len(asked.columns) == 1:
        query = _IN_AN_INDEX
    return query.format(standing=asked.standing, listed=asked.listed, seen=asked.all_seen())


def capped(asked: Asked) -> Composed:
    """Counts all or, where that takes long, answers with a negative number: at least so many there are.

    Fit for what many meet, who stand close in any order; the statement around it has the CTE `hits`.
    """
    if asked.of_standing_alone:
        return exactly(asked)
    of_hits = _OF_HITS.format(fetched=Literal(FETCHED))
    if any(each.elsewhere for each in asked.conditions):
        return of_hits
    if not asked.only_seen:
        return _OF_A_RANGE.format(listed=asked.listed, cap=Literal(CAP))
    begins = [each.begun for each in asked.seen if each.begun is not None]
    begun = SQL("0").format()
    if len(asked.seen) == len(begins) == 1:
        begun = _BEGUN.format(standing=asked.standing, begun=begins[0], cap=Literal(CAP))
    brief = asked.columns <= _BRIEF
    return _SOME.format(
        cap=Literal(CAP),
        enough=Literal(ENOUGH),
        of_hits=of_hits,
        begun=begun,
        columns=SQL(", ").join(Identifier(column) for column in sorted(asked.columns)),
        standing=all_of([asked.standing, *([SQL("brief").format()] if brief else [])]),
        within=Literal(WITHIN if brief or len(asked.columns) == 1 else WITHIN_THE_TABLE),
        seen=asked.all_seen(),
    )
