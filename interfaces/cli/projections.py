"""`usersd projections`: see where the read models stand, and rebuild them."""

from __future__ import annotations

from uuid import UUID

import rich_click as click

from application.operations import (
    NothingToSwitchTo,
    RebuildRunning,
    SwitchBlocked,
    UnknownProjection,
    WorkerLost,
)
from application.projections import NotProven, UnknownUser
from interfaces.cli.output import TRY_AGAIN, USAGE, fail, line, say, show
from interfaces.cli.parked import parked, report
from interfaces.cli.readmodels import JSON, pause, resume, status, verify
from interfaces.cli.rebuilding import STOPPED, shown, stopped
from interfaces.cli.tools import Tools


@click.group()
def projections() -> None:
    """The read models: list them, see where they stand, rebuild them."""


@projections.command("list")
@JSON
@click.pass_obj
def list_projections(tools: Tools, as_json: bool) -> None:
    """List the read models that this version knows."""
    with tools.operations() as work:
        rows = work.projections()
    show(rows, as_json=as_json, empty="there are none")


for command in (status, verify, pause, resume, parked):
    projections.add_command(command)


@projections.command()
@click.argument("name")
@click.option("--no-switch", is_flag=True, help="Leave the old one to be read; `switch` makes the change.")
@click.option("--switch-anyway", is_flag=True, help="Read the new one even if it is not what the log says.")
@click.option("--anew", is_flag=True, help="Drop what an earlier rebuild has left, and begin again.")
@click.option("--parallel", type=click.IntRange(1, 64), help="So many processes at once; else one per core.")
@click.option("--rate", type=click.IntRange(1), help="Take in at most so many events a second.")
@click.option("--full-speed", is_flag=True, help="Leave nothing to requests: as fast as the machine can.")
@click.option("--user", type=click.UUID, help="Write this user's rows anew, and nobody else's.")
@JSON
@click.pass_obj
def rebuild(
    tools: Tools,
    name: str,
    no_switch: bool,
    switch_anyway: bool,
    anew: bool,
    parallel: int | None,
    rate: int | None,
    full_speed: bool,
    user: UUID | None,
    as_json: bool,
) -> None:
    """Rebuild a read model from the log. The old one answers until the new one has caught up.

    The new one is read once it is verified: whoever differs from the old one is folded afresh from the
    log, and some who do not. The old one goes on following the log: `rollback` brings it back. Killed, a
    rebuild goes on where it was when it is called again.
    """
    if user is not None:
        if no_switch or switch_anyway or anew or parallel or rate or full_speed:
            fail("--user writes rows anew where they stand: it takes no other option but --json.", USAGE)
        _rebuild_user(tools, name, user, as_json=as_json)
        return
    with tools.operations() as work, shown(name) as progress:
        try:
            rebuilt = work.rebuild(
                name,
                progress,
                switching=not no_switch,
                anyway=switch_anyway,
                anew=anew,
                parallel=parallel,
                rate=rate,
                gentle=not full_speed,
            )
        except UnknownProjection as error:
            fail(error, USAGE)
        except (RebuildRunning, SwitchBlocked, WorkerLost) as error:
            fail(error, TRY_AGAIN)
        except KeyboardInterrupt:
            fail(stopped(name), STOPPED)
        except NotProven as error:
            fail(error)
    if as_json:
        line(rebuilt)
    else:
        say(f"{name}: rebuilt as generation {rebuilt.generation}, at position {rebuilt.position}")
        if rebuilt.corrected:
            say(f"{name}: the old generation was not the same for {rebuilt.corrected} users")
        if rebuilt.switched_in_milliseconds is not None:
            say(f"{name}: switched in {rebuilt.switched_in_milliseconds} ms")
    if rebuilt.parked:
        fail(f"parked streams: {rebuilt.parked}; usersd projections status lists them")


def _rebuild_user(tools: Tools, name: str, user: UUID, *, as_json: bool) -> None:
    with tools.operations() as work:
        try:
            repaired = work.repair(name, user)
        except UnknownProjection as error:
            fail(error, USAGE)
        except UnknownUser as error:
            fail(error)
    report(repaired, as_json=as_json, empty=f"{name} has no generation yet")


@projections.command()
@click.argument("name")
@JSON
@click.pass_obj
def switch(tools: Tools, name: str, as_json: bool) -> None:
    """Have queries answered from the generation that `rebuild --no-switch` has built."""
    _switch(tools, name, as_json, newer=True)


@projections.command()
@click.argument("name")
@JSON
@click.pass_obj
def rollback(tools: Tools, name: str, as_json: bool) -> None:
    """Have queries answered from the generation that was read before the last switch."""
    _switch(tools, name, as_json, newer=False)


def _switch(tools: Tools, name: str, as_json: bool, *, newer: bool) -> None:
    with tools.operations() as work:
        try:
            switched = work.switch(name, newer=newer)
        except UnknownProjection as error:
            fail(error, USAGE)
        except SwitchBlocked as error:
            fail(error, TRY_AGAIN)
        except NothingToSwitchTo as error:
            fail(error)
    if as_json:
        line(switched)
    else:
        say(f"{name}: generation {switched.generation} is read now, switched in {switched.milliseconds} ms")


@projections.command("drop-old")
@click.argument("name")
@click.pass_obj
def drop_old(tools: Tools, name: str) -> None:
    """Drop what was read before the present generation; there is no going back to it.

    Older versions of the read model go too, as soon as this one is read and no process follows them.
    """
    with tools.operations() as work:
        try:
            dropped = work.drop_old(name)
        except UnknownProjection as error:
            fail(error, USAGE)
    gone = ", ".join(f"generation {one.generation} of version {one.version}" for one in dropped)
    say(f"{name}: dropped {gone or 'nothing'}")
