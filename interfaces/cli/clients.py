"""`usersd clients`: the service accounts of programs that check tokens or read users."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import cast
from uuid import UUID

import rich_click as click

from application.clients import SCOPES, ClientRevoked, ClientSecret, Scope, UnknownClient
from interfaces.cli.output import fail, line, say, show
from interfaces.cli.tools import Tools

JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


@click.group()
def clients() -> None:
    """Service accounts: add, list, rotate, revoke. A secret is shown once and kept as a hash."""


@clients.command("list")
@JSON
@click.pass_obj
def list_clients(tools: Tools, as_json: bool) -> None:
    """List every service account, revoked ones too."""
    with tools.clients() as work:
        rows = work.list()
    show(rows, as_json=as_json, empty="there are none")


@clients.command()
@click.argument("name")
@click.option(
    "--scope", "scopes", type=click.Choice(SCOPES), multiple=True, required=True, help="May repeat."
)
@JSON
@click.pass_obj
def add(tools: Tools, name: str, scopes: Sequence[str], as_json: bool) -> None:
    """Add a service account and show its secret, this one time."""
    if not name.strip() or not name.isprintable() or len(name) > 100:
        raise click.BadParameter("a name is a line of 1 to 100 characters", param_hint="NAME")
    with tools.clients() as work:
        made = work.add(name, cast("Sequence[Scope]", scopes))
    _show_once(made, as_json=as_json)


@clients.command()
@click.argument("client_id", type=click.UUID)
@click.option(
    "--grace",
    default=24.0,
    show_default=True,
    type=click.FloatRange(0, 720),
    help="Hours for which the old secret goes on working.",
)
@JSON
@click.pass_obj
def rotate(tools: Tools, client_id: UUID, grace: float, as_json: bool) -> None:
    """Give a service account a new secret and show it, this one time."""
    with tools.clients() as work:
        try:
            made = work.rotate(client_id, timedelta(hours=grace))
        except (UnknownClient, ClientRevoked) as error:
            fail(error)
    _show_once(made, as_json=as_json)
    say(f"the old secret works for {grace:g} more hours")


@clients.command()
@click.argument("client_id", type=click.UUID)
@click.pass_obj
def revoke(tools: Tools, client_id: UUID) -> None:
    """End a service account for good."""
    with tools.clients() as work:
        try:
            work.revoke(client_id)
        except UnknownClient as error:
            fail(error)
    say(f"{client_id}: revoked; every replica refuses it within a second")


def _show_once(made: ClientSecret, *, as_json: bool) -> None:
    if as_json:
        line(made)
    else:
        show([made], as_json=False, empty="")
    say("keep the secret now: it is not shown again")
