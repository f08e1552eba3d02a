"""From the token of a mail to the user it was sent to."""

from __future__ import annotations

from msgspec.structs import replace

from application.link_tokens import LinkKind
from application.messages import Context
from application.ports import History, Ports
from domain import events
from domain.access import Actor
from domain.errors import TokenGone
from domain.requests import still_holds
from domain.user import fold


async def redeem(kind: LinkKind, token: str, context: Context, ports: Ports) -> tuple[History, Context]:
    """The user as the log has them, and the context with them as the actor.

    What is appended to this history uses the token up: who comes second meets another version of the user,
    looks again and finds the token gone. Raises Invalid for what was never a token of this kind, and
    TokenGone.
    """
    link = await ports.links.find(kind, token, context.at)
    before = await ports.log.load(link.user_id)
    timeline = await ports.log.timeline(link.user_id)
    place = next((n for n, recorded in enumerate(timeline) if recorded.event_id == link.event_id), None)
    if place is None:
        raise TokenGone
    request = timeline[place].event
    assert isinstance(request, events.PasswordResetRequested | events.VerificationRequested)
    then = fold(link.user_id, (recorded.event for recorded in timeline[: place + 1]))
    if not still_holds(then, request, [recorded.event for recorded in timeline[place + 1 :]]):
        raise TokenGone
    user = before.user
    return before, replace(context, actor=Actor("user", user.id, user.role, "mail", user.is_verified))
