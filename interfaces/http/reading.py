"""Reads bodies and queries: every fault of a request at once, each with its JSON Pointer, no value echoed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from domain.errors import Fault, Invalid

S = TypeVar("S", bound=msgspec.Struct)

_PLACE = re.compile(r" - at `\$(.*)`$")
_STEP = re.compile(r"\[(\d+|\.\.\.)\]|\.([^.\[]+)")


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
    """A query string as `shape`; an empty value counts as absent, an unknown name is ignored.

    Raises Invalid as `read_json` does, and for a known name that is given twice.
    """
    names = {field.encode_name for field in msgspec.structs.fields(shape)}
    value: dict[str, str] = {}
    faults: list[Fault] = []
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise Invalid(Fault("", "The query is not well-formed UTF-8 in percent-encoding.")) from None
    for name, text in pairs:
        if name not in names:
            continue
        if name in value:
            faults.append(Fault(f"/{name}", "This parameter is given twice."))
        elif "\x00" in text:
            faults.append(Fault(f"/{name}", "This parameter holds U+0000."))
        value[name] = text
    given = {name: text for name, text in value.items() if text}
    result = _convert(given, shape, "", faults, strict=False)
    _refuse(faults, check(result) if check else ())
    return result


def _refuse(faults: list[Fault], more: Iterable[Fault]) -> None:
    known = {fault.pointer for fault in faults}
    faults += [fault for fault in more if fault.pointer not in known]
    if faults:
        raise Invalid(*faults)


def _convert(
    value: Mapping[str, Any], shape: type[S], pointer: str, faults: list[Fault], *, strict: bool = True
) -> S:
    """Converts field by field, so that one fault does not hide another."""
    good: dict[str, Any] = {}
    for field in msgspec.structs.fields(shape):
        item = value.get(field.encode_name)
        if item is None:
            continue
        place = f"{pointer}/{field.encode_name}"
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            if isinstance(item, dict):
                good[field.name] = _convert(item, field.type, place, faults, strict=strict)
            else:
                faults.append(Fault(place, "Expected an object."))
            continue
        try:
            good[field.name] = msgspec.convert(item, field.type, strict=strict)
        except msgspec.ValidationError as error:
            faults.append(_fault(str(error), place))
        except RecursionError:
            faults.append(Fault(place, "This value is nested too deeply."))
    return shape(**good)


def _fault(text: str, pointer: str) -> Fault:
    if at := _PLACE.search(text):
        text = text[: at.start()]
        pointer += "".join(f"/{index or name}" for index, name in _STEP.findall(at[1]))
    # An enum's error names the value that was sent, which may be anything.
    known = text.startswith("Expected") and "matching" not in text
    return Fault(pointer, f"{text.replace('`', '')}." if known else "This value is not one of those allowed.")
