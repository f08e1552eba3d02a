"""Which mails there are, which events they follow from, and for how long each is worth sending."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

import msgspec

from application.link_tokens import LinkKind
from domain import events

MailKind = Literal["verification", "password_reset", "secret_changed", "email_changed", "email_left"]


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of mail. `link` names the kind of its token, which lives for `life` once it is handed over.

    A mail that could not be handed over within `patience` after its event is dropped.
    """

    subject: str
    patience: timedelta
    link: LinkKind | None = None
    life: timedelta = timedelta()


_A_DAY = timedelta(hours=24)

MAILS: Mapping[MailKind, Mail] = {
    "verification": Mail(
        subject="Email Verification", patience=_A_DAY, link="verification", life=timedelta(hours=24)
    ),
    # Nobody waits longer for it, and one that comes when nobody waits is one more that may be stolen.
    "password_reset": Mail(
        subject="Password Reset Request",
        patience=timedelta(minutes=15),
        link="password_reset",
        life=timedelta(minutes=5),
    ),
    "secret_changed": Mail(subject="Your password was changed", patience=_A_DAY),
    "email_changed": Mail(subject="Your email was changed", patience=_A_DAY),
    "email_left": Mail(subject="Your email was changed", patience=_A_DAY),
}

FOLLOW_FROM: Mapping[str, tuple[MailKind, ...]] = {
    events.VerificationRequested.stored_name: ("verification",),
    events.PasswordResetRequested.stored_name: ("password_reset",),
    events.SecretChanged.stored_name: ("secret_changed",),
    events.EmailChanged.stored_name: ("email_changed", "email_left"),
}
"""By the stored name of the event. `email_left` goes to the address that the account had before."""
