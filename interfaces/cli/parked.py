"""`usersd projections parked`: the streams that read models cannot go on with, and what becomes of them."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Sequence
from uuid import UUID

import rich_click as click

from application.operations import Operations, UnknownProjection
from application.ports import Recorded, Unreadable
from application.projections import NothingParked, Repaired
from interfaces.cli.events import print_event
from interfaces.cli.output import FAILURE, USAGE, fail, line, say, show
from interfaces.cli.readmodels import JSON
from interfaces.cli.tools import Tools

BEHIND = 20
"""So many of the events that wait are shown."""


@click.group()
def parked() -> None:
    """Streams that a read model cannot go on with: see them, try them again, go on without an event."""


@parked.command("list")
@JSON
@click.pass_obj
def list_parked(tools: Tools, as_json: bool) -> None:
    """List the parked streams, and the events that were discarded."""
    with tools.operations() as work:
        waiting, discarded = work.parked(), work.discarded()
    if waiting or not discarded:
        show(waiting, as_json=as_json, empty="nothing is parked")
    if discarded:
        show(discarded, as_json=as_json, empty="")


@parked.command("show")
@click.argument("name")
@click.argument("user_id", type=click.UUID)
@JSON
@click.pass_obj
def show_parked(tools: Tools, name: str, user_id: UUID, as_json: bool) -> None:
    """Show where a user's stream is parked, the event that stopped it, and what waits behind it.

    Personal data is left out.
    """
    with tools.operations() as work:
        places = [place for place in work.parked() if (place.projection, place.user_id) == (name, user_id)]
        if not places:
            fail(NothingParked(name, f"user {user_id}"))
        show(places, as_json=as_json, empty="")
        for event in asyncio.run(_behind(work, user_id, min(place.position for place in places))):
            print_event(event, personal=False, as_json=as_json)


async def _behind(work: Operations, user_id: UUID, position: int) -> Sequence[Recorded | Unreadable]:
    stream = await work.stream(user_id)
    return [event for event in stream if event.position >= position][: BEHIND + 1]


@parked.command()
@click.argument("name")
@click.argument("user_id", type=click.UUID, required=False)
@click.option("--all", "all_of_them", is_flag=True, help="Every stream that is parked in the read model.")
@JSON
@click.pass_obj
def retry(tools: Tools, name: str, user_id: UUID | None, all_of_them: bool, as_json: bool) -> None:
    """Fold a parked stream afresh, in every generation where it is parked; it goes on if that works now."""
    if (user_id is None) != all_of_them:
        fail("Name a user id, or say --all.", USAGE)
    with tools.operations() as work:
        try:
            tried = work.retry(name, user_id)
        except UnknownProjection as error:
            fail(error, USAGE)
        except NothingParked as error:
            fail(error)
    report(tried, as_json=as_json, empty="nothing is parked")


@parked.command()
@click.argument("name")
@click.argument("user_id", type=click.UUID)
@click.option("--reason", required=True, help="Why; it is kept for good, so say nothing personal here.")
@JSON
@click.pass_obj
def discard(tools: Tools, name: str, user_id: UUID, reason: str, as_json: bool) -> None:
    """Have a read model go on without the event that a user's stream is parked at.

    The log keeps it. Every generation, every rebuild and every verification leaves it out, and the decision
    is recorded. To discard a user's first event is to leave the user out of the read model.
    """
    if not reason.strip():
        fail("--reason is empty: say why.", USAGE)
    with tools.operations() as work:
        try:
            done = work.discard(name, user_id, reason, _who())
        except UnknownProjection as error:
            fail(error, USAGE)
        except NothingParked as error:
            fail(error)
    report(done, as_json=as_json, empty="")


@parked.command("undo-discard")
@click.argument("name")
@click.argument("position", type=click.IntRange(1))
@JSON
@click.pass_obj
def undo_discard(tools: Tools, name: str, position: int, as_json: bool) -> None:
    """Take a decision to go on without an event back: a version that can read it has come, say."""
    with tools.operations() as work:
        try:
            done = work.undo_discard(name, position)
        except UnknownProjection as error:
            fail(error, USAGE)
        except NothingParked as error:
            fail(error)
    report(done, as_json=as_json, empty="")


def report(repaired: Sequence[Repaired], *, as_json: bool, empty: str) -> None:
    """Tell what became of each generation; ends with 1 where a stream stops still."""
    for row in repaired:
        if as_json:
            line(row)
        elif row.parked_at is not None:
            say(
                f"{row.name}: generation {row.generation}: user {row.user_id} is parked at position "
                f"{row.parked_at} ({row.reason})"
            )
        else:
            say(f"{row.name}: generation {row.generation}: user {row.user_id} is up to date")
    if not repaired and empty:
        say(empty)
    if any(row.parked_at is not None for row in repaired):
        raise SystemExit(FAILURE)


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container whose user has no name.
        return f"uid {os.getuid()}"
