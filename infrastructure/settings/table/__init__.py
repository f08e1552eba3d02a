"""Every variable the service reads, one row each, by topic; all else about the settings derives from it."""

from __future__ import annotations

from infrastructure.settings.table.accounts import ACCOUNTS
from infrastructure.settings.table.auth_service import AUTH
from infrastructure.settings.table.elsewhere import ELSEWHERE
from infrastructure.settings.table.events import EVENTS
from infrastructure.settings.table.grpc import GRPC
from infrastructure.settings.table.http import HTTP
from infrastructure.settings.table.integrity import LOG
from infrastructure.settings.table.keys import KEYS
from infrastructure.settings.table.mail import MAIL
from infrastructure.settings.table.observing import OBSERVING
from infrastructure.settings.table.postgres import POSTGRES
from infrastructure.settings.table.service import THE_SERVICE
from infrastructure.settings.table.tokens import TOKENS

GROUPS = (
    THE_SERVICE,
    HTTP,
    GRPC,
    POSTGRES,
    EVENTS,
    KEYS,
    ACCOUNTS,
    LOG,
    TOKENS,
    AUTH,
    MAIL,
    OBSERVING,
    ELSEWHERE,
)
VARIABLES = tuple(row for group in GROUPS for row in group.rows)
BY_FIELD = {row.field: row for row in VARIABLES if row.field is not None}
KNOWN = {spelling: row for row in VARIABLES for spelling in row.spellings}
