"""`usersd export`, and `usersd events export` and `import`: take accounts or the log out, bring a log in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rich_click as click

from application.exporting import ExportBusy, ExportRefused, Exports, Left
from application.operations import RebuildRunning, WorkerLost
from application.projections import NotProven
from interfaces.cli.events import events
from interfaces.cli.output import FAILURE, TRY_AGAIN, fail, say
from interfaces.cli.rebuilding import shown
from interfaces.cli.tools import Tools

NOT_BUILT = (
    "The log is in, whole and verified, and a read model was not built. `usersd projections rebuild` goes on "
    "with that, and so does a service that is started."
)

FILE = click.Path(dir_okay=False, path_type=Path)


@contextmanager
def _work(tools: Tools, *, create: bool = False) -> Iterator[Exports]:
    with tools.exports(create=create) as work:
        try:
            yield work
        except ExportRefused as refusal:
            fail(refusal, TRY_AGAIN if isinstance(refusal, ExportBusy) else FAILURE)


@click.command("export")
@click.option(
    "--to", "to", type=FILE, help="A file, private to its owner; standard output by default, or `-`."
)
@click.option("--with-hashes", is_flag=True, help="The hashes of secrets too, so that everybody can log in.")
@click.pass_obj
def export(tools: Tools, to: Path | None, with_hashes: bool) -> None:
    """Write every account as a line of NDJSON, in the form that `usersd import` reads.

    A service may go on meanwhile: what is written is what holds at one moment. It is personal data in clear.
    """
    chosen = None if to is None or str(to) == "-" else to
    with _work(tools) as work, shown("export") as moved:
        done = work.accounts(chosen, moved, with_hashes=with_hashes)
    say(f"{done.accounts} accounts, as the log has them at position {done.position}")
    if done.folded:
        say(f"{done.folded} were folded from the log, since their rows were not known to be up to date")
    if not with_hashes:
        say("Without the hashes of their secrets nobody of them can log in after an import until they have "
            "reset theirs by mail: --with-hashes takes the hashes along.")  # fmt: skip
    if done.left:
        _tell_of_left(done.left, done.more_left)
        raise SystemExit(FAILURE)


def _tell_of_left(left: list[Left], more: int) -> None:
    for each in left:
        say(f"user {each.user_id} is not among them: {each.reason}")
    if more:
        say(f"and {more} more")


@events.command("export")
@click.option("--to", "to", type=FILE, required=True, help="The file, private to its owner.")
@click.option("--key-file", type=FILE, help="The key that seals it: by default, and made there, FILE.key.")
@click.pass_obj
def export_log(tools: Tools, to: Path, key_file: Path | None) -> None:
    """Write the log in its canonical form, which `usersd events import` brings into an empty database.

    What is personal in it can only be read with its key, which never stands in it. A service may go on.
    """
    with _work(tools) as work, shown("export") as moved:
        done = work.export_log(to, key_file, moved)
    say(f"{done.events} events of {done.users} users; rolling hash: {done.hash}")
    made = "a new key" if done.key_made else "the key that was there"
    say(f"sealed under {made} in {done.key_file}: keep it apart from {to}, which is of no use without it")


@events.command("import")
@click.option("--from", "source", type=FILE, required=True, help="What `usersd events export` has written.")
@click.option("--key-file", type=FILE, required=True, help="The key that it is sealed under.")
@click.pass_obj
def import_log(tools: Tools, source: Path, key_file: Path) -> None:
    """Bring a log into an empty database, with no service running: all of it, or nothing.

    Cut short it leaves the database empty; it is begun anew then.
    """
    with _work(tools, create=True) as work, shown("import") as moved:
        try:
            done = work.import_log(source, key_file, moved)
        except (NotProven, RebuildRunning, WorkerLost) as error:
            fail(f"{NOT_BUILT}\n{error}")
    say(f"{done.events} events of {done.users} users; rolling hash: {done.hash}")
    say(f"with them: {done.erased} erasures, {done.clients} clients, {done.checkpoints} checkpoints")
    if done.newer:
        say(f"{done.newer} events are of a newer version: this one shows nothing that came after them")
    say("Everybody logs in again: no session comes along. Start the service.")
