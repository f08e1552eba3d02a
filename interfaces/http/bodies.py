"""The bodies and queries that requests bring, in both dialects, and how each becomes a message."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from domain import events
from domain.access import Actor
from domain.errors import Fault
from domain.values import (
    MAX_EMAIL_BYTES,
    Role,
    Status,
    check_email,
    check_metadata,
    check_name,
    check_picture,
    check_secret,
    check_shown_secret,
    check_tags,
    check_username,
)
from interfaces.http.fields import (
    MAX_LINK_TOKEN_CHARACTERS,
    Description,
    EmailText,
    LinkToken,
    LoginText,
    Metadata,
    Name,
    Picture,
    SecretText,
    SettableStatus,
    ShownSecret,
    Tags,
    TokenId,
    UsernameText,
)

SecretAllowed = Callable[[str], bool]


def _private_faults(metadata: object) -> Iterator[Fault]:
    """What is wrong with private metadata; its keys are as private as its values, so none is pointed at."""
    for fault in check_metadata(metadata, "/private_metadata"):
        yield Fault("/private_metadata", fault.message)


class RegisterCredentials(msgspec.Struct, frozen=True, kw_only=True):
    username: UsernameText = ""
    identity: EmailText = ""
    secret: SecretText = ""


class RegisterBody(msgspec.Struct, frozen=True, kw_only=True):
    """A new account: the Mainflux way where `credentials.identity` is given, else the Magistrala way."""

    first_name: Name = ""
    last_name: Name = ""
    name: Name = ""
    email: EmailText = ""
    credentials: RegisterCredentials = RegisterCredentials()
    tags: Tags = []
    metadata: Metadata = {}
    private_metadata: Metadata = {}
    profile_picture: Picture = ""
    status: SettableStatus | Literal[""] = "enabled"
    role: Literal["user", "admin", ""] = "user"

    @property
    def is_mainflux(self) -> bool:
        return bool(self.credentials.identity)

    def faults(self, secret_allowed: SecretAllowed) -> Iterator[Fault]:
        needed = not self.is_mainflux
        yield from check_name(self.first_name, "/first_name", what="first name", needed=needed)
        yield from check_name(self.last_name, "/last_name", what="last name", needed=needed)
        yield from check_name(self.name, "/name", what="name")
        if self.is_mainflux:
            yield from check_email(self.credentials.identity, "/credentials/identity")
        else:
            yield from check_username(self.credentials.username, "/credentials/username")
            yield from check_email(self.email, "/email")
        yield from check_secret(
            self.credentials.secret,
            "/credentials/secret",
            allowed=secret_allowed,
            names=(self.email, self.credentials.identity, self.credentials.username),
        )
        yield from check_tags(self.tags, "/tags")
        yield from check_metadata(self.metadata, "/metadata")
        yield from _private_faults(self.private_metadata)
        yield from check_picture(self.profile_picture, "/profile_picture")

    def account(self, actor: Actor, at: datetime) -> events.Registered:
        """The event that opens this account."""
        mainflux = self.is_mainflux
        return events.Registered(
            by=actor.id,
            at=at,
            email=self.credentials.identity if mainflux else self.email,
            username=None if mainflux else self.credentials.username,
            first_name=self.first_name,
            last_name=self.last_name,
            name=self.name if mainflux else "",
            tags=self.tags,
            metadata=self.metadata,
            private_metadata=self.private_metadata,
            profile_picture=self.profile_picture,
            status=Status(self.status or "enabled"),
            role=Role(self.role or "user"),
            dialect="mainflux" if mainflux else "magistrala",
        )


class UpdateBody(msgspec.Struct, frozen=True, kw_only=True):
    """New names and metadata. What is absent, null or an empty name stays; `{}` clears metadata."""

    first_name: Name = ""
    last_name: Name = ""
    name: Name = ""
    metadata: Metadata | None = None
    private_metadata: Metadata | None = None

    def faults(self) -> Iterator[Fault]:
        yield from check_name(self.first_name, "/first_name", what="first name")
        yield from check_name(self.last_name, "/last_name", what="last name")
        yield from check_name(self.name, "/name", what="name")
        yield from check_metadata(self.metadata, "/metadata")
        yield from _private_faults(self.private_metadata)

    def wish(self, by: UUID | None, at: datetime) -> events.ProfileUpdated:
        return events.ProfileUpdated(
            by=by,
            at=at,
            first_name=self.first_name or None,
            last_name=self.last_name or None,
            name=self.name or None,
            metadata=self.metadata,
            private_metadata=self.private_metadata,
        )


class UsernameBody(msgspec.Struct, frozen=True, kw_only=True):
    """The new username, at the top or within the whole user as old clients send it."""

    username: UsernameText = ""
    credentials: RegisterCredentials = RegisterCredentials()

    @property
    def wanted(self) -> str:
        return self.username or self.credentials.username

    def faults(self) -> Iterator[Fault]:
        yield from check_username(self.wanted, "/username")


class EmailBody(msgspec.Struct, frozen=True, kw_only=True):
    """The new email, as `email` or, the Mainflux way, as `identity`."""

    email: EmailText = ""
    identity: EmailText = ""

    @property
    def wanted(self) -> str:
        return self.email or self.identity

    def faults(self) -> Iterator[Fault]:
        yield from check_email(self.wanted, "/email" if self.email or not self.identity else "/identity")


class TagsBody(msgspec.Struct, frozen=True, kw_only=True):
    """All tags anew; an empty list clears them, none at all leaves them."""

    tags: Tags | None = None

    def faults(self) -> Iterator[Fault]:
        yield from check_tags(self.tags or [], "/tags")


class PictureBody(msgspec.Struct, frozen=True, kw_only=True):
    """The new picture; an empty one clears it, none at all leaves it."""

    profile_picture: Picture | None = None

    def faults(self) -> Iterator[Fault]:
        yield from check_picture(self.profile_picture or "", "/profile_picture")


class RoleBody(msgspec.Struct, frozen=True, kw_only=True):
    """The new role."""

    role: Literal["user", "admin", ""] = ""

    def faults(self) -> Iterator[Fault]:
        if not self.role:
            yield Fault("/role", "A role is needed: user or admin.")


class SecretBody(msgspec.Struct, frozen=True, kw_only=True):
    """The secret that holds, and the one that shall hold."""

    old_secret: ShownSecret = ""
    new_secret: SecretText = ""

    def faults(self, secret_allowed: SecretAllowed) -> Iterator[Fault]:
        if not self.old_secret:
            yield Fault("/old_secret", "The old secret is needed.")
        yield from check_shown_secret(self.old_secret, "/old_secret")
        yield from check_secret(self.new_secret, "/new_secret", allowed=secret_allowed)


class LoginBody(msgspec.Struct, frozen=True, kw_only=True):
    """A login: `username` (or an email) and `password`, or `identity` and `secret`, as either dialect."""

    username: LoginText = ""
    password: ShownSecret = ""
    identity: LoginText = ""
    secret: ShownSecret = ""
    description: Description = ""

    def faults(self) -> Iterator[Fault]:
        if not (self.username or self.identity):
            yield Fault("/username", "A username or an email is needed, as username or as identity.")
        for login, pointer in ((self.username, "/username"), (self.identity, "/identity")):
            if len(login.encode()) > MAX_EMAIL_BYTES:
                # Nobody has such a name, and to normalise a very long one would hold up everybody else.
                yield Fault(pointer, f"A username or an email has at most {MAX_EMAIL_BYTES} bytes.")
        if not (self.password or self.secret):
            yield Fault("/password", "A secret is needed, as password or as secret.")
        yield from check_shown_secret(self.password, "/password")
        yield from check_shown_secret(self.secret, "/secret")
        if "\x00" in self.description:
            yield Fault("/description", "The description holds U+0000.")


class RevokeBody(msgspec.Struct, frozen=True, kw_only=True):
    """Which session to end: its `id` in the list of sessions."""

    token_id: TokenId = ""

    def faults(self) -> Iterator[Fault]:
        if not self.token_id:
            yield Fault("/token_id", "The id of a session is needed.")


class RevokeAllBody(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the session that asks goes on; without a body it ends too."""

    keep_current: bool = False


class ResetRequestBody(msgspec.Struct, frozen=True, kw_only=True):
    """Whose secret is forgotten. What else old clients say of where they are is not heard."""

    email: LoginText = ""

    def faults(self) -> Iterator[Fault]:
        if not self.email:
            yield Fault("/email", "An email is needed.")
        elif len(self.email.encode()) > MAX_EMAIL_BYTES:
            yield Fault("/email", f"An email has at most {MAX_EMAIL_BYTES} bytes.")


class ResetBody(msgspec.Struct, frozen=True, kw_only=True):
    """A new secret, entered twice, and the token of the mail, unless that is sent as the bearer token."""

    token: LinkToken = ""
    password: SecretText = ""
    confirm_password: SecretText = ""

    def faults(self, secret_allowed: SecretAllowed) -> Iterator[Fault]:
        if len(self.token) > MAX_LINK_TOKEN_CHARACTERS:
            yield Fault("/token", f"No token has more than {MAX_LINK_TOKEN_CHARACTERS} characters.")
        yield from check_secret(self.password, "/password", allowed=secret_allowed)
        if self.password != self.confirm_password:
            yield Fault("/confirm_password", "The two passwords differ.")
