"""Look at the link of a mail before it is used."""

from __future__ import annotations

from application.link_tokens import LinkKind
from application.links import redeem
from application.messages import Context, Query
from application.ports import Ports


class CheckLink(Query[None], frozen=True, kw_only=True):
    """Whether a link still works; looking at it uses nothing up. One that does not is refused as then."""

    kind: LinkKind
    token: str


async def handle(query: CheckLink, context: Context, ports: Ports) -> None:
    await redeem(query.kind, query.token, context, ports)
