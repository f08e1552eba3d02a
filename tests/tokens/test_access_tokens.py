"""Access tokens: what they say, and that nothing else passes for one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from application.ports import SessionGrant
from domain.errors import InvalidToken
from domain.values import Role
from infrastructure.tokens.local import LEEWAY, LocalTokens
from infrastructure.tokens.signing import SigningKey
from tests.support.memory import NOON
from tests.tokens.conftest import ACCESS_LIFE, AUDIENCE, ISSUER, Ground

SECOND = timedelta(seconds=1)


async def _token(ground: Ground) -> str:
    grant, _ = await ground.sessions.open(await ground.account(), "", NOON)
    return await ground.tokens.access_token(grant, await ground.account(), NOON)


def _forged(ground: Ground, token: str, *, key: Any = None, algorithm: str = "ES256", **changes: Any) -> str:
    header = {name: changes.pop(name) for name in ("kid", "typ") if name in changes}
    claims = jwt.decode(token, options={"verify_signature": False}) | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    headers = {"kid": ground.key.kid, "typ": "at+jwt"} | header
    return jwt.encode(claims, ground.key.private if key is None else key, algorithm, headers)


async def test_a_token_says_whose_it_is_and_under_which_epoch(ground: Ground) -> None:
    account = await ground.account()
    grant = SessionGrant(user_id=ground.ada, session_id=uuid4(), epoch=account.epoch)
    token = await ground.tokens.access_token(grant, account, NOON)
    claims = ground.tokens.check_access(token, NOON)
    assert (claims.user_id, claims.session_id, claims.epoch) == (ground.ada, grant.session_id, 1)
    assert claims.expires_at == (NOON + ACCESS_LIFE).timestamp()


async def test_a_token_can_be_checked_by_others_with_the_published_keys(ground: Ground) -> None:
    admin = await ground.register("root", Role.ADMIN)
    account = await ground.accounts.of(admin)
    assert account is not None
    grant = SessionGrant(user_id=admin, session_id=uuid4(), epoch=1)
    token = await ground.tokens.access_token(grant, account, NOON)
    (published,) = jwt.PyJWKSet.from_dict(ground.tokens.jwks).keys
    claims = jwt.decode(
        token,
        published,
        algorithms=["ES256"],
        audience=AUDIENCE,
        issuer=ISSUER,
        options={"verify_exp": False, "verify_iat": False},
    )
    assert (claims["sub"], claims["type"], claims["role"], claims["verified"]) == (str(admin), 0, 2, False)
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": published.key_id, "typ": "at+jwt"}
    assert "d" not in ground.tokens.jwks["keys"][0]


async def test_a_token_holds_until_its_life_is_over_and_no_longer(ground: Ground) -> None:
    token = await _token(ground)
    for _ in range(2):
        assert ground.tokens.check_access(token, NOON + ACCESS_LIFE - SECOND).epoch == 1
        with pytest.raises(InvalidToken):
            ground.tokens.check_access(token, NOON + ACCESS_LIFE)


async def test_a_token_from_the_future_is_refused_beyond_what_clocks_differ(ground: Ground) -> None:
    token = await _token(ground)
    with pytest.raises(InvalidToken):
        ground.tokens.check_access(token, NOON - LEEWAY - SECOND)
    assert ground.tokens.check_access(token, NOON - LEEWAY).epoch == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"type": 1},
        {"type": 2},
        {"aud": "somebody else"},
        {"iss": "somebody else"},
        {"exp": int(NOON.timestamp())},
        {"exp": "never"},
        {"sub": "not a user"},
        {"sub": None},
        {"exp": None},
        {"iat": None},
        {"aud": None},
        {"iss": None},
        {"jti": None},
        {"sid": None},
        {"epoch": None},
        {"epoch": "latest"},
        {"exp": 10**400},
        {"iat": "a while ago"},
        {"kid": "unknown"},
        {"typ": "JWT"},
        {"typ": "rt+jwt"},
        {"padding": "x" * 5000},
    ],
    ids=str,
)
async def test_a_token_of_ours_that_is_no_access_token_is_refused(
    ground: Ground, changes: dict[str, Any]
) -> None:
    forged = _forged(ground, await _token(ground), **changes)
    with pytest.raises(InvalidToken):
        ground.tokens.check_access(forged, NOON)


async def test_a_token_that_we_did_not_sign_is_refused(ground: Ground) -> None:
    token = await _token(ground)
    public = ground.key.jwk["x"].encode() * 2
    forgeries = [
        "",
        "a.b.c",
        "é.é.é",
        token[:-4] + "AAAA",
        _forged(ground, token, key=ec.generate_private_key(ec.SECP256R1())),
        _forged(ground, token, key="", algorithm="none"),
        _forged(ground, token, key=public, algorithm="HS256"),
    ]
    for forged in forgeries:
        with pytest.raises(InvalidToken):
            ground.tokens.check_access(forged, NOON)
    assert ground.tokens.check_access(token, NOON).epoch == 1


async def test_kinds_of_tokens_are_not_interchangeable(ground: Ground) -> None:
    grant, refresh = await ground.sessions.open(await ground.account(), "", NOON)
    access = await ground.tokens.access_token(grant, await ground.account(), NOON)
    with pytest.raises(InvalidToken):
        ground.tokens.check_access(refresh, NOON)
    with pytest.raises(InvalidToken):
        await ground.sessions.refresh(access, NOON)
    assert await ground.sessions.refresh(refresh, NOON)


async def test_a_token_of_a_retired_key_is_still_checked(ground: Ground) -> None:
    token = await _token(ground)
    newer = SigningKey.make("ES256")
    rotated = LocalTokens([newer, ground.key], life=ACCESS_LIFE, issuer=ISSUER, audience=AUDIENCE)
    assert rotated.check_access(token, NOON).epoch == 1
    without = LocalTokens([newer], life=ACCESS_LIFE, issuer=ISSUER, audience=AUDIENCE)
    with pytest.raises(InvalidToken):
        without.check_access(token, NOON)
