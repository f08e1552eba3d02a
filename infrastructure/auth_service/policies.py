"""The role of each user in SpiceDB, where the Auth service looks it up before it issues tokens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import psycopg
from authzed.api.v1 import (
    DeleteRelationshipsRequest,
    ObjectReference,
    Relationship,
    RelationshipFilter,
    RelationshipUpdate,
    SubjectFilter,
    SubjectReference,
    WriteRelationshipsRequest,
)
from authzed.api.v1.permission_service_pb2_grpc import PermissionsServiceStub
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from domain import events
from domain.errors import Refusal, Unavailable
from domain.events import Event
from domain.values import Role, Status
from infrastructure.auth_service.connection import Connection
from infrastructure.auth_service.reactor import NotTold

NAME = "policies"
PLATFORM = ("platform", "magistrala")
MEMBER, ADMINISTRATOR = "member", "administrator"
LOOKS_EVERY = 0.02

CONCERNS: frozenset[type[Event]] = frozenset(
    {
        events.Registered,
        events.Imported,
        events.RoleChanged,
        events.Enabled,
        events.Disabled,
        events.Deleted,
        events.Restored,
        events.ErasureRequested,
        events.Erased,
    }
)

_STANDING = "SELECT user_id, status, role FROM credentials WHERE user_id = ANY(%s)"

_REACHED = """
SELECT r.position >= coalesce(c.changed, e.position)
FROM credentials c
JOIN events e ON e.stream_id = c.user_id AND e.version = 1
JOIN reactors r ON r.name = %s
WHERE c.user_id = %s"""


class Policies:
    """Writes what a user is on the platform, and knows how far that has come."""

    def __init__(self, connection: Connection, pre_shared_key: str, pool: AsyncConnectionPool) -> None:
        self._connection = connection
        self._stub: Any = PermissionsServiceStub(connection.channel)
        self._metadata = (("authorization", f"Bearer {pre_shared_key}"),)
        self._pool = pool

    async def tell(self, users: Sequence[UUID]) -> None:
        """Bring the tuples of these users to what their accounts are now. Raises NotTold."""
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_STANDING, (list(users),))).fetchall()
        standing = {user_id: (Status(status), Role(role)) for user_id, status, role in rows}
        try:
            updates = [update for user_id in users for update in updates_for(user_id, standing.get(user_id))]
            await self._call(self._stub.WriteRelationships, WriteRelationshipsRequest(updates=updates))
            for user_id in users:
                if standing.get(user_id, (Status.ERASED,))[0] is Status.ERASED:
                    await self._call(self._stub.DeleteRelationships, _everything_of(user_id))
        except Refusal:
            raise NotTold("SpiceDB did not take the policies of users") from None

    async def reached(self, user_id: UUID, within: float) -> bool:
        """Whether the present role of a user is written, waiting up to some seconds. Raises Unavailable."""
        deadline = time.monotonic() + within
        try:
            while True:
                async with self._pool.connection() as connection:
                    row = await (await connection.execute(_REACHED, (NAME, user_id))).fetchone()
                if row and row[0]:
                    return True
                if time.monotonic() > deadline:
                    return False
                await asyncio.sleep(LOOKS_EVERY)
        except (psycopg.OperationalError, PoolTimeout):
            raise Unavailable from None

    async def _call(self, method: Any, request: object) -> None:
        await self._connection.call(method, request, {}, self._metadata)


def updates_for(user_id: UUID, standing: tuple[Status, Role] | None) -> Iterable[RelationshipUpdate]:
    """The two tuples of a user: each is written, or taken away, however often."""
    status, role = standing or (Status.ERASED, Role.USER)
    on_platform = status in (Status.ENABLED, Status.DISABLED)
    for relation, holds in ((MEMBER, on_platform), (ADMINISTRATOR, on_platform and role is Role.ADMIN)):
        operation = RelationshipUpdate.OPERATION_TOUCH if holds else RelationshipUpdate.OPERATION_DELETE
        yield RelationshipUpdate(operation=operation, relationship=_relationship(user_id, relation))


def _relationship(user_id: UUID, relation: str) -> Relationship:
    object_type, object_id = PLATFORM
    return Relationship(
        resource=ObjectReference(object_type=object_type, object_id=object_id),
        relation=relation,
        subject=SubjectReference(object=ObjectReference(object_type="user", object_id=str(user_id))),
    )


def _everything_of(user_id: UUID) -> DeleteRelationshipsRequest:
    """Whatever else the platform has written of a user; the subject alone says which."""
    subject = SubjectFilter(subject_type="user", optional_subject_id=str(user_id))
    return DeleteRelationshipsRequest(relationship_filter=RelationshipFilter(optional_subject_filter=subject))
