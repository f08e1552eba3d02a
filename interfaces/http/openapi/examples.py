"""What requests and answers look like; the tests send every request and compare every answer."""

from __future__ import annotations

from typing import Any

USER_ID = "6f1f1a2e-8a1e-4a53-9d4b-1f9f3c0a2b11"
SESSION_ID = "0b9d7f4e-3f38-4a9e-8f6f-7f3b8d1c2e5a"
_ZERO = "0001-01-01T00:00:00Z"

REGISTRATIONS = (
    '{"first_name":"Grace","last_name":"Hopper","email":"grace@example.com",'
    '"credentials":{"username":"grace","secret":"changeMe123"}}\n'
    '{"name":"Alan Turing","credentials":{"identity":"alan@example.com","secret":"changeMe123"}}\n'
)
"""Two accounts, one each way, line by line."""

REGISTRATION_RESULTS = (
    '{"line":1,"status":201,"id":"' + USER_ID + '","version":1}\n'
    '{"line":2,"status":409,"code":"email_taken","title":"Conflict",'
    '"detail":"This email is registered already."}\n'
    '{"complete":true,"lines":2,"created":1,"refused":1,"position":42}\n'
)
"""What they may be answered with."""

REQUESTS: dict[str, dict[str, Any]] = {
    "register": {
        "the Magistrala way": {
            "first_name": "Ada",
            "last_name": "Lovelace",
            "email": "ada@example.com",
            "credentials": {"username": "ada", "secret": "changeMe123"},
            "tags": ["engine"],
            "metadata": {"team": "analysis"},
        },
        "the Mainflux way": {
            "name": "Charles Babbage",
            "credentials": {"identity": "charles@example.com", "secret": "changeMe123"},
        },
    },
    "bulk": {"one each way": REGISTRATIONS},
    "issue": {
        "the Magistrala way": {"username": "ada", "password": "changeMe123", "description": "laptop"},
        "the Mainflux way": {"identity": "charles@example.com", "secret": "changeMe123"},
    },
    "update": {
        "names and metadata": {"first_name": "Augusta Ada", "metadata": {"team": "engine", "floor": 2}},
        "clear the metadata": {"metadata": {}},
    },
    "change_username": {"a new one": {"username": "ada-lovelace"}},
    "change_email": {"a new one": {"email": "ada.lovelace@example.com"}},
    "change_identity": {"a new one": {"identity": "augusta.ada@example.com"}},
    "change_tags": {"replace them": {"tags": ["engine", "notes"]}, "clear them": {"tags": []}},
    "change_picture": {"a new one": {"profile_picture": "https://example.com/ada.png"}},
    "change_role": {"make an admin": {"role": "admin"}, "and a user again": {"role": "user"}},
    "request_reset": {"forgotten": {"email": "augusta.ada@example.com"}},
    "reset": {
        "the Magistrala way": {"password": "changeMe12345", "confirm_password": "changeMe12345"},
        "the Mainflux way": {
            "token": "AqYZJ4k9R0yIkF0vX6c3oR0",
            "password": "changeMe12345",
            "confirm_password": "changeMe12345",
        },
    },
    "change_secret": {"a new one": {"old_secret": "changeMe123", "new_secret": "changeMe1234"}},
    "revoke_refresh_token": {"one of mine": {"token_id": SESSION_ID}},
    "revoke_all_refresh_tokens": {"all others": {"keep_current": True}},
    "introspect": {"any token": {"token": "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"}},
    "revoke": {
        "a refresh token": {"token": "eyJhbGciOiJIUzUxMiJ9.e30.c2ln", "token_type_hint": "refresh_token"},
    },
}
"""By operation; in this order they are all accepted, but for the token of a mail that nobody was sent."""

