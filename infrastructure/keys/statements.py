"""Statements of the service that are signed for good: compact JWS (RFC 7515) that carry their public key."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import jwt
import msgspec
from jwt.api_jws import PyJWS

from infrastructure.tokens.signing import SigningKey

_ALGORITHMS = ("ES256", "EdDSA", "RS256")
_PUBLIC = ("kty", "crv", "x", "y", "n", "e")


class StatementInvalid(Exception):
    """The text is no statement of its kind, or its signature does not hold."""


def sign(payload: bytes, kind: str, key: SigningKey) -> str:
    """The payload as a compact JWS of a kind (its `typ`) that carries the public key it is verified with."""
    public = {name: value for name, value in key.jwk.items() if name in _PUBLIC}
    headers = {"kid": key.kid, "typ": kind, "jwk": public}
    return PyJWS().encode(payload, key.private, algorithm=key.algorithm, headers=headers)


def verified(text: str, kind: str) -> tuple[bytes, str]:
    """The payload of a statement and the id of the key that signed it, which the caller must know.

    The id is the thumbprint of the key (RFC 7638), so that a text with another's key has another's id.
    Raises StatementInvalid.
    """
    try:
        header: dict[str, Any] = jwt.get_unverified_header(text)
        if header.get("typ") != kind or header.get("alg") not in _ALGORITHMS:
            raise StatementInvalid(f"this is no {kind}")
        key = jwt.PyJWK(header["jwk"], header["alg"])
        return PyJWS().decode(text, key.key, algorithms=[header["alg"]]), thumbprint(header["jwk"])
    except (jwt.PyJWTError, msgspec.MsgspecError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise StatementInvalid(f"the signature or the form does not hold ({type(error).__name__})") from None


def thumbprint(jwk: Mapping[str, str]) -> str:
    """The thumbprint of a public key (RFC 7638): of the members that its kind requires, in order."""
    required = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
    members = {name: jwk[name] for name in required[jwk["kty"]]}
    digest = hashlib.sha256(msgspec.json.encode(members)).digest()
    return jwt.utils.base64url_encode(digest).decode()
