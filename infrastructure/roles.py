"""What each role of the program does: all are wired alike, and differ in what runs."""

from __future__ import annotations

from collections.abc import Coroutine
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infrastructure.bootstrap import Service


class Role(StrEnum):
    """The commands that run until they are ended; any number of each may run side by side."""

    RUN = "run"
    API = "api"
    PROJECTOR = "projector"
    RELAY = "relay"
    MAILER = "mailer"
    SWEEPER = "sweeper"

    @property
    def answers(self) -> bool:
        """Whether it serves users and services; the others answer health, readiness and metrics alone."""
        return self in (Role.RUN, Role.API)

    def does(self, part: Role) -> bool:
        """Whether the work of another role is done by this one."""
        return self in (part, Role.RUN)


OPERATIONS_PORTS = {Role.PROJECTOR: 9012, Role.RELAY: 9013, Role.MAILER: 9014, Role.SWEEPER: 9015}
"""Where roles without an API answer those who run them, unless MG_USERS_OPERATIONS_PORT says otherwise."""


def work(role: Role, service: Service) -> list[Coroutine[Any, Any, Any]]:
    """What a role does besides answering, until it is cancelled."""
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
