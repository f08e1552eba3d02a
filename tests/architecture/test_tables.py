"""A new feature is a row in a few tables: forget one, and the test that fails names the file to edit."""

from __future__ import annotations

import importlib
import pkgutil
from datetime import UTC, datetime
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from litestar import Litestar

import application.commands
import application.queries
from application.commands import COMMANDS
from application.commands.create_first_admin import CreateFirstAdmin
from application.commands.erase_user import EraseUser
from application.commands.sweep_user import SweepUser
from application.messages import Command, Query
from application.ports import Recorded
from application.queries import QUERIES
from domain import events
from domain.access import SYSTEM
from domain.events import EVENTS, Event
from domain.user import User, evolve
from interfaces.events.published import MESSAGES, message_of, render, subject_of
from interfaces.grpc.methods import UNARY
from interfaces.http.app import routes
from projections.history.projector import render as history_line

INTERNAL: dict[type, str] = {
    EraseUser: "operators ask for it on the command line",
    SweepUser: "the scheduler asks for it",
    CreateFirstAdmin: "the service itself asks for it when it starts",
}

NO_ROUTE_YET: dict[type, str] = {}

ABSTRACT = {events.Profile}

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def modules(package: ModuleType) -> list[ModuleType]:
    return [
        importlib.import_module(f"{package.__name__}.{found.name}")
        for found in pkgutil.iter_modules(package.__path__)
    ]


def messages(package: ModuleType, kind: type) -> dict[type, ModuleType]:
    """The commands or queries that a package's modules define, by class."""
    return {
        value: module
        for module in modules(package)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, kind) and value.__module__ == module.__name__
    }


def routed() -> set[Any]:
    """What the routes say that they dispatch or ask."""
    app = Litestar(routes(), openapi_config=None)
    handlers = [handler for route in app.routes for handler in getattr(route, "route_handlers", ())]
    return {handler.opt.get("command") for handler in handlers}


def called() -> set[Any]:
    """What the methods of gRPC dispatch or ask."""
    return {method.use_case for method in UNARY.values()}


@pytest.mark.parametrize(
    ("package", "kind", "table"),
    [(application.commands, Command, COMMANDS), (application.queries, Query, QUERIES)],
    ids=["commands", "queries"],
)
def test_every_use_case_is_one_file_and_one_row(package: ModuleType, kind: type, table: Any) -> None:
    found = messages(package, kind)
    assert set(table) == set(found), f"edit {package.__name__.replace('.', '/')}/__init__.py"
    assert len(found) == len(set(found.values())), "one use case is one file"
    for message, module in found.items():
        assert table[message] is module.handle
        assert message.__doc__, f"the docstring of {message.__name__} states its rule"


def test_every_command_and_query_has_a_route_or_is_internal() -> None:
    unreachable = {*COMMANDS, *QUERIES} - routed() - called() - INTERNAL.keys() - NO_ROUTE_YET.keys()
    names = sorted(message.__name__ for message in unreachable)
    assert not names, f"edit interfaces/http or interfaces/grpc, or say here why there is no route: {names}"


def test_no_exception_is_kept_that_has_a_route() -> None:
    assert not (routed() | called()) & (INTERNAL.keys() | NO_ROUTE_YET.keys())


def test_every_event_class_is_in_the_registry() -> None:
    defined = {
        value
        for value in vars(events).values()
        if isinstance(value, type) and issubclass(value, Event) and value is not Event
    }
    assert set(EVENTS) == defined - ABSTRACT, "edit EVENTS in domain/events.py"


def test_every_stored_name_is_unique_and_carries_its_version() -> None:
    names = [event.stored_name for event in EVENTS]
    assert len(set(names)) == len(names)
    assert all(name.count(".") == 2 and name.rpartition(".v")[2].isdigit() for name in names)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_every_event_evolves_a_user_by_one_version(event: type[Event]) -> None:
    before = User(id=uuid4(), version=4)
    assert evolve(before, example(event)).version == 5, "edit _EVOLVERS in domain/user.py"


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_every_event_is_told_to_the_world_or_said_not_to_be(event: type[Event]) -> None:
    assert event.stored_name in MESSAGES, "edit MESSAGES in interfaces/events/published.py"
    recorded = record(example(event))
    if message_of(recorded) is not None:
        assert msgspec.json.decode(render(recorded))["type"] == event.stored_name
        assert subject_of(recorded).startswith(f"users.{recorded.user_id}.")


def test_no_message_tells_of_an_event_that_there_is_not() -> None:
    assert set(MESSAGES) == {event.stored_name for event in EVENTS}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_every_event_is_a_line_of_the_history(event: type[Event]) -> None:
    line = msgspec.json.decode(history_line(record(example(event))))
    assert line["event"] == event.stored_name.split(".")[1]
    assert {"at", "by"} & line.get("data", {}).keys() == set()


def example(event: type[Event]) -> Event:
    """An event with what it cannot do without."""
    needed = {
        field.name: field.type
        for field in msgspec.structs.fields(event)
        if field.required and field.name != "at"
    }
    values: dict[str, Any] = {
        name: AT if kind is datetime else next(iter(kind)) for name, kind in needed.items()
    }
    return event(at=AT, **values)


def record(event: Event) -> Recorded:
    return Recorded(
        position=1, user_id=UUID(int=1), version=1, name=event.stored_name, event=event,
        event_id=UUID(int=2), actor=SYSTEM, command_id=UUID(int=3), correlation_id=UUID(int=3),
    )  # fmt: skip
