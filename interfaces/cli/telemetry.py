"""`usersd telemetry`: what would be sent of this installation, and to whom."""

from __future__ import annotations

import rich_click as click

from interfaces.cli.output import say
from interfaces.cli.tools import Tools


@click.group()
def telemetry() -> None:
    """The daily message to a receiver of your own choice; nobody gets it unless you name one."""


@telemetry.command()
@click.pass_obj
def show(tools: Tools) -> None:
    """Print the message as it would be sent now, and whether and where to. Sends nothing."""
    found = tools.telemetry()
    click.echo(found.message)
    if found.withheld:
        say(f"nothing is sent: {found.withheld}")
    else:
        say(f"this is sent to {found.to} once in 24 to 25 hours, by one `usersd sweeper` or `usersd run`")
