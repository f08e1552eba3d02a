"""Writes the one statement that answers a page of a list: the exact total and the users, from one snapshot.

It is shaped so that no estimate of the planner decides how long it takes. Without further conditions a page
is walked to in the index of its order. With conditions, the walk is tried on the next few hundred users,
which is all it takes for what many meet. Where they hold too few, the indexes of the conditions say who
meets them, and those are sorted. Left to itself, the planner would now and then look for a rare text along
the whole order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec
from psycopg.sql import SQL, Composed, Identifier, Literal, Placeholder

from application.listing import Part, UserFilter
from domain.values import Status
from projections.users.projector import search_key

AHEAD: Final = 500
"""How many users the walk looks at before it leaves the search to the indexes of the conditions."""

MANY: Final = 2000
"""From how many hits on they are counted apart; fewer are held, counted and sorted in one go."""

ANYWHERE: Final = 3
"""From how many characters on a text matches anywhere: shorter ones have no trigram."""

_LISTED: Final = (Status.ENABLED, Status.DISABLED, Status.DELETED)
_SORT_COLUMNS: Final = {"created_at": "created_at", "updated_at": "changed_at"}
_TEXTS: Final = ("email", "username", "first_name", "last_name")
_FULL_ID: Final = 36
_HEX: Final = frozenset("0123456789abcdef")

_TOTAL = SQL("SELECT count(*) FROM users_v1 WHERE {listed}")

_WALK = SQL("""(
    SELECT id, value FROM (
        SELECT *, {sort} AS value FROM users_v1 WHERE status = {status} AND {along}
        ORDER BY {sort} {direction}, id {direction} LIMIT {ahead}) AS ahead
    WHERE {conditions} ORDER BY value {direction}, id {direction} LIMIT {wanted})""")

_PLACES = SQL("{walks} ORDER BY value {direction}, id {direction} LIMIT {limit} OFFSET {offset}")

# A materialized CTE is planned for all its rows and run no further than it is read: the planner cannot walk
# along an order in the hope of early hits, and of many hits no more are fetched than it takes to see that
# they are many. OFFSET 0 keeps the planner from the same walk.
_PLACES_BY_CONDITIONS = SQL("""
    SELECT id, value FROM near WHERE (SELECT nearby FROM seen)
    UNION ALL SELECT id, value FROM few WHERE (SELECT few FROM seen) AND {after}
    UNION ALL (
        SELECT id, value FROM (
            SELECT id, {sort} AS value FROM users_v1 WHERE {listed} AND {along} OFFSET 0) AS far
        WHERE (SELECT NOT few AND NOT nearby FROM seen)
        ORDER BY value {direction}, id {direction} LIMIT {wanted})
    ORDER BY value {direction}, id {direction} LIMIT {limit} OFFSET {offset}""")

_CONDITIONS = SQL("""
near AS MATERIALIZED ({walks} ORDER BY value {direction}, id {direction} LIMIT {wanted}),
hits AS MATERIALIZED (SELECT id, {sort} AS value FROM users_v1 WHERE {listed}),
few AS MATERIALIZED (SELECT id, value FROM hits WHERE (SELECT count(*) FROM near) < {wanted} LIMIT {many}),
seen AS MATERIALIZED (
    SELECT nearby, NOT nearby AND (SELECT count(*) FROM few) < {many} AS few
    FROM (SELECT (SELECT count(*) FROM near) = {wanted} AS nearby) AS near),""")

_COUNT_BY_CONDITIONS = SQL(
    "CASE WHEN (SELECT few FROM seen) THEN (SELECT count(*) FROM few) ELSE ({total}) END"
)

_PAGE = SQL("""
WITH {conditions} places AS MATERIALIZED ({places})
SELECT ({total}), id, value, {shown}
FROM (SELECT) AS always LEFT JOIN (places JOIN users_v1 AS users USING (id)) ON true
ORDER BY value {direction}, id {direction}""")


class Statement(NamedTuple):
    """SQL and its values."""

    query: Composed
    values: dict[str, Any]


def total(filter: UserFilter) -> Statement:
    """Counts a list."""
    writer = _Writer(filter, Part())
    return Statement(writer.total(), writer.values)


def page(filter: UserFilter, part: Part, *, cards: bool) -> Statement:
    """Counts a list and shows a part of it, and one user more where the list goes on."""
    writer = _Writer(filter, part)
    return Statement(writer.page("card" if cards else "document"), writer.values)


class _Writer:
    """The parts of one statement."""

    def __init__(self, filter: UserFilter, part: Part) -> None:
        self.values: dict[str, Any] = {}
        self._filter = filter
        self._statuses = _LISTED if filter.status is None else (filter.status,)
        self._wanted = part.offset + part.limit + 1
        self._sort = Identifier(_SORT_COLUMNS.get(filter.order, filter.order))
        descending = filter.direction == "desc"
        self._words: dict[str, SQL | Composed | Identifier | Literal] = {
            "sort": self._sort,
            "direction": SQL("DESC" if descending else "ASC"),
            "limit": Literal(part.limit + 1),
            "offset": Literal(part.offset),
            "wanted": Literal(self._wanted),
            "many": Literal(MANY),
        }
        conditions = [*self._texts(), *self._id(), *self._details()]
        created = self._created()
        if filter.order == "created_at":
            along = created
        else:
            along, conditions = [], conditions + created
        after = self._after(part, "<" if descending else ">")
        self._conditions = conditions
        self._along = _all([*along, *after])
        self._words["along"] = self._along
        self._words["listed"] = _all([self._status(), *conditions, *along])
        self._words["after"] = _all(self._after(part, "<" if descending else ">", SQL("value")))

    def total(self) -> Composed:
        return _TOTAL.format(**self._words)

    def page(self, shown: str) -> Composed:
        words = self._words | {"shown": Identifier(shown), "total": self.total()}
        words["walks"] = SQL("SELECT id, value FROM ({}) AS walked").format(
            SQL(" UNION ALL ").join(self._walk(status) for status in self._statuses)
        )
        words["places"] = _PLACES.format(**words)
        words["conditions"] = SQL("")
        if self._conditions:
            words["places"] = _PLACES_BY_CONDITIONS.format(**words)
            words["conditions"] = _CONDITIONS.format(**words)
            words["total"] = _COUNT_BY_CONDITIONS.format(**words)
        return _PAGE.format(**words)

    def _walk(self, status: Status) -> Composed:
        return _WALK.format(
            **self._words,
            status=Literal(status.value),
            conditions=_all(self._conditions),
            ahead=Literal(AHEAD if self._conditions else self._wanted),
        )

    def _status(self) -> Composed:
        if len(self._statuses) == 1:
            return SQL("status = {}").format(Literal(self._statuses[0].value))
        return SQL("status = ANY({})").format(Literal([status.value for status in self._statuses]))

    def _texts(self) -> Iterable[Composed]:
        for column in _TEXTS:
            if text := search_key(getattr(self._filter, column)):
                pattern = f"%{_literally(text)}%" if len(text) >= ANYWHERE else f"{_literally(text)}%"
                yield self._with("{} LIKE {}", column, pattern)

    def _id(self) -> Iterable[Composed]:
        text = self._filter.id.lower()
        digits = text.replace("-", "")
        whole = len(text) == _FULL_ID and len(digits) == 32
        if not text:
            return
        if not set(digits) <= _HEX:
            yield SQL("false").format()
        elif whole or (len(text) < ANYWHERE and text == digits):
            self.values |= {"id_from": digits.ljust(32, "0"), "id_to": digits.ljust(32, "f")}
            yield SQL("id BETWEEN %(id_from)s::uuid AND %(id_to)s::uuid").format()
        else:
            self.values["id"] = f"%{text}%" if len(text) >= ANYWHERE else f"{text}%"
            yield SQL("id::text LIKE %(id)s").format()

    def _details(self) -> Iterable[Composed]:
        filter = self._filter
        if filter.role is not None:
            yield self._with("{} = {}", "role", filter.role.value)
        if filter.identity:
            self.values["identity"] = search_key(filter.identity)
            yield SQL("email = %(identity)s").format()
        if filter.name:
            # The second half names the condition of the index, which no parameter can show to hold.
            yield self._with("({} = {} AND name <> '')", "name", search_key(filter.name))
        if filter.all_tags:
            self.values["all_tags"] = list(filter.all_tags)
            yield SQL("tags @> %(all_tags)s::text[]").format()
        if filter.any_tags:
            self.values["any_tags"] = list(filter.any_tags)
            yield SQL("tags && %(any_tags)s::text[]").format()
        if filter.metadata:
            yield self._with("{} @> {}::jsonb", "metadata", msgspec.json.encode(filter.metadata).decode())

    def _created(self) -> list[Composed]:
        """The conditions that the order of creation runs along."""
        bounds = {"created_from": ">=", "created_to": "<="}
        found = []
        for name, relation in bounds.items():
            if (bound := getattr(self._filter, name)) is not None:
                self.values[name] = bound
                found.append(SQL("created_at {} {}").format(SQL(relation), Placeholder(name)))
        return found

    def _after(self, part: Part, relation: str, sort: SQL | Identifier | None = None) -> list[Composed]:
        if part.after is None:
            return []
        self.values |= {"after_value": part.after.value, "after_id": part.after.id}
        query = SQL("({}, id) {} (%(after_value)s, %(after_id)s)")
        return [query.format(sort or self._sort, SQL(relation))]

    def _with(self, query: str, column: str, value: Any) -> Composed:
        self.values[column] = value
        return SQL(query).format(Identifier(column), Placeholder(column))


def _all(conditions: Iterable[Composed]) -> Composed:
    return SQL(" AND ").join([SQL("true"), *conditions])


def _literally(text: str) -> str:
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
