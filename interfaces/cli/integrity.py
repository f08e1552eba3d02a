"""`usersd events verify` and `checkpoints`, and `usersd restore`: is this the log that was written?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rich_click as click

from application.integrity import IntegrityOperations, LogTorn, NotNow, RestoreView
from interfaces.cli.events import events
from interfaces.cli.output import DIVERGED, TRY_AGAIN, fail, line, say, show
from interfaces.cli.progress import bar
from interfaces.cli.tools import Tools

JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


@contextmanager
def _work(tools: Tools) -> Iterator[IntegrityOperations]:
    with tools.integrity() as work:
        try:
            yield work
        except LogTorn as error:
            fail(error, DIVERGED)
        except NotNow as error:
            fail(error, TRY_AGAIN)


@events.command()
@click.option(
    "--checkpoints",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of checkpoints, such as a copy kept elsewhere; by default that of the settings.",
)
@click.option("--rate", type=click.IntRange(min=1), help="Read at most so many events a second.")
@JSON
@click.pass_obj
def verify(tools: Tools, checkpoints: Path | None, rate: int | None, as_json: bool) -> None:
    """Walk the whole log: every hash, every chain, and every signed checkpoint. Exit code 1 on findings.

    A service may go on meanwhile.
    """
    with _work(tools) as work, bar("verifying") as moved:
        found = work.verify(checkpoints, rate, lambda walked: moved(walked.done, walked.total))
    if as_json:
        line(found)
    else:
        for finding in found.findings:
            named = finding.position is None or finding.kind == "missing"
            where = "" if named else f"position {finding.position}: "
            whose = f" (user {finding.user_id})" if finding.user_id else ""
            click.echo(f"{where}{finding.meaning}{whose}")
        if found.more:
            click.echo(f"and {found.more} more")
        for note in found.notes:
            say(f"note: {note}")
        void = f", {found.void} void since a restore was accepted" if found.void else ""
        say(f"{found.events} events, {found.checkpoints} checkpoints{void}; covered up to {found.covered}")
        say(f"rolling hash: {found.hash}")
        say("the log is what was written" if found.whole else f"findings: {len(found.findings) + found.more}")
    if not found.whole:
        raise SystemExit(1)


@events.command()
@JSON
@click.pass_obj
def checkpoints(tools: Tools, as_json: bool) -> None:
    """List the signed checkpoints of the database, the oldest first."""
    with _work(tools) as work:
        show(work.checkpoints(), as_json=as_json, empty="there is none yet")


@click.group()
def restore() -> None:
    """A log restored from a backup that is older than what was made from it: look at it, accept it."""


@restore.command("show")
@JSON
@click.pass_obj
def show_restore(tools: Tools, as_json: bool) -> None:
    """Show what is lost, and what accepting it would do. Exit code 65 where there is something."""
    with _work(tools) as work:
        found = work.restored()
    if as_json:
        line(found)
    else:
        _tell(found)
    if found.evidence:
        raise SystemExit(DIVERGED)


@restore.command()
@click.option("--reason", prompt=True, help="For the record: which backup, and why. No personal data.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@JSON
@click.pass_obj
def accept(tools: Tools, reason: str, yes: bool, as_json: bool) -> None:
    """Go on with the log as it is. What came after the backup is given up for good."""
    with _work(tools) as work:
        if not yes:
            _tell(work.restored())
            click.confirm("Give up what is lost, and go on with this log?", abort=True, err=True)
        done = work.accept(reason, say)
    if as_json:
        line(done)
        return
    say(f"The log goes on from position {done.head}; checkpoint {done.checkpoint} records it.")
    say("Start the service: whoever was erased since the backup is erased again before it answers anybody.")


def _tell(found: RestoreView) -> None:
    if not found.evidence:
        say(f"Nothing knows of more than this log holds: it ends at position {found.head}.")
        return
    say(f"The log ends at position {found.head}; up to {found.agrees_until} it is that of before.")
    for one in found.evidence:
        say(f"  - {one.says}")
    say("Lost for good: what users did in events that only the lost log had, new accounts and secrets too.")
    say("Not undone: mails that were sent, and what consumers made of messages they have received.")
    say("`usersd restore accept` would")
    say(f"  - overwrite {found.messages} messages in the stream that tell of events which are lost")
    say("  - let relays and the mailer go on from the end of this log, and tell the platform of all again")
    say(f"  - rebuild read models: {', '.join(found.rebuilds) or 'none'}")
    say(f"  - drop {found.mails} mails that follow from lost events")
    say(f"  - end all {found.sessions} sessions of the backup: everybody logs in again")
    say("  - sign a checkpoint that says so, and void those of the lost events")
