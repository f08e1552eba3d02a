"""The routes by which an admin sees what holds an account up, and lets it go."""

from __future__ import annotations

import msgspec
from litestar import Controller, Response, delete, get
from litestar.params import FromPath

from application.commands.lift_throttle import LiftThrottle
from application.ports import Throttled
from application.queries.view_throttle import ViewThrottle
from interfaces.http.caller import JSON, AnyRequest, bus_of, signed_in, user_in_path


class ThrottleView(msgspec.Struct, frozen=True):
    """What is held against one account at the moment."""

    throttled: list[Throttled]


class Throttling(Controller):
    """Limits on attempts."""

    path = "/users"

    @get(
        "/{user_id:str}/throttle",
        opt={"command": ViewThrottle, "answer": (200, "ThrottleView")},
    )
    async def view_throttle(self, request: AnyRequest, user_id: FromPath[str]) -> Response[bytes]:
        context = await signed_in(request)
        held = await bus_of(request).ask(ViewThrottle(user_id=user_in_path(user_id)), context)
        return Response(msgspec.json.encode(ThrottleView(list(held))), media_type=JSON)

    @delete(
        "/{user_id:str}/throttle",
        status_code=204,
        opt={"command": LiftThrottle, "answer": (204, None)},
    )
    async def lift_throttle(self, request: AnyRequest, user_id: FromPath[str]) -> Response[None]:
        context = await signed_in(request)
        await bus_of(request).dispatch(LiftThrottle(user_id=user_in_path(user_id)), context)
        return Response(None, status_code=204)
