"""`mainflux.users.policies.AuthService`: what the services of Mainflux asked its users service."""

from __future__ import annotations

from application.bus import Bus
from application.messages import Context
from application.queries.authorize_user import AuthorizeUser
from application.queries.identify import Identify
from domain.errors import Forbidden
from domain.values import user_id as parse_id
from interfaces.grpc.errors import invalid
from interfaces.grpc.stubs.mainflux.users.policies.auth_pb2 import (
    AuthorizeReq,
    AuthorizeRes,
    IdentifyReq,
    IdentifyRes,
)

ENTITY_TYPES = ("client", "group")


async def identify(request: IdentifyReq, context: Context, bus: Bus) -> IdentifyRes:
    """The id of the user behind an access token. Raises InvalidToken for what is none."""
    found = await bus.ask(Identify(token=request.token), context)
    return IdentifyRes(id=str(found.user_id))


async def authorize(request: AuthorizeReq, context: Context, bus: Bus) -> AuthorizeRes:
    """Admins may do everything. There are no groups and policies here that would let anybody else."""
    for field in ("subject", "object", "action"):
        if not getattr(request, field):
            raise invalid(field, "This field is needed.")
    subject = parse_id(request.subject)
    if subject is not None and await bus.ask(AuthorizeUser(user_id=subject, standing="admin"), context):
        return AuthorizeRes(authorized=True)
    if request.entityType not in ENTITY_TYPES:
        raise invalid("entityType", f"The type of entity is one of {', '.join(ENTITY_TYPES)}.")
    raise Forbidden
