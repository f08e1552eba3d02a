"""Finds the root key: in the settings, or in the file that was made together with our own PostgreSQL."""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

import psycopg

from infrastructure.durable import flush_folder
from infrastructure.event_store.keyring import fingerprint_of
from infrastructure.settings import Settings

FILE = "root.key"
REPLACEMENT = "root.key.next"


class RootKeyMissing(Exception):
    """There is data that only a root key can open, and no root key; the text says what to do."""


def root_key(settings: Settings, conninfo: str) -> bytes:
    """The root key: 32 bytes. Made only for a database of our own that holds nothing yet.

    Raises RootKeyMissing.
    """
    if settings.root_key is not None:
        return settings.root_key.reveal()
    file = settings.data_dir / FILE
    FileOfRootKey(file).settle(conninfo)
    if not file.exists():
        if settings.postgres_conninfo() is not None:
            raise RootKeyMissing("MG_USERS_ROOT_KEY is needed with a PostgreSQL of your own.")
        if _was_used(conninfo):
            raise RootKeyMissing(
                f"{file} is gone, and the database beside it was made with it. Put the file back from your "
                "backup, or give its content as MG_USERS_ROOT_KEY; no other key opens this data."
            )
        _write_private(file, secrets.token_bytes(32).hex())
    return _read(file)


class FileOfRootKey:
    """The file that holds the root key of a database of our own, and how another key takes its place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next = path.with_name(REPLACEMENT)

    def prepare(self, key: bytes) -> None:
        """Have the next key on disk beside the present one."""
        _write_private(self._next, key.hex())

    def adopt(self, key: bytes) -> None:
        """Put the next key into the place of the present one, unless another process has done so."""
        if self._next.exists():
            self._next.rename(self.path)
            flush_folder(self.path.parent)
        if not self.path.exists() or _read(self.path) != key:
            _write_private(self.path, key.hex())

    def settle(self, conninfo: str) -> None:
        """Finish or undo a replacement that was interrupted; the database tells which of the two it was."""
        if not self._next.exists():
            return
        if not _was_used(conninfo):
            return
        with psycopg.connect(conninfo) as connection:
            # A replacement that is under way holds this row until its end, and only then there is an answer.
            row = connection.execute("SELECT fingerprint FROM root_key FOR UPDATE").fetchone()
            if row is None or not self._next.exists():
                return
            key = _read(self._next)
            if hmac.compare_digest(bytes(row[0]), fingerprint_of(key)):
                self.adopt(key)
            elif hmac.compare_digest(bytes(row[0]), fingerprint_of(_read(self.path))):
                self._next.unlink()


def file_of_root_key(settings: Settings) -> FileOfRootKey | None:
    """The file that the root key came from, where it is not the operator's to keep."""
    return FileOfRootKey(settings.data_dir / FILE) if settings.root_key is None else None


def _read(file: Path) -> bytes:
    try:
        key = bytes.fromhex(file.read_text("ascii").strip())
    except (OSError, ValueError) as error:
        raise RootKeyMissing(f"{file} cannot be read as a root key: {type(error).__name__}.") from None
    if len(key) != 32:
        raise RootKeyMissing(f"{file} does not hold a root key, which is 64 hexadecimal digits.")
    return key


def _was_used(conninfo: str) -> bool:
    return _stored_fingerprint(conninfo) is not None


def _stored_fingerprint(conninfo: str) -> bytes | None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        made = connection.execute("SELECT to_regclass('root_key') IS NOT NULL").fetchone()
        if made is None or not made[0]:
            return None
        row = connection.execute("SELECT fingerprint FROM root_key").fetchone()
        return bytes(row[0]) if row else None


def _write_private(file: Path, text: str) -> None:
    temporary = file.with_name(f"{file.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.rename(file)
    flush_folder(file.parent)
