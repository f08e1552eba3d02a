"""What a list must answer, worked out over plain dictionaries: the measure for filters, orders and totals."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

ZERO = "0001-01-01T00:00:00Z"
User = dict[str, Any]

_TEXTS = ("email", "username", "first_name", "last_name", "id")


def listed(users: Iterable[User], query: Mapping[str, str]) -> list[User]:
    """Every user that a query finds, in its order, whatever page it asks for."""
    found = [user for user in users if _matches(user, query)]
    order = query.get("order", "updated_at")
    found.sort(key=lambda user: (_sort_value(user, order), user["id"]))
    return found if query.get("dir", "desc") == "asc" else found[::-1]


def searched(users: Iterable[User], query: Mapping[str, str]) -> list[User]:
    """Every user that a search finds, in its order."""
    plain = {name: value for name, value in query.items() if name in _TEXTS and name != "email"}
    return listed((user for user in users if user["role"] == "user"), plain)


def _matches(user: User, query: Mapping[str, str]) -> bool:
    status = query.get("status", "enabled")
    checks = [
        status in ("all", user["status"]),
        query.get("role", user["role"]) == user["role"],
        *(_text_matches(_text(user, name), query[name]) for name in _TEXTS if name in query),
        "name" not in query or _plain(user.get("name", "")) == _plain(query["name"]),
        "identity" not in query or _plain(user["email"]) == _plain(query["identity"]),
        "tag" not in query or query["tag"] in user.get("tags", []),
        "tags" not in query or _tags_match(user.get("tags", []), query["tags"]),
        "created_from" not in query or _time(user["created_at"]) >= _time(query["created_from"]),
        "created_to" not in query or _time(user["created_at"]) <= _time(query["created_to"]),
    ]
    return all(checks)


def contains(whole: Any, part: Any) -> bool:
    """Containment of JSON values as PostgreSQL documents it, for what stands below the top."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            key in whole and contains(whole[key], value) for key, value in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and all(any(contains(item, one) for item in whole) for one in part)
    return isinstance(whole, bool) == isinstance(part, bool) and bool(whole == part)


def _text_matches(value: str, asked: str) -> bool:
    value, asked = _plain(value), _plain(asked)
    return asked in value if len(asked) >= 3 else value.startswith(asked)


def _tags_match(tags: list[str], asked: str) -> bool:
    if "+" in asked:
        return all(part.strip() in tags for part in asked.split("+"))
    return any(part.strip() in tags for part in asked.split(","))


def _sort_value(user: User, order: str) -> Any:
    if order == "created_at":
        return _time(user["created_at"])
    if order == "updated_at":
        return _time(user["created_at"] if user["updated_at"] == ZERO else user["updated_at"])
    return _plain(_text(user, order))


def _text(user: User, name: str) -> str:
    return str(user["credentials"].get("username", "") if name == "username" else user.get(name, ""))


def _plain(text: str) -> str:
    for _ in range(4):
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return text


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
