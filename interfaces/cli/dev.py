"""`usersd dev`: what developers need, on databases that hold nobody real."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import rich_click as click

from application.seeding import ForeignUsers, SeedProgress, SeedWanted
from interfaces.cli.output import err, fail, line, say
from interfaces.cli.tools import Tools

REPORT_EVERY = 10.0
"""Seconds between two lines of progress where there is no terminal to draw a bar on."""


@click.group()
def dev() -> None:
    """For development: invented users."""


@dev.command()
@click.option(
    "--users", type=click.IntRange(1, 50_000_000), required=True, help="How many users there shall be."
)
@click.option(
    "--seed", default=1, show_default=True, type=click.IntRange(0), help="Another one: other users."
)
@click.option(
    "--events-per-user",
    default=3,
    show_default=True,
    type=click.IntRange(1, 100),
    help="On average; the registration is one of them.",
)
@click.option("--force", is_flag=True, help="Even where the database holds users who were not invented.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def seed(tools: Tools, users: int, seed: int, events_per_user: int, force: bool, as_json: bool) -> None:
    """Fill the database with invented users and what happened to them in 2025.

    It takes the way of every command, event by event. The same seed invents the same users; killed, it
    goes on where it was when it is called again. All have one secret, which is told at the end.
    """
    wanted = SeedWanted(users=users, seed=seed, events_per_user=events_per_user, force=force)
    with tools.seeding() as work, _progress() as progress:
        try:
            done = work.seed(wanted, progress)
        except ForeignUsers as error:
            fail(error)
    if as_json:
        line(done)
        return
    rate = f" ({done.events / done.seconds:,.0f} a second)" if done.seconds else ""
    say(f"made {done.users:,} users by {done.events:,} events{rate}; {done.already:,} were there already")
    say(f"the secret of all is {done.secret!r}; {done.admin} is an admin")
    if done.taken:
        fail(f"{done.taken:,} could not be made: their names are taken by others")


@contextmanager
def _progress() -> Iterator[Callable[[SeedProgress], None]]:
    """A bar on a terminal, a line now and then elsewhere."""
    if not err.is_terminal:
        yield _lines()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("users"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err) as bar:
        task, began = bar.add_task("users", total=None, rate=""), time.monotonic()

        def show(step: SeedProgress) -> None:
            if step.users % 100 and step.users != step.wanted:
                return
            rate = f"{step.events / (time.monotonic() - began):,.0f} events/s"
            bar.update(task, completed=step.users, total=step.wanted, rate=rate)

        yield show


def _lines() -> Callable[[SeedProgress], None]:
    began = told = time.monotonic()

    def show(step: SeedProgress) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told < REPORT_EVERY:
            return
        told = now
        left = (step.wanted - step.users) * (now - began) / step.users
        say(
            f"{step.users:,} of {step.wanted:,} users, {step.events / (now - began):,.0f} events/s, "
            f"{left:,.0f} s left"
        )

    return show
