"""Tokens in Mainflux's form, signed with a secret that others check with."""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import UUID

import jwt
import pytest
from jwt.warnings import InsecureKeyLengthWarning

from domain.errors import InvalidToken
from infrastructure.tokens.local import LocalTokens
from infrastructure.tokens.mainflux import SharedSecret
from infrastructure.tokens.signing import SigningKey
from tests.support.memory import NOON
from tests.tokens.conftest import ACCESS_LIFE, AUDIENCE, ISSUER, Ground
from tests.tokens.signed import signed

LONG = "s" * 64


async def email_of(user_id: UUID) -> str:
    return "ada@example.com"


def sharing(secret: str = LONG, *keys: SigningKey) -> LocalTokens:
    shared = SharedSecret(secret, email_of)
    return LocalTokens(keys, life=ACCESS_LIFE, issuer=ISSUER, audience=AUDIENCE, shared=shared)


async def test_a_token_reads_as_mainflux_wrote_it(ground: Ground) -> None:
    token = await signed(ground, sharing())
    assert jwt.get_unverified_header(token) == {"alg": "HS512", "typ": "JWT"}
    claims = jwt.decode(token, LONG, algorithms=["HS512"], options={"verify_exp": False, "verify_iat": False})
    at = int(NOON.timestamp())
    assert {name: claims[name] for name in ("iss", "sub", "identity", "type", "iat", "exp")} == {
        "iss": "clients.auth",
        "sub": str(ground.ada),
        "identity": "ada@example.com",
        "type": "access",
        "iat": at,
        "exp": at + int(ACCESS_LIFE.total_seconds()),
    }
    assert {"jti", "sid", "epoch", "role", "verified"} < set(claims)
    assert "aud" not in claims


async def test_a_token_is_checked_with_the_secret(ground: Ground) -> None:
    tokens = sharing()
    token = await signed(ground, tokens)
    claims = tokens.check_access(token, NOON)
    assert (claims.user_id, claims.epoch) == (ground.ada, 1)
    with pytest.raises(InvalidToken):
        tokens.check_access(token, NOON + ACCESS_LIFE)
    with pytest.raises(InvalidToken):
        sharing("t" * 64).check_access(token, NOON)


async def test_a_shared_secret_is_never_published(ground: Ground) -> None:
    assert sharing(LONG, SigningKey.make("ES256")).jwks == {"keys": []}


@pytest.mark.parametrize("secret", ["mainflux", "{}", '{"kty":"oct"}', "-----BEGIN PUBLIC KEY-----\n", "é"])
async def test_a_secret_of_any_length_and_kind_signs(
    ground: Ground, secret: str, recwarn: pytest.WarningsRecorder
) -> None:
    tokens = sharing(secret)
    assert tokens.check_access(await signed(ground, tokens), NOON).user_id == ground.ada
    assert not [warning for warning in recwarn if warning.category is InsecureKeyLengthWarning]
    assert SharedSecret(secret, email_of).is_short
    assert not SharedSecret(LONG, email_of).is_short


async def test_tokens_of_a_key_from_before_are_still_taken(ground: Ground) -> None:
    key = SigningKey.make("ES256")
    before = LocalTokens([key], life=ACCESS_LIFE, issuer=ISSUER, audience=AUDIENCE)
    token = await signed(ground, before)
    assert sharing(LONG, key).check_access(token, NOON).user_id == ground.ada
    with pytest.raises(InvalidToken):
        before.check_access(await signed(ground, sharing()), NOON)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "refresh"},
        {"type": 0},
        {"identity": None},
        {"sid": None},
        {"epoch": None},
        {"exp": None},
        {"exp": int(NOON.timestamp())},
        {"iat": int(NOON.timestamp()) + 60},
        {"sub": "nobody"},
    ],
    ids=str,
)
async def test_what_the_secret_signed_and_is_no_access_token_is_refused(
    ground: Ground, changes: dict[str, Any]
) -> None:
    tokens = sharing()
    claims = jwt.decode(await signed(ground, tokens), options={"verify_signature": False}) | changes
    claims = {name: claim for name, claim in claims.items() if claim is not None}
    with pytest.raises(InvalidToken):
        tokens.check_access(jwt.encode(claims, LONG, "HS512"), NOON)


async def test_only_hs512_is_taken_from_the_secret(ground: Ground) -> None:
    key = SigningKey.make("ES256")
    tokens = sharing(LONG, key)
    token = await signed(ground, tokens)
    claims = jwt.decode(token, options={"verify_signature": False})
    _, body, signature = token.split(".")
    none = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).rstrip(b"=").decode()
    for forged in (
        jwt.encode(claims, LONG, "HS256"),
        jwt.encode(claims, LONG, "HS384"),
        jwt.encode(claims, "", "none"),
        f"{none}.{body}.",
        f"{none}.{body}.{signature}",
        jwt.encode(claims, LONG, "HS512", {"kid": key.kid}),
        jwt.encode(claims, LONG, "HS512", {"kid": "made up"}),
        jwt.encode(claims, key.private, "ES256"),
        token[:-3] + "AAA",
    ):
        with pytest.raises(InvalidToken):
            tokens.check_access(forged, NOON)
