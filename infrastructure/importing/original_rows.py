"""A row of another service's table as an account of ours, or why it cannot be one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from application.importing import Account, Offered
from domain.errors import Fault
from domain.events import Dialect
from domain.values import user_id
from infrastructure.importing.lines import TOO_LONG
from infrastructure.importing.rows import NotReadable, parsed

UNKNOWN_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""When an account was created that nobody has noted a time of."""

_STATUSES: Final = {"0": "enabled", "1": "disabled", "2": "deleted"}
_ROLES: Final = {"0": "user", "1": "admin"}
_PLACELESS: Final = ("owner", "owner_id", "domain_id")
_TEXTS: Final = (
    "first_name", "last_name", "name", "profile_picture", "auth_provider", "updated_by",
)  # fmt: skip

_list = msgspec.json.Decoder(list[str | None]).decode
_encode = msgspec.json.Encoder().encode


def offered_by(place: int, row: Mapping[str, Any], dialect: Dialect) -> Offered:
    """What a row offers, and what of it no account can keep."""
    key = row["id"] or ""
    if row["is_too_wide"]:
        return Offered(place=place, key=key, faults=(Fault("", TOO_LONG),))
    read = _Reading(row)
    fields = read.fields() | {"dialect": dialect}
    if dialect == "magistrala" and fields["name"]:
        # Such an account has a first and a last name, and `name` is shown to nobody.
        fields["name"] = ""
        read.unkept.append("name")
    raw = _encode({field: value for field, value in fields.items() if value not in (None, "", [], {})})
    unkept = tuple(read.unkept)
    if read.faults:
        return Offered(place=place, key=key, faults=tuple(read.faults), raw=raw, unkept=unkept)
    return Offered(place=place, key=key, account=Account(**fields), raw=raw, unkept=unkept)


class _Reading:
    """Reads one row field by field. A fault keeps the row out; its raw form has the rest all the same."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self._row = row
        self.faults: list[Fault] = []
        self.unkept: list[str] = []

    def fields(self) -> dict[str, Any]:
        """The fields of an account in the documented form, as far as they can be read."""
        found: dict[str, Any] = {"id": self._id(), "email": self._row["email"] or ""}
        if not found["email"]:
            self.faults.append(Fault("/email", "The row has no email, and an account needs one."))
        found |= {field: self._row.get(field) or "" for field in _TEXTS}
        found["username"] = self._row.get("username") or None
        found["tags"] = self._tags()
        for field in ("metadata", "private_metadata"):
            found[field] = self._json_object(field)
        found["status"] = self._one_of("status", _STATUSES, "enabled")
        found["role"] = self._role()
        found |= self._times()
        found["secret_hash"] = self._row["secret"] or None
        for column in _PLACELESS:
            if self._row.get(column):
                self.unkept.append(column)
        return found

    def _id(self) -> Any:
        text = self._row["id"] or ""
        if (found := user_id(text)) is None:
            self.faults.append(
                Fault("/id", "The id is not a UUID in lower case, so that nobody could ask for it.")
            )
            return text
        return found

    def _tags(self) -> list[str]:
        text = self._row.get("tags")
        if text is None or text == "null":
            return []
        try:
            tags = _list(text)
        except msgspec.MsgspecError:
            self.faults.append(Fault("/tags", "The tags are not a list of texts."))
            return []
        kept = [tag for tag in tags if tag is not None]
        if len(kept) < len(tags):
            self.unkept.append("a tag without a text")
        return kept

    def _json_object(self, field: str) -> dict[str, Any]:
        text = self._row.get(field)
        if text is None or text in ("", "null"):
            return {}
        try:
            found = parsed(text.encode())
        except NotReadable as error:
            self.faults.append(Fault(f"/{field}", f"It is no JSON that can be kept. {error}"))
            return {}
        if not isinstance(found.value, dict):
            self.faults.append(Fault(f"/{field}", "It is not a JSON object."))
            return {}
        self.unkept += [each for each in found.unkept if each not in self.unkept]
        return found.value

    def _one_of(self, field: str, known: Mapping[str, str], otherwise: str) -> str:
        value = self._row.get(field)
        if value is None or value == "":
            return otherwise
        found = known.get(value, value if value in known.values() else None)
        if found is None:
            # What it is instead stays there: a column of text can hold anything, somebody's email too.
            self.faults.append(Fault(f"/{field}", f"The {field} is none of {', '.join(known.values())}."))
            return otherwise
        return found

    def _role(self) -> str:
        if self._row.get("role") in ("2", "all"):
            # A filter that could be stored by accident; tokens of such an account were refused.
            self.unkept.append("the role all")
            return "user"
        return self._one_of("role", _ROLES, "user")

    def _times(self) -> dict[str, datetime | None]:
        created, updated, verified = (
            time.replace(tzinfo=UTC) if (time := self._row.get(field)) else None
            for field in ("created_at", "updated_at", "verified_at")
        )
        return {
            "created_at": created or updated or UNKNOWN_TIME,
            "updated_at": updated,
            "verified_at": verified,
        }
