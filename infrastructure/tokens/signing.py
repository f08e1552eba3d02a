"""The keys that sign access tokens: made once, stored sealed, published as a JWK set (RFC 7517)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import jwt
import psycopg
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from infrastructure.event_store.keyring import Keyring

_LOCK = 7310580243119868


class SigningKey:
    """An ES256 key pair with its key id (RFC 7638 thumbprint)."""

    algorithm = "ES256"

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self.private = private
        self.public = private.public_key()
        jwk: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(self.public, as_dict=True)
        thumb = json.dumps({k: jwk[k] for k in ("crv", "kty", "x", "y")}, separators=(",", ":"))
        digest = hashlib.sha256(thumb.encode()).digest()
        self.kid = jwt.utils.base64url_encode(digest).decode()
        self.jwk = jwk | {"kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def sealed(self, keyring: Keyring) -> bytes:
        plain = self.private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return keyring.wrap(plain, "signing key")


def open_signing_keys(connection: psycopg.Connection, keyring: Keyring) -> list[SigningKey]:
    """Every signing key of the database, the active one first; makes one where there is none."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        rows = connection.execute(
            "SELECT wrapped FROM signing_keys WHERE algorithm = 'ES256' ORDER BY state = 'active' DESC, kid"
        ).fetchall()
        if rows:
            return [_unsealed(bytes(row[0]), keyring) for row in rows]
        key = SigningKey(ec.generate_private_key(ec.SECP256R1()))
        connection.execute(
            "INSERT INTO signing_keys (kid, algorithm, wrapped, state) VALUES (%s, %s, %s, 'active')",
            (key.kid, key.algorithm, key.sealed(keyring)),
        )
        return [key]


def _unsealed(wrapped: bytes, keyring: Keyring) -> SigningKey:
    private = serialization.load_der_private_key(keyring.unwrap(wrapped, "signing key"), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return SigningKey(private)
