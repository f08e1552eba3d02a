"""What operators take out of the service and bring into it, over the servers of a service or over its own."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from application.exporting import AccountsExported, ExportRefused, LogExported, LogImported, Moved
from infrastructure.erasure.wiring import ledger_of
from infrastructure.exporting.accounts import AccountsOut, unwritten
from infrastructure.exporting.lines import Writer
from infrastructure.exporting.log_in import LogIn, opened
from infrastructure.exporting.log_out import LogOut
from infrastructure.exporting.private_file import private_file
from infrastructure.exporting.sealing import key_in, read_key
from infrastructure.integrity.file import file_of
from infrastructure.rebuilding import SpawnedWorkers
from infrastructure.settings import Settings
from infrastructure.standing import Standing, open_keys
from projections.catalogue import READ_MODELS
from projections.rebuild import rebuild


class PostgresExports:
    """Implements the port Exports."""

    def __init__(self, standing: Standing, settings: Settings) -> None:
        self._standing = standing
        self._settings = settings

    def accounts(self, to: Path | None, moved: Moved, *, with_hashes: bool) -> AccountsExported:
        keys = open_keys(self._standing)
        out = AccountsOut(self._standing.direct, keys.reader, with_hashes=with_hashes)
        if to is not None:
            with private_file(to) as file:
                return out.write(file, moved)
        try:
            done = out.write(sys.stdout.buffer, moved)
            sys.stdout.buffer.flush()
        except OSError as error:
            raise unwritten(error) from None
        return done

    def export_log(self, to: Path, key_file: Path | None, moved: Moved) -> LogExported:
        keys = open_keys(self._standing)
        chosen = key_file or to.with_name(f"{to.name}.key")
        if chosen.resolve() == to.resolve():
            raise ExportRefused(f"{to} cannot be the export and its key: name another file for one of them.")
        key, made = key_in(chosen)
        with private_file(to) as file:
            out = LogOut(self._standing.direct, keys.reader, keys.keyring, key)
            header = out.write(Writer(file, key), moved)
        return LogExported(
            events=header.position,
            users=header.counts.users,
            hash=header.hash,
            key_file=chosen,
            key_made=made,
        )

    def import_log(self, source: Path, key_file: Path, moved: Moved) -> LogImported:
        keys, key = open_keys(self._standing), read_key(key_file)
        ground = self._standing.direct
        into = LogIn(ground, keys.reader, keys.keyring, file_of(self._settings), ledger_of(self._settings))
        with opened(source) as file:
            done = into.read(file, key, str(source), moved)
        if done.events:
            self._build_read_models(moved)
        return done

    def _build_read_models(self, moved: Moved) -> None:
        # The keyring is another one since the log came in.
        reader = open_keys(self._standing).reader
        for model in READ_MODELS:
            workers = SpawnedWorkers(self._standing)
            asyncio.run(rebuild(model, reader, self._standing.direct, moved, workers=workers))
