"""Finds the root key: in the settings, or in the file that was made together with our own PostgreSQL."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import psycopg

from infrastructure.settings import Settings

FILE = "root.key"


class RootKeyMissing(Exception):
    """There is data that only a root key can open, and no root key; the text says what to do."""


def root_key(settings: Settings, conninfo: str) -> bytes:
    """The root key: 32 bytes. Made only for a database of our own that holds nothing yet.

    Raises RootKeyMissing.
    """
    if settings.root_key is not None:
        return settings.root_key.reveal()
    file = settings.data_dir / FILE
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


def _read(file: Path) -> bytes:
    try:
        key = bytes.fromhex(file.read_text("ascii").strip())
    except (OSError, ValueError) as error:
        raise RootKeyMissing(f"{file} cannot be read as a root key: {type(error).__name__}.") from None
    if len(key) != 32:
        raise RootKeyMissing(f"{file} does not hold a root key, which is 64 hexadecimal digits.")
    return key


def _was_used(conninfo: str) -> bool:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        made = connection.execute("SELECT to_regclass('root_key') IS NOT NULL").fetchone()
        if made is None or not made[0]:
            return False
        return connection.execute("SELECT 1 FROM root_key").fetchone() is not None


def _write_private(file: Path, text: str) -> None:
    temporary = file.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.rename(file)
