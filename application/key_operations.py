"""What operators ask for and have done about keys: those that sign tokens, and the root key."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

KEYS_FRESH = timedelta(minutes=15)
KEYS_STALE = timedelta(minutes=1)
KEYS_CACHED_FOR = KEYS_FRESH + KEYS_STALE
"""For how long whoever keeps to our words may go on with the keys that they were shown."""


class KeyRefused(Exception):
    """What was asked for would end something that should live; the text says what, and what to do."""


class TooEarly(KeyRefused):
    """The next key was published too recently to sign."""

    def __init__(self, wait: timedelta) -> None:
        self.wait = wait
        super().__init__(
            f"The next key may sign in {_minutes(wait)}: until then others who check tokens may not know it. "
            "Try again then, or with --now, if tokens that some refuse until then are the lesser evil."
        )


class SigningKeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A key that signs, will sign, or has signed; `tokens_until` is when the last of its tokens ends."""

    kid: str
    algorithm: str
    state: str
    published: datetime
    signs_since: datetime | None
    signed_until: datetime | None
    may_sign_from: datetime | None
    tokens_until: datetime | None


class Rewrapped(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the root key: how many keys it wraps now, and the file that holds it, if one does."""

    keys: int
    file: str | None = None


class KeyOperations(Protocol):
    """Operators' work on the keys, with or without a service running."""

    def list(self) -> Sequence[SigningKeyRow]: ...

    def rotate(self, *, now: bool) -> SigningKeyRow:
        """Let the next key sign, make another next one, and answer with the one that signs.

        Raises TooEarly, KeyRefused.
        """

    def retire(self, kid: str, *, force: bool) -> None:
        """Let go of a key and of the tokens it has signed. Raises KeyRefused."""

    def rewrap(self, new_root: bytes | None) -> Rewrapped:
        """Replace the root key, by a new random one where the service keeps it in a file of its own.

        Raises KeyRefused, also while a service runs.
        """


def _minutes(wait: timedelta) -> str:
    minutes, seconds = divmod(max(1, round(wait.total_seconds())), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
