"""Runs that bring accounts in: what is asked for, what became of each row, and what of them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from application.following import Following
from application.importing import Offered, Source
from domain.errors import Fault
from domain.events import Dialect, Event, Imported
from domain.values import user_id

SHOWN = 20
"""Places that are named for each reason; the report names them all."""

Code = Literal["unreadable", "invalid", "email_taken", "username_taken", "id_taken", "changed", "erased"]

Outcome = Literal["imported", "would_import", "already", "refused"]

MEANINGS: Mapping[Code, str] = {
    "unreadable": "The row cannot be read.",
    "invalid": "The row can be read, and its account cannot be kept as it is.",
    "email_taken": "Another account has the email, perhaps in another spelling.",
    "username_taken": "Another account has the username, perhaps in another spelling.",
    "id_taken": "An account that was registered here has the id.",
    "changed": "The id was imported before with other content; what was imported then stays as it is.",
    "erased": "The account with this id was here and has been erased; it is not brought back.",
}


_POINTERS: Mapping[Code, str] = {
    "email_taken": "/email",
    "username_taken": "/username",
    "id_taken": "/id",
    "changed": "/id",
    "erased": "/id",
}

MAX_DISTINCT = 100
"""Reasons and names that are told apart; a broken file must not fill the memory with them."""


class Settled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one row, or would become of it: a line of the report, which holds no personal data.

    `would_import` is a dry run's `imported`; `already` was imported before, by another run or an earlier row.
    """

    place: int
    outcome: Outcome
    id: UUID | None = None
    code: Code | None = None
    faults: tuple[Fault, ...] = ()
    unkept: tuple[str, ...] = ()


class Reason(msgspec.Struct, kw_only=True):
    """How many rows were kept out for one reason at one field, and the first places."""

    code: Code
    pointer: str
    text: str
    rows: int = 0
    places: list[int] = []


class Brought(msgspec.Struct, kw_only=True):
    """What a run did to every row it came to. `stopped` says that it was ended before the last one."""

    rows: int = 0
    imported: int = 0
    already: int = 0
    refused: int = 0
    seconds: float = 0.0
    last_place: int = 0
    stopped: bool = False
    dry_run: bool = False
    reasons: dict[str, Reason] = {}
    unkept: dict[str, int] = {}
    """How many rows had a key that no account keeps."""

    def count(self, settled: Settled) -> None:
        """Count one more row."""
        self.rows += 1
        self.last_place = settled.place
        if settled.outcome == "already":
            self.already += 1
        elif settled.outcome == "refused":
            self.refused += 1
            self._explain(settled)
        else:
            self.imported += 1
        for name in settled.unkept:
            if name in self.unkept or len(self.unkept) < MAX_DISTINCT:
                self.unkept[name] = self.unkept.get(name, 0) + 1

    def _explain(self, settled: Settled) -> None:
        assert settled.code is not None
        for fault in settled.faults:
            # The number of an element says nothing about the reason, and there may be many.
            pointer = "/".join(fault.pointer.split("/")[:2])
            key = f"{settled.code} {pointer} {fault.message}"
            if key not in self.reasons and len(self.reasons) >= MAX_DISTINCT:
                key, text = f"{settled.code} …", MEANINGS[settled.code]
            else:
                text = fault.message
            reason = self.reasons.setdefault(key, Reason(code=settled.code, pointer=pointer, text=text))
            reason.rows += 1
            if len(reason.places) < SHOWN:
                reason.places.append(settled.place)


Form = Literal["ndjson", "csv", "keycloak", "firebase"]
"""What a file holds: the documented format in one of two ways, or what another service exports."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where accounts are read: `place` is a path, `-` for standard input, or a DSN where there is no form.

    `parameters` names the file with what it takes to check the hashes of a Firebase project.
    """

    place: str
    form: Form | None = None
    dialect: Dialect | None = None
    parameters: Path | None = None

    @property
    def is_file(self) -> bool:
        """Whether it is a file that can be read again."""
        return self.form is not None and self.place != "-"


class ImportWanted(msgspec.Struct, frozen=True, kw_only=True):
    """How to bring in what a source offers: at most `rate` of them a second; or only see what would come."""

    dry_run: bool = False
    rate: int | None = None


class UnfitSource(Exception):
    """Nothing of a source can be read; the text says what is wrong with it and what to do."""


Heard = Callable[[Offered, Settled], None]
"""Hears what became of each row, in the order of the source."""


class Imports(Following, Protocol):
    def source(self, place: Place) -> Source:
        """What is read there. Raises UnfitSource where nothing of it can be."""

    def bring(
        self, source: Source, wanted: ImportWanted, heard: Heard, progress: Callable[[int], None]
    ) -> Brought:
        """Bring in every account that is not there yet, until the end of the source or until a signal.

        `progress` hears how many rows are done. Killed at any point, the next run goes on: nothing comes
        twice. Raises SourceLost, Unavailable.
        """


def against_first(account: Imported, first: Event) -> Code | None:
    """Why an account cannot come whose id has a history, or None where that began with this very account.

    When something was imported, and by whom, is no part of what was imported.
    """
    if not isinstance(first, Imported):
        return "id_taken"
    same = msgspec.structs.replace(first, at=account.at, by=account.by)
    return None if same == account else "changed"


def settled(offered: Offered, outcome: Outcome) -> Settled:
    """That nothing keeps a row out."""
    account = offered.account
    return Settled(
        place=offered.place, outcome=outcome, id=account.id if account else None, unkept=offered.unkept
    )


def refused(offered: Offered, code: Code, *faults: Fault) -> Settled:
    """That a row is kept out."""
    account = offered.account
    return Settled(
        place=offered.place,
        outcome="refused",
        id=account.id if account else user_id(offered.key),
        code=code,
        faults=faults or (Fault(_POINTERS.get(code, ""), MEANINGS[code]),),
        unkept=offered.unkept,
    )
