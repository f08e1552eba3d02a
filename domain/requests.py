"""What a link in a mail stands for: a request in the user's history, and until when it holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from domain import events
from domain.access import Actor
from domain.errors import AlreadyVerified, Forbidden, NotFound
from domain.events import Event
from domain.user import User, evolve
from domain.values import Status

SETTLES_IN = timedelta(hours=24)
"""How long a new email waits before it may stand in for the secret.

Changing the email takes no more than an access token, and a thief of one must not get from it to the account:
until then the owner, who was told at the old address, still has the secret.
"""

Request = events.PasswordResetRequested | events.VerificationRequested


def request_password_reset(user: User, *, by: Actor, at: datetime) -> list[Event]:
    """Anyone may ask for anyone; only an enabled account whose email has settled is sent a link."""
    if not user.exists or user.status is not Status.ENABLED:
        return []
    if user.email_changed_at is not None and at < user.email_changed_at + SETTLES_IN:
        return []
    return [events.PasswordResetRequested(by=by.id, at=at)]


def request_verification(user: User, *, by: Actor, at: datetime) -> list[Event]:
    """Only the user may ask, as long as the email is not verified."""
    if by.id != user.id:
        raise Forbidden("Only the user may ask for this.")
    if not user.exists:
        raise NotFound
    if user.is_verified:
        raise AlreadyVerified
    return [events.VerificationRequested(by=by.id, at=at)]


def verify_email(user: User, *, by: Actor, at: datetime) -> list[Event]:
    """Whoever holds the link that went to the email has it."""
    return [events.Verified(by=by.id, at=at, email=user.email)]


def reset_secret(*, by: Actor, at: datetime) -> list[Event]:
    """Whoever holds the link that went to the email may set a secret without knowing the old one."""
    return [events.SecretChanged(by=by.id, at=at, way="reset")]


def still_holds(then: User, request: Request, later: Sequence[Event]) -> bool:
    """Whether a request can still be acted upon: `then` is the user it was made for, `later` what came after.

    A newer request replaces it. A reset ends with the credential epoch it was made under, which using it
    raises; a verification with the email it was made for, and with being used.
    """
    user = then
    for event in later:
        if type(event) is type(request):
            return False
        if isinstance(request, events.VerificationRequested) and isinstance(
            event, events.Verified | events.EmailChanged
        ):
            return False
        user = evolve(user, event)
    if user.status is not Status.ENABLED:
        return False
    return isinstance(request, events.VerificationRequested) or user.epoch == then.epoch
