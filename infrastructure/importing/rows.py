"""From what a row holds to an account, or to what is wrong with it; no value of the row is ever repeated."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from application.importing import Account
from domain.errors import Fault

FIELDS: Final = frozenset(field.name for field in msgspec.structs.fields(Account))
NEEDED: Final = ("id", "email", "created_at")
MAX_UNKEPT: Final = 10
MAX_KEY: Final = 64

_EXPECTED: Final[Mapping[str, str]] = {
    "id": "a UUID (RFC 9562) such as 0b9f1c0e-6c5c-4c0e-9a53-6a2c2b0f7d11",
    "tags": "an array of strings",
    "metadata": "a JSON object",
    "private_metadata": "a JSON object",
    "status": "enabled, disabled or deleted",
    "role": "user or admin",
    "dialect": "magistrala or mainflux",
    "created_at": "a time (RFC 3339) such as 2024-05-31T08:15:00Z",
    "updated_at": "a time (RFC 3339) such as 2024-05-31T08:15:00Z",
    "verified_at": "a time (RFC 3339) such as 2024-05-31T08:15:00Z",
}
_PLACE: Final = re.compile(r" - at `\$\.(\w+)")
_KEYS: Final = re.compile(rb'"[ \t\r\n]*:')
_BYTE: Final = re.compile(r"\(byte (\d+)\)")
_LONG: Final = re.compile(rb"[0-9][0-9.]{15}|[0-9][eE][+-]?[0-9]{3}")
"""Fifteen digits and a small exponent are what every number of IEEE 754 keeps."""

LOST_DIGITS: Final = "digits of a number beyond IEEE 754"
"""What a row has and no account keeps where a real number is longer than a double."""


class Read(msgspec.Struct, frozen=True):
    """An account, or why there is none; and which keys of the row no account keeps."""

    account: Account | None = None
    faults: tuple[Fault, ...] = ()
    unkept: tuple[str, ...] = ()


class NotReadable(ValueError):
    """What should be JSON cannot be read, or not in one way only; the text says why."""


class Parsed(msgspec.Struct, frozen=True):
    """The value of a JSON text, and what of it no value can hold."""

    value: Any
    unkept: tuple[str, ...] = ()


def read_json(line: bytes) -> Read:
    """A row that is one JSON object (RFC 8259) in UTF-8."""
    try:
        found = parsed(line)
    except NotReadable as error:
        return broken(str(error))
    if not isinstance(found.value, dict):
        return broken("A row is one JSON object.")
    return account_of(found.value, found.unkept)


def parsed(data: bytes) -> Parsed:
    """What a JSON text holds, where nobody can read it in another way. Raises NotReadable."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        text = f"This is not UTF-8: byte {error.start} of the row belongs to another encoding."
        raise NotReadable(text) from None
    try:
        found = msgspec.json.decode(data)
    except RecursionError:
        raise NotReadable("The JSON is nested too deep.") from None
    except msgspec.MsgspecError as error:
        at = _BYTE.search(str(error))
        where = f": see byte {at[1]} of the row." if at else "."
        raise NotReadable(f"This is not JSON (RFC 8259){where}") from None
    # Every key ends like this, and so do some values: only where there are more of these than keys can one
    # of them have stood twice.
    keys, has_real = _survey(found)
    if len(_KEYS.findall(data)) != keys:
        try:
            json.loads(data, object_pairs_hook=_each_key_once)
        except _Twice:
            text = "A key stands twice in one object, and nobody can know which of its values holds."
            raise NotReadable(text) from None
        except (ValueError, RecursionError):
            # What msgspec reads and this does not is a number or a depth that could not be kept either.
            raise NotReadable("This JSON cannot be read safely.") from None
    lost = has_real and _LONG.search(data) is not None and _loses_digits(data)
    return Parsed(found, (LOST_DIGITS,) if lost else ())


def _loses_digits(data: bytes) -> bool:
    lost = False

    def hear(written: str) -> float:
        nonlocal lost
        number = float(written)
        lost = lost or Decimal(written) != Decimal(repr(number))
        return number

    msgspec.json.Decoder(float_hook=hear).decode(data)
    return lost


def account_of(found: Mapping[str, Any], unkept: tuple[str, ...] = ()) -> Read:
    """The account that a row's values make. A value of null is as good as none."""
    known = found
    if not found.keys() <= FIELDS:
        unkept += tuple(_name(key) for key in sorted(found.keys() - FIELDS)[:MAX_UNKEPT])
        known = {key: value for key, value in found.items() if key in FIELDS}
    if None in known.values():
        known = {key: value for key, value in known.items() if value is not None}
    if missing := [field for field in NEEDED if field not in known]:
        return Read(faults=tuple(Fault(f"/{field}", "This is needed.") for field in missing), unkept=unkept)
    try:
        return Read(account=msgspec.convert(known, Account), unkept=unkept)
    except msgspec.ValidationError as error:
        # The library's own words can repeat a value of the row.
        place = _PLACE.search(str(error))
        field = place[1] if place and place[1] in FIELDS else ""
        text = f"This is not {_EXPECTED.get(field, 'a string')}." if field else "The row is no account."
        return Read(faults=(Fault(f"/{field}" if field else "", text),), unkept=unkept)


def broken(text: str) -> Read:
    """A row of which nothing can be read."""
    return Read(faults=(Fault("", text),))


def _name(key: str) -> str:
    """A key as it may be shown: those of a broken row could be anything."""
    plain = key[:MAX_KEY]
    return plain if re.fullmatch(r"[\w .:/-]+", plain, re.ASCII) else "(a key that is no plain word)"


def _survey(value: Any) -> tuple[int, bool]:
    """How many keys there are in a value, at any depth, and whether there is a real number in it."""
    keys, has_real, inside = 0, False, [value]
    while inside:
        one = inside.pop()
        kind = one.__class__
        if kind is dict:
            keys += len(one)
            inside.extend(one.values())
        elif kind is list:
            inside.extend(one)
        elif kind is float:
            has_real = True
    return keys, has_real


class _Twice(Exception):
    pass


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Twice
    return made
