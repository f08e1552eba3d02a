"""`usersd health`: whether what runs on this machine is ready, for health checks of containers."""

from __future__ import annotations

import rich_click as click

from interfaces.cli.output import fail, line, say
from interfaces.cli.tools import CommandFailed, Healths


@click.command()
@click.argument(
    "role",
    required=False,
    type=click.Choice(["run", "api", "projector", "relay", "mailer", "sweeper"]),
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def health(tools: Healths, role: str | None, as_json: bool) -> None:
    """Ask ROLE, or whichever roles answer on this machine, whether they are ready.

    The addresses are those of the settings. Ends with 0 where all that answer are ready, with 1 where one is
    not or nobody answers.
    """
    try:
        heard = tools.health(role)
    except CommandFailed as failure:
        fail(failure, failure.code)
    for one in heard:
        if as_json:
            line(one)
        else:
            say(f"{one.role} at {one.address}: {one.says}")
    if not heard:
        fail("no role of usersd answers on this machine at the ports of the settings")
    if not all(one.ready for one in heard):
        raise SystemExit(1)
