"""One route as an operation: what it takes, what it can answer, and where one can go on from there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler

from application.commands.change_secret import ChangeSecret
from application.commands.refresh_tokens import RefreshTokens
from application.commands.request_verification import RequestVerification
from application.commands.revoke_all_sessions import RevokeAllSessions
from application.commands.revoke_session import RevokeSession
from application.queries.list_sessions import ListSessions
from application.queries.list_users import ListUsers
from application.queries.search_users import SearchUsers
from application.queries.user_history import UserHistory
from application.queries.view_user import ViewUser
from interfaces.http.caller import JSON
from interfaces.http.openapi import examples, headers
from interfaces.http.openapi.headers import told
from interfaces.http.queries import ListQuery, SearchQuery

PROBLEM = "application/problem+json"

_REFUSALS = {
    400: "The request is not valid; every fault is listed with its JSON Pointer.",
    401: "Nobody that can be believed is asking.",
    403: "The caller may not do this.",
    404: "There is no such user.",
    408: "The body did not arrive in time; the connection is closed.",
    409: "The present state forbids it.",
    410: "The token was one of ours: it was used, has expired, or was replaced by a newer one.",
    412: "The user has changed since the version in If-Match.",
    413: "The body is larger than this service takes.",
    415: "The body must be sent in the media type that is shown.",
    422: "The Idempotency-Key was sent before, with another request.",
    429: "There were too many attempts; Retry-After says when to come back.",
    503: "The service cannot answer at the moment; Retry-After says when to come back.",
}

_REFUSAL_HEADERS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}

_ACCESS: dict[str, list[dict[str, list[str]]]] = {
    "signed in": [{"bearer": []}],
    "refreshing": [{"refresh": []}],
    "anyone or signed in": [{}, {"bearer": []}],
    "anyone": [{}],
    "service": [{"service": []}],
    "signed in or service": [{"bearer": []}, {"service": []}],
}

_FORBIDDEN_TO_NOBODY = (
    ListSessions,
    RevokeSession,
    RevokeAllSessions,
    ViewUser,
    SearchUsers,
    ChangeSecret,
    RefreshTokens,
    RequestVerification,
)
"""Whoever is signed in may do these, if only to themselves."""

_THREE_OR_NONE = {"pattern": r"^(?:[\s\S]{3,})?$"}
_MOMENT_OR_NONE = {"anyOf": [{"format": "date-time"}, {"const": ""}]}
_QUERY_WORDS: dict[type[msgspec.Struct], dict[str, dict[str, Any]]] = {
    ListQuery: {
        "metadata": {"contentMediaType": JSON, "contentSchema": {"type": "object"}},
        "created_from": _MOMENT_OR_NONE,
        "created_to": _MOMENT_OR_NONE,
    },
    SearchQuery: {"username": _THREE_OR_NONE, "id": _THREE_OR_NONE},
}
"""What the checks of a query decide beyond what its fields say."""

_PARAMETER = re.compile(r"\{(\w+)\}")

_ID = "$response.body#/id"
_AFTER_REGISTER = (
    "view", "history", "update", "change_username", "change_email", "change_identity", "change_tags",
    "change_picture", "change_role", "disable", "enable", "delete",
)  # fmt: skip


def operation(path: str, method: str, handler: HTTPRouteHandler) -> dict[str, Any]:
    """The Operation Object of a route."""
    text = handler.fn.__doc__ or getattr(handler.opt.get("command"), "__doc__", None) or ""
    lines = [line.strip() for line in text.strip().splitlines()]
    name = _operation_id(path, handler)
    made: dict[str, Any] = {
        "operationId": name,
        "summary": lines[0] if lines else "",
        "description": "\n".join(lines[1:]).strip(),
        "tags": sorted({tag for layer in handler.ownership_layers for tag in layer.tags or ()}),
        "parameters": list(_parameters(path, method, handler)),
        "responses": {str(status): answer for status, answer in sorted(_responses(path, method, handler))},
    }
    if taken := _taken(handler):
        media_type, schema = taken
        content: dict[str, Any] = {"schema": _reference(schema)}
        if requests := examples.REQUESTS.get(name):
            content["examples"] = {title: {"value": value} for title, value in requests.items()}
        made["requestBody"] = {
            "required": not handler.opt.get("body_optional"),
            "content": {media_type: content},
        }
    made["security"] = _ACCESS[_access(handler)]
    return made


def _taken(handler: HTTPRouteHandler) -> tuple[str, str] | None:
    """The media type and the schema of the body, where there is one."""
    if lines := handler.opt.get("lines"):
        return handler.opt["lines_as"], lines
    shape = handler.opt.get("body")
    return (handler.opt.get("body_as", JSON), shape.__name__) if shape else None


def _operation_id(path: str, handler: HTTPRouteHandler) -> str:
    return handler.handler_name if not path.startswith("/keys/") else f"{handler.handler_name}_magistrala"


def _access(handler: HTTPRouteHandler) -> str:
    return str(handler.opt.get("access", "signed in"))


def _writes(method: str, handler: HTTPRouteHandler) -> bool:
    """Whether this changes a user, and answers with how far the log has come."""
    answers = handler.opt.get("answer", (200, None))[1] == "Document"
    return method != "get" and bool(answers or handler.opt.get("conditional"))


def _pages(handler: HTTPRouteHandler) -> bool:
    """Whether this answers from read models, up to a position that the caller may ask for."""
    return handler.opt.get("command") in (ListUsers, SearchUsers, UserHistory)


def _parameters(path: str, method: str, handler: HTTPRouteHandler) -> Iterator[dict[str, Any]]:
    opt = handler.opt
    for name in _PARAMETER.findall(path):
        schema = {"type": "string", "format": "uuid", "examples": [examples.USER_ID]}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if query := opt.get("query"):
        fields: dict[str, Any] = msgspec.json.schema(query)["$defs"][query.__name__]["properties"]
        for name, field in fields.items():
            schema = _in_query(field) | _QUERY_WORDS.get(query, {}).get(name, {})
            yield {"name": name, "in": "query", "required": False, "schema": schema}
    if opt.get("conditional"):
        yield headers.IF_MATCH
    if opt.get("conditional_get"):
        yield headers.IF_NONE_MATCH
    if opt.get("idempotent") or opt.get("idempotent_lines"):
        yield headers.IDEMPOTENCY_KEY
    if _writes(method, handler) or opt.get("lines"):
        yield headers.PREFER
    if _pages(handler):
        yield headers.POSITION
    yield headers.REQUEST_ID
    yield headers.TRACEPARENT


def _in_query(field: dict[str, Any]) -> dict[str, Any]:
    """A query cannot say null."""
    parts = [part for part in field.get("anyOf", ()) if part != {"type": "null"}]
    if len(parts) != 1:
        return field
    rest = {word: value for word, value in field.items() if word not in ("anyOf", "default")}
    shown: dict[str, Any] = parts[0] | rest
    return shown


def _responses(path: str, method: str, handler: HTTPRouteHandler) -> Iterator[tuple[int, dict[str, Any]]]:
    opt = handler.opt
    status, name = opt.get("answer", (200, None))
    media_type = opt.get("media_type", JSON)
    assert name or "answer" in opt, f"{path}: the route does not say what it answers"
    success: dict[str, Any] = {"description": "Done.", "headers": _headers(method, handler)}
    if name:
        shown = (
            {"anyOf": [_reference("Document"), _reference("Card")]} if opt.get("card") else _reference(name)
        )
        success["content"] = {media_type: {"schema": shown}}
    if links := _links(handler.handler_name):
        success["links"] = links
    yield status, success
    if opt.get("conditional_get"):
        kept = "Cache-Control" if name == "KeySet" else "Vary"
        yield 304, {"description": "The ETag still holds.", "headers": told("x-request-id", "ETag", kept)}
    refusal = {opt.get("refuses_as", PROBLEM): {"schema": _reference(opt.get("refuses_shape", "Problem"))}}
    for code in _refusals(path, handler):
        extra = _REFUSAL_HEADERS.get(code, ())
        yield (
            code,
            {
                "description": _REFUSALS[code],
                "headers": told("x-request-id", *extra),
                "content": refusal,
            },
        )


def _headers(method: str, handler: HTTPRouteHandler) -> dict[str, Any]:
    opt = handler.opt
    _, name = opt["answer"]
    names = ["x-request-id"]
    always: tuple[str, ...] = ()
    if name == "Document":
        names += ["ETag", "Vary"]
        # Of what a repeat of a registration shows, too, there may be only the card by now.
        always = () if opt.get("card") or opt["answer"][0] == 201 else ("ETag",)
    if _writes(method, handler):
        names += ["Usersd-Position", "Usersd-Read-Model", "Preference-Applied"]
    if opt["answer"][0] == 201 and name == "Document":
        names.append("Location")
    if opt.get("idempotent"):
        names.append("Idempotency-Replayed")
    if name in ("UserPage", "CardPage"):
        names.append("Link")
    if name in (
        "Tokens",
        "KeySet",
        "RefreshTokenList",
        "SecurityLogPage",
        "Feed",
        "UserExport",
        "RegistrationResults",
    ):
        names.append("Cache-Control")
    if opt.get("download"):
        names.append("Content-Disposition")
    if name == "KeySet":
        names.append("ETag")
        always = ("ETag",)
    more = {"Usersd-Position": headers.REACHED} if _pages(handler) else {}
    return told(*names, always=always) | more


def _refusals(path: str, handler: HTTPRouteHandler) -> set[int]:
    opt = handler.opt
    refusals: set[int] = set(opt.get("refuses", ()))
    if _access(handler) != "anyone":
        refusals |= {401, 503}
        if opt.get("command") not in _FORBIDDEN_TO_NOBODY:
            refusals |= {403}
    if "body" in opt:
        refusals |= {400, 408, 413, 415, 503}
    if "query" in opt:
        refusals |= {400}
    if "{user_id}" in path:
        refusals |= {404}
    if opt.get("conditional"):
        refusals |= {400, 409, 412}
    if opt.get("idempotent"):
        refusals |= {400, 409, 422}
    if opt.get("throttled"):
        refusals |= {429}
    return refusals


def _links(name: str) -> dict[str, Any]:
    if name == "register":
        return {target: {"operationId": target, "parameters": {"user_id": _ID}} for target in _AFTER_REGISTER}
    if name == "issue":
        description = "With `refresh_token` of this answer as the bearer token."
        return {"refresh": {"operationId": "refresh", "description": description}}
    return {}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
