"""The routes by which a forgotten secret is replaced."""

from __future__ import annotations

from litestar import Controller, Response, post, put

from application.commands.request_password_reset import RequestPasswordReset
from application.commands.reset_secret import ResetSecret
from domain.errors import Fault, Invalid, Unauthenticated
from interfaces.http.bodies import ResetBody, ResetRequestBody
from interfaces.http.caller import JSON, AnyRequest, anonymous, bearer, body, bus_of


class Passwords(Controller):
    """Ask for a link, and use it."""

    path = "/password"

    @post(
        "/reset-request",
        opt={
            "body": ResetRequestBody,
            "command": RequestPasswordReset,
            "access": "anyone",
            "answer": (201, "ResetRequested"),
            "throttled": True,
        },
    )
    async def request_reset(self, request: AnyRequest) -> Response[bytes]:
        wanted = await body(request, ResetRequestBody, ResetRequestBody.faults)
        await bus_of(request).dispatch(RequestPasswordReset(email=wanted.email), anonymous(request))
        return Response(b'{"msg":"Email with reset link is sent"}', status_code=201, media_type=JSON)

    @put(
        "/reset",
        status_code=201,
        opt={
            "body": ResetBody,
            "command": ResetSecret,
            "access": "anyone",
            "answer": (201, "Nothing"),
            "refuses": (410,),
        },
    )
    async def reset(self, request: AnyRequest) -> Response[bytes]:
        """Set a new secret by the link of a mail.

        Its token goes into the body or stands as the bearer token. It works once, for five minutes after its
        mail was handed over, and every session of the user ends at once.
        """
        allowed = bus_of(request).ports.rules.secret_allowed
        wanted = await body(request, ResetBody, lambda given: given.faults(allowed))
        command = ResetSecret(token=_token(request, wanted), secret=wanted.password)
        await bus_of(request).dispatch(command, anonymous(request))
        return Response(b"{}", status_code=201, media_type=JSON)


def _token(request: AnyRequest, wanted: ResetBody) -> str:
    """The token, as either dialect sends it. Raises Invalid where it is missing or there are two."""
    try:
        shown = bearer(request)
    except Unauthenticated:
        shown = ""
    if shown and wanted.token and shown != wanted.token:
        raise Invalid(Fault("/token", "This is another token than the bearer token; send one."))
    if not (token := shown or wanted.token):
        raise Invalid(Fault("/token", "The token of the mail is needed, here or as the bearer token."))
    return token
