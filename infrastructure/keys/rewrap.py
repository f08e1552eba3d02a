"""Replaces the root key: wraps anew what the old one has wrapped, all of it or nothing.

Only the wrappings change. Whoever has the old root key and an older copy of the database opens that copy as
before, so replacing a key that has leaked does not make what leaked with it secret again.
"""

from __future__ import annotations

import hmac
import secrets

import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from application.key_operations import KeyRefused, Rewrapped
from infrastructure.event_store import keyring
from infrastructure.event_store.keyring import WrongRootKey, fingerprint_of, seal, unseal
from infrastructure.keys.root_key import FileOfRootKey
from infrastructure.tokens import key_store
from infrastructure.tokens.signing import PURPOSE

ALIVE = 7310580243119873
"""Held shared by every running service (infrastructure/tokens/revocation.py)."""


def rewrap(conninfo: str, old: bytes, new: bytes | None, file: FileOfRootKey | None) -> Rewrapped:
    """Wrap every key by a new root key, a random one where `file` keeps it and none is given.

    The file is written beside the old one before the commit and takes its place after it; a start in
    between finds out from the database which of the two holds. Raises KeyRefused and WrongRootKey.
    """
    if new is None and file is None:
        raise KeyRefused(
            "Give the new root key as MG_USERS_ROOT_KEY_NEW, MG_USERS_ROOT_KEY_NEW_FILE or --new-key-file; "
            "`usersd keys generate` makes one."
        )
    key = new or secrets.token_bytes(32)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM root_key").fetchone() is None:
            # A database that nobody has used yet.
            keyring.open_keyring(connection, old)
        with connection.transaction():
            _alone(connection)
            if _is_current(connection, key):
                raise KeyRefused("The database is wrapped by this very key already: there is nothing to do.")
            if not _is_current(connection, old):
                raise WrongRootKey
            if file:
                file.prepare(key)
            count = _wrap_all(connection, AESGCM(old), AESGCM(key))
            connection.execute("UPDATE root_key SET fingerprint = %s", (fingerprint_of(key),))
        if file:
            file.adopt(key)
    return Rewrapped(keys=count, file=str(file.path) if file else None)


def _alone(connection: psycopg.Connection) -> None:
    """Hold off whoever starts or makes keys. Raises KeyRefused while a service runs."""
    row = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (ALIVE,)).fetchone()
    if not row or not row[0]:
        raise KeyRefused(
            "A usersd runs on this database. It would go on with the old root key and could not be started "
            "again without the new one: stop every usersd, then try again."
        )
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (keyring.LOCK,))
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (key_store.LOCK,))


def _is_current(connection: psycopg.Connection, root: bytes) -> bool:
    row = connection.execute("SELECT fingerprint FROM root_key FOR UPDATE").fetchone()
    return row is not None and hmac.compare_digest(bytes(row[0]), fingerprint_of(root))


def _wrap_all(connection: psycopg.Connection, old: AESGCM, new: AESGCM) -> int:
    def again(wrapped: bytes, purpose: str) -> bytes:
        return seal(new, unseal(old, bytes(wrapped), purpose.encode()), purpose.encode())

    rows = connection.execute("SELECT purpose, epoch, wrapped FROM keyring WHERE wrapped IS NOT NULL")
    ring = rows.fetchall()
    signing = connection.execute("SELECT kid, wrapped FROM signing_keys").fetchall()
    try:
        for purpose, epoch, wrapped in ring:
            connection.execute(
                "UPDATE keyring SET wrapped = %s WHERE purpose = %s AND epoch = %s",
                (again(wrapped, f"{purpose}/{epoch}"), purpose, epoch),
            )
        for kid, wrapped in signing:
            connection.execute(
                "UPDATE signing_keys SET wrapped = %s WHERE kid = %s", (again(wrapped, PURPOSE), kid)
            )
    except InvalidTag:
        raise WrongRootKey from None
    return len(ring) + len(signing)
