"""The routes that change users."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from litestar import Controller, Response, delete, patch, post
from litestar.params import FromPath
from msgspec.structs import replace

from application.commands.change_email import ChangeEmail
from application.commands.change_picture import ChangePicture
from application.commands.change_role import ChangeRole
from application.commands.change_secret import ChangeSecret
from application.commands.change_tags import ChangeTags
from application.commands.change_username import ChangeUsername
from application.commands.delete_user import DeleteUser
from application.commands.disable_user import DisableUser
from application.commands.enable_user import EnableUser
from application.commands.register_user import RegisterUser, opens_still
from application.commands.update_profile import UpdateProfile
from application.messages import Command, Context, Receipt
from domain.access import Actor
from domain.user import User
from domain.values import Role
from interfaces.http.bodies import (
    EmailBody,
    PictureBody,
    RegisterBody,
    RoleBody,
    SecretBody,
    TagsBody,
    UpdateBody,
    UsernameBody,
)
from interfaces.http.caller import (
    AnyRequest,
    body,
    bus_of,
    if_match,
    maybe_signed_in,
    position_headers,
    signed_in,
    user_answer,
    user_in_path,
    waits,
)
from interfaces.http.idempotency import once


def _changes(shape: type, command: type) -> dict[str, Any]:
    """What the document says of a route that changes a user: If-Match and Idempotency-Key are heard."""
    return {"body": shape} | _acts(command)


def _acts(command: type) -> dict[str, Any]:
    return {"command": command, "conditional": True, "idempotent": True, "answer": (200, "Document")}


class UserCommands(Controller):
    """Register an account and change it."""

    path = "/users"

    @post(
        "/",
        opt={
            "body": RegisterBody,
            "command": RegisterUser,
            "access": "anyone or signed in",
            "answer": (201, "Document"),
            "refuses": (409,),
            "idempotent": True,
            "throttled": True,
        },
    )
    async def register(self, request: AnyRequest) -> Response[bytes]:
        context = await maybe_signed_in(request)
        allowed = bus_of(request).ports.rules.secret_allowed
        wanted = await body(request, RegisterBody, lambda given: given.faults(allowed))
        command = RegisterUser(
            account=wanted.account(context.actor, context.at),
            user=User(id=uuid4()),
            secret=wanted.credentials.secret,
        )
        marked = await once(request, context, status=201)
        receipt = await bus_of(request).dispatch(command, marked, wait=waits(request))
        if not receipt.replayed or await opens_still(receipt.user_id, bus_of(request).ports):
            # Whoever registers an account is shown all of it, as its owner is from here on.
            context = replace(context, actor=Actor("user", receipt.user_id))
        return await user_answer(request, context, receipt, status=201)

    @patch(
        "/{user_id:str}",
        opt=_changes(UpdateBody, UpdateProfile),
    )
    async def update(self, request: AnyRequest, user_id: FromPath[str]) -> Response[bytes]:
        context = await signed_in(request)
        wanted = await body(request, UpdateBody, UpdateBody.faults)
        command = UpdateProfile(
            user_id=user_in_path(user_id),
            wish=wanted.wish(context.actor.id, context.at),
            if_match=if_match(request),
        )
        return await _dispatched(request, command, context)

    @patch("/{user_id:str}/username", opt=_changes(UsernameBody, ChangeUsername))
    async def change_username(self, request: AnyRequest, user_id: FromPath[str]) -> Response[bytes]:
        context = await signed_in(request)
        wanted = await body(request, UsernameBody, UsernameBody.faults)
        command = ChangeUsername(
            user_id=user_in_path(user_id), username=wanted.wanted, if_match=if_match(request)
        )
        return await _dispatched(request, command, context)

    @patch("/{user_id:str}/email", opt=_changes(EmailBody, ChangeEmail) | {"throttled": True})
    async def change_email(self, request: AnyRequest, user_id: FromPath[str]) -> Response[bytes]:
        return await _change_email(request, user_id)

    @patch("/{user_id:str}/identity", opt=_changes(EmailBody, ChangeEmail) | {"throttled": True})
    async def change_identity(self, request: AnyRequest, user_id: FromPath[str]) -> Response[bytes]:
        """Change the email, by the path that Mainflux had for it."""
        return await _change_email(request, user_id)

    @patch("/{user_id:str}/tags", opt=_changes(TagsBody, ChangeTags))
    async def change_tags(self, request: AnyRequest, user_id: FromPath[str]) -> Response[bytes]:
        context = await signed_in(request)
        wanted = await body(request, TagsBody, TagsBody.faults)
        command = ChangeTags(user_id=user_in_path(user_id), tags=wanted.tags, if_match=if_match(request))
        return await _dispatched(request, command, context)

    @patch("/{user_id:str}/picture", opt=_changes(PictureBody, ChangePicture))
    async def change_picture(self, request: AnyRequest, user_id: FromPath[str]) -> Response[bytes]:
        context = await signed_in(request)
        wanted = await body(request, PictureBody, PictureBody.faults)
        command = ChangePicture(
            user_id=user_in_path(user_id), picture=wanted.profile_picture, if_match=if_match(request)
        )
        return await _dispatched(request, command, context)

    @patch(
        "/secret",
        opt={
            "body": SecretBody,
            "command": ChangeSecret,
            "answer": (200, "Document"),
            "conditional": True,
            "throttled": True,
        },
    )
    async def change_secret(self, request: AnyRequest) -> Response[bytes]:
        context = await signed_in(request)
        allowed = bus_of(request).ports.rules.secret_allowed
        wanted = await body(request, SecretBody, lambda given: given.faults(allowed))
        assert context.actor.id is not None
        command = ChangeSecret(
            user_id=context.actor.id,
            old_secret=wanted.old_secret,
            new_secret=wanted.new_secret,
            if_match=if_match(request),
        )
        # No key is heard here: a repeat shows a secret that holds no longer, and changes nothing.
        receipt = await bus_of(request).dispatch(command, context, wait=waits(request))
        return await user_answer(request, context, receipt)

    @patch(
        "/{user_id:str}/role",
        opt=_changes(RoleBody, ChangeRole),
    )
    async def change_role(self, request: AnyRequest, user_id: FromPath[str]) -> Response[bytes]:
        context = await signed_in(request)
        wanted = await body(request, RoleBody, RoleBody.faults)
        command = ChangeRole(
            user_id=user_in_path(user_id), role=Role(wanted.role), if_match=if_match(request)
        )
        return await _dispatched(request, command, context)

    @post(
        "/{user_id:str}/enable",
        status_code=200,
        opt=_acts(EnableUser) | {"refuses": (408, 413)},
    )
    async def enable(self, request: AnyRequest, user_id: FromPath[str]) -> Response[bytes]:
        context = await signed_in(request)
        command = EnableUser(user_id=user_in_path(user_id), if_match=if_match(request))
        return await _dispatched(request, command, context)

    @post(
        "/{user_id:str}/disable",
        status_code=200,
        opt=_acts(DisableUser) | {"refuses": (408, 413)},
    )
    async def disable(self, request: AnyRequest, user_id: FromPath[str]) -> Response[bytes]:
        context = await signed_in(request)
        command = DisableUser(user_id=user_in_path(user_id), if_match=if_match(request))
        return await _dispatched(request, command, context)

    @delete(
        "/{user_id:str}",
        status_code=204,
        opt={
            "command": DeleteUser,
            "conditional": True,
            "answer": (204, None),
            "refuses": (413,),
        },
    )
    async def delete(self, request: AnyRequest, user_id: FromPath[str]) -> Response[None]:
        context = await signed_in(request)
        command = DeleteUser(user_id=user_in_path(user_id), if_match=if_match(request))
        receipt = await bus_of(request).dispatch(command, context, wait=waits(request))
        return Response(None, status_code=204, headers=position_headers(request, receipt))


async def _change_email(request: AnyRequest, user_id: str) -> Response[bytes]:
    context = await signed_in(request, unverified=True)
    wanted = await body(request, EmailBody, EmailBody.faults)
    command = ChangeEmail(user_id=user_in_path(user_id), email=wanted.wanted, if_match=if_match(request))
    return await _dispatched(request, command, context)


async def _dispatched(request: AnyRequest, command: Command[Receipt], context: Context) -> Response[bytes]:
    marked = await once(request, context)
    receipt = await bus_of(request).dispatch(command, marked, wait=waits(request))
    return await user_answer(request, context, receipt)
