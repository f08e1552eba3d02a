"""Accounts as they come from elsewhere, and what the log holds of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import bcrypt
import msgspec

from application.import_runs import Brought, ImportWanted, Settled
from application.importing import Account, Offered
from application.ports import Recorded
from domain.events import Imported
from infrastructure.importing.bringing import bring
from infrastructure.standing import open_keys
from tests.support.databases import ROOT_KEY, standing
from tests.support.truth import read_log

SECRET = "correct horse battery staple"
BCRYPT = bcrypt.hashpw(SECRET.encode(), b"$2b$04$abcdefghijklmnopqrstuu").decode()


def row(number: int, **changes: Any) -> dict[str, Any]:
    """One row of the documented format, as JSON would hold it."""
    return {
        "id": str(UUID(int=number + 1, version=4)),
        "email": f"user{number}@example.com",
        "username": f"user{number}",
        "created_at": "2021-03-04T05:06:07.000008Z",
        "secret_hash": BCRYPT,
    } | changes


def ndjson(rows: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in rows)


def written(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_bytes(ndjson(rows))
    return path


class Rows:
    """A source of rows that are in memory already. Implements Source."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self._rows = rows
        self.size = len(rows)

    def offered(self, after: int = 0) -> Iterator[Offered]:
        for place, each in enumerate(self._rows, start=1):
            if place > after:
                yield Offered(place=place, account=msgspec.convert(each, Account))


class Run:
    """What a run did: its sums, and what became of each row."""

    def __init__(self, brought: Brought, settled: list[Settled]) -> None:
        self.brought = brought
        self.settled = settled

    @property
    def codes(self) -> list[str]:
        """The code of each row that was refused, the outcome of every other."""
        return [each.code or each.outcome for each in self.settled]


async def brought(
    conninfo: str, rows: Sequence[dict[str, Any]], *, dry_run: bool = False, rate: int | None = None
) -> Run:
    """Bring rows in, or rehearse it."""
    settled: list[Settled] = []
    wanted = ImportWanted(dry_run=dry_run, rate=rate)
    done = await bring(
        conninfo, open_keys(standing(conninfo)), Rows(rows), wanted, lambda offered, one: settled.append(one)
    )
    return Run(done, settled)


async def imports_in(conninfo: str) -> dict[UUID, Imported]:
    """The accounts that a log holds; each came once, and nothing else happened to it."""
    found: dict[UUID, Imported] = {}
    for recorded in await read_log(conninfo, ROOT_KEY):
        assert isinstance(recorded, Recorded)
        assert isinstance(recorded.event, Imported)
        assert recorded.user_id not in found
        found[recorded.user_id] = recorded.event
    return found
