"""What is held on one user beside the log of what happened to them, as an export tells it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from domain.throttling import Act, Scope

NOT_SHOWN: dict[str, str] = {
    "secret": "The hash of the secret: whoever has it can try out secrets.",
    "keys": "The user's own key, which seals what is personal in the log; without it nothing there opens.",
    "names": "Keyed digests of the email and the username, by which both stay unique.",
    "tokens": "Digests of the tokens of sessions and of links in mails: whoever has a token needs no digest.",
    "repeats": "For a day, keyed digests of requests that came with an Idempotency-Key.",
    "trace": "With each event, ids that tell which request and which trace it came from.",
    "origin": "Of an account that was brought from another service: a digest of which, and as of when.",
    "messages": "Which numbers the messages about the user have in the stream for other services.",
    "read_models": "Copies of the profile and the history in the form that lists need, the day of the "
    "registration, and marks where such a copy needs to be mended.",
    "mail_files": "Where no mail server is set up: the mails themselves, as files, for a week.",
}
"""What there is besides, by a name, and what it is for."""


class HeldSession(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A session; of one that the platform's Auth service keeps only the id and the description are known."""

    id: UUID
    created_at: datetime | None = None
    last_used_at: datetime | None = None
    expires_at: datetime | None = None
    description: str = ""
    user_agent: str = ""
    opened_from: str = ""
    network: str = ""


class EndedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session that was ended, remembered for as long as its access tokens could live."""

    id: UUID
    ended_at: datetime
    remembered_until: datetime


class HeldMail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail that follows from the event at a position of the log."""

    kind: str
    state: str
    attempts: int
    created_at: datetime
    handed_over_at: datetime | None
    position: int


class HeldLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link that was asked for; until its mail is handed over it has no time to expire at."""

    kind: str
    expires_at: datetime | None


class HeldAttempts(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts on the account that are counted, and networks that are known to it."""

    act: Act
    scope: Scope
    network: str
    attempts: int
    waits_until: datetime | None
    forgotten_at: datetime
    known_until: datetime | None


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, as it was at one moment."""

    sessions: Sequence[HeldSession]
    ended_sessions: Sequence[EndedSession]
    mails: Sequence[HeldMail]
    links: Sequence[HeldLink]
    attempts: Sequence[HeldAttempts]


class Holdings(Protocol):
    async def of(self, user_id: UUID) -> Held:
        """Raises Unavailable."""
