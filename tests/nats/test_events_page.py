"""The consumer that docs/EVENTS.md shows, run as it stands there."""

from __future__ import annotations

from tests.contract.test_events_page import heard
from tests.nats.service import Service


async def test_the_consumer_of_the_page_hears_everything_in_order(service: Service) -> None:
    async with service.relaying():
        (user,) = await service.register()
        await service.rename(user, 2)
        await service.relayed()
    assert await heard(service.nats_url, 3) == [
        f"1 users.registered.v1 {user}",
        f"2 users.profile_updated.v1 {user}",
        f"3 users.profile_updated.v1 {user}",
    ]
