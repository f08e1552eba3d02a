"""Who is calling, by which thread of cause and effect, and how to answer them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from random import getrandbits
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import InternalServerException
from msgspec.structs import replace

from application.authentication import authenticate
from application.bus import Bus
from application.changing import Versions
from application.messages import Context, Page, Receipt, UserView
from application.queries.view_user import ViewUser
from domain.access import ANONYMOUS, Actor, require_verified
from domain.errors import Fault, Invalid, NotFound, OutcomeUnknown, Unauthenticated, Unavailable
from domain.values import user_id as parse_user_id
from interfaces.http.errors import BodyTooSlow, UnsupportedMediaType
from interfaces.http.network import Address, Callers, network_prefix
from interfaces.http.observing import TRACEPARENT
from interfaces.http.preconditions import already_there, position_asked, versions_allowed
from interfaces.http.reading import read_json

AnyRequest = Request[Any, Any, State]
S = TypeVar("S", bound=msgspec.Struct)

JSON = "application/json"
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def bus_of(request: AnyRequest) -> Bus:
    bus: Bus = request.app.state["bus"]
    return bus


def anonymous(request: AnyRequest) -> Context:
    """The context of a request that needs nobody to be signed in, and that limits count by network."""
    return replace(_context(request, ANONYMOUS), network=network_of(request))


async def signed_in(request: AnyRequest, *, unverified: bool = False) -> Context:
    """The context of a request by a user. Raises Unauthenticated, or EmailNotVerified at the gate."""
    ports = bus_of(request).ports
    context = await authenticate(bearer(request), _context(request, ANONYMOUS), ports)
    if not unverified:
        require_verified(context.actor, unverified_allowed=ports.rules.unverified_allowed)
    return context


async def maybe_signed_in(request: AnyRequest) -> Context:
    """The context of a registration: anyone's where self-registration is on, and an admin may do more.

    A token that does not hold then counts as none, as in the original: old clients send theirs, expired
    or not, with every request.
    """
    if not bus_of(request).ports.rules.self_register:
        return await signed_in(request)
    if "authorization" not in request.headers:
        return anonymous(request)
    try:
        return replace(await signed_in(request), network=network_of(request))
    except Unauthenticated:
        return anonymous(request)


def address_of(request: AnyRequest) -> Address | None:
    """The address of the caller, None where it is not known; worked out only when somebody asks."""
    callers: Callers = request.app.state["callers"]
    return callers.address(request.scope)


def network_of(request: AnyRequest) -> str:
    """The network of the caller's address, empty where it is not known; costs too much to ask for nothing."""
    address = address_of(request)
    return str(network_prefix(address)) if address else ""


def bearer(request: AnyRequest) -> str:
    """The bearer token (RFC 6750); the scheme is matched without regard to case (RFC 9110)."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated
    return token.strip()


def _context(request: AnyRequest, actor: Actor) -> Context:
    # Tells commands apart; guards nothing, so it need not be hard to guess.
    command_id = UUID(int=getrandbits(128), version=4)
    traceparent = str(request.scope.get(TRACEPARENT) or request.headers.get("traceparent", ""))
    return Context(
        actor=actor,
        at=bus_of(request).ports.clock.now(),
        command_id=command_id,
        correlation_id=command_id,
        request_id=request.scope.get("usersd.request_id", ""),  # type: ignore[arg-type]
        traceparent=traceparent if _TRACEPARENT.fullmatch(traceparent) else "",
    )


async def body(request: AnyRequest, shape: type[S], check: Callable[[S], Any] | None = None) -> S:
    """The request's JSON body. Raises UnsupportedMediaType, Invalid."""
    media_type = request.headers.get("content-type", "").lower()
    if JSON not in media_type and "+json" not in media_type:
        raise UnsupportedMediaType
    return read_json(await raw_body(request), shape, check)


