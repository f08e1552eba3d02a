"""What the clients know: what they were promised, what was refused, which tokens should be worth nothing."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx


@dataclass
class Session:
    """A session of an account; it is `sure` as long as everything that was asked of it was answered."""

    id: str
    access: list[str]
    refresh: str
    sure: bool = True


@dataclass
class Account:
    """What its one client knows of an account."""

    id: str
    email: str
    username: str
    secret: str
    first_name: str
    enabled: bool = True
    sessions: list[Session] = field(default_factory=list)


@dataclass(frozen=True)
class Write:
    """A write that was answered with success: whose, which event, where, and the unique text it carried."""

    user_id: UUID
    event: str
    position: int
    mark: str = ""


@dataclass(frozen=True)
class Revoked:
    """A token that nobody may use any more, since when (`time.monotonic`), and why."""

    token: str
    kind: str
    since: float
    why: str


class Book:
    """Everything that was seen from outside; shared by all clients."""

    def __init__(self) -> None:
        self.writes: list[Write] = []
        self.attempted: set[str] = set()
        self.refused: set[str] = set()
        """Marks of writes that were refused each time, so that they must not be stored."""
        self.requests: dict[str, Counter[str]] = {}
        self.repeated = 0
        self.faults: list[tuple[float, str]] = []
        """When (`time.monotonic`) and what."""
        self.revoked: list[Revoked] = []
        self.tried = 0
        self.doubtful_until = 0.0
        """Until then (`time.monotonic`) good tokens may be refused, because clocks do not agree."""
        self.heard: Sequence[Callable[[Revoked], None]] = ()
        """Who is told of each revoked token."""

    def count(self, kind: str, outcome: str) -> None:
        self.requests.setdefault(kind, Counter())[outcome] += 1

    def fault(self, words: str) -> None:
        if len(self.faults) < 200:
            self.faults.append((time.monotonic(), words))

    def acknowledge(self, answer: httpx.Response, user_id: str, event: str, mark: str = "") -> None:
        position = int(answer.headers["usersd-position"])
        self.writes.append(Write(UUID(user_id), event, position, mark))

    def revoke(self, why: str, *sessions: Session) -> None:
        """The end of these sessions was acknowledged just now."""
        now = time.monotonic()
        for session in sessions:
            tokens = [(token, "access") for token in session.access[-2:]] + [(session.refresh, "refresh")]
            for token, kind in tokens:
                revoked = Revoked(token, kind, now, why)
                self.revoked.append(revoked)
                for hear in self.heard:
                    hear(revoked)


def session_of(answer: httpx.Response) -> Session:
    """The session that a login has opened."""
    tokens = answer.json()
    session_id = claims_of(tokens["access_token"])["sid"]
    return Session(session_id, [tokens["access_token"]], tokens["refresh_token"])


def claims_of(token: str) -> dict[str, Any]:
    """What a token says, as anybody may read it."""
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims
