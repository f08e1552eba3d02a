"""What operators can ask for and have done about keys: list, rotate and retire them, replace the root key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from application.key_operations import KeyRefused, Rewrapped, SigningKeyRow
from infrastructure.keys.rewrap import rewrap
from infrastructure.keys.root_key import file_of_root_key
from infrastructure.settings import Settings
from infrastructure.standing import Standing, open_keys
from infrastructure.tokens.key_store import KeyStore
from infrastructure.tokens.mainflux import ALGORITHM


class PostgresKeyOperations:
    """Implements the port KeyOperations."""

    def __init__(self, standing: Standing, settings: Settings) -> None:
        self._standing = standing
        self._settings = settings

    def list(self) -> Sequence[SigningKeyRow]:
        with self._store() as store:
            return store.listing(self._settings.access_token_duration)

    def rotate(self, *, now: bool) -> SigningKeyRow:
        if self._settings.signing_algorithm == ALGORITHM:
            raise KeyRefused(
                "Tokens are signed with MF_USERS_SECRET_KEY: change it here and where tokens are checked, "
                "and restart. Tokens from before end with that."
            )
        with self._store() as store:
            return store.rotate(now=now)

    def retire(self, kid: str, *, force: bool) -> None:
        with self._store() as store:
            store.retire(kid, self._settings.access_token_duration, force=force)

    def rewrap(self, new_root: bytes | None) -> Rewrapped:
        given = self._settings.root_key_new
        new = new_root if new_root is not None else given.reveal() if given else None
        file = file_of_root_key(self._settings)
        return rewrap(self._standing.direct, self._standing.root_key, new, file)

    @contextmanager
    def _store(self) -> Iterator[KeyStore]:
        keyring = open_keys(self._standing).keyring
        with psycopg.connect(self._standing.direct, autocommit=True) as connection:
            yield KeyStore(connection, keyring)
