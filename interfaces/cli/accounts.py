"""`usersd sweep`, `users`, `erasures` and `keys new-epoch`: accounts, and how they end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import rich_click as click

from application.erasures import ErasureOperations, NewAdmin, NoLedger
from domain.errors import Fault, Refusal, Unavailable
from domain.values import check_email, check_username, user_id
from interfaces.cli.keys import keys
from interfaces.cli.output import TRY_AGAIN, USAGE, fail, line, say, show
from interfaces.cli.tools import Tools

JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
_REASON = re.compile(r"[A-Za-z0-9._-]{1,64}")


class _UserId(click.ParamType[UUID]):
    name = "ID"

    def convert(self, value: object, param: object, ctx: object) -> UUID:
        if isinstance(value, UUID):
            return value
        if (found := user_id(str(value))) is None:
            fail("Give the id of a user: a UUID.", USAGE)
        return found


ID = _UserId()


@contextmanager
def _work(tools: Tools) -> Iterator[ErasureOperations]:
    with tools.erasures() as work:
        try:
            yield work
        except Unavailable as refusal:
            fail(refusal.text, TRY_AGAIN)
        except Refusal as refusal:
            fail(refusal.text)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only list who would go: ids and times.")
@JSON
@click.pass_obj
def sweep(tools: Tools, dry_run: bool, as_json: bool) -> None:
    """Erase the accounts whose grace is over, now. The first sweep of a kind only reports."""
    with _work(tools) as work:
        if dry_run:
            show(work.due(), as_json=as_json, empty="nobody's grace is over")
            return
        for swept in work.sweep():
            if as_json:
                line(swept)
            else:
                say(swept.line)


@click.group()
def users() -> None:
    """Accounts: make an admin, erase a user."""


@users.command("create-admin")
@click.option("--email", required=True, help="The email of the new admin.")
@click.option("--username", help="The username of the new admin.")
@click.option(
    "--secret-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file that holds the secret; without it you are asked for it.",
)
@click.pass_obj
def create_admin(tools: Tools, email: str, username: str | None, secret_file: Path | None) -> None:
    """Make an admin, whether or not there are any. Prints the id."""
    faults: list[Fault] = [*check_email(email, ""), *(check_username(username, "") if username else ())]
    if faults:
        fail("\n".join(fault.message for fault in faults), USAGE)
    if secret_file is not None:
        try:
            secret = secret_file.read_text("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            fail(f"{secret_file} holds no text in UTF-8.", USAGE)
    else:
        secret = click.prompt("Secret", hide_input=True, confirmation_prompt=True, err=True)
    with _work(tools) as work:
        click.echo(work.create_admin(NewAdmin(email=email, username=username, secret=secret)))


@users.command()
@click.argument("of", type=ID, metavar="ID")
@click.option("--reason", default="request", help="One word for the record, such as a ticket's number.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def erase(tools: Tools, of: UUID, reason: str, yes: bool) -> None:
    """Forget a user for good, as the GDPR lets everyone ask. It cannot be undone.

    The key goes and the names are free at once. A running service does the rest and signs a certificate.
    """
    if not _REASON.fullmatch(reason):
        fail(
            "A reason is one word of letters, digits, '.', '_' and '-', and tells nothing of the user.", USAGE
        )
    if not yes:
        click.confirm(f"Erase user {of} for good?", abort=True, err=True)
    with _work(tools) as work:
        work.erase(of, reason)
    say(f"The key of {of} is destroyed. `usersd users certificate {of}` shows when everything is done.")


@users.command()
@click.argument("of", type=ID, metavar="ID")
@click.pass_obj
def certificate(tools: Tools, of: UUID) -> None:
    """Print the signed certificate of an erasure (a JWS)."""
    with _work(tools) as work:
        text = work.certificate(of)
    if text is None:
        fail("There is no certificate: `usersd erasures list` shows what it waits for.", TRY_AGAIN)
    click.echo(text)


@click.group()
def erasures() -> None:
    """Erasures: how far they are, whether their certificates hold, and what a restored backup must hear."""


@erasures.command("list")
@JSON
@click.pass_obj
def list_erasures(tools: Tools, as_json: bool) -> None:
    """List every erasure and what it waits for."""
    with _work(tools) as work:
        show(work.erasures(), as_json=as_json, empty="nobody was ever erased")


@erasures.command()
@JSON
@click.pass_obj
def verify(tools: Tools, as_json: bool) -> None:
    """Hold every certificate against the database as it is now."""
    with _work(tools) as work:
        found = work.verify()
    show(found, as_json=as_json, empty="there is no certificate yet")
    if not all(verdict.stands for verdict in found):
        raise SystemExit(1)


@erasures.command()
@click.option(
    "--ledger",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The ledger's file; by default that of the settings.",
)
@JSON
@click.pass_obj
def replay(tools: Tools, ledger: Path | None, as_json: bool) -> None:
    """Erase again, in a database restored from a backup, whoever was erased since."""
    with _work(tools) as work:
        try:
            done = work.replay(ledger)
        except NoLedger as error:
            fail(error)
    if as_json:
        line(done)
    else:
        say(f"{done.entries} in the ledger: {done.erased} erased again, {done.already} were or are not here")
    if done.refused:
        fail(
            f"These are the last admins: make another, then replay again: {', '.join(map(str, done.refused))}"
        )
    if done.unreadable:
        fail(f"{done.unreadable} lines of the ledger cannot be read")


@keys.command("new-epoch")
@JSON
@click.pass_obj
def new_epoch(tools: Tools, as_json: bool) -> None:
    """Wrap every user's key by a new sealing epoch and destroy the ones before. Requests go on meanwhile."""
    with _work(tools) as work:
        done = work.new_epoch()
    if as_json:
        line(done)
    else:
        say(f"sealing epoch {done.epoch}: {done.rewrapped} keys wrapped, epochs destroyed: {done.destroyed}")