SCHEMAS: dict[str, Any] = {
    "Document": {
        "id": USER_ID,
        "first_name": "Ada",
        "last_name": "Lovelace",
        "tags": ["engine"],
        "metadata": {"team": "analysis"},
        "status": "enabled",
        "role": "user",
        "credentials": {"username": "ada"},
        "email": "ada@example.com",
        "created_at": "2026-11-01T08:30:00.123456Z",
        "updated_at": _ZERO,
        "verified_at": _ZERO,
    },
    "Card": {
        "id": USER_ID,
        "first_name": "Ada",
        "last_name": "Lovelace",
        "metadata": {"team": "analysis"},
        "status": "enabled",
        "role": "user",
        "credentials": {"username": "ada"},
        "created_at": _ZERO,
        "updated_at": _ZERO,
        "verified_at": _ZERO,
    },
    "Tokens": {
        "access_token": "eyJhbGciOiJFZERTQSJ9.eyJ0eXBlIjowfQ.c2lnbmF0dXJl",
        "refresh_token": "eyJhbGciOiJFZERTQSJ9.eyJ0eXBlIjoxfQ.c2lnbmF0dXJl",
        "access_type": "Bearer",
    },
    "RefreshTokenList": {
        "refresh_tokens": [
            {
                "id": SESSION_ID,
                "created_at": "2026-11-01T08:30:00.123456Z",
                "last_used_at": "2026-11-01T09:00:00.123456Z",
                "description": "laptop",
                "user_agent": "curl/8.14.1",
                "opened_from": "203.0.113.0/24",
                "network": "203.0.113.0/24",
                "current": True,
            }
        ]
    },
    "SecurityLogPage": {
        "limit": 10,
        "security_log": [
            {
                "number": 42,
                "at": "2026-11-01T08:30:00.123456Z",
                "kind": "login",
                "session_id": SESSION_ID,
                "network": "203.0.113.0/24",
            },
            {
                "number": 41,
                "at": "2026-11-01T08:29:50.123456Z",
                "kind": "login_failed",
                "network": "203.0.113.0/24",
                "detail": "wrong secret",
            },
        ],
    },
    "UserExport": {
        "format": "usersd.user.export",
        "version": 1,
        "exported_at": "2026-11-01T10:00:00.123456Z",
        "position": 42,
        "user": {
            "id": USER_ID,
            "first_name": "Ada",
            "last_name": "Lovelace",
            "private_metadata": {"note": "prefers mail"},
            "status": "enabled",
            "role": "user",
            "credentials": {"username": "ada"},
            "email": "ada@example.com",
            "created_at": "2026-11-01T08:30:00.123456Z",
            "updated_at": _ZERO,
            "verified_at": _ZERO,
        },
        "secret": {"set": True, "kind": "bcrypt"},
        "history": [
            {
                "version": 1,
                "at": "2026-11-01T08:30:00.123456Z",
                "event": "registered",
                "by": "nobody signed in",
                "data": {"email": "ada@example.com", "username": "ada"},
                "request_id": "gate-7.Ab_1",
            }
        ],
        "sessions": [],
        "ended_sessions": [],
        "mails": [
            {
                "kind": "verification",
                "to": "ada@example.com",
                "state": "sent",
                "attempts": 1,
                "created_at": "2026-11-01T08:31:00.123456Z",
                "handed_over_at": "2026-11-01T08:31:01.123456Z",
            }
        ],
        "links": [{"kind": "verification", "expires_at": "2026-11-02T08:31:01.123456Z"}],
        "attempts": [],
        "not_shown": [{"what": "secret", "why": "The hash of the secret."}],
        "security_log": [{"number": 43, "at": "2026-11-01T10:00:00.123456Z", "kind": "export"}],
        "complete": True,
    },
    "Problem": {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "An email is needed.",
        "instance": "urn:request:gate-7.Ab_1",
        "code": "invalid_request",
        "errors": [{"pointer": "/email", "message": "An email is needed."}],
        "message": "An email is needed.",
        "error": "Bad Request",
    },
    "HistoryEntry": {
        "version": 1,
        "position": 42,
        "at": "2026-11-01T08:30:00.123456Z",
        "event": "registered",
        "by": {"kind": "anonymous"},
        "data": {
            "email": "ada@example.com",
            "username": "ada",
            "first_name": "Ada",
            "last_name": "Lovelace",
            "tags": ["engine"],
            "metadata": {"team": "analysis"},
            "status": "enabled",
            "role": "user",
            "dialect": "magistrala",
        },
        "request_id": "gate-7.Ab_1",
    },
    "Health": {
        "status": "pass",
        "version": "0.1.0",
        "commit": "4746140c",
        "description": "users service",
        "build_time": "2026-11-22T07:00:00Z",
        "instance_id": "2f4a8c1e-58a5-4a9f-9d5e-3f6f1f0c7b1a",
    },
}
"""By schema."""

FEED = (
    '{"position":42}\n'
    '{"version":3,"user":{"id":"' + USER_ID + '","first_name":"Ada","status":"enabled","role":"user",'
    '"credentials":{"username":"ada"},"email":"ada@example.com","created_at":"2026-11-01T08:30:00.123456Z",'
    '"updated_at":"' + _ZERO + '","verified_at":"' + _ZERO + '"}}\n'
    '{"complete":true,"users":1}\n'
)
"""A feed, line by line."""
