"""The faults that an operator can mend, as one line and an exit code; whatever else is raised is a bug."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from infrastructure.accounts.breached import NoBreachList
from infrastructure.embedded import EmbeddedError
from infrastructure.event_store.keyring import RootKeyReplaced, WrongRootKey
from infrastructure.keys.root_key import RootKeyMissing
from infrastructure.mail.wording import TemplateError
from infrastructure.postgres.complaints import complaint
from infrastructure.postgres.migrate import MigrationError
from infrastructure.standing import ServersBusy, StandingError, TakesNoWrites
from interfaces.cli.output import FAILURE, TRY_AGAIN
from interfaces.cli.tools import CommandFailed

_MENDABLE: tuple[type[Exception], ...] = (
    EmbeddedError,
    MigrationError,
    NoBreachList,
    RootKeyMissing,
    RootKeyReplaced,
    StandingError,
    TemplateError,
    WrongRootKey,
)

_SENTENCES = 3
"""What happened, what it means, what to do. Whoever tells more quotes a log, whose lines stay apart."""


@contextmanager
def plainly(*more: type[Exception]) -> Iterator[None]:
    """Tell these and `more` as CommandFailed."""
    try:
        yield
    except (TakesNoWrites, ServersBusy) as error:
        raise CommandFailed(_line(error), TRY_AGAIN) from None
    except (*_MENDABLE, *more) as error:
        raise CommandFailed(_line(error), FAILURE) from None
    except psycopg.Error as error:
        if (found := complaint(error)) is None:
            raise
        raise CommandFailed(found.line, TRY_AGAIN if found.passing else FAILURE) from None


def _line(error: Exception) -> str:
    sentences = str(error).splitlines()
    return " ".join(sentences) if len(sentences) <= _SENTENCES else "\n".join(sentences)
