"""`usersd run`, the roles it is made of, and `usersd migrate`."""

from __future__ import annotations

from collections.abc import Callable

import rich_click as click

from interfaces.cli.output import say
from interfaces.cli.tools import Tools

_ROLES = {
    "run": "Run the whole service, with servers of its own where none are set.",
    "api": "Answer users over HTTP and other services over gRPC.",
    "projector": "Keep the read models up to date, and check them.",
    "relay": "Publish what happens to NATS, and tell the platform's Auth service of users if there is one.",
    "mailer": "Send the mails that follow from what happens.",
    "sweeper": "Do the regular work: sweep, erase, rotate keys, delete what has expired, sign checkpoints.",
}


def _role(name: str, does: str) -> click.Command:
    @click.pass_obj
    def serve(tools: Tools) -> None:
        tools.serve(name, say)
        say("usersd has stopped")

    more = (
        ""
        if name == "run"
        else "\n\nAny number may run, on any number of machines. Waits for `usersd migrate`."
    )
    command: Callable[..., click.Command] = click.command(name, help=does + more)
    return command(serve)


roles = [_role(name, does) for name, does in _ROLES.items()]
"""A command for each role: it runs until a signal ends it."""


@click.command()
@click.pass_obj
def migrate(tools: Tools) -> None:
    """Bring the database to the shape that this version needs; harmless when it has it."""
    tools.migrate(say)
    say("the database is up to date")
