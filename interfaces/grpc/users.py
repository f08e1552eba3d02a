"""`users.v1.UsersService`: users as messages of protobuf."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from application.bus import Bus
from application.messages import Context
from application.queries.retrieve_users import RetrieveUsers
from domain import user
from domain.values import Role, Status
from domain.values import user_id as parse_id
from interfaces.grpc.errors import AnswerTooLarge, invalid
from interfaces.grpc.stubs.users.v1.users_pb2 import RetrieveUsersReq, RetrieveUsersRes, User

MOST_IDS = 1_000
LARGEST_ANSWER = 4 * 1024 * 1024
"""What clients of gRPC take unless they say otherwise."""

STATUS = {Status.ENABLED: 0, Status.DISABLED: 1, Status.DELETED: 2}
ROLE = {Role.USER: 0, Role.ADMIN: 1}


async def retrieve(request: RetrieveUsersReq, context: Context, bus: Bus) -> RetrieveUsersRes:
    """Those that are asked for, in the order of the request."""
    if not request.ids:
        raise invalid("ids", "missing user id")
    if len(request.ids) > MOST_IDS:
        raise invalid("ids", f"At most {MOST_IDS} users can be asked for at a time.")
    ids = [found for text in request.ids if (found := parse_id(text)) is not None]
    users = await bus.ask(RetrieveUsers(user_ids=ids), context)
    limit = request.limit or len(request.ids)
    shown = users[request.offset : request.offset + limit]
    answer = RetrieveUsersRes(
        total=len(users), limit=limit, offset=request.offset, users=[_user(found) for found in shown]
    )
    if answer.ByteSize() > LARGEST_ANSWER:
        raise AnswerTooLarge
    return answer


def _user(shown: user.User) -> User:
    """As the original filled it, and what it left out but for `private_metadata`: nobody needs that here."""
    return User(
        id=str(shown.id),
        first_name=shown.first_name,
        last_name=shown.last_name,
        tags=shown.tags,
        metadata=_struct(shown.metadata),
        status=STATUS[shown.status],
        role=ROLE[shown.role],
        profile_picture=shown.profile_picture,
        username=shown.username or "",
        email=shown.email,
        created_at=_time(shown.created_at),
        updated_at=_time(shown.updated_at),
        updated_by=shown.updated_by,
        verified_at=_time(shown.verified_at),
        auth_provider=shown.auth_provider,
    )


def _struct(fields: dict[str, Any]) -> Struct:
    made = Struct()
    made.update(fields)
    return made


def _time(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    made = Timestamp()
    made.FromDatetime(time)
    return made
