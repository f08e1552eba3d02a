"""What each role of the program does besides answering."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from infrastructure.bootstrap import Service
from infrastructure.roles import Role


def work(role: Role, service: Service) -> list[Coroutine[Any, Any, Any]]:
    """Everything that a role runs in the background, until it is cancelled."""
    found: list[Coroutine[Any, Any, Any]] = []
    if role.does(Role.PROJECTOR):
        found += [projector.run() for projector in service.projectors]
    if role.does(Role.RELAY):
        found += [relay.run() for relay in service.relays]
        found += [reactor.run() for reactor in service.reactors]
    if role.does(Role.MAILER):
        found.append(service.mailer.run())
    if role.does(Role.SWEEPER):
        found += [service.erasure.run(), service.checkpointer.run()]
    # Every process opens sealed events or seals them, so each keeps up with the epochs of the keys.
    found.append(service.erasure.epochs.follow())
    found.append(service.scheduler.run())
    return found
