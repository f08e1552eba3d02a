"""Sealing and opening events, for every event."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from application.ports import Recorded
from domain.access import ANONYMOUS, Actor
from domain.events import EVENTS, Event, personal_fields
from domain.user import fold
from infrastructure.event_store.mapper import FORGOTTEN, EventMapper
from tests.properties.strategies import USER, beginnings, changes, events_of, histories, records
from tests.support.memory import context, keyring

KEYS = keyring()
MAPPER = EventMapper()


def _opened(recorded: Recorded) -> Recorded:
    key = KEYS.new_user_key(recorded.user_id)
    row = MAPPER.seal(recorded, key)
    assert isinstance(row.originator_id, UUID)
    return MAPPER.open(row.originator_id, row.originator_version, row.topic, row.state, key)


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.stored_name)
def test_every_event_survives_seal_and_open(kind: type[Event]) -> None:
    @given(records(events_of(kind)))
    def survives(recorded: Recorded) -> None:
        assert _opened(recorded) == recorded

    survives()


@given(histories)
def test_a_history_read_back_folds_to_the_same_user(history: list[Event]) -> None:
    read_back = [_opened(_recorded(event, version)).event for version, event in enumerate(history, start=1)]
    assert fold(USER, read_back) == fold(USER, history)
    # == takes 1, 1.0 and true for one value; their JSON does not.
    assert msgspec.json.encode(fold(USER, read_back)) == msgspec.json.encode(fold(USER, history))


@given(records(st.one_of(beginnings, changes)))
def test_the_row_of_an_event_never_holds_a_personal_value(recorded: Recorded) -> None:
    personal = personal_fields(type(recorded.event))
    marked = replace(
        recorded.event,
        **{name: _marked(getattr(recorded.event, name)) for name in personal},
    )
    row = MAPPER.seal(replace(recorded, event=marked), KEYS.new_user_key(recorded.user_id))
    assert b"PERSONAL" not in row.state
    assert b"PERSONAL".hex().encode() not in row.state
    assert b"UEVSU09OQU" not in row.state  # the beginning of it in base64


@given(records(st.one_of(beginnings, changes)))
def test_with_the_key_destroyed_what_is_personal_is_empty_and_the_rest_is_there(recorded: Recorded) -> None:
    row = MAPPER.seal(recorded, KEYS.new_user_key(recorded.user_id))
    opened = MAPPER.open(recorded.user_id, recorded.version, row.topic, row.state, FORGOTTEN)
    assert opened.forgotten
    empty = type(recorded.event)(
        **{
            field: getattr(recorded.event, field)
            for field in recorded.event.__struct_fields__
            if field not in personal_fields(type(recorded.event))
        }
    )
    assert opened.event == empty


def _marked(value: object) -> object:
    if isinstance(value, list):
        return ["PERSONAL"]
    if isinstance(value, dict):
        return {"PERSONAL": "PERSONAL"}
    return "PERSONAL"


def _recorded(event: Event, version: int) -> Recorded:
    actor = Actor("user", event.by) if event.by else ANONYMOUS
    made = context(actor)
    return Recorded(
        position=0,
        user_id=USER,
        version=version,
        name=event.stored_name,
        event=event,
        event_id=made.command_id,
        actor=actor,
        command_id=made.command_id,
        correlation_id=made.correlation_id,
    )
