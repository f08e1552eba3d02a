"""One user as they are now: from the read model or, where the log has more, from the log."""

from __future__ import annotations

from uuid import UUID

from application.ports import Ports, UserRow


async def present(user_id: UUID, ports: Ports) -> UserRow | None:
    """What there is to show of a user; None where there is no such user."""
    row = await ports.directory.find(user_id)
    if row is not None and not row.behind:
        return row
    user = (await ports.log.load(user_id)).user
    return ports.directory.render(user) if user.exists else None
