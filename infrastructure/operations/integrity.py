"""What operators ask about the log itself, over the servers of a service or over its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg

from application.integrity import Accepted, CheckpointRow, LogVerified, RestoreView, Walked
from infrastructure.integrity.acceptance import Restore
from infrastructure.integrity.checkpoint import CheckpointInvalid, key_of, verified
from infrastructure.integrity.file import CheckpointFile, file_of
from infrastructure.integrity.verification import Walk
from infrastructure.integrity.witnesses import Witnesses
from infrastructure.nats.configured import access_of
from infrastructure.settings import Settings
from infrastructure.standing import Keys, Standing

_ALL = "SELECT number, checkpoint FROM log_checkpoints ORDER BY number"


class PostgresIntegrityOperations:
    """Implements the port IntegrityOperations."""

    def __init__(self, standing: Standing, settings: Settings, keys: Keys) -> None:
        self._standing = standing
        self._keys = keys
        self._file = file_of(settings)
        self._access = access_of(settings)

    def verify(
        self, checkpoints: Path | None, rate: int | None, progress: Callable[[Walked], None]
    ) -> LogVerified:
        file = CheckpointFile(checkpoints) if checkpoints else self._file
        kid = key_of(self._keys.keyring).kid
        with psycopg.connect(self._standing.direct, autocommit=True) as connection:
            witnesses = Witnesses(connection, file if file.exists else None, kid)
            return Walk(connection, witnesses, rate=rate, progress=progress).verify()

    def checkpoints(self) -> Sequence[CheckpointRow]:
        with psycopg.connect(self._standing.direct, autocommit=True) as connection:
            rows = connection.execute(_ALL).fetchall()
        return [row for _, text in rows if (row := _shown(text))]

    def restored(self) -> RestoreView:
        return self._restore().view()

    def accept(self, reason: str, progress: Callable[[str], None]) -> Accepted:
        return self._restore().accept(reason, progress)

    def _restore(self) -> Restore:
        return Restore(self._standing, self._keys, self._file, self._access)


def _shown(text: str) -> CheckpointRow | None:
    try:
        signed = verified(text)
    except CheckpointInvalid:
        return None
    checkpoint, restored = signed.checkpoint, signed.checkpoint.restored
    return CheckpointRow(
        number=checkpoint.number,
        position=checkpoint.position,
        at=checkpoint.at,
        hash=checkpoint.hash,
        key=signed.kid,
        restored=f"a log that had come to {restored.lost_until} went on from here: {restored.reason}"
        if restored
        else "",
    )
