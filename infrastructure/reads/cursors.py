"""Cursors that callers can neither read nor make: a place in a list, sealed and bound to that list."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from application.listing import Place
from domain.errors import Fault, Invalid
from infrastructure.event_store.keyring import seal, unseal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class SealedCursors:
    """Implements the port Cursors with AES-256-GCM.

    A place is a value and an id, nothing of a table: a cursor outlives every rebuild of the read model.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, place: Place, bound_to: bytes) -> str:
        value = place.value
        plain = value if isinstance(value, str) else (value - _EPOCH) // _MICROSECOND
        sealed = seal(self._cipher, msgspec.json.encode((plain, place.id)), bound_to)
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, cursor: str, bound_to: bytes) -> Place:
        try:
            sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
            plain = unseal(self._cipher, sealed, bound_to)
        except (ValueError, binascii.Error, InvalidTag):
            raise Invalid(Fault("/cursor", "This is not a cursor of this list.")) from None
        value, id = msgspec.json.decode(plain, type=tuple[str | int, UUID])
        return Place(value if isinstance(value, str) else _EPOCH + value * _MICROSECOND, id)
