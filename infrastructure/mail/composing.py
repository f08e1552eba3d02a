"""Turns an event into the mail that follows from it: the same bytes, however often it is done."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from email import utils
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

import msgspec

from application.link_tokens import LinkKind
from application.ports import Recorded, Unreadable
from domain import events
from domain.requests import still_holds
from domain.user import User, evolve, fold
from domain.values import name_key
from infrastructure.mail.kinds import MAILS, Mail
from infrastructure.mail.rows import Claimed
from infrastructure.mail.wording import Body, Fields, Templates
from infrastructure.tokens.links import LinkTokens

MAX_SHOWN_NAME = 64
_LONGEST_LINE = 998  # RFC 5322 section 2.1.1

# A name may say anything, and anybody may register with somebody else's email: no mail of ours carries
# their words or their addresses to that person.
_PLAIN_NAME = re.compile(r"[\w' -]+")


class Pointless(Exception):
    """A mail that nobody should get any more, and why."""


class Erased(Exception):
    """The user was erased: there is nobody to write to, and nothing of them is to be kept."""


class HistoryClosed(Exception):
    """The user's history does not open at the moment."""


class Composed(msgspec.Struct, frozen=True, kw_only=True):
    """A mail, ready to be handed over. What it holds is personal, and a link is as good as a password."""

    mail: Claimed
    recipient: str
    message: EmailMessage
    link: str = ""


class Sender(msgspec.Struct, frozen=True):
    """From whom mails come."""

    address: str
    name: str = ""


class Composer:
    """Composes mails; `prefixes` are what the links begin with."""

    def __init__(
        self, templates: Templates, tokens: LinkTokens, prefixes: dict[LinkKind, str], sender: Sender
    ) -> None:
        self._templates = templates
        self._tokens = tokens
        self._prefixes = prefixes
        self._sender = sender
        self._from = _address(sender.address, sender.name)

    def compose(self, mail: Claimed, stream: Sequence[Recorded | Unreadable]) -> Composed:
        """The mail, as the user's whole history has it. Raises Erased, Pointless, HistoryClosed."""
        spec = MAILS[mail.kind]
        user, recipient = _whom(mail, stream)
        link = self._link(spec, mail) if spec.link else ""
        fields = Fields(
            to=recipient,
            sender=str(self._from),
            subject=spec.subject,
            user=_shown_name(user),
            link=link,
            host=link.partition("?")[0],
            life=_in_words(spec.life),
            footer=self._sender.name,
        )
        body = self._templates.body(mail.kind, fields)
        return Composed(
            mail=mail,
            recipient=_address(recipient).addr_spec,
            link=link,
            message=self._message(mail, spec, recipient, body),
        )

    def _link(self, spec: Mail, mail: Claimed) -> str:
        assert spec.link is not None
        prefix = self._prefixes[spec.link]
        joint = "&" if "?" in prefix else "?"
        return f"{prefix}{joint}token={self._tokens.token(spec.link, mail.event_id)}"

    def _message(self, mail: Claimed, spec: Mail, recipient: str, body: Body) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["From"] = self._from
        message["To"] = _address(recipient)
        message["Subject"] = spec.subject
        message["Date"] = utils.format_datetime(mail.created_at)
        message["Message-ID"] = f"<{mail.id}@{self._from.domain}>"
        # RFC 3834: no answering machine should answer.
        message["Auto-Submitted"] = "auto-generated"
        message["X-Auto-Response-Suppress"] = "All"
        message["Content-Language"] = "en"
        if body.text is not None:
            message.set_content(body.text, cte=_encoding(body.text))
        if body.html is not None:
            add = message.set_content if body.text is None else message.add_alternative
            add(body.html, subtype="html", cte=_encoding(body.html))
        if message.is_multipart():
            message.set_boundary(f"=_{mail.id.hex}")
        return message


def _whom(mail: Claimed, stream: Sequence[Recorded | Unreadable]) -> tuple[User, str]:
    history: list[Recorded] = []
    for recorded in stream:
        if isinstance(recorded, Unreadable):
            raise HistoryClosed
        history.append(recorded)
    if not history or history[0].forgotten:
        raise Erased
    before = fold(mail.user_id, [one.event for one in history if one.position < mail.position])
    event = next(one.event for one in history if one.position == mail.position)
    then = evolve(before, event)
    if isinstance(event, events.PasswordResetRequested | events.VerificationRequested):
        later = [one.event for one in history if one.position > mail.position]
        if not still_holds(then, event, later):
            raise Pointless("superseded")
    if mail.kind == "email_left":
        if name_key(before.email) == name_key(then.email):
            raise Pointless("same address")
        return then, before.email
    return then, then.email


def _shown_name(user: User) -> str:
    name = user.username or user.name
    return name if len(name) <= MAX_SHOWN_NAME and _PLAIN_NAME.fullmatch(name) else ""


def _address(text: str, name: str = "") -> Address:
    local, _, domain = text.rpartition("@")
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode()
        except UnicodeError:
            raise Pointless("no address") from None
    return Address(name, local, domain)


def _encoding(text: str) -> str:
    """Plain where it can be, so that a person can read the file too."""
    short = all(len(line) <= _LONGEST_LINE for line in text.splitlines())
    return "7bit" if text.isascii() and short else "quoted-printable"


def _in_words(life: timedelta) -> str:
    minutes = round(life.total_seconds() / 60)
    if minutes % 60 == 0 and minutes:
        return f"{minutes // 60} hours"
    return f"{minutes} minutes"
