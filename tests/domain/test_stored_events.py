"""What is stored stays readable: a name never vanishes, and never loses or retypes a field.

A new event or field is added to `tests/golden/stored_events.json`; an old line there is never changed.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec import inspect

from domain.events import EVENTS, Event, personal_fields

GOLDEN: dict[str, dict[str, str]] = json.loads(
    (Path(__file__).parent.parent / "golden" / "stored_events.json").read_text("utf-8")
)
BY_NAME = {event.stored_name: event for event in EVENTS}


_WORDS: dict[type[inspect.Type], str] = {
    inspect.StrType: "text",
    inspect.DateTimeType: "time",
    inspect.UUIDType: "uuid",
    inspect.NoneType: "null",
    inspect.DictType: "object",
}


def shape(event: type[Event]) -> dict[str, str]:
    """The fields of an event with their types; what is personal says so."""
    info = inspect.type_info(event)
    assert isinstance(info, inspect.StructType)
    personal = personal_fields(event)
    return {
        field.name: ("personal " if field.name in personal else "") + _type(field.type)
        for field in sorted(info.fields, key=lambda field: field.name)
    }


def _type(hint: inspect.Type) -> str:
    match hint:
        case inspect.Metadata():
            return _type(hint.type)
        case inspect.UnionType():
            return " or ".join(sorted(map(_type, hint.types)))
        case inspect.EnumType():
            return "one of " + " ".join(sorted(member.value for member in hint.cls))
        case inspect.LiteralType():
            return "one of " + " ".join(map(str, sorted(hint.values, key=str)))
        case inspect.ListType():
            return f"list of {_type(hint.item_type)}"
        case _:
            return _WORDS[type(hint)]


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_a_stored_name_never_vanishes_nor_loses_or_retypes_a_field(name: str) -> None:
    assert name in BY_NAME, f"{name} is stored somewhere; keep the event, or read it through an upcaster"
    assert shape(BY_NAME[name]).items() >= GOLDEN[name].items()


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_every_event_and_field_is_written_down(name: str) -> None:
    assert shape(BY_NAME[name]) == GOLDEN.get(name), "add what is new to tests/golden/stored_events.json"


def test_stored_names_are_unique_and_carry_a_version() -> None:
    assert len(BY_NAME) == len(EVENTS)
    for name in BY_NAME:
        subject, _, version = name.removeprefix("users.").rpartition(".v")
        assert name.startswith("users.")
        assert subject.replace("_", "").isalpha()
        assert version.isdigit()


def test_everything_that_tells_who_somebody_is_is_personal() -> None:
    telling = {"email", "username", "first_name", "last_name", "name", "tags", "metadata"}
    telling |= {"private_metadata", "profile_picture"}
    for event in EVENTS:
        present = telling & set(event.__struct_fields__)
        assert present == personal_fields(event)
