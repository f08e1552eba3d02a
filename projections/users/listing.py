"""Writes the one statement that answers a page of a list: the exact total and the users, from one snapshot.

It is shaped so that no estimate of the planner decides how long it takes. Without further conditions a page
is walked to in the index of its order. With conditions, the walk is tried on the next few hundred users,
which is all it takes for what many meet. Where they hold too few, the indexes of the conditions say who
meets them, and those are sorted. Left to itself, the planner would now and then look for a rare text along
the whole order.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from psycopg.sql import SQL, Composed, Identifier, Literal

from application.listing import Part, UserFilter
from domain.values import Status
from projections.users.conditions import Conditions, all_of
from projections.users.counting import Asked, capped, exactly

AHEAD: Final = 500
"""How many users the walk looks at, at least, before it leaves the search to the conditions' indexes."""

AHEAD_PER_USER: Final = 20
"""How many it looks at for each user it is to find: a deep page by offset is walked to."""

AHEAD_AT_MOST: Final = 10_000
"""As many users as can be fetched from the table in the time that counting takes."""

MANY: Final = 5000
"""From how many hits on they are counted apart; fewer are held, counted and sorted in one go."""

BEYOND: Final = 10
"""How many times as far the walk goes on where it has found some, but not enough."""

FARTHER: Final = 20_000
"""How far it goes in the end, where more meet the conditions than are held."""

DENSE: Final = 10
"""Where more than one in so many nearby meets the conditions, an index is read from end to end to count."""

_LISTED: Final = (Status.ENABLED, Status.DISABLED, Status.DELETED)
_SORT_COLUMNS: Final = {"created_at": "created_at", "updated_at": "changed_at"}

_WALK = SQL("""(
    SELECT id, {sort} AS value {columns} FROM users_v1 WHERE status = {status} AND {along}
    ORDER BY {sort} {direction}, id {direction} LIMIT {ahead})""")

# With several statuses the walk is one along all of them: what each holds nearby says nothing about the
# others.
_WALKED = SQL("""
    SELECT id, value, place FROM (
        SELECT *, row_number() OVER (ORDER BY value {direction}, id {direction}) AS place FROM (
            SELECT * FROM ({walks}) AS each ORDER BY value {direction}, id {direction} LIMIT {ahead}) AS ahead
    ) AS numbered
    WHERE {conditions} ORDER BY value {direction}, id {direction}""")

_WALKED_ON = SQL("""
    SELECT id, value FROM (
        SELECT * FROM ({walks}) AS each ORDER BY value {direction}, id {direction} LIMIT {ahead}) AS ahead
    WHERE {conditions}""")

_PLACES = SQL("""
    SELECT id, value FROM ({walks}) AS each
    ORDER BY value {direction}, id {direction} LIMIT {limit} OFFSET {offset}""")

# A materialized CTE is planned for all its rows and run no further than it is read: the planner cannot walk
# along an order in the hope of early hits, and of many hits no more are fetched than it takes to see that
# they are many. OFFSET 0 keeps the planner from the same walk.
_PLACES_BY_CONDITIONS = SQL("""
    SELECT id, value FROM near WHERE (SELECT count(*) FROM near) = {wanted}
    UNION ALL SELECT id, value FROM beyond WHERE (SELECT count(*) FROM beyond) = {wanted}
    UNION ALL SELECT id, value FROM few WHERE (SELECT few FROM seen) AND {after}
    UNION ALL SELECT id, value FROM farther WHERE (SELECT count(*) FROM farther) = {wanted}
    UNION ALL (
        SELECT id, value FROM (
            SELECT id, {sort} AS value FROM users_v1 WHERE {listed} AND {along} OFFSET 0) AS far
        WHERE (SELECT many FROM seen) AND (SELECT count(*) FROM farther) < {wanted}
        ORDER BY value {direction}, id {direction} LIMIT {wanted})
    ORDER BY value {direction}, id {direction} LIMIT {limit} OFFSET {offset}""")

_HITS = SQL("hits AS MATERIALIZED (SELECT id, {sort} AS value FROM users_v1 WHERE {listed})")

_CONDITIONS = SQL("""
near AS MATERIALIZED ({walked} LIMIT {wanted}),
beyond AS MATERIALIZED ({walked_beyond}
    AND (SELECT count(*) BETWEEN 1 AND {wanted} - 1 FROM near)
    ORDER BY value {direction}, id {direction} LIMIT {wanted}),
close AS MATERIALIZED (
    SELECT (SELECT count(*) FROM near) = {wanted} OR (SELECT count(*) FROM beyond) = {wanted} AS enough),
{hits},
few AS MATERIALIZED (SELECT id, value FROM hits WHERE (SELECT NOT enough FROM close) LIMIT {many}),
seen AS MATERIALIZED (
    SELECT enough AS nearby, NOT enough AND held < {many} AS few, NOT enough AND held = {many} AS many,
           (SELECT count(*) < {wanted} OR max(place) > {dense} FROM near) AS thin
    FROM close, (SELECT count(*) AS held FROM few) AS few),
farther AS MATERIALIZED ({walked_farther} AND (SELECT many FROM seen)
    ORDER BY value {direction}, id {direction} LIMIT {wanted}),""")

_COUNT_ON = SQL("""
    CASE WHEN (SELECT few FROM seen) THEN (SELECT count(*) FROM few)
         WHEN (SELECT nearby FROM seen) THEN ({total})
         ELSE -{many} END""")

