"""What a NATS server is shown: certificates, an nkey or a creds file, read anew for every connection.

An nkey is an Ed25519 key pair whose seed is written in base32 (NATS ADR-14): two bytes of prefix, 32 bytes
of seed, and a checksum, the CRC-16 of XMODEM.
"""

from __future__ import annotations

import base64
import binascii
import re
import ssl
import struct
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infrastructure.renewed import UnfitFiles, trusting, words_of

_SEED = 18 << 3
_USER = 20 << 3
_SEED_BYTES = 32

_BLOCK = re.compile(r"-{3,}BEGIN ([A-Z ]+)-{3,}\s+([A-Za-z0-9_.=-]+)\s+-{3,}END \1-{3,}")
_JWT, _NKEY = "NATS USER JWT", "USER NKEY SEED"


class BadCredentials(Exception):
    """What was given cannot be shown to a server; the text names what is wrong with it and no secret."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How a server is checked, and what it is shown besides what stands in the URL.

    `ca_certs` are the authorities (PEM) that are believed instead of the system's; any of the three files
    of TLS makes it required. `creds` is a file with a user's JWT and seed, `nkey_seed` a seed alone.
    """

    ca_certs: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    creds: Path | None = None
    nkey_seed: str | None = None

    @property
    def needs_tls(self) -> bool:
        return bool(self.ca_certs or self.client_cert)

    def tls(self) -> ssl.SSLContext:
        """Raises UnfitFiles."""
        context = trusting(self.ca_certs)
        if self.client_cert is not None:
            try:
                # Asked for a passphrase, it would ask the terminal.
                context.load_cert_chain(self.client_cert, self.client_key, password="")
            except (OSError, ValueError) as error:
                raise UnfitFiles(words_of(error)) from None
        return context

    def proof(self) -> Proof | None:
        """What a server's nonce is signed with; None where nothing is signed. Raises BadCredentials."""
        if self.creds is not None:
            return _from_creds(self.creds)
        return Proof(key_of(self.nkey_seed)) if self.nkey_seed is not None else None


class Proof:
    """A key that signs nonces, and what is shown beside the signature: a JWT, or else the public key."""

    def __init__(self, key: Ed25519PrivateKey, jwt: str | None = None) -> None:
        self._key = key
        self.jwt = jwt

    @property
    def public(self) -> str:
        """The public key as servers name a user."""
        raw = bytes([_USER]) + self._key.public_key().public_bytes_raw()
        return base64.b32encode(raw + _checksum(raw)).decode().rstrip("=")

    def sign(self, nonce: str) -> str:
        return base64.urlsafe_b64encode(self._key.sign(nonce.encode())).decode().rstrip("=")


def key_of(seed: str) -> Ed25519PrivateKey:
    """The key of a user's seed, which begins with SU. Raises BadCredentials."""
    compact = seed.strip()
    try:
        raw = base64.b32decode(compact + "=" * (-len(compact) % 8))
    except binascii.Error:
        raise BadCredentials("the nkey seed is not written in base32") from None
    if len(raw) != 2 + _SEED_BYTES + 2 or _checksum(raw[:-2]) != raw[-2:]:
        raise BadCredentials("the nkey seed is damaged: its checksum is another")
    if raw[0] & 0xF8 != _SEED or (raw[0] & 0x07) << 5 | raw[1] >> 3 != _USER:
        raise BadCredentials("the nkey seed is not that of a user, which begins with SU")
    return Ed25519PrivateKey.from_private_bytes(raw[2:-2])


def seed_of(key: Ed25519PrivateKey) -> str:
    """The seed by which `key_of` finds a user's key again."""
    raw = bytes([_SEED | _USER >> 5, (_USER & 0x1F) << 3]) + key.private_bytes_raw()
    return base64.b32encode(raw + _checksum(raw)).decode().rstrip("=")


def _from_creds(file: Path) -> Proof:
    try:
        found = dict(_BLOCK.findall(file.read_text("utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise BadCredentials(f"{file} cannot be read ({type(error).__name__})") from None
    if _JWT not in found or _NKEY not in found:
        raise BadCredentials(f"{file} does not hold both a NATS USER JWT and a USER NKEY SEED")
    return Proof(key_of(found[_NKEY]), found[_JWT])


def _checksum(data: bytes) -> bytes:
    return struct.pack("<H", binascii.crc_hqx(data, 0))
