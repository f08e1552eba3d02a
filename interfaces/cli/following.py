"""`usersd import --follow`: goes on with what changes in the other service until the switch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import rich_click as click

from application.following import CannotFollow, Followed, FollowWanted
from application.importing import SourceLost
from domain.errors import Refusal, Unavailable
from interfaces.cli.output import TRY_AGAIN, fail, line, say
from interfaces.cli.tools import Tools

F = TypeVar("F", bound=Callable[..., None])

NOT_WITH = ("form", "parameters", "dry_run", "report", "rejects", "rate")
SECONDS = click.FloatRange(0.1, 86_400)


def with_following(command: F) -> F:
    """Give a command that imports the options with which it follows instead."""

    @click.option("--follow", is_flag=True, help="Take what changes in the database too, until the switch.")
    @click.option(
        "--every",
        default=5.0,
        show_default=True,
        type=SECONDS,
        help="With --follow: seconds between two looks.",
    )
    @click.option(
        "--until-quiet", type=SECONDS, help="With --follow: end when nothing has changed for so many seconds."
    )
    @click.option(
        "--anew", is_flag=True, help="With --follow: first compare every account, not only what changed."
    )
    @functools.wraps(command)
    def either(
        tools: Tools, *, follow: bool, every: float, until_quiet: float | None, anew: bool, **asked: Any
    ) -> None:
        if not follow:
            if anew or until_quiet is not None:
                raise click.UsageError("--until-quiet and --anew are for --follow.")
            command(tools, **asked)
            return
        if not asked["place"].startswith(("postgres://", "postgresql://")) or not asked["dialect"]:
            raise click.UsageError("What can be followed is a database, with its --dialect.")
        if any(asked.get(option) for option in NOT_WITH):
            raise click.UsageError(
                "--follow goes with --from, --dialect, --every, --until-quiet, --anew, --json."
            )
        wanted = FollowWanted(
            dsn=asked["place"], dialect=asked["dialect"], every=every, until_quiet=until_quiet, anew=anew
        )
        _follow(tools, wanted, as_json=asked["as_json"])

    return either  # type: ignore[return-value]


def _follow(tools: Tools, wanted: FollowWanted, *, as_json: bool) -> None:
    told = _Told()
    with tools.imports() as work:
        try:
            done = work.follow(wanted, lambda notice: say(f"left: {notice.id}: {notice.why}"), told.hear)
        except CannotFollow as error:
            fail(error)
        except SourceLost as error:
            fail(error, TRY_AGAIN)
        except Unavailable as error:
            fail(f"{error.text} What was taken stays: run the same command again, and it goes on.", TRY_AGAIN)
        except Refusal as error:
            fail(error.text)
    if as_json:
        line(done)
    else:
        say(f"the end: {_sentence(done)}")
    if done.left:
        raise SystemExit(1)


class _Told:
    """Says how far it is when the first comparison is done, and whenever something has come."""

    def __init__(self) -> None:
        self._last: tuple[int, int, int] | None = None

    def hear(self, count: Followed) -> None:
        now = (count.imported, count.changed, count.closed)
        if now != self._last:
            self._last = now
            say(_sentence(count))


def _sentence(count: Followed) -> str:
    came = f"{count.imported:,} imported, {count.changed:,} changed, {count.closed:,} closed"
    return f"{came}, {count.left:,} left as they are"
