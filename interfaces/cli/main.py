"""`usersd`: run the service, migrate its database, look after its projections, read its log."""

from __future__ import annotations

import rich_click as click

from interfaces.cli.accounts import erasures, sweep, users
from interfaces.cli.clients import clients
from interfaces.cli.config import config
from interfaces.cli.dev import dev
from interfaces.cli.events import events
from interfaces.cli.exporting import export
from interfaces.cli.health import health
from interfaces.cli.importing import import_
from interfaces.cli.integrity import restore
from interfaces.cli.keys import keys
from interfaces.cli.output import fail
from interfaces.cli.projections import projections
from interfaces.cli.replay import replay
from interfaces.cli.run import migrate, roles
from interfaces.cli.stats import stats
from interfaces.cli.telemetry import telemetry
from interfaces.cli.tools import CommandFailed, Tools


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="usersd", prog_name="usersd")
def usersd() -> None:
    """An event-sourced users service.

    Settings come from environment variables; `usersd config check` shows them. Data goes to standard
    output, everything else to standard error. Exit codes: 0 done, 1 failed, 2 wrong use or wrong
    settings, 65 the log is older than what was made from it, 75 try again later.
    """


for command in (
    *roles,
    migrate,
    health,
    projections,
    events,
    export,
    clients,
    config,
    keys,
    sweep,
    users,
    erasures,
    import_,
    restore,
    stats,
    telemetry,
    dev,
):
    usersd.add_command(command)

events.add_command(replay)


def main(tools: Tools) -> None:
    """Run the command that was typed."""
    try:
        usersd(obj=tools)
    except CommandFailed as failure:
        fail(failure, failure.code)
