"""`usersd events`: read the log."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import msgspec
import rich_click as click

from application.operations import Operations
from application.ports import Recorded, Unreadable
from domain.events import personal_fields
from interfaces.cli.output import USAGE, fail, line, say
from interfaces.cli.tools import Tools


@click.group()
def events() -> None:
    """The log of events. Personal data is left out unless it is asked for."""


@events.command()
@click.option("--from", "after", type=int, help="Begin after this position; by default with the last 10.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--personal", is_flag=True, help="Show personal data too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def tail(tools: Tools, after: int | None, follow: bool, personal: bool, as_json: bool) -> None:
    """Print the log in order."""

    async def print_all(work: Operations) -> None:
        start = max(0, await work.head() - 10) if after is None else after
        async for event in work.tail(start, follow=follow):
            print_event(event, personal=personal, as_json=as_json)

    with tools.operations() as work:
        try:
            asyncio.run(print_all(work))
        except KeyboardInterrupt:
            say("")


@events.command()
@click.argument("what")
@click.option("--personal", is_flag=True, help="Show personal data too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def show(tools: Tools, what: str, personal: bool, as_json: bool) -> None:
    """Print the event at a position, or every event of a user id."""

    async def matching(work: Operations) -> int:
        found = 0
        if what.isdigit():
            async for event in work.tail(int(what) - 1, follow=False):
                if event.position == int(what):
                    print_event(event, personal=personal, as_json=as_json)
                    found += 1
                break
            return found
        for event in await work.stream(UUID(what)):
            print_event(event, personal=personal, as_json=as_json)
            found += 1
        return found

    if not what.isdigit() and not _is_uuid(what):
        fail("Give a position (a number) or a user id (a UUID).", USAGE)
    with tools.operations() as work:
        if not asyncio.run(matching(work)):
            fail(f"There is nothing at {what}.")


def print_event(event: Recorded | Unreadable, *, personal: bool, as_json: bool) -> None:
    """One event on one line, what is personal in it left out unless it is asked for."""
    shown = _shown(event, personal=personal)
    if as_json:
        line(shown)
        return
    rest = {key: value for key, value in shown.items() if key not in _HEAD}
    text = msgspec.json.encode(rest, enc_hook=str).decode()
    click.echo(
        f"{shown['position']:>8}  {shown.get('at', ''):<27}  {shown['user_id']}  {shown['name']}  {text}"
    )


_HEAD = ("position", "at", "user_id", "name")


def _shown(event: Recorded | Unreadable, *, personal: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "position": event.position,
        "user_id": str(event.user_id),
        "version": event.version,
        "name": event.name,
    }
    if isinstance(event, Unreadable):
        return shown | {"unreadable": event.reason}
    data = msgspec.to_builtins(event.event)
    at = data.pop("at", "")
    data.pop("by", None)
    if not personal:
        for field in personal_fields(type(event.event)) & set(data):
            data[field] = "(personal)"
    by = {"kind": event.actor.kind} | ({"id": str(event.actor.id)} if event.actor.id else {})
    shown |= {"at": at, "event_id": str(event.event_id), "by": by, "data": data}
    return shown


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
