"""`usersd projections`: see where the read models stand, and rebuild them."""

from __future__ import annotations

import rich_click as click

from application.operations import NothingToSwitchTo, Progress, RebuildRunning, UnknownProjection
from interfaces.cli.output import TRY_AGAIN, USAGE, err, fail, line, say, show
from interfaces.cli.tools import Tools

JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


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


@projections.command()
@JSON
@click.pass_obj
def status(tools: Tools, as_json: bool) -> None:
    """Show position, head and lag of every read model, and the streams that are parked."""
    with tools.operations() as work:
        rows, parked = work.status(), work.parked()
    show(rows, as_json=as_json, empty="no projection has been made yet")
    if parked:
        say(f"parked streams: {len(parked)}")
        show(parked, as_json=as_json, empty="")
    if any(row.parked or row.last_error for row in rows):
        raise SystemExit(1)


@projections.command()
@click.argument("name")
@click.option("--no-switch", is_flag=True, help="Leave the old one to be read; `switch` makes the change.")
@JSON
@click.pass_obj
def rebuild(tools: Tools, name: str, no_switch: bool, as_json: bool) -> None:
    """Rebuild a read model from the log. The old one answers until the new one has caught up.

    The old one goes on following the log: `rollback` brings it back. Killed, a rebuild goes on where it
    was when it is called again.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=err,
        disable=not err.is_terminal,
    )
    with tools.operations() as work, bar:
        task = bar.add_task(name, total=None, rate="")

        def progress(step: Progress) -> None:
            speed = bar.tasks[0].speed
            rate = f"{speed:,.0f} events/s" if speed else ""
            bar.update(task, description=step.stage, completed=step.done, total=step.total, rate=rate)

        try:
            rebuilt = work.rebuild(name, progress, switching=not no_switch)
        except UnknownProjection as error:
            fail(error, USAGE)
        except RebuildRunning as error:
            fail(error, TRY_AGAIN)
    if as_json:
        line(rebuilt)
    else:
        say(f"{name}: rebuilt as generation {rebuilt.generation}, at position {rebuilt.position}")
        if rebuilt.switched_in_milliseconds is not None:
            say(f"{name}: switched in {rebuilt.switched_in_milliseconds} ms")
    if rebuilt.parked:
        fail(f"parked streams: {rebuilt.parked}; usersd projections status lists them")


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
    """Drop the generations that were read before the present one; there is no going back to them."""
    with tools.operations() as work:
        try:
            dropped = work.drop_old(name)
        except UnknownProjection as error:
            fail(error, USAGE)
    say(f"{name}: dropped {', '.join(f'generation {number}' for number in dropped) or 'nothing'}")
