"""Says in SQL what a user must meet to be in a list, and gathers the values that it names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from psycopg.sql import SQL, Composed, Identifier, Literal, Placeholder

from application.listing import UserFilter
from domain.values import Status
from projections.users.projector import search_key

ANYWHERE: Final = 3
"""From how many characters on a text matches anywhere: shorter ones have no trigram."""

_TEXTS: Final = ("email", "username", "first_name", "last_name")
_FULL_ID: Final = 36
_HEX: Final = frozenset("0123456789abcdef")


class Condition(NamedTuple):
    """What a user must meet, of which column, and in which words.

    `met` holds it against a row, `sought` asks the indexes who meets it, and `seen` is for an index that is
    read from end to end; None where an index of the column leads straight to all who meet it. Whoever meets
    `begun`, a range in an index, meets the condition. `elsewhere` says that another table is asked who does.
    """

    column: str
    met: Composed
    sought: Composed
    seen: Composed | None = None
    begun: Composed | None = None
    elsewhere: bool = False


class Conditions:
    """The conditions of a filter, all but that of its status; `values` are those that they name."""

    def __init__(self, filter: UserFilter, statuses: Sequence[Status]) -> None:
        self.values: dict[str, Any] = {}
        self._filter = filter
        self._statuses = statuses
        self.created = self._created()
        self.others = [*self._texts(), *self._id(), *self._details()]

    def status(self) -> Composed:
        """Which statuses are listed."""
        if len(self._statuses) == 1:
            return SQL("status = {}").format(Literal(self._statuses[0].value))
        return SQL("status = ANY({})").format(Literal([status.value for status in self._statuses]))

    def _texts(self) -> Iterable[Condition]:
        for column in _TEXTS:
            if not (text := search_key(getattr(self._filter, column))):
                continue
            if len(text) < ANYWHERE:
                yield self._with("{} LIKE {}", column, f"{_literally(text)}%")
            else:
                met = self._with("{} LIKE {}", column, f"%{_literally(text)}%").met
                self.values[f"{column}_begun"] = f"{_literally(text)}%"
                begun = SQL("{} LIKE {}").format(Identifier(column), Placeholder(f"{column}_begun"))
                yield Condition(column, met, met, met, begun)

    def _id(self) -> Iterable[Condition]:
        text = self._filter.id.lower()
        digits = text.replace("-", "")
        whole = len(text) == _FULL_ID and len(digits) == 32
        if not text:
            return
        if not set(digits) <= _HEX or (len(text) < ANYWHERE and text != digits):
            yield _plain("id", SQL("false").format())
        elif whole or len(text) < ANYWHERE:
            self.values |= {"id_from": digits.ljust(32, "0"), "id_to": digits.ljust(32, "f")}
            yield _plain("id", SQL("id BETWEEN %(id_from)s::uuid AND %(id_to)s::uuid").format())
        else:
            self.values["id"] = f"%{text}%"
            met = SQL("id::text LIKE %(id)s").format()
            sought = SQL("id = ANY(ARRAY(SELECT user_id FROM signups_v1 WHERE user_id::text LIKE %(id)s))")
            yield Condition("id", met, sought.format(), elsewhere=True)

    def _details(self) -> Iterable[Condition]:
        filter = self._filter
        if filter.role is not None:
            yield self._with("{} = {}", "role", filter.role.value)
        if filter.identity:
            self.values["identity"] = search_key(filter.identity)
            yield _plain("email", SQL("email = %(identity)s").format())
        if filter.name:
            # The second half names the condition of the index, which no parameter can show to hold.
            yield self._with("({} = {} AND name <> '')", "name", search_key(filter.name))
        if filter.all_tags:
            self.values["all_tags"] = list(filter.all_tags)
            met = SQL("tags @> %(all_tags)s::text[]").format()
            yield Condition("tags", met, met, SQL(" AND ").join(self._has("all", filter.all_tags)))
        if filter.any_tags:
            self.values["any_tags"] = list(filter.any_tags)
            met = SQL("tags && %(any_tags)s::text[]").format()
            yield Condition(
                "tags", met, met, SQL("({})").format(SQL(" OR ").join(self._has("any", filter.any_tags)))
            )
        if filter.metadata:
            encoded = msgspec.json.encode(filter.metadata).decode()
            met = self._with("{} @> {}::jsonb", "metadata", encoded).met
            yield Condition("metadata", met, met, met)

    def _has(self, which: str, tags: Iterable[str]) -> list[Composed]:
        """Looks for one tag after the other: half the time of comparing two arrays."""
        named = {f"{which}_tag_{number}": tag for number, tag in enumerate(tags)}
        self.values |= named
        return [SQL("{}::text = ANY(tags)").format(Placeholder(name)) for name in named]

    def _created(self) -> list[Condition]:
        """The conditions that the order of creation runs along."""
        bounds = {"created_from": ">=", "created_to": "<="}
        found = []
        for name, relation in bounds.items():
            if (bound := getattr(self._filter, name)) is not None:
                self.values[name] = bound
                met = SQL("created_at {} {}").format(SQL(relation), Placeholder(name))
                found.append(_plain("created_at", met))
        return found

    def _with(self, query: str, column: str, value: Any) -> Condition:
        self.values[column] = value
        return _plain(column, SQL(query).format(Identifier(column), Placeholder(column)))


def _plain(column: str, condition: Composed) -> Condition:
    return Condition(column, condition, condition)


def all_of(conditions: Iterable[Composed]) -> Composed:
    """All of them, or `true` where there is none."""
    return SQL(" AND ").join([SQL("true"), *conditions])


def _literally(text: str) -> str:
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
