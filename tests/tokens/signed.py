"""Tokens for Ada, signed with the keys that a test chooses."""

from __future__ import annotations

from uuid import uuid4

from application.ports import SessionGrant
from infrastructure.tokens.local import LocalTokens
from infrastructure.tokens.signing import SigningKey
from tests.support.memory import NOON
from tests.tokens.conftest import ACCESS_LIFE, AUDIENCE, ISSUER, Ground


def tokens_with(*keys: SigningKey) -> LocalTokens:
    return LocalTokens(keys, life=ACCESS_LIFE, issuer=ISSUER, audience=AUDIENCE)


async def signed(ground: Ground, tokens: LocalTokens) -> str:
    account = await ground.account()
    grant = SessionGrant(user_id=ground.ada, session_id=uuid4(), epoch=account.epoch)
    return await tokens.access_token(grant, account, NOON)
