"""The keys at rest: a root key that wraps a keyring and derives nothing.

The root key wraps one random look-up key (names), numbered random sealing epochs (each wraps the keys
of users), one random refresh key, one random cursor key, one random mail key, one random key that signs
checkpoints of the log, and the signing keys. A user's key is random and wrapped by an epoch.
AES-256-GCM throughout, with a random nonce of 96 bits (NIST SP 800-38D).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import LiteralString
from uuid import UUID

import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.values import name_key

_NONCE = 12
_TAG = 16
LOCK = 7310580243119867
_PURPOSES: tuple[LiteralString, ...] = ("lookup", "refresh", "seal", "cursor", "mail", "checkpoint")
_NOBODY = UUID(int=0)
_EPOCHS = "SELECT epoch, wrapped FROM keyring WHERE purpose = 'seal' AND wrapped IS NOT NULL"

LINGER = 60.0
"""Seconds for which a process can still open what it read just before an epoch was destroyed."""


class WrongRootKey(Exception):
    """The root key does not belong to this database."""

    def __init__(self) -> None:
        super().__init__(
            "MG_USERS_ROOT_KEY is not the key of this database: nothing in it can be opened with it. "
            "Give the key that was in use when the database was made, or that has taken its place since; it "
            "belongs to its backup."
        )


class RootKeyReplaced(Exception):
    """The root key was replaced while this process ran."""

    def __init__(self) -> None:
        super().__init__("The root key was replaced: restart this process with the new one.")


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
        self,
        root: bytes,
        lookup: bytes,
        refresh: bytes,
        epochs: dict[int, bytes],
        cursor: bytes,
        mail: bytes,
        checkpoint: bytes,
    ) -> None:
        self._root = AESGCM(root)
        self._fingerprint = fingerprint_of(root)
        self._lookup = lookup
        self.refresh_key = refresh
        self.cursor_key = cursor
        self.mail_key = mail
        self.checkpoint_key = checkpoint
        self._epochs = {number: AESGCM(key) for number, key in epochs.items()}
        self.epoch = max(epochs)
        self._left: dict[int, float] = {}
        self._missed: dict[int, float] = {}
        self._source: Callable[[], Mapping[int, bytes]] | None = None

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
        key, epoch = os.urandom(32), self.epoch
        wrapped = seal(self._epochs[epoch], key, _bound(user_id, epoch))
        return UserKey(key, epoch, wrapped)

    def user_key(self, user_id: UUID, epoch: int, wrapped: bytes) -> UserKey:
        """Raises InvalidTag or KeyError where the row is not what this keyring wrapped.

        Another process may have begun the epoch: then it is learnt, and what `learn` raises is raised.
        """
        if epoch not in self._epochs:
            self._look_for(epoch)
        return UserKey(unseal(self._epochs[epoch], wrapped, _bound(user_id, epoch)), epoch, wrapped)

    def rewrapped(self, user_id: UUID, epoch: int, wrapped: bytes, to: int) -> bytes:
        """A user's key as another epoch wraps it. Raises as `user_key`."""
        return seal(self._epochs[to], self.unwrapped(user_id, epoch, wrapped), _bound(user_id, to))

    def unwrapped(self, user_id: UUID, epoch: int, wrapped: bytes) -> bytes:
        """A user's key in clear, for an export that seals it under a key of its own. Raises as `user_key`."""
        if epoch not in self._epochs:
            self._look_for(epoch)
        return unseal(self._epochs[epoch], wrapped, _bound(user_id, epoch))

    def adopted(self, user_id: UUID, key: bytes) -> tuple[int, bytes]:
        """The present epoch, and how it wraps a user's key that comes from elsewhere."""
        return self.epoch, seal(self._epochs[self.epoch], key, _bound(user_id, self.epoch))

    def begun(self, epoch: int) -> bytes:
        """Go on with a new sealing epoch; its key as the root key wraps it, for the caller to store."""
        key = os.urandom(32)
        self._epochs[epoch] = AESGCM(key)
        self.epoch = epoch
        return self.wrap(key, f"seal/{epoch}")

    def learn_from(self, source: Callable[[], Mapping[int, bytes]]) -> None:
        """Where the sealing epochs can be read anew."""
        self._source = source

    def learn(self) -> None:
        """Get to know the epochs that other processes have begun or destroyed.

        A destroyed one is kept for a moment, for rows that were read while it was there.
        Raises psycopg.OperationalError.
        """
        if self._source is None:
            return
        epochs, now = self._source(), time.monotonic()
        for number, key in epochs.items():
            if number not in self._epochs:
                self._epochs[number] = AESGCM(key)
        self.epoch = max(epochs)
        for number in self._epochs.keys() - epochs.keys():
            if now - self._left.setdefault(number, now) > LINGER:
                del self._epochs[number]

    def _look_for(self, epoch: int) -> None:
        """Learn, unless it was in vain a moment ago: what is missing for good is not asked for all day."""
        now = time.monotonic()
        if now - self._missed.get(epoch, -LINGER) >= 1.0:
            self.learn()
            self._missed[epoch] = now

    def require_root(self, connection: psycopg.Connection) -> None:
        """Hold the root key as it is for the transaction. Raises RootKeyReplaced where it is another one.

        Whoever stores what `wrap` made calls this in the same transaction: a process that has run since
        before a change of the root key would store what nobody can open any more.
        """
        row = connection.execute("SELECT fingerprint FROM root_key FOR SHARE").fetchone()
        if row is None or not hmac.compare_digest(bytes(row[0]), self._fingerprint):
            raise RootKeyReplaced

    def wrap(self, secret: bytes, purpose: str) -> bytes:
        """Wrap a secret by the root key itself, bound to what it is for; see `require_root`."""
        return seal(self._root, secret, purpose.encode())

    def unwrap(self, wrapped: bytes, purpose: str) -> bytes:
        return unseal(self._root, wrapped, purpose.encode())


def fingerprint_of(root: bytes) -> bytes:
    """What the database holds of the root key, to tell a wrong one."""
    return hashlib.sha256(b"usersd root key\x00" + root).digest()


def open_keyring(connection: psycopg.Connection, root: bytes) -> Keyring:
    """Open the database's keyring, or make one where the database has none yet.

    Raises WrongRootKey.
    """
    cipher = AESGCM(root)
    fingerprint = fingerprint_of(root)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
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
    once = {purpose: keys[purpose][1] for purpose in _PURPOSES if purpose != "seal"}
    return Keyring(
        root, once["lookup"], once["refresh"], keys["seal"], once["cursor"], once["mail"], once["checkpoint"]
    )


def read_epochs(conninfo: str, root: bytes) -> dict[int, bytes]:
    """The sealing epochs that have not been destroyed.

    Raises psycopg.OperationalError, too where the root key was replaced since this process began: it cannot
    know, but it can wait.
    """
    cipher = AESGCM(root)
    with psycopg.connect(conninfo, autocommit=True, connect_timeout=5) as connection:
        rows = connection.execute(_EPOCHS)
        try:
            return {epoch: unseal(cipher, wrapped, f"seal/{epoch}".encode()) for epoch, wrapped in rows}
        except InvalidTag:
            raise psycopg.OperationalError("the root key was replaced; restart with the new one") from None


def _bound(user_id: UUID, epoch: int) -> bytes:
    return user_id.bytes + epoch.to_bytes(4)
