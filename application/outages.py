"""What a part that is tried again and again says of an outage: its cause once, how long it lasts, its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

REMINDED_EVERY = 60.0
"""Seconds between two lines on one outage, however often it is tried again."""


class Outage:
    """The outages of one part, in the log.

    `meaning` says what is amiss while one lasts, without a full stop: "nothing is heard of PostgreSQL".
    """

    def __init__(
        self,
        log: logging.Logger,
        meaning: str,
        *,
        level: int = logging.WARNING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._meaning = meaning
        self._level = level
        self._clock = clock
        self._began: float | None = None
        self._told = 0.0

    def goes_on(self, cause: str) -> None:
        """A try has failed: the first one is told with its cause, and once a minute that it lasts."""
        now = self._clock()
        if self._began is None:
            self._began = self._told = now
            self._log.log(self._level, "%s: %s. It is tried again until it works", self._meaning, cause)
        elif now - self._told >= REMINDED_EVERY:
            self._told = now
            self._log.log(self._level, "%s, for %.0f s now: %s", self._meaning, now - self._began, cause)

    def is_over(self) -> None:
        """A try has worked: told if one had failed."""
        if self._began is not None:
            lasted = self._clock() - self._began
            self._began = None
            # An end is as loud as its outage, up to a point: nobody is woken by it.
            self._log.log(min(self._level, logging.INFO), "over after %.1f s: %s", lasted, self._meaning)


def first_line(error: BaseException) -> str:
    """What a server or driver said of a lost connection, on one line; the kind of error if it said nothing.

    Only for errors of connections and servers: those of statements may quote what was written.
    """
    said = str(error).strip()
    return said.splitlines()[0] if said else type(error).__name__
