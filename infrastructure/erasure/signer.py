"""Signs certificates with the key that signs access tokens at the moment."""

from __future__ import annotations

import psycopg

from infrastructure.erasure.certificate import Certificate, sign
from infrastructure.event_store.keyring import Keyring
from infrastructure.tokens.key_store import KeyStore


class StoredKeySigner:
    """Signs with the active key of the database.

    Where tokens are signed with a shared secret, a key is made for it: a shared secret proves nothing to
    anybody but those who have it.
    """

    def __init__(self, conninfo: str, keyring: Keyring) -> None:
        self._conninfo = conninfo
        self._keyring = keyring

    def __call__(self, certificate: Certificate) -> str:
        """The signed certificate. Blocks; raises psycopg.OperationalError, keyring.RootKeyReplaced."""
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            store = KeyStore(connection, self._keyring)
            if not (keys := store.all()):
                store.settle("ES256")
                keys = store.all()
            return sign(certificate, keys[0])
