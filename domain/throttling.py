"""How long somebody who has failed too often waits: growing pauses, none longer than half a minute."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import msgspec

Act = Literal["login", "refresh", "register", "reset", "verification", "secret", "email", "export"]
Scope = Literal["account", "account from a network", "network"]

LONGEST_PAUSE = timedelta(seconds=30)
"""Nobody can lock somebody else out for longer than this, however hard they try."""


class Allowance(msgspec.Struct, frozen=True):
    """How many attempts are free, and after how long without another all of them are again.

    For logins, refreshes and changes of a secret only failures count; for registrations, changes of an email,
    exports and mails that are asked for, every attempt does.
    """

    free: int
    forgotten_after: timedelta


ALLOWANCES: dict[tuple[Act, Scope], Allowance] = {
    ("login", "account from a network"): Allowance(5, timedelta(minutes=15)),
    ("login", "account"): Allowance(50, timedelta(minutes=15)),
    ("login", "network"): Allowance(50, timedelta(minutes=15)),
    ("secret", "account"): Allowance(5, timedelta(minutes=15)),
    ("refresh", "network"): Allowance(100, timedelta(minutes=5)),
    ("register", "network"): Allowance(500, timedelta(minutes=5)),
    ("reset", "account from a network"): Allowance(3, timedelta(hours=1)),
    ("reset", "account"): Allowance(20, timedelta(hours=1)),
    ("reset", "network"): Allowance(30, timedelta(minutes=15)),
    ("email", "account"): Allowance(10, timedelta(hours=1)),
    ("export", "account"): Allowance(5, timedelta(hours=1)),
    ("verification", "account"): Allowance(3, timedelta(hours=1)),
    ("verification", "network"): Allowance(30, timedelta(minutes=15)),
}


def pause_after(attempts: int, free: int) -> timedelta:
    """How long the next attempt waits after so many: nothing while they are free, then 1 s, 2 s, 4 s …"""
    over = attempts - free
    if over < 0:
        return timedelta(0)
    return min(timedelta(seconds=2 ** min(over, 10)), LONGEST_PAUSE)
