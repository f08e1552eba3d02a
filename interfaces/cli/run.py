"""`usersd run` and `usersd migrate`."""

from __future__ import annotations

import rich_click as click

from interfaces.cli.output import say
from interfaces.cli.tools import Tools


@click.command()
@click.pass_obj
def run(tools: Tools) -> None:
    """Run the whole service, with servers of its own where none are set."""
    tools.run(say)
    say("usersd has stopped")


@click.command()
@click.pass_obj
def migrate(tools: Tools) -> None:
    """Bring the database to the shape that this version needs; harmless when it has it."""
    tools.migrate(say)
    say("the database is up to date")