async def raw_body(request: AnyRequest) -> bytes:
    """The bytes of the body. Raises Invalid, BodyTooSlow."""
    try:
        async with asyncio.timeout(request.app.state["body_timeout"]):
            return await request.body()
    except TimeoutError:
        raise BodyTooSlow from None
    except InternalServerException:
        # Litestar's word for a caller who hangs up; it is no fault of ours and nobody reads the answer.
        raise Invalid(Fault("", "The connection was closed before the body was whole.")) from None


def owed(request: AnyRequest, context: Context) -> Context:
    """The context of a request for a list, with the position that the list has to hold. Raises Invalid."""
    return replace(context, position=position_asked(request.headers.getall("usersd-position", [])))


def user_in_path(text: str) -> UUID:
    """The id in a path; what is no id belongs to nobody."""
    if (found := parse_user_id(text)) is None:
        raise NotFound
    return found


def if_match(request: AnyRequest) -> Versions:
    """The versions that the If-Match header allows; None where any will do. Raises Invalid."""
    return versions_allowed(request.headers.getall("if-match", []))


async def user_answer(
    request: AnyRequest, context: Context, receipt: Receipt, *, status: int = 200
) -> Response[bytes]:
    """The user after a command, as the caller may see them; a repeat gets the first's status."""
    status = receipt.replayed or status
    try:
        view = await bus_of(request).ask(ViewUser(user_id=receipt.user_id, known=receipt.after), context)
    except Unavailable:
        # A plain `unavailable` would promise that a retry is safe.
        raise OutcomeUnknown("The change was stored; the user cannot be shown at the moment.") from None
    headers = position_headers(request, receipt)
    if receipt.replayed:
        headers["Idempotency-Replayed"] = "true"
    if status == 201:
        headers["Location"] = f"/users/{receipt.user_id}"
    return _answer(view, status, headers)


def position_headers(request: AnyRequest, receipt: Receipt) -> dict[str, str]:
    """What an answer says of the log after a command."""
    headers = {"Usersd-Position": str(receipt.position)}
    if not receipt.visible:
        # Lists do not show this write yet; the user's own profile does.
        headers["Usersd-Read-Model"] = "behind"
    if not waits(request):
        headers["Preference-Applied"] = "respond-async"
    return headers


def view_answer(request: AnyRequest, view: UserView) -> Response[bytes]:
    """A user, or only that the caller has seen this version already."""
    if already_there(request.headers.getall("if-none-match", []), view.version):
        return _answer(replace(view, body=b""), 304, {})
    return _answer(view, 200, {})


def page_answer(page: Page, key: str = "users") -> Response[bytes]:
    """A page; its items are JSON already."""
    relation = f',"total_relation":"{page.total_relation}"' if page.total_relation else ""
    head = f'{{"limit":{page.limit},"offset":{page.offset},"total":{page.total}{relation},"{key}":['
    headers = {} if page.position is None else {"Usersd-Position": str(page.position)}
    return Response(head.encode() + b",".join(page.users) + b"]}", headers=headers, media_type=JSON)


def list_answer(request: AnyRequest, page: Page) -> Response[bytes]:
    """A page of users, with a link to the next one (RFC 8288) that keeps what else the caller asked for."""
    answer = page_answer(page)
    if page.next:
        asked = parse_qsl(request.scope["query_string"].decode("ascii"), keep_blank_values=True)
        kept = [(name, value) for name, value in asked if name not in ("cursor", "offset")]
        query = urlencode([*kept, ("cursor", page.next)])
        answer.headers["Link"] = f'<{request.url.path.rstrip("/")}?{query}>; rel="next"'
    return answer


def waits(request: AnyRequest) -> bool:
    """Whether the caller wants to wait until lists show the write (RFC 7240)."""
    preferences = request.headers.get("prefer", "").lower().split(",")
    return "respond-async" not in (preference.partition(";")[0].strip() for preference in preferences)


def _answer(view: UserView, status: int, headers: dict[str, str]) -> Response[bytes]:
    if view.version is not None:
        headers["ETag"] = f'"{view.version}"'
    headers["Vary"] = "Authorization"
    return Response(view.body, status_code=status, headers=headers, media_type=JSON)
