"""Reads bodies and queries: every fault of a request at once, each with its JSON Pointer, no value echoed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any, Literal, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec

from domain.errors import Fault, Invalid

S = TypeVar("S", bound=msgspec.Struct)

_PLACE = re.compile(r" - at `\$(.*)`$")
_STEP = re.compile(r"\[(\d+|\.\.\.)\]|\.([^.\[]+)")
_NUMBER = re.compile(r"-?[0-9]{1,40}")
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")

EMPTY_COUNTS = {"empty counts": True}
"""Marks a parameter, as the `extra` of its msgspec.Meta, whose empty value is not the same as none."""

# Looking through a class for its fields costs more than converting a small body.
_fields = cache(msgspec.structs.fields)

MAX_PARAMETERS = 100
MAX_FAULTS = 100
"""How many faults one answer lists, lest a small request be answered with a large one."""


def read_json(raw: bytes, shape: type[S], check: Callable[[S], Iterator[Fault]] | None = None) -> S:
    """A JSON object as `shape`; null counts as absent, unknown keys are ignored.

    Raises Invalid with what does not convert and with what `check` finds in the rest.
    """
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Invalid(Fault("", "The body is not well-formed JSON in UTF-8.")) from None
    except RecursionError:
        raise Invalid(Fault("", "The body is nested too deeply.")) from None
    if not isinstance(value, dict):
        raise Invalid(Fault("", "The body must be a JSON object."))
    faults: list[Fault] = []
    result = _convert(value, shape, "", faults)
    _refuse(faults, check(result) if check else ())
    return result


def read_query(raw: bytes, shape: type[S], check: Callable[[S], Iterator[Fault]] | None = None) -> S:
    """A query string as `shape`; an empty value counts as absent where it is not said to count.

    An unknown name is ignored. Raises Invalid as `read_json` does, and for a known name that is given twice.
    """
    names = {field.encode_name for field in _fields(shape)}
    value: dict[str, str] = {}
    faults: list[Fault] = []
    for name, text in _pairs(raw):
        if name not in names:
            continue
        if name in value:
            faults.append(Fault(f"/{name}", "This parameter is given twice."))
        elif "\x00" in text:
            faults.append(Fault(f"/{name}", "This parameter holds U+0000."))
        value[name] = text
    numbers = {field.encode_name for field in _fields(shape) if int in get_args(field.type)}
    empties = {
        field.encode_name
        for field in _fields(shape)
        if any(getattr(part, "extra", None) == EMPTY_COUNTS for part in get_args(field.type))
    }
    # msgspec's own lax conversion would take 1e1 and 10.0 for a whole number.
    given = {
        name: int(text) if name in numbers and _NUMBER.fullmatch(text) else text
        for name, text in value.items()
        if text or name in empties
    }
    result = _convert(given, shape, "", faults)
    _refuse(faults, check(result) if check else ())
    return result


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    if raw.count(b"&") >= MAX_PARAMETERS:
        raise Invalid(Fault("", f"A query has at most {MAX_PARAMETERS} parameters."))
    try:
        if _BROKEN_ESCAPE.search(raw):
            raise ValueError
        return parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise Invalid(Fault("", "The query is not well-formed UTF-8 in percent-encoding.")) from None


def _refuse(faults: list[Fault], more: Iterable[Fault]) -> None:
    # What did not convert was replaced by a default; what is then said about that would mislead.
    known = {fault.pointer for fault in faults}
    true = (fault for fault in more if not any(_within(fault.pointer, place) for place in known))
    faults += islice(true, MAX_FAULTS)
    if faults:
        raise Invalid(*faults[:MAX_FAULTS])


def _within(pointer: str, place: str) -> bool:
    return pointer == place or pointer.startswith(f"{place}/")


def _convert(value: Mapping[str, Any], shape: type[S], pointer: str, faults: list[Fault]) -> S:
    """Converts field by field, so that one fault does not hide another."""
    good: dict[str, Any] = {}
    for field in _fields(shape):
        item = value.get(field.encode_name)
        if item is None:
            continue
        place = f"{pointer}/{field.encode_name}"
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            if isinstance(item, dict):
                good[field.name] = _convert(item, field.type, place, faults)
            else:
                faults.append(Fault(place, "Expected an object."))
            continue
        try:
            good[field.name] = msgspec.convert(item, field.type)
        except msgspec.ValidationError as error:
            faults.append(_fault(str(error), place, _choices(field.type)))
        except RecursionError:
            faults.append(Fault(place, "This value is nested too deeply."))
    return shape(**good)


def _choices(hint: Any) -> list[str]:
    if get_origin(hint) is Literal:
        return [choice for choice in get_args(hint) if choice]
    return [choice for part in get_args(hint) for choice in _choices(part)]


def _fault(text: str, pointer: str, choices: list[str]) -> Fault:
    if choices:
        return Fault(pointer, f"Expected one of: {', '.join(choices)}.")
    if at := _PLACE.search(text):
        text = text[: at.start()]
        pointer += "".join(f"/{index or name}" for index, name in _STEP.findall(at[1]))
    # Other texts of msgspec may name the value that was sent, which may be anything.
    known = text.startswith("Expected") and "matching" not in text
    return Fault(pointer, f"{text.replace('`', '')}." if known else "This value is not allowed here.")
