"""Sessions that the Auth service keeps: opened, gone on with and ended there, by the rules that hold here."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from application.ports import AccessClaims, Clock, Credential, LivingSession, SessionGrant
from application.security import SecurityKind, Session
from domain.errors import InvalidToken, IssuedElsewhere, Refusal, Unavailable, WrongCredentials
from infrastructure.auth_service.claims import Claims
from infrastructure.auth_service.client import REFRESH, AuthService, NotOnPlatform
from infrastructure.auth_service.connection import RETRY_AFTER
from infrastructure.auth_service.ended import Ended, is_ended, remember
from infrastructure.auth_service.epochs import Epochs
from infrastructure.auth_service.tokens import RemoteTokens
from interfaces.grpc.stubs.token.v1.token_pb2 import Token

POLICY_WITHIN = 2.0
"""Seconds for which a login waits until the role is written where the Auth service looks it up."""

_NOT_YET = "The account is not known on the whole platform yet; try again shortly."

log = logging.getLogger("usersd.auth_service")


class Written(Protocol):
    """What knows whether the role of a user is written."""

    def reached(self, user_id: UUID, within: float) -> Awaitable[bool]: ...


class RemoteSessions:
    """Implements the port Sessions over the Auth service."""

    def __init__(
        self,
        auth: AuthService,
        tokens: RemoteTokens,
        epochs: Epochs,
        policies: Written,
        pool: AsyncConnectionPool,
        clock: Clock,
    ) -> None:
        self._auth = auth
        self._tokens = tokens
        self._epochs = epochs
        self._policies = policies
        self._pool = pool
        self._clock = clock
        self.when_ended: Callable[[], None] = lambda: None

    async def open(
        self,
        credential: Credential,
        description: str,
        at: datetime,
        *,
        user_agent: str = "",
        network: str = "",
    ) -> tuple[SessionGrant, str]:
        await self._next_second(credential)
        await self._unchanged(credential)
        token = await self._issued(credential, description)
        access, begun = await self._read(token)
        if access.user_id == credential.user_id and access.epoch == credential.epoch:
            return self._grant(access, begun, token), token.refresh_token
        if begun is not None:
            await self._auth.revoke(credential.user_id, begun.session_id)
        await self._unchanged(credential)
        log.error(
            "the Auth service issues tokens from the past: its clock is behind, or is it another's token?"
        )
        raise Unavailable(retry_after=RETRY_AFTER)

    async def refresh(self, token: str, at: datetime, *, network: str = "") -> tuple[SessionGrant, str]:
        claims, account = await self._living(token, at)
        await self._next_second(account)
        issued = await self._auth.refresh(token, verified=account.verified)
        access, begun = await self._read(issued)
        return self._grant(access, begun or claims, issued), issued.refresh_token or token

    def made_here(self, token: str) -> bool:
        claims = self._tokens.read_at_hand(token, self._clock.now())
        return claims is not None and claims.type == REFRESH

    async def living(self, token: str, at: datetime) -> LivingSession | None:
        try:
            claims, account = await self._living(token, at)
        except InvalidToken:
            return None
        if claims.session_id not in await self._auth.sessions_of(account.user_id):
            return None
        expires_at = datetime.fromtimestamp(claims.expires_at, UTC)
        return LivingSession(user_id=account.user_id, session_id=claims.session_id, expires_at=expires_at)

    async def of(self, user_id: UUID, at: datetime) -> Sequence[Session]:
        """The sessions by id and description; of when and where they were used nothing is known."""
        found = await self._auth.sessions_of(user_id)
        return [Session(id=session_id, description=words) for session_id, words in found.items()]

    async def revoke(
        self, user_id: UUID, session_id: UUID, at: datetime, *, by: UUID | None = None, network: str = ""
    ) -> None:
        # The Auth service does not look at whose session it is.
        there = session_id in await self._auth.sessions_of(user_id)
        if not there and session_id != by:
            return
        # Here first: what fails after that is found there and ended by the next attempt; the other way
        # round nobody would find it again, and its access tokens would live on.
        await self._end(user_id, [session_id], at, "session_revoked", session_id, network)
        if there:
            await self._auth.revoke(user_id, session_id)

    async def revoke_all(
        self,
        user_id: UUID,
        at: datetime,
        *,
        keep: UUID | None = None,
        by: UUID | None = None,
        network: str = "",
    ) -> None:
        there = await self._auth.sessions_of(user_id)
        if keep is not None and keep not in there:
            raise IssuedElsewhere(
                "The Auth service does not say which session this token belongs to, so that none can be kept."
            )
        others = [session_id for session_id in there if session_id != keep]
        ended = others if by is None or by in (*others, keep) else [*others, by]
        if ended:
            await self._end(user_id, ended, at, "all_sessions_revoked", by, network)
        for session_id in others:
            await self._auth.revoke(user_id, session_id)

    async def close(self) -> None:
        await self._auth.close()

    async def _unchanged(self, credential: Credential) -> None:
        """Raises WrongCredentials where the account was shut, or its secret changed, meanwhile."""
        try:
            now = await self._epochs.account(credential.user_id)
        except InvalidToken:
            raise WrongCredentials from None
        if now.epoch != credential.epoch:
            raise WrongCredentials

    async def _issued(self, account: Credential, description: str) -> Token:
        try:
            return await self._auth.issue(account, description)
        except NotOnPlatform:
            if not await self._policies.reached(account.user_id, POLICY_WITHIN):
                raise Unavailable(_NOT_YET, retry_after=RETRY_AFTER) from None
        try:
            return await self._auth.issue(account, description)
        except NotOnPlatform:
            log.error(
                "the Auth service refuses to issue tokens although the policies are written: "
                "does it read the SpiceDB of MG_SPICEDB_HOST?"
            )
            raise Unavailable(_NOT_YET, retry_after=RETRY_AFTER) from None

    async def _living(self, token: str, at: datetime) -> tuple[Claims, Credential]:
        """A refresh token that nothing has ended here. Raises InvalidToken."""
        claims = await self._tokens.read(token, at)
        if claims.type != REFRESH:
            raise InvalidToken
        account = await self._epochs.account(claims.user_id)
        if not account.honours(await self._tokens.stamped(claims)):
            raise InvalidToken
        if await is_ended(self._pool, claims.session_id):
            raise InvalidToken
        return claims, account

    async def _read(self, token: Token) -> tuple[AccessClaims, Claims | None]:
        """What was issued; a token that does not hold here is a fault of the platform, not of the caller."""
        now = self._clock.now()
        try:
            access = await self._tokens.claims(token.access_token, now)
            return access, await self._tokens.read(token.refresh_token, now) if token.refresh_token else None
        except Unavailable:
            raise
        except Refusal as refusal:
            log.error(
                "a token that the Auth service has just issued does not hold here (%s): look at "
                "MG_AUTH_JWKS_URL, MG_AUTH_KEYS_ALGORITHM, MG_USERS_ISSUER and the clocks",
                refusal.code,
            )
            raise Unavailable(retry_after=RETRY_AFTER) from None

    async def _next_second(self, account: Credential) -> None:
        """Tokens know whole seconds: one from the second of a change could be from before it."""
        raised = await self._epochs.raised_at(account)
        if raised is not None:
            wait = math.ceil(raised.timestamp()) - self._clock.now().timestamp()
            if 0 < wait <= 1:
                await asyncio.sleep(wait)

    async def _end(
        self,
        user_id: UUID,
        sessions: Sequence[UUID],
        at: datetime,
        kind: SecurityKind,
        session: UUID | None,
        network: str,
    ) -> None:
        ended = Ended(user_id=user_id, sessions=sessions, at=at, kind=kind, session=session, network=network)
        await remember(self._pool, ended)
        self.when_ended()

    def _grant(self, access: AccessClaims, begun: Claims | None, token: Token) -> SessionGrant:
        return SessionGrant(
            user_id=access.user_id,
            session_id=begun.session_id if begun else access.session_id,
            epoch=access.epoch,
            access_token=token.access_token,
        )
