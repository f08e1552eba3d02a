"""The routes by which an email is verified."""

from __future__ import annotations

import msgspec
from litestar import Controller, Response, get, post
from msgspec.structs import replace

from application.commands.request_verification import RequestVerification
from application.commands.verify_email import VerifyEmail
from domain.errors import Fault, Invalid
from interfaces.http import pages
from interfaces.http.caller import JSON, AnyRequest, anonymous, bus_of, network_of, signed_in
from interfaces.http.fields import LinkToken
from interfaces.http.reading import read_query


class VerifyQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The query of a link that verifies."""

    token: LinkToken = ""


class Verification(Controller):
    """Ask for a link, and use it."""

    @post(
        "/users/send-verification",
        status_code=200,
        opt={
            "command": RequestVerification,
            "answer": (200, None),
            "refuses": (409,),
            "throttled": True,
        },
    )
    async def send_verification(self, request: AnyRequest) -> Response[bytes]:
        context = replace(await signed_in(request, unverified=True), network=network_of(request))
        assert context.actor.id is not None
        await bus_of(request).dispatch(RequestVerification(user_id=context.actor.id), context)
        return Response(b"", media_type=JSON)

    @get(
        "/verify-email",
        opt={
            "query": VerifyQuery,
            "command": VerifyEmail,
            "access": "anyone",
            "answer": (200, None),
            "refuses": (410, 503),
        },
    )
    async def verify(self, request: AnyRequest) -> Response[bytes]:
        """Verify an email by the link of a mail.

        A browser, which asks for `text/html`, gets a page with a button and verifies by that alone: what
        looks into mails on their way follows links, and presses nothing.
        """
        if pages.wanted(request):
            return await pages.verification(request)
        wanted = read_query(request.scope["query_string"], VerifyQuery)
        if not wanted.token:
            raise Invalid(Fault("/token", "The token of the mail is needed."))
        await bus_of(request).dispatch(VerifyEmail(token=wanted.token), anonymous(request))
        return Response(b"", headers={"Cache-Control": "no-store"}, media_type=JSON)
