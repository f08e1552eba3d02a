"""The Domains service, as far as the users service calls it."""

from __future__ import annotations

from typing import Any

from interfaces.grpc.stubs.domains.v1.domains_pb2 import DeleteUserRes
from interfaces.grpc.stubs.domains.v1.domains_pb2_grpc import (
    DomainsServiceServicer,
    add_DomainsServiceServicer_to_server,
)
from tests.support.platform.servers import Killable


class Domains(DomainsServiceServicer):
    """Remembers whom it was told of; `deletes` is what it answers."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.deletes = True
        self.server = Killable(lambda server: add_DomainsServiceServicer_to_server(self, server))

    async def DeleteUserFromDomains(self, request: Any, context: Any) -> Any:
        self.told.append(request.id)
        return DeleteUserRes(deleted=self.deletes)
