"""`usersd keys`: the keys that sign tokens, and the root key that wraps every other."""

from __future__ import annotations

import secrets
from pathlib import Path

import rich_click as click

from application.key_operations import KeyRefused, TooEarly
from interfaces.cli.output import TRY_AGAIN, fail, line, say, show
from interfaces.cli.tools import Tools

JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


@click.group()
def keys() -> None:
    """The keys that sign tokens, and the root key that wraps every other."""


@keys.command("list")
@JSON
@click.pass_obj
def list_keys(tools: Tools, as_json: bool) -> None:
    """List the keys: the one that signs, the next one, and those that tokens are only checked with."""
    with tools.keys() as work:
        rows = work.list()
    show(rows, as_json=as_json, empty="no key has been made yet: the service makes them when it starts")


@keys.command()
@click.option("--now", is_flag=True, help="Even if others who check tokens may not know the next key yet.")
@JSON
@click.pass_obj
def rotate(tools: Tools, now: bool, as_json: bool) -> None:
    """Let the next key sign, and make another next one. The old one still checks its tokens."""
    with tools.keys() as work:
        try:
            active = work.rotate(now=now)
        except TooEarly as refusal:
            fail(refusal, TRY_AGAIN)
        except KeyRefused as refusal:
            fail(refusal)
    if now:
        say(
            "warning: whoever caches the published keys may refuse new tokens until fetching them again, "
            "16 minutes from now at the latest"
        )
    if as_json:
        line(active)
    else:
        say(f"{active.kid} signs from now on ({active.algorithm})")


@keys.command()
@click.argument("kid")
@click.option("--force", is_flag=True, help="Even if that ends tokens that are in use.")
@click.pass_obj
def retire(tools: Tools, kid: str, force: bool) -> None:
    """Let go of a key: it is published no more, and no token of it is taken."""
    with tools.keys() as work:
        try:
            work.retire(kid, force=force)
        except KeyRefused as refusal:
            fail(refusal)
    say(f"{kid} is gone" + ("; whoever held its tokens refreshes or logs in again" if force else ""))


@keys.command()
def generate() -> None:
    """Print a new root key: 32 random bytes, as 64 hexadecimal digits. Nothing is changed."""
    click.echo(secrets.token_hex(32))


@keys.command()
@click.option(
    "--new-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Holds the new key; by default MG_USERS_ROOT_KEY_NEW or MG_USERS_ROOT_KEY_NEW_FILE.",
)
@JSON
@click.pass_obj
def rewrap(tools: Tools, new_key_file: Path | None, as_json: bool) -> None:
    """Replace the root key, while no usersd runs.

    A running one would go on with the old key, and be unable to start again. Killed at any moment, either
    the old key holds or the new one. Backups from before need the old key, so keep it as long as them: and
    where it was stolen, know that it opens whatever copy of the database was stolen with it.
    """
    with tools.keys() as work:
        try:
            done = work.rewrap(tools.root_key_in(new_key_file) if new_key_file else None)
        except KeyRefused as refusal:
            fail(refusal)
    if as_json:
        line(done)
    elif done.file:
        say(f"{done.keys} keys are wrapped by the new root key, which is in {done.file}")
    else:
        say(f"{done.keys} keys are wrapped by the new root key: start usersd with it as MG_USERS_ROOT_KEY")
