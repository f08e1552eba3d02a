"""`auth.v1.AuthService`: whose token this is, and what a user is on the platform."""

from __future__ import annotations

from uuid import UUID

from application.bus import Bus
from application.messages import Context
from application.queries.authorize_user import AuthorizeUser, Standing
from application.queries.identify import Identify
from domain.errors import Forbidden
from domain.values import Role
from domain.values import user_id as parse_id
from interfaces.grpc.errors import invalid
from interfaces.grpc.stubs.auth.v1.auth_pb2 import AuthNReq, AuthNRes, AuthZReq, AuthZRes, PolicyReq

ACCESS = 0
ROLE = {Role.USER: 1, Role.ADMIN: 2}

PLATFORM = ("platform", "magistrala")
"""The one object that is decided about here, by its type and its name."""

_STANDINGS: dict[str, Standing] = {"admin": "admin", "membership": "member"}


async def authenticate(request: AuthNReq, context: Context, bus: Bus) -> AuthNRes:
    """Who is behind an access token. Raises InvalidToken for what is none."""
    found = await bus.ask(Identify(token=request.token), context)
    return AuthNRes(
        id=str(found.session_id),
        user_id=str(found.user_id),
        user_role=ROLE[found.role],
        verified=found.verified,
        token_type=ACCESS,
    )


async def authorize(request: AuthZReq, context: Context, bus: Bus) -> AuthZRes:
    """Whether a user is a member or an admin of the platform; whatever else is asked is denied."""
    asked = request.policy_req
    if not asked.subject:
        raise invalid("policy_req.subject", "A subject is needed.")
    standing = _STANDINGS.get(asked.permission)
    if request.HasField("pat_req") or (asked.object_type, asked.object) != PLATFORM or standing is None:
        raise Forbidden("Only `admin` and `membership` of platform `magistrala` are decided about here.")
    subject = await _subject(asked, context, bus)
    if subject is None or not await bus.ask(AuthorizeUser(user_id=subject, standing=standing), context):
        raise Forbidden
    return AuthZRes(authorized=True, id=str(subject))


async def _subject(asked: PolicyReq, context: Context, bus: Bus) -> UUID | None:
    if asked.subject_type not in ("", "user"):
        return None
    if asked.subject_kind == "token":
        return (await bus.ask(Identify(token=asked.subject), context)).user_id
    return parse_id(asked.subject) if asked.subject_kind in ("", "users") else None
