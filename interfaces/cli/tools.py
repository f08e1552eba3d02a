"""What the command line needs of the service: implemented where everything is wired."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import msgspec

from application.clients import ClientAdministration
from application.erasures import ErasureOperations
from application.exporting import Exports
from application.import_runs import Imports
from application.integrity import IntegrityOperations
from application.key_operations import KeyOperations
from application.operations import Operations
from application.replaying import Replays
from application.seeding import Seeding
from application.statistics import Statistics


class CommandFailed(Exception):
    """A command cannot go on; the text is for the operator, the code for a script."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Shown(msgspec.Struct, frozen=True):
    """A setting: its variable, its value with secrets masked, where it comes from, what it is for."""

    name: str
    value: str
    source: str
    help: str


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What became of asking one role at its address (`host:port`) whether it is ready."""

    role: str
    address: str
    answers: bool
    ready: bool
    says: str


class Telemetry(msgspec.Struct, frozen=True, kw_only=True):
    """The daily message as JSON, who would get it, and why it is withheld; empty where it is not."""

    message: str
    to: str
    withheld: str


class Healths(Protocol):
    """What `usersd health` needs, and it alone: neither a database nor most of the settings."""

    def health(self, role: str | None) -> Sequence[Heard]:
        """What a role of this machine, or each that answers, says of itself. Raises CommandFailed."""


class Tools(Healths, Protocol):
    """Each raises CommandFailed."""

    def settings(self) -> tuple[Sequence[Shown], Sequence[str]]:
        """The settings and the warnings about them."""

    def serve(self, role: str, say: Callable[[str], None]) -> None:
        """Do the work of a role (run, api, projector, relay, mailer, sweeper) until a signal ends it."""

    def migrate(self, say: Callable[[str], None]) -> None:
        """Bring the database to the shape of this version."""

    def keys(self) -> AbstractContextManager[KeyOperations]:
        """What operators look after keys with, on the same servers."""

    def root_key_in(self, file: Path) -> bytes:
        """The root key that a file holds."""

    def clients(self) -> AbstractContextManager[ClientAdministration]:
        """The service accounts."""

    def erasures(self) -> AbstractContextManager[ErasureOperations]:
        """What operators end accounts with, on the same servers."""

    def exports(self, *, create: bool) -> AbstractContextManager[Exports]:
        """What takes accounts and the log out and brings a log in, on the same servers; `create` makes them
        where there are none yet."""

    def seeding(self) -> AbstractContextManager[Seeding]:
        """What fills a database with invented users, made where there is none yet."""

    def imports(self) -> AbstractContextManager[Imports]:
        """What brings accounts in from elsewhere, into a database that is made where there is none yet."""

    def integrity(self) -> AbstractContextManager[IntegrityOperations]:
        """What operators look after the log itself with, on the same servers."""

    def telemetry(self) -> Telemetry:
        """What would be sent of this installation, without sending it."""

    def statistics(self) -> AbstractContextManager[Statistics]:
        """What there is to say about the users as a whole."""

    def operations(self) -> AbstractContextManager[Operations]:
        """What operators work with, on the servers of a running service or on those of the settings."""

    def replays(self) -> AbstractContextManager[Replays]:
        """What tells one consumer again what the log holds, on the same servers."""
