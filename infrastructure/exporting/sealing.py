"""The key of an export: it seals, the same bytes for the same secret, and marks the whole against changes."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from application.exporting import ExportRefused
from infrastructure.exporting.private_file import write_new

SIZE = 32


class ExportKey:
    """32 random bytes, and what is derived from them (HKDF, RFC 5869).

    Sealing is AES-256-SIV (RFC 5297), which needs no nonce: docs/adr/0020-the-log-in-a-file.md.
    """

    def __init__(self, key: bytes) -> None:
        assert len(key) == SIZE, "the key of an export has 32 bytes"
        self._seals = AESSIV(_derived(key, b"seal", 64))
        self._marks = _derived(key, b"mark", 32)
        self.id = _derived(key, b"id", 16).hex()

    def seal(self, plain: bytes, *place: bytes) -> bytes:
        """16 bytes of synthetic IV and the ciphertext, bound to a place; the same for the same input."""
        return self._seals.encrypt(plain, list(place))

    def unseal(self, sealed: bytes, *place: bytes) -> bytes:
        """Raises InvalidTag where the bytes were changed or belong elsewhere."""
        try:
            return self._seals.decrypt(sealed, list(place))
        except ValueError:
            raise InvalidTag from None

    def mark(self) -> hmac.HMAC:
        """What is updated with every byte of the file: HMAC-SHA256."""
        return hmac.new(self._marks, digestmod=hashlib.sha256)


def read_key(file: Path) -> ExportKey:
    """The key that a file holds. Raises ExportRefused."""
    try:
        key = bytes.fromhex(file.read_text("ascii").strip())
    except (OSError, ValueError) as error:
        raise ExportRefused(f"{file} cannot be read as the key of an export: {_why(error)}.") from None
    if len(key) != SIZE:
        raise ExportRefused(f"{file} does not hold the key of an export, which is 64 hexadecimal digits.")
    return ExportKey(key)


def key_in(file: Path) -> tuple[ExportKey, bool]:
    """The key of a file, and whether it was made now because the file was not there. Raises ExportRefused."""
    try:
        write_new(file, os.urandom(SIZE).hex().encode() + b"\n")
    except FileExistsError:
        return read_key(file), False
    except OSError as error:
        raise ExportRefused(f"{file}, for the key of the export, cannot be written: {_why(error)}.") from None
    return read_key(file), True


def _derived(key: bytes, purpose: bytes, size: int) -> bytes:
    return HKDF(SHA256(), size, salt=None, info=b"usersd log export\x00" + purpose).derive(key)


def _why(error: Exception) -> str:
    # What stands in the file may be a key after all, and a decoder's words quote it.
    return (
        error.strerror or type(error).__name__ if isinstance(error, OSError) else "it is no hexadecimal text"
    )
