"""Filling a database with invented users, so that there is something to look at, to measure and to break."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec


class ForeignUsers(Exception):
    """The database holds users whom the seeding did not invent."""

    def __init__(self) -> None:
        super().__init__(
            "This database holds users who were not invented: with invented ones among them, nobody would "
            "know whose accounts are real. Seed a database of its own, or say --force."
        )


class SeedWanted(msgspec.Struct, frozen=True, kw_only=True):
    """So many invented users with, on average, so many events each.

    The same seed always invents the same users with the same ids, names and events, and the first of many
    are the same as those of few.
    """

    users: int
    seed: int = 1
    events_per_user: int = 3
    force: bool = False


class SeedProgress(msgspec.Struct, frozen=True):
    """How many of the wanted users have their whole history by now, and how many events were appended."""

    users: int
    wanted: int
    events: int


class Seeded(msgspec.Struct, frozen=True, kw_only=True):
    """What a seeding did: users completed and those that were complete before; events are those appended now.

    `taken` counts those who could not be made because somebody else holds their email or username.
    Everybody's secret is `secret`; `admin` is the email of an admin among them.
    """

    users: int
    already: int
    taken: int
    events: int
    seconds: float
    admin: str
    secret: str


class Seeding(Protocol):
    def seed(self, wanted: SeedWanted, progress: Callable[[SeedProgress], None]) -> Seeded:
        """Append the histories of invented users, those that are not there yet. Raises ForeignUsers."""
