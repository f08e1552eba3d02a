"""A stand-in for SpiceDB: the relationships of the client's own protocol, in memory."""

from __future__ import annotations

from typing import Any

import grpc
from authzed.api.v1 import (
    DeleteRelationshipsResponse,
    RelationshipUpdate,
    WriteRelationshipsResponse,
    ZedToken,
)
from authzed.api.v1.permission_service_pb2_grpc import (
    add_PermissionsServiceServicer_to_server,
)

from tests.support.platform.servers import Killable

KEY = "a pre-shared key"
Tuple = tuple[str, str, str]
MOST_UPDATES = 1000


class SpiceDB:
    """Keeps (object, relation, subject) and refuses whoever does not show its key."""

    def __init__(self) -> None:
        self.tuples: set[Tuple] = set()
        self.server = Killable(self._add)

    def _add(self, server: Any) -> None:
        servicer: Any = self
        add_PermissionsServiceServicer_to_server(servicer, server)

    def __getattr__(self, name: str) -> Any:
        """What the client's protocol has beyond that, nobody calls."""
        if not name[:1].isupper():
            raise AttributeError(name)
        return None

    def has(self, user_id: str, relation: str) -> bool:
        return ("platform:magistrala", relation, f"user:{user_id}") in self.tuples

    def of(self, user_id: str) -> set[str]:
        """The relations of a user to the platform."""
        return {relation for _, relation, subject in self.tuples if subject == f"user:{user_id}"}

    async def WriteRelationships(self, request: Any, context: Any) -> Any:
        await _known(context)
        updates = [(update.operation, _tuple(update.relationship)) for update in request.updates]
        if len(updates) > MOST_UPDATES or len({one for _, one in updates}) != len(updates):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "too many updates, or one twice")
        for operation, one in updates:
            if operation == RelationshipUpdate.OPERATION_CREATE and one in self.tuples:
                await context.abort(grpc.StatusCode.ALREADY_EXISTS, "it is there")
            if operation == RelationshipUpdate.OPERATION_DELETE:
                self.tuples.discard(one)
            else:
                self.tuples.add(one)
        return WriteRelationshipsResponse(written_at=ZedToken(token="1"))

    async def DeleteRelationships(self, request: Any, context: Any) -> Any:
        await _known(context)
        wanted = request.relationship_filter.optional_subject_filter
        subject = f"{wanted.subject_type}:{wanted.optional_subject_id}"
        self.tuples = {one for one in self.tuples if one[2] != subject}
        return DeleteRelationshipsResponse(deleted_at=ZedToken(token="1"))


async def _known(context: Any) -> None:
    if ("authorization", f"Bearer {KEY}") not in tuple(context.invocation_metadata()):
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "another key")


def _tuple(relationship: Any) -> Tuple:
    resource, subject = relationship.resource, relationship.subject.object
    return (
        f"{resource.object_type}:{resource.object_id}",
        relationship.relation,
        f"{subject.object_type}:{subject.object_id}",
    )
