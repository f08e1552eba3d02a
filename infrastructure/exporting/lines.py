"""The canonical form of a log in a file: one JSON object a line, in a fixed order, marked by the last line.

docs/EXPORT.md has the form for people. What may change about it, and how, says the version of the header.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, BinaryIO
from uuid import UUID

import msgspec

from application.exporting import ExportRefused
from infrastructure.exporting.sealing import ExportKey

FORMAT = "usersd-log"
VERSION = 1
LONGEST = 1 << 26
"""Bytes of a line; no event comes near it."""


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """One line. The fields stand in it in the order in which they stand here."""


class Counts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many lines of each kind there are."""

    signers: int
    events: int
    users: int
    erasures: int
    clients: int
    checkpoints: int
    discarded: int


class Header(Line, frozen=True, kw_only=True, tag="log"):
    """The first line: `key` is the id of the export's key, `hash` the rolling hash over all events, in hex.

    `checkpoint_key` is the sealed key that signs checkpoints. `first_admin` is who has ever been the first,
    and `closed_epoch` the newest sealing epoch that had wrapped a key which was destroyed, 0 for none.
    """

    format: str
    version: int
    key: str
    position: int
    hash: str
    counts: Counts
    first_admin: UUID | None
    closed_epoch: int
    checkpoint_key: bytes


class SignerLine(Line, frozen=True, kw_only=True, tag="signer"):
    """A key id (RFC 7638) that has signed certificates which come along."""

    kid: str


class EventLine(Line, frozen=True, kw_only=True, tag="event"):
    """A row of `events`, as it is."""

    position: int
    stream_id: UUID
    version: int
    name: str
    state: bytes
    prev_hash: bytes | None
    hash: bytes


class UserLine(Line, frozen=True, kw_only=True, tag="user"):
    """A user's key and credentials; both secrets are sealed. Without a key the user is forgotten.

    `key_epoch` is the sealing epoch that had wrapped a key that was destroyed; others are wrapped anew.
    """

    user_id: UUID
    key: bytes | None
    key_epoch: int | None
    destroyed_at: datetime | None
    secret_hash: bytes | None
    epoch: int
    status: str
    role: str
    verified: bool
    since: datetime
    changed: int | None
    changed_at: datetime | None


class ErasureLine(Line, frozen=True, kw_only=True, tag="erasure"):
    """A row of `erasures`, as it is."""

    user_id: UUID
    position: int
    requested_at: datetime
    key_epoch: int
    noted_at: datetime | None
    removed: dict[str, int]
    messages: int
    cleared: list[str]
    cleared_at: datetime | None
    certificate: str | None
    certified_at: datetime | None


class ClientLine(Line, frozen=True, kw_only=True, tag="client"):
    """A row of `clients`: a service account; its hashes are sealed."""

    id: UUID
    name: str
    scopes: list[str]
    secret_hash: bytes
    previous_hash: bytes | None
    previous_until: datetime | None
    created_at: datetime
    rotated_at: datetime | None
    revoked_at: datetime | None


class CheckpointLine(Line, frozen=True, kw_only=True, tag="checkpoint"):
    """A row of `log_checkpoints`, as it is."""

    number: int
    checkpoint: str


class DiscardedLine(Line, frozen=True, kw_only=True, tag="discarded"):
    """A row of `discarded_events`, as it is."""

    projection: str
    version: int
    position: int
    user_id: UUID
    event_version: int
    event_name: str
    reason: str
    by: str
    at: datetime


class End(Line, frozen=True, kw_only=True, tag="end"):
    """The last line: how many came before it, and HMAC-SHA256 over all their bytes, in hex."""

    lines: int
    mark: str


Body = SignerLine | EventLine | UserLine | ErasureLine | ClientLine | CheckpointLine | DiscardedLine

IN_ORDER: dict[type[Body], str] = {
    SignerLine: "signers",
    EventLine: "events",
    UserLine: "users",
    ErasureLine: "erasures",
    ClientLine: "clients",
    CheckpointLine: "checkpoints",
    DiscardedLine: "discarded",
}
"""The kinds of lines between the first and the last, in the order of the file, as the counts call them."""


class _Claimed(msgspec.Struct, frozen=True):
    """What is looked at before anything else, because another version may have other fields."""

    format: str
    version: int


encode = msgspec.json.Encoder(order="deterministic").encode
decode = msgspec.json.Decoder(Header | Body | End).decode


class Writer:
    """Writes lines and remembers what the last one needs."""

    def __init__(self, file: BinaryIO, key: ExportKey) -> None:
        self._file = file
        self._mark = key.mark()
        self.lines = 0

    def put(self, line: Header | Body) -> None:
        written = encode(line) + b"\n"
        self._file.write(written)
        self._mark.update(written)
        self.lines += 1

    def end(self) -> None:
        self._file.write(encode(End(lines=self.lines, mark=self._mark.hexdigest())) + b"\n")


class Reader:
    """Reads lines; only when all have come and none was refused is the file what was written.

    `header` is to be asked for first. Every method raises ExportRefused.
    """

    def __init__(self, file: BinaryIO, key: ExportKey, name: str) -> None:
        self._file = file
        self._key = key
        self._mark = key.mark()
        self._name = name
        self._lines = 0

    def header(self) -> Header:
        raw = self._raw()
        try:
            claimed = msgspec.json.decode(raw, type=_Claimed)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            claimed = None
        if claimed is None or claimed.format != FORMAT:
            raise ExportRefused(f"{self._name} is no export of a log: its first line does not say so.")
        if claimed.version != VERSION:
            raise ExportRefused(
                f"{self._name} is of version {claimed.version} of the form, and this usersd reads version "
                f"{VERSION}: import it with the usersd that wrote it, or with a newer one."
            )
        header = self._decoded(raw)
        if not isinstance(header, Header):
            raise self._altered()
        if header.key != self._key.id:
            raise ExportRefused(
                f"{self._name} is sealed under another key: its id is {header.key}, and that of the key "
                f"given is {self._key.id}. Name the key file that was written beside it."
            )
        self._note(raw)
        return header

    def body(self) -> Iterator[Body]:
        """Every line up to the last; with the last of them the mark was compared."""
        order = list(IN_ORDER)
        place = 0
        while not isinstance(line := self._decoded(raw := self._raw()), End):
            if isinstance(line, Header) or (found := order.index(type(line))) < place:
                raise self._altered()
            place = found
            self._note(raw)
            yield line
        if line.lines != self._lines or line.mark != self._mark.hexdigest() or self._file.read(1):
            raise ExportRefused(
                f"{self._name} is not what was written: it was altered, or lines were added to it or taken "
                "from it. Take another copy."
            )

    def _raw(self) -> bytes:
        raw = self._file.readline(LONGEST)
        if raw.endswith(b"\n"):
            return raw
        raise ExportRefused(
            f"{self._name} is not whole: it ends in line {self._lines + 1}, before the line that ends an "
            "export. Take another copy."
        )

    def _decoded(self, raw: bytes) -> Any:
        try:
            return decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise self._altered() from None

    def _note(self, raw: bytes) -> None:
        self._mark.update(raw)
        self._lines += 1

    def _altered(self) -> ExportRefused:
        return ExportRefused(
            f"Line {self._lines + 1} of {self._name} is not what an export has there: the file was altered. "
            "Take another copy."
        )
