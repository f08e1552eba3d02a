"""Tells the Domains service which users are gone for good."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from domain import events
from domain.errors import Refusal
from domain.events import Event
from infrastructure.auth_service.connection import Connection
from infrastructure.auth_service.reactor import NotTold
from interfaces.grpc.stubs.domains.v1.domains_pb2 import DeleteUserReq
from interfaces.grpc.stubs.domains.v1.domains_pb2_grpc import DomainsServiceStub

NAME = "domains"

# A deleted account can be restored while its grace lasts; what it is a member of has to be there then.
CONCERNS: frozenset[type[Event]] = frozenset({events.ErasureRequested})


class Domains:
    """Whoever was told already may be told again: the others of a page do not wait for one who is refused."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = DomainsServiceStub(connection.channel)

    async def tell(self, users: Sequence[UUID]) -> None:
        """Raises NotTold unless every one of them was answered with `deleted`."""
        refused = 0
        for user_id in users:
            try:
                answer = await self._connection.call(
                    self._stub.DeleteUserFromDomains, DeleteUserReq(id=str(user_id)), {}
                )
            except Refusal:
                raise NotTold("the Domains service did not take that users are gone") from None
            refused += not answer.deleted
        if refused:
            raise NotTold(f"the Domains service has not deleted {refused} users who are gone")
