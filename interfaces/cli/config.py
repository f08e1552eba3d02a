"""`usersd config`: what the settings are and where each comes from."""

from __future__ import annotations

import rich_click as click

from interfaces.cli.output import line, say
from interfaces.cli.tools import Tools


@click.group()
def config() -> None:
    """The settings."""


@config.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--all", "everything", is_flag=True, help="Show the defaults too.")
@click.pass_obj
def check(tools: Tools, as_json: bool, everything: bool) -> None:
    """Check the settings and print them with their sources, secrets masked."""
    rows, warnings = tools.settings()
    for warning in warnings:
        say(f"warning: {warning}")
    for row in rows:
        if as_json:
            line(row)
        elif everything or row.source != "default":
            click.echo(f"{row.name}={row.value}   ({row.source})")
    say("the settings are fine" + ("" if everything or as_json else "; --all shows the defaults too"))
