"""The roles of the program: all are wired alike, and differ in what they do."""

from __future__ import annotations

from enum import StrEnum


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
