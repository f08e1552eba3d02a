"""The schemas of bodies and answers: derived from the structs, and what a struct cannot say added."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from application.documents import Card, Document
from application.messages import Tokens
from application.timeline import HistoryEntry
from interfaces.http import bodies
from interfaces.http.errors import Problem
from interfaces.http.fields import EMAIL, LOGIN, NEW_SECRET, SHOWN_SECRET, USERNAME, Words
from interfaces.http.oauth import Introspected, OAuthError, ServerMetadata
from interfaces.http.openapi import examples
from interfaces.http.operations import Health
from interfaces.http.portability import UserExport
from interfaces.http.sessions import RefreshTokenList, SecurityLogPage
from interfaces.http.throttling import ThrottleView

ANSWERS: tuple[type[msgspec.Struct], ...] = (
    RefreshTokenList,
    SecurityLogPage,
    UserExport,
    Document,
    Card,
    Tokens,
    Problem,
    HistoryEntry,
    Health,
    ThrottleView,
    OAuthError,
    Introspected,
    ServerMetadata,
)

_ABSENT: Words = {"enum": ["", None]}
_GIVEN: Words = {"type": "string", "minLength": 1}


def _with(title: str = "", /, **properties: Words) -> Words:
    """An object that must have these, whatever else it has; one that says `absent` must not."""
    needed = [name for name, words in properties.items() if words is not _ABSENT]
    schema: Words = {"title": title} if title else {}
    return schema | {"type": "object", "required": needed, "properties": properties}


NEEDS: dict[type[msgspec.Struct], Words] = {
    bodies.RegisterBody: {
        "anyOf": [
            _with(
                "the Magistrala way",
                first_name=_GIVEN,
                last_name=_GIVEN,
                email=EMAIL,
                credentials=_with(username=USERNAME, identity=_ABSENT, secret=NEW_SECRET),
            ),
            _with("the Mainflux way", credentials=_with(identity=EMAIL, secret=NEW_SECRET)),
        ]
    },
    bodies.UsernameBody: {
        "anyOf": [_with(username=USERNAME), _with(username=_ABSENT, credentials=_with(username=USERNAME))]
    },
    bodies.EmailBody: {"anyOf": [_with(email=EMAIL), _with(email=_ABSENT, identity=EMAIL)]},
    bodies.RoleBody: _with(role={"enum": ["user", "admin"]}),
    bodies.SecretBody: _with(old_secret=SHOWN_SECRET, new_secret=NEW_SECRET),
    bodies.RevokeBody: _with(token_id={"minLength": 1, "maxLength": 254, "type": "string"}),
    bodies.ResetRequestBody: _with(email=LOGIN),
    bodies.ResetBody: _with(password=NEW_SECRET, confirm_password=NEW_SECRET),
    bodies.LoginBody: {
        "anyOf": [
            _with("a username and a password", username=LOGIN, password=SHOWN_SECRET),
            _with("an identity and a secret", identity=LOGIN, secret=SHOWN_SECRET),
            _with("a username and a secret", username=LOGIN, secret=SHOWN_SECRET),
            _with("an identity and a password", identity=LOGIN, password=SHOWN_SECRET),
        ]
    },
}
"""What must be there, and in which form; the check of each body decides the same."""


def components(body_shapes: Iterable[type[msgspec.Struct]]) -> dict[str, Words]:
    """Every schema that the document refers to."""
    requests = sorted(set(body_shapes), key=lambda shape: shape.__name__)
    made = _derived(ANSWERS) | {name: _request(schema) for name, schema in _derived(requests).items()}
    for shape in requests:
        if needs := NEEDS.get(shape):
            made[shape.__name__] = _merged(made[shape.__name__], needs)
    for name, example in examples.SCHEMAS.items():
        made[name]["examples"] = [example]
    return made | {
        "UserPage": _page("users", "Document", total_relation=_RELATION),
        "HistoryPage": _page("history", "HistoryEntry"),
        "CardPage": _page("users", "Card", total_relation=_RELATION),
        "KeySet": _KEY_SET,
        "Readiness": _READINESS,
        "Exposition": {"type": "string"},
        "Feed": {"type": "string", "examples": [examples.FEED]},
        "RegistrationLines": {
            "type": "string",
            "description": "A line of JSON for each account, with the members of RegisterBody.",
            "examples": [examples.REGISTRATIONS],
        },
        "RegistrationResults": {"type": "string", "examples": [examples.REGISTRATION_RESULTS]},
        "Nothing": {"type": "object"},
        "ResetRequested": {
            "type": "object",
            "required": ["msg"],
            "properties": {"msg": {"const": "Email with reset link is sent"}},
        },
        "Liveness": {"type": "object", "required": ["status"], "properties": {"status": {"const": "pass"}}},
    }


def _derived(shapes: Iterable[type[msgspec.Struct]]) -> dict[str, Words]:
    (_, made) = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    return made


def _request(schema: Words) -> Words:
    """In a body null counts as absent, and a default tells a reader nothing that this does not."""
    if "properties" not in schema:
        return schema
    schema = {word: value for word, value in schema.items() if word != "required" or value}
    return schema | {"properties": {name: _nullable(field) for name, field in schema["properties"].items()}}


def _nullable(field: Words) -> Words:
    field = {word: value for word, value in field.items() if word != "default"}
    if "enum" in field:
        return field | {"enum": [*field["enum"], *({None} - set(field["enum"]))]}
    if "anyOf" in field:
        parts = [part for part in field["anyOf"] if part != {"type": "null"}]
        return field | {"anyOf": [*parts, {"type": "null"}]}
    if "type" in field:
        return field | {"type": [field["type"], "null"]}
    return {"anyOf": [field, {"type": "null"}]}


def _merged(schema: Words, needs: Words) -> Words:
    properties = dict(schema["properties"])
    for name, words in needs.get("properties", {}).items():
        kept = {"description": properties[name]["description"]} if "description" in properties[name] else {}
        properties |= {name: kept | words}
    return schema | needs | {"properties": properties}


def _page(key: str, item: str, **more: Words) -> Words:
    numbers: Words = {name: {"type": "integer", "minimum": 0} for name in ("limit", "offset", "total")}
    items = {"type": "array", "maxItems": 100, "items": {"$ref": f"#/components/schemas/{item}"}}
    return {"type": "object", "required": [*numbers, key], "properties": numbers | more | {key: items}}


_RELATION: Words = {
    "enum": ["eq", "gte"],
    "description": "Where the page was asked for by cursor: whether `total` is exact, or at least so many.",
}
_TEXT: Words = {"type": "string"}
_KEY: dict[str, Any] = dict.fromkeys(("kid", "kty", "alg", "use", "crv", "x", "y"), _TEXT)
_KEY_SET: Words = {
    "type": "object",
    "description": "JSON Web Keys (RFC 7517); none where tokens are signed with a shared secret.",
    "required": ["keys"],
    "properties": {
        "keys": {
            "type": "array",
            "items": {"type": "object", "required": ["kid", "kty", "alg", "use"], "properties": _KEY},
        }
    },
}
_READINESS: Words = {
    "type": "object",
    "required": ["status", "checks"],
    "properties": {
        "status": {"enum": ["pass", "fail"]},
        "checks": {"type": "object", "additionalProperties": _TEXT},
    },
}
