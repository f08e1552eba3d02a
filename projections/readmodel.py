"""What a read model is: a shape of its own, a pure fold per user, and one statement that writes a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Protocol
from uuid import UUID

import msgspec
import psycopg

from application.ports import Recorded, Unreadable

PageTrace = Callable[[str, Sequence[Recorded | Unreadable]], Callable[[], None] | None]
"""Begins the span of what is done with a page; answers with what ends it, None where nothing is traced."""


Statement = tuple[bytes, Sequence[Any]]
"""A statement and its parameters."""


class Discarded(msgspec.Struct, frozen=True, kw_only=True):
    """Stands for an event that a read model goes on without, by an operator's decision at `at`.

    It brings the user to its version, whatever came before, and changes nothing else.
    """

    position: int
    user_id: UUID
    version: int
    name: str
    at: datetime
    forgotten: ClassVar[bool] = False


class LogPages(Protocol):
    """Reads the log in order."""

    async def read(
        self, connection: psycopg.AsyncConnection, after: int, limit: int, until: int = ...
    ) -> Sequence[Recorded | Unreadable]: ...

    async def read_part(
        self, connection: psycopg.AsyncConnection, after: int, until: int, number: int, count: int
    ) -> Sequence[Recorded | Unreadable]:
        """The events after a position and up to another whose users are of a part, in order.

        A part is what a hash of the user's id leaves, divided by `count`.
        """

    async def read_streams(
        self, connection: psycopg.AsyncConnection, user_ids: Sequence[UUID]
    ) -> Mapping[UUID, Sequence[Recorded | Unreadable]]:
        """Every event of some users, in order, by user."""


class ReadModel(Protocol):
    """One read model. Its tables are named `<name>_v<version>_g<generation>`; `version` is of its shape.

    The view `<name>_v<version>` shows the live generation, so that readers need not know which it is.
    `key` is the column of the user's id. A read model that keeps more than one table names the others in
    `also`: `totals` stands for the table `<name>_v<version>_g<generation>_totals` and its view.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    key: ClassVar[str]
    also: ClassVar[Sequence[str]]

    def table(self, name: str) -> str:
        """The SQL that makes the tables, empty, with their primary keys."""

    def indexes(self, name: str) -> Sequence[str]:
        """The SQL of every other index; a rebuild runs it when the rows are in."""

    async def load(
        self,
        connection: psycopg.AsyncConnection,
        table: str,
        events: Mapping[UUID, Sequence[Recorded | Discarded]],
    ) -> Mapping[UUID, Any]:
        """The present state of those users of a page for whom the fold needs it."""

    def fold(self, user_id: UUID, state: Any, events: Sequence[Recorded | Discarded]) -> Any:
        """What a page means for one user: pure, so that what raises here is known to be their fault."""

    async def write(self, connection: psycopg.AsyncConnection, table: str, changes: Sequence[Any]) -> None:
        """Write what the folds returned; applying the same page twice changes nothing."""

    def statement(self, table: str, changes: Sequence[Any]) -> Statement | None:
        """The one INSERT, UPDATE or DELETE that does what `write` would; None where it takes more or less."""

    async def copy(self, connection: psycopg.AsyncConnection, table: str, changes: Sequence[Any]) -> None:
        """As `write`, and much faster, for users of whom the table is certain to hold nothing yet."""

    def disagreement(self, table: str) -> str:
        """The SQL that shows where the further tables do not agree with the first; '' where there are none.

        It answers one row with a text for each place.
        """


class Gap(Exception):
    """A version of a stream is missing between what the read model has and what comes next."""


def table_name(model: ReadModel, generation: int) -> str:
    return f"{model.name}_v{model.version}_g{generation}"


def view_name(model: ReadModel) -> str:
    return f"{model.name}_v{model.version}"


def suffixes(model: ReadModel) -> Sequence[str]:
    """What follows the name of a generation in the names of its tables, and that of the view in its views."""
    return ["", *(f"_{suffix}" for suffix in model.also)]