_COUNT_BY_CONDITIONS = SQL("""
    CASE WHEN (SELECT few FROM seen) THEN (SELECT count(*) FROM few)
         WHEN (SELECT thin FROM seen) THEN (SELECT count(*) FROM users_v1 WHERE {listed})
         ELSE ({total}) END""")

_TOTAL_BY_CONDITIONS = SQL("""
WITH {hits}, few AS MATERIALIZED (SELECT count(*) AS held FROM (SELECT FROM hits LIMIT {many}) AS hits)
SELECT CASE WHEN held < {many} THEN held ELSE ({total}) END FROM few""")

_PAGE = SQL("""
WITH {conditions} places AS MATERIALIZED ({places})
SELECT ({total}), id, value, {shown}
FROM (SELECT) AS always LEFT JOIN (places JOIN users_v1 AS users USING (id)) ON true
ORDER BY value {direction}, id {direction}""")


class Statement(NamedTuple):
    """SQL and its values. Where a total may be cut, a negative one says: at least so many."""

    query: Composed
    values: dict[str, Any]


def total(filter: UserFilter, *, capped: bool = False) -> Statement:
    """Counts a list; see Statement where the total may be cut."""
    if capped:
        # What is nearby in an order says which way of counting takes how long.
        return page(filter, Part(limit=1, capped=True), cards=True)
    writer = _Writer(filter, Part())
    return Statement(writer.total(), writer.values)


def page(filter: UserFilter, part: Part, *, cards: bool) -> Statement:
    """Counts a list and shows a part of it, and one user more where the list goes on."""
    writer = _Writer(filter, part)
    return Statement(writer.page("card" if cards else "document"), writer.values)


class _Writer:
    """The parts of one statement."""

    def __init__(self, filter: UserFilter, part: Part) -> None:
        self._statuses = _LISTED if filter.status is None else (filter.status,)
        stated = Conditions(filter, self._statuses)
        self.values = stated.values
        self._sort = Identifier(_SORT_COLUMNS.get(filter.order, filter.order))
        # The order of creation is walked from the one bound to the other; in any other they are conditions.
        along = stated.created if filter.order == "created_at" else []
        self._conditions = stated.others + ([] if along else stated.created)
        self._bounds = [condition.met for condition in along]
        self._status = stated.status()
        listed = all_of([self._status, *(each.sought for each in self._conditions), *self._bounds])
        relation = "<" if filter.direction == "desc" else ">"
        wanted = part.offset + part.limit + 1
        columns = sorted({condition.column for condition in self._conditions} - {"id"})
        self._words: dict[str, SQL | Composed | Identifier | Literal] = {
            "sort": self._sort,
            "columns": SQL("").join(SQL(", {}").format(Identifier(column)) for column in columns),
            "direction": SQL("DESC" if filter.direction == "desc" else "ASC"),
            "limit": Literal(part.limit + 1),
            "offset": Literal(part.offset),
            "wanted": Literal(wanted),
            "many": Literal(MANY),
            "dense": Literal(wanted * DENSE),
            "along": all_of([*self._bounds, *self._after(part, relation)]),
            "after": all_of(self._after(part, relation, SQL("value"))),
            "listed": listed,
        }
        self._wanted = wanted
        self._met = all_of(condition.met for condition in self._conditions)
        self._words["hits"] = _HITS.format(**self._words)
        self._asked = Asked(self._status, self._conditions, self._bounds, listed)
        self._capped = part.capped

    def total(self) -> Composed:
        counted = exactly(self._asked)
        if self._asked.of_standing_alone or not self._conditions:
            return counted
        return _TOTAL_BY_CONDITIONS.format(**self._words, total=counted)

    def page(self, shown: str) -> Composed:
        words = self._words | {"shown": Identifier(shown), "total": self._count()}
        if not self._conditions:
            places = self._walked(_PLACES, self._wanted)
            return _PAGE.format(**words, conditions=SQL(""), places=places)
        ahead = _ahead(self._wanted)
        words["walked"] = self._walked(_WALKED, ahead)
        words["walked_beyond"] = self._walked(_WALKED_ON, max(ahead, min(ahead * BEYOND, FARTHER)))
        words["walked_farther"] = self._walked(_WALKED_ON, max(ahead, FARTHER))
        places = _PLACES_BY_CONDITIONS.format(**words)
        return _PAGE.format(**words, conditions=_CONDITIONS.format(**words), places=places)

    def _walked(self, query: SQL, ahead: int) -> Composed:
        words = self._words | {"ahead": Literal(ahead), "conditions": self._met}
        walks = SQL(" UNION ALL ").join(
            _WALK.format(**words, status=Literal(status.value)) for status in self._statuses
        )
        return query.format(**words, walks=walks)

    def _count(self) -> Composed:
        """Counts all beside a page: what the page has found out already is not found out again."""
        counted = capped(self._asked) if self._capped else exactly(self._asked)
        if self._asked.of_standing_alone or not self._conditions:
            return counted
        return (_COUNT_ON if self._capped else _COUNT_BY_CONDITIONS).format(**self._words, total=counted)

    def _after(self, part: Part, relation: str, sort: SQL | Identifier | None = None) -> list[Composed]:
        if part.after is None:
            return []
        self.values |= {"after_value": part.after.value, "after_id": part.after.id}
        query = SQL("({}, id) {} (%(after_value)s, %(after_id)s)")
        return [query.format(sort or self._sort, SQL(relation))]


def _ahead(wanted: int) -> int:
    return max(AHEAD, min(wanted * AHEAD_PER_USER, AHEAD_AT_MOST))
