"""Turns every refusal into one body: RFC 9457, and beside it the two keys that old clients read."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from domain import errors
from domain.errors import Fault, Invalid, Refusal, Unavailable

log = logging.getLogger("usersd.http")

STATUS: dict[type[Refusal], int] = {
    errors.Invalid: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TokenGone: 410,
    errors.Stale: 412,
    errors.KeyReused: 422,
    errors.TooManyAttempts: 429,
    errors.Unavailable: 503,
}
"""One row per kind of refusal."""

CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large", 415: "unsupported_media_type"}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was refused. `code` is stable; `message` and `error` repeat `detail` and `title`."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errors: list[Fault]
    message: str
    error: str


class UnsupportedMediaType(Refusal):
    code = "unsupported_media_type"
    message = "The body must be sent as application/json."


class BodyTooSlow(Refusal):
    code = "body_too_slow"
    message = "The body did not arrive in the time that this service gives it."


STATUS[UnsupportedMediaType] = 415
STATUS[BodyTooSlow] = 408


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    request_id: str = "",
    faults: tuple[Fault, ...] = (),
    headers: dict[str, str] | None = None,
) -> Response[bytes]:
    """A refusal in the one form that all have."""
    title = HTTPStatus(status).phrase
    body = Problem(
        type="about:blank",
        title=title,
        status=status,
        detail=detail,
        instance=f"urn:request:{request_id}" if request_id else "",
        code=code,
        errors=list(faults),
        message=detail,
        error=title,
    )
    return Response(
        msgspec.json.encode(body), status_code=status, headers=headers, media_type="application/problem+json"
    )


def status_of(refusal: Refusal) -> int:
    """The status of the nearest kind of refusal that has a row."""
    return next(STATUS[kind] for kind in type(refusal).__mro__ if kind in STATUS)


def on_refusal(request: Request[Any, Any, Any], refusal: Refusal) -> Response[bytes]:
    status = status_of(refusal)
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = _challenge(refusal)
    if status == 408:
        # RFC 9110 section 15.5.9: the rest of the body is not waited for.
        headers["Connection"] = "close"
    if isinstance(refusal, Unavailable) or refusal.retry_after:
        headers["Retry-After"] = str(refusal.retry_after or 1)
    faults = refusal.faults if isinstance(refusal, Invalid) else ()
    return problem(
        status, refusal.code, refusal.text, request_id=_id(request), faults=faults, headers=headers
    )


def on_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    status = error.status_code
    if status >= 500:
        return on_anything_else(request, error)
    detail = {
        404: "There is nothing at this path.",
        405: "This path does not take this method.",
        413: "The body is larger than this service takes.",
    }.get(status, "The request is not valid.")
    headers = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    code = CODES.get(status, "invalid_request")
    return problem(status, code, detail, request_id=_id(request), headers=headers)


def on_anything_else(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A fault of ours: the caller gets the request id and nothing of the inside."""
    request_id = _id(request)
    log.error("unhandled %s in request %s", type(error).__name__, request_id, exc_info=error)
    detail = f"Something went wrong on our side. Quote the request id {request_id}."
    return problem(500, "internal_error", detail, request_id=request_id)


def _challenge(refusal: Refusal) -> str:
    # RFC 6750 section 3: no error code where no token was shown; ours are not among its codes.
    shown = ', error="invalid_token"' if isinstance(refusal, errors.InvalidToken) else ""
    return f'Bearer realm="usersd"{shown}'


def _id(request: Request[Any, Any, Any]) -> str:
    return str(request.scope.get("usersd.request_id", ""))
