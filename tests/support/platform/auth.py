"""The Auth service: signs tokens with Ed25519 or a secret, keeps refresh tokens, asks SpiceDB for roles."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from uuid import uuid4

import grpc
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from interfaces.grpc.stubs.auth.v1.auth_pb2 import AuthNRes
from interfaces.grpc.stubs.auth.v1.auth_pb2_grpc import (
    AuthServiceServicer,
    add_AuthServiceServicer_to_server,
)
from interfaces.grpc.stubs.token.v1.token_pb2 import (
    ListUserRefreshTokensRes,
    RefreshToken,
    RevokeRes,
    Token,
)
from interfaces.grpc.stubs.token.v1.token_pb2_grpc import (
    TokenServiceServicer,
    add_TokenServiceServicer_to_server,
)
from tests.support.platform.servers import Killable
from tests.support.platform.spicedb import SpiceDB

ISSUER = "magistrala.auth"
ACCESS, REFRESH, PERSONAL = 0, 1, 4
LIVES = {ACCESS: 3600, REFRESH: 24 * 3600}
RELATIONS = {1: "member", 2: "administrator"}
SECRET = "a secret that only the Auth service has, long enough for HS512, as it has to be" * 2


class Auth(TokenServiceServicer, AuthServiceServicer):
    """`algorithm` is EdDSA, with keys to be published, or HS512, with none."""

    def __init__(self, spicedb: SpiceDB, algorithm: str = "EdDSA", credentials: Any = None) -> None:
        self.algorithm = algorithm
        self._spicedb = spicedb
        self.keys = {"first": Ed25519PrivateKey.generate()}
        self.sessions: dict[str, tuple[str, str]] = {}
        self.personal: dict[str, str] = {}
        self.calls: list[str] = []
        self.behind = 0
        self.delay = 0.0
        self.status: grpc.StatusCode | None = None
        self.failing = ""
        """The one call that `status` is for; every call unless named."""
        self.server = Killable(self._add, credentials)

    def _add(self, server: Any) -> None:
        add_TokenServiceServicer_to_server(self, server)
        add_AuthServiceServicer_to_server(self, server)

    def rotate(self, kid: str) -> None:
        """Sign with another key from now on; the ones before are withdrawn."""
        self.keys = {kid: Ed25519PrivateKey.generate()}

    @property
    def jwks(self) -> dict[str, Any]:
        if self.algorithm != "EdDSA":
            return {"keys": None}
        return {"keys": [self._published(kid, key) for kid, key in self.keys.items()]}

    def _published(self, kid: str, key: Ed25519PrivateKey) -> dict[str, Any]:
        jwk = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
        return {"kid": kid, "alg": "EdDSA", "use": "sig", **jwk}

    def sign(self, **claims: Any) -> str:
        """A token with these claims, and those that all have."""
        now = int(time.time()) - self.behind
        said = {"iss": ISSUER, "iat": now, "verified": False, "role": 1, **claims}
        said.setdefault("exp", now + LIVES.get(said["type"], 60))
        if self.algorithm != "EdDSA":
            return jwt.encode(said, SECRET, self.algorithm)
        kid, key = next(iter(self.keys.items()))
        return jwt.encode(said, key, "EdDSA", {"kid": kid})

    async def Issue(self, request: Any, context: Any) -> Any:
        await self._begin("Issue", context)
        if not self._spicedb.has(request.user_id, RELATIONS[request.user_role]):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "no such policy")
        session = str(uuid4())
        self.sessions[session] = (request.user_id, request.description)
        said = {"sub": request.user_id, "role": request.user_role, "verified": request.verified}
        return Token(
            access_token=self.sign(type=ACCESS, **said),
            refresh_token=self.sign(type=REFRESH, jti=session, **said),
            access_type="Bearer",
        )

    async def Refresh(self, request: Any, context: Any) -> Any:
        await self._begin("Refresh", context)
        said = self._open(request.refresh_token) or {}
        if said.get("type") != REFRESH or said.get("jti") not in self.sessions:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no such session")
        user_id, _ = self.sessions.pop(said["jti"])
        session = str(uuid4())
        self.sessions[session] = (user_id, "")
        kept = {"sub": user_id, "role": said["role"], "verified": request.verified, "jti": session}
        return Token(
            access_token=self.sign(type=ACCESS, **kept),
            refresh_token=self.sign(type=REFRESH, **kept),
            access_type="Bearer",
        )

    async def Revoke(self, request: Any, context: Any) -> Any:
        await self._begin("Revoke", context)
        self.sessions.pop(request.token_id, None)
        return RevokeRes()

    async def ListUserRefreshTokens(self, request: Any, context: Any) -> Any:
        await self._begin("ListUserRefreshTokens", context)
        found = [
            RefreshToken(id=session, description=words)
            for session, (user_id, words) in self.sessions.items()
            if user_id == request.user_id
        ]
        return ListUserRefreshTokensRes(refresh_tokens=found)

    async def Authenticate(self, request: Any, context: Any) -> Any:
        await self._begin("Authenticate", context)
        if owner := self.personal.get(request.token):
            return AuthNRes(id=str(uuid4()), user_id=owner, user_role=1, token_type=PERSONAL)
        said = self._open(request.token)
        if said is None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token of mine")
            raise AssertionError("unreachable")
        return AuthNRes(
            id=said.get("jti", ""), user_id=said["sub"], user_role=said["role"], token_type=said["type"]
        )

    async def Authorize(self, request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "nobody asks")

    async def _begin(self, call: str, context: Any) -> None:
        self.calls.append(call)
        await asyncio.sleep(self.delay)
        if self.status is not None and self.failing in ("", call):
            await context.abort(self.status, "as the test wants it")

    def _open(self, token: str) -> dict[str, Any] | None:
        """The claims of a token of this service, of whichever type."""
        try:
            if self.algorithm != "EdDSA":
                return dict(jwt.decode(token, SECRET, algorithms=[self.algorithm]))
            kid = jwt.get_unverified_header(token)["kid"]
            return dict(jwt.decode(token, self.keys[kid].public_key(), algorithms=["EdDSA"]))
        except (jwt.PyJWTError, KeyError):
            return None
