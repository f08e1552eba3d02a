"""What other services speak: introspection (RFC 7662), revocation (RFC 7009), metadata (RFC 8414).

Refusals are in the form of RFC 6749 section 5.2, because libraries read that.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from msgspec.structs import replace

from application.commands.revoke_token import RevokeToken
from application.messages import Context
from application.queries.introspect_token import IntrospectToken
from domain.errors import Forbidden, Refusal, TooManyAttempts, Unauthenticated, Unavailable
from interfaces.http.caller import JSON, AnyRequest, anonymous, bus_of, raw_body, signed_in
from interfaces.service_accounts import service_actor

_PARAMETERS = ("token", "token_type_hint")
FORM = "application/x-www-form-urlencoded"
MAX_FORM_BYTES = 16_384
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class OAuthError(msgspec.Struct, frozen=True):
    """Why a request was refused (RFC 6749 section 5.2)."""

    error: str
    error_description: str


class TokenForm(msgspec.Struct, frozen=True, kw_only=True):
    """A token, and what kind of token the caller takes it for, which makes no difference."""

    token: Annotated[str, msgspec.Meta(min_length=1)]
    token_type_hint: str = ""


class Introspected(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether a token is worth anything, and what it says (RFC 7662 section 2.2)."""

    active: bool
    token_type: str = ""
    sub: UUID | None = None
    sid: UUID | None = None
    exp: int = 0
    iss: str = ""
    aud: str = ""
    client_id: str = ""
    role: str = ""
    verified: bool | None = None


class ServerMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """Where everything is (RFC 8414)."""

    issuer: str
    jwks_uri: str
    introspection_endpoint: str
    revocation_endpoint: str
    response_types_supported: list[str]
    grant_types_supported: list[str]
    introspection_endpoint_auth_methods_supported: list[str]
    revocation_endpoint_auth_methods_supported: list[str]


class _Refused(Exception):
    """A request that one of these endpoints does not carry out."""

    def __init__(self, status: int, error: str, description: str, **headers: str) -> None:
        self.answer = Response(
            msgspec.json.encode(OAuthError(error, description)),
            status_code=status,
            headers=NO_STORE | {name.replace("_", "-"): value for name, value in headers.items()},
            media_type=JSON,
        )


class OAuth(Controller):
    """For other services."""

    path = "/oauth"

    @post(
        "/introspect",
        status_code=200,
        opt={
            "command": IntrospectToken,
            "access": "service",
            "body": TokenForm,
            "body_as": FORM,
            "answer": (200, "Introspected"),
            "refuses_shape": "OAuthError",
            "refuses_as": JSON,
        },
    )
    async def introspect(self, request: AnyRequest) -> Response[bytes]:
        try:
            context = await service_account(request)
            query = IntrospectToken(token=(await _form(request))["token"])
            found = await bus_of(request).ask(query, context)
        except _Refused as refused:
            return refused.answer
        except Refusal as refusal:
            return _refusal(refusal)
        return Response(msgspec.json.encode(found), headers=NO_STORE, media_type=JSON)

    @post(
        "/revoke",
        status_code=200,
        opt={
            "command": RevokeToken,
            "access": "anyone",
            "body": TokenForm,
            "body_as": FORM,
            "answer": (200, None),
            "throttled": True,
            "refuses_shape": "OAuthError",
            "refuses_as": JSON,
        },
    )
    async def revoke(self, request: AnyRequest) -> Response[bytes]:
        try:
            command = RevokeToken(token=(await _form(request))["token"])
            await bus_of(request).dispatch(command, anonymous(request))
        except _Refused as refused:
            return refused.answer
        except Refusal as refusal:
            return _refusal(refusal)
        return Response(b"", headers=NO_STORE, media_type=JSON)


@get(
    "/.well-known/oauth-authorization-server",
    sync_to_thread=False,
    opt={"access": "anyone", "answer": (200, "ServerMetadata")},
)
def oauth_metadata(request: AnyRequest) -> Response[bytes]:
    """Where other services find the keys, introspection and revocation (RFC 8414)."""
    rules = bus_of(request).ports.rules
    base = rules.public_url.rstrip("/")
    made = ServerMetadata(
        issuer=rules.issuer,
        jwks_uri=f"{base}/.well-known/jwks.json",
        introspection_endpoint=f"{base}/oauth/introspect",
        revocation_endpoint=f"{base}/oauth/revoke",
        response_types_supported=[],
        grant_types_supported=["refresh_token"],
        introspection_endpoint_auth_methods_supported=["client_secret_basic"],
        revocation_endpoint_auth_methods_supported=["none"],
    )
    headers = {"Cache-Control": "public, max-age=900"}
    return Response(msgspec.json.encode(made), headers=headers, media_type=JSON)


async def service_account(request: AnyRequest) -> Context:
    """The context of a request by a service account (client_secret_basic). Raises Unauthenticated."""
    context = anonymous(request)
    shown = request.headers.get("authorization", "")
    actor = await service_actor(shown, bus_of(request).ports.clients, context.at)
    return replace(context, actor=actor)


async def reader(request: AnyRequest) -> Context:
    """The context of somebody who reads users: signed in, or a service account."""
    scheme = request.headers.get("authorization", "").partition(" ")[0]
    return await (service_account(request) if scheme.lower() == "basic" else signed_in(request))


async def _form(request: AnyRequest) -> dict[str, str]:
    """The fields of a form with a token. Raises _Refused."""
    if FORM not in request.headers.get("content-type", "").lower():
        raise _Refused(415, "invalid_request", f"The body must be sent as {FORM}.")
    sent = await raw_body(request)
    if len(sent) > MAX_FORM_BYTES:
        raise _Refused(413, "invalid_request", f"The body has more than {MAX_FORM_BYTES} bytes.")
    try:
        pairs = parse_qsl(sent.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise _Refused(400, "invalid_request", "The body is no form.") from None
    named = [(name, value) for name, value in pairs if name in _PARAMETERS]
    fields = dict(named)
    if len(fields) != len(named):
        raise _Refused(400, "invalid_request", "A parameter is there twice.")
    if not fields.get("token"):
        raise _Refused(400, "invalid_request", "The parameter token is needed.")
    return fields


_CODES: tuple[tuple[type[Refusal], int, str], ...] = (
    (Unauthenticated, 401, "invalid_client"),
    (Forbidden, 403, "insufficient_scope"),
    (TooManyAttempts, 429, "slow_down"),
    (Unavailable, 503, "temporarily_unavailable"),
    (Refusal, 400, "invalid_request"),
)


def _refusal(refusal: Refusal) -> Response[bytes]:
    status, error = next((status, error) for kind, status, error in _CODES if isinstance(refusal, kind))
    headers: dict[str, Any] = {}
    if status == 401:
        headers["WWW_Authenticate"] = 'Basic realm="usersd", charset="UTF-8"'
    if refusal.retry_after:
        headers["Retry_After"] = str(refusal.retry_after)
    return _Refused(status, error, refusal.text, **headers).answer
