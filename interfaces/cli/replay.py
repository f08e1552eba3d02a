"""`usersd events replay`: tell one consumer again what the log holds."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import rich_click as click

from application.replaying import Replay, ReplayStopped, UnfitPosition, UnfitSubject
from interfaces.cli.output import TRY_AGAIN, USAGE, fail, line, say
from interfaces.cli.progress import bar
from interfaces.cli.tools import Tools


@click.command()
@click.option("--to", required=True, metavar="SUBJECT", help="The subject, which is the consumer's own.")
@click.option(
    "--from", "after", type=click.IntRange(min=0), default=0, show_default=True,
    help="Begin after this position: that of a feed, or that of a replay before.",
)  # fmt: skip
@click.option("--until", type=click.IntRange(min=0), help="End with this position; by default with the last.")
@click.option("--rate", type=click.IntRange(min=1), help="Publish at most so many messages a second.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def replay(tools: Tools, to: str, after: int, until: int | None, rate: int | None, as_json: bool) -> None:
    """Publish the messages of the log once more, in order, for one consumer; others notice nothing.

    They are what the stream USERS holds, with the same ids and positions, of users who are not erased: always
    CloudEvents, whatever MG_USERS_EVENTS_FORMAT says. Where a stream keeps SUBJECT, it acknowledges each of
    them; else they go to whoever is subscribed now. Stopped at any moment, it says from which position to go
    on.
    """
    wanted = Replay(to=to, after=after, until=until, rate=rate)
    reached = after
    with _interrupted_by_sigterm(), tools.replays() as work, bar("replaying") as moved:

        def noted(done: int, total: int) -> None:
            nonlocal reached
            reached = after + done
            moved(done, total)

        try:
            replayed = work.replay(wanted, noted)
        except (UnfitSubject, UnfitPosition) as error:
            fail(error, USAGE)
        except ReplayStopped as error:
            fail(error, TRY_AGAIN)
        except KeyboardInterrupt:
            fail(
                f"Stopped; everything up to position {reached} was told: go on with --from {reached}",
                TRY_AGAIN,
            )
    if as_json:
        line(replayed)
    kept = f"kept by the stream {replayed.stream}" if replayed.stream else "kept by no stream"
    say(f"{replayed.messages} messages up to position {replayed.position} told to {to}, {kept}")
    if replayed.known:
        say(
            f"{replayed.known} of them it did not store again: it was sent them within its duplicate_window. "
            "If they have gone from it since, repeat this once that has passed."
        )


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Whoever stops it otherwise than with Ctrl-C has to hear where it was, too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
