"""Every refusal the service can give, by name and by code; one base class per kind of answer."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with a request: where (a JSON Pointer, RFC 6901) and what."""

    pointer: str
    message: str


class Refusal(Exception):
    """A request that is understood and not carried out.

    `code` is stable and meant for programs, `message` for people. Neither ever holds a secret or a
    value that the caller sent.
    """

    code: ClassVar[str] = "refused"
    message: ClassVar[str] = "The request was refused."

    def __init__(self, message: str | None = None, *, retry_after: int | None = None) -> None:
        self.text = message or self.message
        self.retry_after = retry_after
        super().__init__(self.text)


class Invalid(Refusal):
    """The request itself is wrong; it would be wrong at any time."""

    code = "invalid_request"
    message = "The request is not valid."

    def __init__(self, *faults: Fault) -> None:
        super().__init__(faults[0].message if len(faults) == 1 else None)
        self.faults = faults


class Unauthenticated(Refusal):
    """Nobody, or nobody that can be believed, is asking."""

    code = "unauthenticated"
    message = "A valid access token is needed."


class WrongCredentials(Unauthenticated):
    code = "wrong_credentials"
    message = "The username or email and the secret do not match an enabled account."


class InvalidToken(Unauthenticated):
    code = "invalid_token"
    message = "The token is not valid: it is malformed, expired, revoked or of another kind."


class EmailNotVerified(Unauthenticated):
    """As in the original a 401: a token issued after the verification passes."""

    code = "email_not_verified"
    message = "The email of this account is not verified yet."


class Forbidden(Refusal):
    """The caller is known and may not do this."""

    code = "forbidden"
    message = "You may not do this."


class AdminOnly(Forbidden):
    code = "admin_only"
    message = "Only an admin may do this."


class NotEnabled(Forbidden):
    code = "account_not_enabled"
    message = "The account is disabled or deleted."


class NotFound(Refusal):
    """What is asked for is not there."""

    code = "not_found"
    message = "There is no such user."


class Conflict(Refusal):
    """The request is fine, and the state of things forbids it."""

    code = "conflict"
    message = "The request conflicts with the present state."


class EmailTaken(Conflict):
    code = "email_taken"
    message = "This email is registered already."


class UsernameTaken(Conflict):
    code = "username_taken"
    message = "This username is registered already."


class StatusAlreadySet(Conflict):
    code = "status_already_set"
    message = "The account has this status already."


class AlreadyVerified(Conflict):
    code = "already_verified"
    message = "The email of this account is verified already."


class AccountDeleted(Conflict):
    code = "account_deleted"
    message = "The account is deleted; an admin can restore it while its grace lasts."


class LastAdmin(Conflict):
    code = "last_admin"
    message = "This is the last enabled admin; make another one first."


class FirstAdminExists(Conflict):
    code = "first_admin_exists"
    message = "There has been an admin before; the settings make only the very first one."


class IssuedElsewhere(Conflict):
    code = "issued_elsewhere"
    message = "The platform's Auth service issues the tokens and cannot do this."


class VersionConflict(Conflict):
    """Somebody else changed the user first; the bus decides again on the new state."""

    code = "version_conflict"
    message = "The user was changed by somebody else at the same moment; try again."


class KeyInUse(Conflict):
    """Something was stored for the same idempotency key just now; the bus answers with what that was."""

    code = "idempotency_key_in_use"
    message = "A request with this Idempotency-Key is being carried out; ask again for its outcome."

    def __init__(self) -> None:
        super().__init__(retry_after=1)


class KeyReused(Refusal):
    """The caller has used this idempotency key for something else."""

    code = "idempotency_key_reused"
    message = "This Idempotency-Key was used for another method, path or body; take a new one."


class TooManyAttempts(Refusal):
    """Too many have failed, or asked, lately; the next one has to wait."""

    code = "too_many_attempts"
    message = "There were too many attempts; wait before the next one."


class TokenGone(Refusal):
    """A token of a mail that was ours once: used, replaced by a newer one, or too old."""

    code = "token_gone"
    message = "This link was used before, has expired, or was replaced by a newer one; ask for another."


class Stale(Refusal):
    """The caller's If-Match names a version that is not the present one."""

    code = "stale_version"
    message = "The user has changed since the version in If-Match; read it again and decide anew."


class Unavailable(Refusal):
    """A part the service stands on does not answer. Nothing was decided; a retry is safe."""

    code = "unavailable"
    message = "The service cannot answer at the moment; try again shortly."

    def __init__(self, message: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(message, retry_after=retry_after)


class OutcomeUnknown(Unavailable):
    """The connection was lost while the change was being stored, and did not come back in time."""

    code = "outcome_unknown"
    message = "The change may or may not have been stored; look before you repeat it."


class Overloaded(Unavailable):
    code = "overloaded"
    message = "Too many secrets are being checked at the moment; try again shortly."


class HistoryUnreadable(Unavailable):
    """An event of this user does not open: it was changed, or its key is not there."""

    code = "history_unreadable"
    message = "This user's history cannot be read; an operator has to look at it."


class UnknownEvent(Unavailable):
    """The log holds an event of a newer version of this service."""

    code = "unknown_event"
    message = "This user's history holds an event that this version of the service does not know yet."
