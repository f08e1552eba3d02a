"""What a process remembers of accounts that changed and of sessions that ended while their tokens live.

No clock decides here about accounts. What the database said of a token was true at a position of the log.
The memory holds every account that changed after the position `floor`, with the position of its last change.
So what was said at `floor` or later, and of an account that has not changed since, is still true.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from application.ports import AccessClaims, Credential, Rights
from domain.errors import InvalidToken
from domain.values import Status

MAX_USERS = 50_000
MAX_SESSIONS = 50_000

SKEW = 120.0
"""Seconds for which an ended session is remembered beyond the last of its tokens: clocks differ."""


class Said(NamedTuple):
    """What the database said of a token, and the position of the log at which that was true."""

    rights: Rights
    as_of: int


class Known:
    """Accounts by their last change, the oldest first, and ended sessions by the end of their tokens."""

    def __init__(self, *, max_users: int = MAX_USERS, max_sessions: int = MAX_SESSIONS) -> None:
        self.reached = 0
        self.floor = 0
        self._users: dict[UUID, tuple[int, Credential]] = {}
        self._sessions: dict[UUID, float] = {}
        self._sessions_doubted_until = 0.0
        self._max_users = max_users
        self._max_sessions = max_sessions

    def __len__(self) -> int:
        return len(self._users)

    @property
    def sessions(self) -> dict[UUID, float]:
        """The ended sessions, and when the last of their tokens ends (Unix seconds)."""
        return self._sessions

    def verdict(self, claims: AccessClaims, said: Said | None, now: float) -> Rights | None:
        """The rights that the memory is sure of, after what was said of a token; None if it is not.

        Raises InvalidToken.
        """
        if claims.session_id in self._sessions:
            raise InvalidToken
        if said is None or now < self._sessions_doubted_until:
            return None
        known = self._users.get(claims.user_id)
        if known and known[0] > said.as_of:
            return rights_of(known[1], claims)
        return said.rights if known or said.as_of >= self.floor else None

    def changed(self, position: int, account: Credential) -> None:
        """An account changed at a position; changes are told in the order of their positions."""
        self._users.pop(account.user_id, None)
        self._users[account.user_id] = (position, account)
        if len(self._users) > self._max_users:
            # What is forgotten may still matter to tokens from before it: these are asked about from now on.
            oldest = next(iter(self._users))
            self.floor = self._users.pop(oldest)[0]

    def ended(self, session_id: UUID, tokens_until: float) -> None:
        """A session was ended by itself; the last of its tokens ends at `tokens_until` (Unix seconds)."""
        if len(self._sessions) < self._max_sessions or session_id in self._sessions:
            self._sessions[session_id] = tokens_until
        else:
            self._sessions_doubted_until = max(self._sessions_doubted_until, tokens_until + SKEW)

    def forget_sessions(self, now: float) -> None:
        """Let go of the sessions whose tokens are all over."""
        # The end of a token is its own clock's; that of a session is the clock's of whoever ended it.
        for session_id in [key for key, until in self._sessions.items() if until + SKEW < now]:
            del self._sessions[session_id]


def rights_of(account: Credential | None, claims: AccessClaims) -> Rights:
    """What an account gives to a token. Raises InvalidToken where that is nothing."""
    if account is None or account.status is not Status.ENABLED or not account.honours(claims):
        raise InvalidToken
    return Rights(account.role, account.verified)
