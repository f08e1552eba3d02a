"""A token is checked by the algorithm of its key, whatever it says itself."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from domain.errors import InvalidToken
from infrastructure.tokens.signing import SigningKey
from tests.support.memory import NOON
from tests.tokens.conftest import Ground
from tests.tokens.signed import signed, tokens_with

ALGORITHMS = ["ES256", "EdDSA", "RS256"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_no_algorithm_is_taken_for_another(ground: Ground, algorithm: str) -> None:
    keys = {made: SigningKey.make(made, "active" if made == algorithm else "retired") for made in ALGORITHMS}
    tokens = tokens_with(*keys.values())
    token = await signed(ground, tokens)
    claims = jwt.decode(token, options={"verify_signature": False})
    ours = keys[algorithm]
    pem = ours.public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    der = ours.public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    jwk = json.dumps(ours.jwk).encode()
    forgeries = [jwt.encode(claims, "", "none", {"kid": ours.kid, "typ": "at+jwt"})]
    forgeries += [hmac_of(claims, ours.kid, secret, name) for secret in (pem, der, jwk) for name in HMACS]
    forgeries += [
        jwt.encode(claims, other.private, name, {"kid": ours.kid, "typ": "at+jwt"})
        for name, other in keys.items()
        if name != algorithm
    ]
    _, body, signature = token.split(".")
    for other in keys.values():
        for name in ("none", "HS256", *ALGORITHMS):
            header = {"alg": name, "kid": other.kid, "typ": "at+jwt"}
            if (name, other.kid) != (algorithm, ours.kid):
                forgeries.append(f"{encoded(header)}.{body}.{signature}")
    for forged in forgeries:
        with pytest.raises(InvalidToken):
            tokens.check_access(forged, NOON)
    assert tokens.check_access(token, NOON).user_id == ground.ada


HMACS = {"HS256": "SHA256", "HS384": "SHA384", "HS512": "SHA512"}


def encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def hmac_of(claims: dict[str, Any], kid: str, secret: bytes, name: str) -> str:
    text = f"{encoded({'alg': name, 'kid': kid, 'typ': 'at+jwt'})}.{encoded(claims)}"
    digest = getattr(jwt.algorithms.HMACAlgorithm, HMACS[name])
    signature = jwt.algorithms.HMACAlgorithm(digest).sign(text.encode(), secret)
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
