"""The keys at rest: a root key that wraps a keyring and derives nothing.

The root key wraps one random look-up key (names), numbered random sealing epochs (each wraps the keys
of users), one random refresh key, one random cursor key, and the signing keys. A user's key is random
and wrapped by an epoch.
AES-256-GCM throughout, with a random nonce of 96 bits (NIST SP 800-38D).
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable
from typing import LiteralString
from uuid import UUID

import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.values import name_key

_NONCE = 12
_TAG = 16
_LOCK = 7310580243119867
_PURPOSES: tuple[LiteralString, ...] = ("lookup", "refresh", "seal", "cursor")
_NOBODY = UUID(int=0)


class WrongRootKey(Exception):
    """The root key does not belong to this database."""

    def __init__(self) -> None:
        super().__init__(
            "MG_USERS_ROOT_KEY is not the key of this database: nothing in it can be opened with it. "
            "Give the key that was in use when the database was made; it belongs to its backup."
        )


class UserKey:
    """The key of one user, ready for use, and the form in which it is stored."""

    __slots__ = ("cipher", "epoch", "wrapped")

    def __init__(self, key: bytes, epoch: int, wrapped: bytes) -> None:
        self.cipher = AESGCM(key)
        self.epoch = epoch
        self.wrapped = wrapped


def seal(cipher: AESGCM, plain: bytes, bound_to: bytes) -> bytes:
    """Encrypt and bind to a place: 12 bytes of nonce, the ciphertext, 16 bytes of tag."""
    nonce = os.urandom(_NONCE)
    return nonce + cipher.encrypt(nonce, plain, bound_to)


def unseal(cipher: AESGCM, sealed: bytes, bound_to: bytes) -> bytes:
    """Raises cryptography's InvalidTag where the bytes were changed or belong elsewhere."""
    if len(sealed) < _NONCE + _TAG:
        raise InvalidTag
    return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], bound_to)


class Keyring:
    """The unwrapped keyring of one process."""

    def __init__(
        self, root: bytes, lookup: bytes, refresh: bytes, epochs: dict[int, bytes], cursor: bytes
    ) -> None:
        self._root = AESGCM(root)
        self._lookup = lookup
        self.refresh_key = refresh
        self.cursor_key = cursor
        self._epochs = {number: AESGCM(key) for number, key in epochs.items()}
        self.epoch = max(epochs)

    def digest(self, kind: str, entered: str) -> bytes:
        """The keyed hash under which a name is reserved: the same for every spelling of it."""
        return hmac.digest(self._lookup, f"{kind}\x00{name_key(entered)}".encode(), hashlib.sha256)

    def repeat_digests(self, caller: UUID | None, key: str, request: Iterable[bytes]) -> tuple[bytes, bytes]:
        """By what a repeat of a request is known: its caller and key, and what was asked for.

        The second hash is keyed with the first one's input, which is stored nowhere: a request holds
        secrets, and even with every key of this ring nobody can try them out against a hash that is
        quick to make.
        """
        scope = b"idempotency\x00" + (caller or _NOBODY).bytes + key.encode()
        own = hmac.digest(self._lookup, scope, hashlib.sha256)
        parts = b"".join(len(part).to_bytes(8) + part for part in request)
        return hmac.digest(own, b"key", hashlib.sha256), hmac.digest(own, b"request" + parts, hashlib.sha256)

    def new_user_key(self, user_id: UUID) -> UserKey:
        """A fresh random key for a user, wrapped by the present epoch."""
        key = os.urandom(32)
        wrapped = seal(self._epochs[self.epoch], key, _bound(user_id, self.epoch))
        return UserKey(key, self.epoch, wrapped)

    def user_key(self, user_id: UUID, epoch: int, wrapped: bytes) -> UserKey:
        """Raises InvalidTag or KeyError where the row is not what this keyring wrapped."""
        return UserKey(unseal(self._epochs[epoch], wrapped, _bound(user_id, epoch)), epoch, wrapped)

    def wrap(self, secret: bytes, purpose: str) -> bytes:
        """Wrap a secret by the root key itself, bound to what it is for."""
        return seal(self._root, secret, purpose.encode())

    def unwrap(self, wrapped: bytes, purpose: str) -> bytes:
        return unseal(self._root, wrapped, purpose.encode())


def open_keyring(connection: psycopg.Connection, root: bytes) -> Keyring:
    """Open the database's keyring, or make one where the database has none yet.

    Raises WrongRootKey.
    """
    cipher = AESGCM(root)
    fingerprint = hashlib.sha256(b"usersd root key\x00" + root).digest()
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        row = connection.execute("SELECT fingerprint FROM root_key").fetchone()
        if row is None:
            connection.execute("INSERT INTO root_key (fingerprint) VALUES (%s)", (fingerprint,))
        elif not hmac.compare_digest(bytes(row[0]), fingerprint):
            raise WrongRootKey
        # A database of an older version lacks the purposes that have come since.
        there = {purpose for (purpose,) in connection.execute("SELECT purpose FROM keyring")}
        for purpose in _PURPOSES:
            if purpose not in there:
                _insert(connection, cipher, purpose)
    return _read(connection, root, cipher)


def _insert(connection: psycopg.Connection, cipher: AESGCM, purpose: LiteralString) -> None:
    wrapped = seal(cipher, os.urandom(32), f"{purpose}/1".encode())
    connection.execute("INSERT INTO keyring (purpose, epoch, wrapped) VALUES (%s, 1, %s)", (purpose, wrapped))


def _read(connection: psycopg.Connection, root: bytes, cipher: AESGCM) -> Keyring:
    keys: dict[str, dict[int, bytes]] = {}
    rows = connection.execute("SELECT purpose, epoch, wrapped FROM keyring WHERE wrapped IS NOT NULL")
    try:
        for purpose, epoch, wrapped in rows:
            keys.setdefault(purpose, {})[epoch] = unseal(cipher, wrapped, f"{purpose}/{epoch}".encode())
    except InvalidTag:
        raise WrongRootKey from None
    return Keyring(root, keys["lookup"][1], keys["refresh"][1], keys["seal"], keys["cursor"][1])


def _bound(user_id: UUID, epoch: int) -> bytes:
    return user_id.bytes + epoch.to_bytes(4)
