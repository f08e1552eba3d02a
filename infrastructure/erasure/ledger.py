"""The ledger outside the database: who was erased and when, so that a restored backup can be told again.

A file of JSON lines that is only ever appended to. It holds ids and times and nothing else.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec

from infrastructure.durable import flush_folder, separator

FILE = "erasure-ledger.ndjson"


class Entry(msgspec.Struct, frozen=True):
    """One line: whose key was destroyed, and when."""

    user_id: UUID
    requested_at: datetime


class LedgerUnusable(Exception):
    """The file cannot be read or written; the text says which and why."""


class Ledger:
    """The file at a path; several processes of one machine may append to it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, entry: Entry) -> None:
        """Append an entry and return once it is on disk; it may stand there twice. Raises LedgerUnusable."""
        try:
            new = not self.path.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, separator(descriptor) + msgspec.json.encode(entry) + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if new:
                flush_folder(self.path.parent)
        except OSError as error:
            raise LedgerUnusable(f"{self.path} cannot be written: {error.strerror}") from None

    def entries(self) -> tuple[dict[UUID, datetime], int]:
        """Everybody who stands in it, and how many lines cannot be read. Raises LedgerUnusable."""
        found: dict[UUID, datetime] = {}
        torn = 0
        try:
            lines = self.path.read_bytes().splitlines() if self.path.exists() else []
        except OSError as error:
            raise LedgerUnusable(f"{self.path} cannot be read: {error.strerror}") from None
        for line in lines:
            try:
                entry = msgspec.json.decode(line, type=Entry)
            except ValueError:
                torn += bool(line.strip())
                continue
            found.setdefault(entry.user_id, entry.requested_at)
        return found, torn
