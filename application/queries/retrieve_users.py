"""Show many users at once to another service."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

from application.documents import parse_document
from application.messages import Context, Query
from application.ports import Ports
from application.viewing import present
from domain.access import require_scope
from domain.user import User


class RetrieveUsers(Query[Sequence[User]], frozen=True, kw_only=True):
    """The users of these ids in this order, whatever their role and status; ids of nobody are passed over.

    For service accounts with the scope `read_users`, and admins.
    """

    user_ids: Sequence[UUID]


async def handle(query: RetrieveUsers, context: Context, ports: Ports) -> Sequence[User]:
    require_scope(context.actor, "read_users")
    wanted = dict.fromkeys(query.user_ids)
    rows = await asyncio.gather(*(present(user_id, ports) for user_id in wanted))
    return [parse_document(row.document, row.version) for row in rows if row]
