"""The words of public messages: each field's JSON schema, what it means, and an example."""

from __future__ import annotations

from typing import Any

import msgspec

Schema = dict[str, Any]

UUID: Schema = {"type": "string", "format": "uuid"}
TIME: Schema = {"type": "string", "format": "date-time"}
TEXT: Schema = {"type": "string"}
STATUS: Schema = {"enum": ["enabled", "disabled", "deleted"]}

USER = "5d0c2b6e-3d0a-4f4b-9a53-2f6a3f3e8f11"
ADMIN = "9b1d7a44-7c2e-4a53-8d1f-0c5b1e6f2a90"
AT = "2026-01-02T03:04:05Z"
EVENT = "0a6e1f0c-53d4-4e0e-8a57-6b1f7a0f2c31"
COMMAND = "c1b7a3de-90f2-4d07-b6f1-5a8c2e4d7b60"
REQUEST = "e4d90f1b-2c68-4b7a-9d35-7f0a1c3e5b82"


class Field(msgspec.Struct, frozen=True):
    """A word, wherever it stands. `optional`: left out where there is no value."""

    schema: Schema
    meaning: str
    example: Any
    optional: bool = False


ATTRIBUTES: dict[str, Field] = {
    "specversion": Field({"const": "1.0"}, "Of CloudEvents.", "1.0"),
    "id": Field(UUID, "Of the event. A message that comes twice has the same.", EVENT),
    "source": Field({"const": "/users"}, "The users service.", "/users"),
    "type": Field(TEXT, "What happened, with the version of the message's form.", ""),
    "subject": Field(UUID, "The user's id.", USER),
    "time": Field(TIME, "When it happened (UTC).", AT),
    "datacontenttype": Field({"const": "application/json"}, "Of the data.", "application/json"),
    "streamversion": Field({"type": "integer", "minimum": 1}, "Counts the events of this user, from 1.", 3),
    "position": Field(
        {"type": "string", "pattern": "^[1-9][0-9]*$"},
        "Counts the events of all users; a decimal number as text, larger in every later message.",
        "4711",
    ),
    "correlationid": Field(UUID, "What everything that follows from one request shares.", REQUEST),
    "commandid": Field(UUID, "Of the command; the events that it led to share it.", COMMAND),
    "causationid": Field(UUID, "Of what caused the command, where that is known.", REQUEST, optional=True),
    "traceparent": Field(
        {"type": "string", "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"},
        "The trace in which it happened (W3C Trace Context), where there is one.",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        optional=True,
    ),
    "actorkind": Field(
        {"enum": ["user", "service", "operator", "system", "anonymous"]},
        "Who did it: a user, a program's account, the command line, this service, nobody signed in.",
        "user",
    ),
    "actorid": Field(UUID, "The id of that user or program, where there is one.", ADMIN, optional=True),
}

FIELDS: dict[str, Field] = {
    "user_id": Field(UUID, "The user; the same as `subject`.", USER),
    "email": Field(TEXT, "The address, as entered.", "ada@example.com"),
    "username": Field(TEXT, "As entered; accounts of Mainflux have none.", "ada", optional=True),
    "first_name": Field(TEXT, "Empty: none.", "Ada"),
    "last_name": Field(TEXT, "Empty: none.", "Lovelace"),
    "name": Field(TEXT, "The one name of accounts that were registered as Mainflux had it.", ""),
    "tags": Field({"type": "array", "items": TEXT}, "All tags; empty: none.", ["engine"]),
    "metadata": Field({"type": "object"}, "The whole object, whatever it holds.", {"floor": 3}),
    "profile_picture": Field(TEXT, "A URL; empty: none.", "https://example.com/ada.png"),
    "status": Field(STATUS, "Whether the account can be used.", "enabled"),
    "role": Field({"enum": ["user", "admin"]}, "What the account may do.", "user"),
    "auth_provider": Field(TEXT, "Who signs the user in, where that is somebody else.", ""),
    "created_at": Field(TIME, "When the account began, in the service that it comes from.", AT),
    "updated_at": Field(TIME, "Its last change there.", AT, optional=True),
    "verified_at": Field(TIME, "When its email was verified there.", AT, optional=True),
    "way": Field({"enum": ["changed", "reset"]}, "By the old secret, or by a link.", "reset"),
    "changed": Field({"type": "array", "items": TEXT}, "The names of the fields that have changed.", []),
}

OLD_FIELDS: dict[str, Field] = {
    "operation": Field(TEXT, "What happened.", ""),
    "request_id": Field(TEXT, "Of the HTTP request; empty where there was none.", "r-1"),
    "occurred_at": Field(
        {"type": "integer"}, "When, in nanoseconds since 1970 (UTC).", 1_767_323_045_000_000_000
    ),
    "id": Field(UUID, "The user.", USER),
    "user_id": Field(UUID, "The user.", USER),
    "created_at": Field(TIME, "When the account began.", AT),
    "updated_at": Field(TIME, "When this happened.", AT),
    "updated_by": Field(TEXT, "The id of who did it; empty where nobody was signed in.", ADMIN),
    "verified_at": Field(TIME, "When this happened.", AT),
    "token_type": Field({"const": "access token"}, "Always the same.", "access token"),
    "super_admin": Field({"type": "boolean"}, "Whether an admin did it.", False),
    "host": Field({"const": ""}, "Empty, as it was.", ""),
    "user": Field({"const": ""}, "Empty, as it was.", ""),
    "identity": Field(TEXT, "The email.", "ada@example.com"),
    **{
        name: FIELDS[name]
        for name in (
            "email",
            "username",
            "first_name",
            "last_name",
            "name",
            "tags",
            "metadata",
            "profile_picture",
            "status",
        )
    },
}

MAINFLUX_FIELDS: dict[str, Field] = OLD_FIELDS | {
    "tags": Field(TEXT, "All tags, in brackets, with commas between.", "[engine]"),
    "metadata": Field(TEXT, "The object as JSON text.", '{"floor":3}'),
    "name": Field(TEXT, "The one name of accounts that have it.", "Ada Lovelace"),
    "status": Field({"enum": ["enabled", "disabled"]}, "Deleted and erased are disabled too.", "enabled"),
}
