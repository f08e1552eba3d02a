"""The keys that sign access tokens: one algorithm each, sealed at rest, shown as JWKs (RFC 7517)."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal, Protocol

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

State = Literal["active", "next", "retired"]
PrivateKey = ec.EllipticCurvePrivateKey | Ed25519PrivateKey | rsa.RSAPrivateKey

RSA_BITS = 3072
PURPOSE = "signing key"


class Wrapping(Protocol):
    """What wraps a signing key at rest."""

    def wrap(self, secret: bytes, purpose: str) -> bytes: ...

    def unwrap(self, wrapped: bytes, purpose: str) -> bytes: ...


class SigningKey:
    """A key pair with its key id, the thumbprint of RFC 7638. Its kind says by which algorithm it signs."""

    def __init__(self, private: PrivateKey, state: State = "active") -> None:
        self.private = private
        self.public = private.public_key()
        self.state: State = state
        self.algorithm, members = _public(private)
        self.kid = _thumbprint(members)
        self.jwk: dict[str, Any] = members | {"kid": self.kid, "alg": self.algorithm, "use": "sig"}

    @classmethod
    def make(cls, algorithm: str, state: State = "active") -> SigningKey:
        """A new key for ES256, EdDSA or RS256."""
        # A command line would take an id that begins with a dash for an option.
        while (made := cls(_MAKERS[algorithm](), state)).kid.startswith("-"):
            pass
        return made

    def sealed(self, keyring: Wrapping) -> bytes:
        plain = self.private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return keyring.wrap(plain, PURPOSE)


def unsealed(wrapped: bytes, keyring: Wrapping, state: State) -> SigningKey:
    """A key as it was stored. Raises cryptography's InvalidTag where it was wrapped by another root key."""
    private = serialization.load_der_private_key(keyring.unwrap(wrapped, PURPOSE), None)
    assert isinstance(private, PrivateKey)
    return SigningKey(private, state)


_MAKERS: dict[str, Any] = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": Ed25519PrivateKey.generate,
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS),
}


def _public(private: PrivateKey) -> tuple[str, dict[str, Any]]:
    """The algorithm of a key, and the members of its JWK that say which key it is."""
    shown: dict[str, Any]
    names: tuple[str, ...]
    if isinstance(private, ec.EllipticCurvePrivateKey):
        shown = jwt.algorithms.ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
        algorithm, names = "ES256", ("crv", "kty", "x", "y")
    elif isinstance(private, Ed25519PrivateKey):
        shown = jwt.algorithms.OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
        algorithm, names = "EdDSA", ("crv", "kty", "x")
    else:
        shown = jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
        algorithm, names = "RS256", ("e", "kty", "n")
    # Named one by one, so that nothing private can ever be among them.
    return algorithm, {name: shown[name] for name in names}


def _thumbprint(members: dict[str, Any]) -> str:
    text = json.dumps(members, separators=(",", ":"), sort_keys=True)
    return jwt.utils.base64url_encode(hashlib.sha256(text.encode()).digest()).decode()
