"""The pages that links in mails open: plain HTML that needs no script, and loads nothing.

A form carries the token of the mail and nothing else that would say who is there: no cookie is set or read.
Whoever made a browser send such a form from another site would have to know the token, and could then use it
without that browser; so there is nothing that a token against forged requests would guard.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from urllib.parse import parse_qsl

import jinja2
from litestar import MediaType, Response, get, post
from markupsafe import Markup

from application.commands.reset_secret import ResetSecret
from application.commands.verify_email import VerifyEmail
from application.link_tokens import LinkKind
from application.queries.check_link import CheckLink
from domain.errors import Fault, Invalid, Refusal, TokenGone
from interfaces.http.bodies import ResetBody
from interfaces.http.caller import AnyRequest, anonymous, bus_of, raw_body
from interfaces.http.errors import UnsupportedMediaType, status_of

PATHS = frozenset({"/password/reset", "/verify-email"})

_FORM = "application/x-www-form-urlencoded"
_MAX_FIELDS = 10
_STYLE = files("interfaces.http.pages").joinpath("style.css").read_text("utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest())

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'sha256-" + _STYLE_HASH + b"'; form-action 'self'; "
        b"base-uri 'none'; frame-ancestors 'none'",
    ),
)

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("interfaces.http.pages", ""),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
)

# It is ours, and its hash is what the browser asks for: to escape it would break both.
_SAFE_STYLE = Markup(_STYLE)  # noqa: S704

_RESET, _VERIFY = "Set a new password", "Verify your email"


def wanted(request: AnyRequest) -> bool:
    """Whether the client asks for HTML in so many words, as browsers do; `*/*` is no such word."""
    for part in request.headers.get("accept", "").lower().split(","):
        kind, _, parameters = part.partition(";")
        if kind.strip() == "text/html":
            return "q=0" not in {word.strip() for word in parameters.split(";")}
    return False


async def verification(request: AnyRequest) -> Response[bytes]:
    """The page with the button that verifies."""
    token = request.query_params.get("token", "")
    try:
        await _check(request, "verification", token)
    except Refusal as refusal:
        return _refused(_VERIFY, refusal)
    return _page("verify.html", _VERIFY, token=token)


@post("/verify-email", status_code=200, opt={"undocumented": True, "command": VerifyEmail})
async def verify_by_form(request: AnyRequest) -> Response[bytes]:
    """Verify an email by the button of the page."""
    try:
        fields = await _form(request)
        await bus_of(request).dispatch(VerifyEmail(token=fields.get("token", "")), anonymous(request))
    except Refusal as refusal:
        return _refused(_VERIFY, refusal)
    return _page("page.html", "Your email is verified", text="You can close this page.", bad=False)


@get("/password/reset", opt={"undocumented": True, "command": CheckLink})
async def reset_form(request: AnyRequest) -> Response[bytes]:
    """The page with the form for a new secret."""
    token = request.query_params.get("token", "")
    try:
        await _check(request, "password_reset", token)
    except Refusal as refusal:
        return _refused(_RESET, refusal)
    return _page("reset.html", _RESET, token=token, problems=[])


@post("/password/reset", status_code=200, opt={"undocumented": True, "command": ResetSecret})
async def reset_by_form(request: AnyRequest) -> Response[bytes]:
    """Set a new secret by the form of the page; what is wrong with it is shown above the form."""
    token = ""
    try:
        fields = await _form(request)
        token = fields.get("token", "")
        entered = ResetBody(
            token=token,
            password=fields.get("password", ""),
            confirm_password=fields.get("confirm_password", ""),
        )
        if faults := list(entered.faults(bus_of(request).ports.rules.secret_allowed)):
            raise Invalid(*faults)
        await bus_of(request).dispatch(ResetSecret(token=token, secret=entered.password), anonymous(request))
    except Invalid as refusal:
        if not refusal.faults or any(fault.pointer in ("", "/token") for fault in refusal.faults):
            return _refused(_RESET, refusal)
        problems = [fault.message for fault in refusal.faults]
        return _page("reset.html", _RESET, status=400, token=token, problems=problems)
    except Refusal as refusal:
        return _refused(_RESET, refusal)
    text = "You can sign in with it now. You were signed out everywhere."
    return _page("page.html", "Your password was changed", text=text, bad=False)


async def _check(request: AnyRequest, kind: LinkKind, token: str) -> None:
    await bus_of(request).ask(CheckLink(kind=kind, token=token), anonymous(request))


async def _form(request: AnyRequest) -> dict[str, str]:
    """The fields of a form. Raises UnsupportedMediaType, Invalid."""
    if not request.headers.get("content-type", "").lower().startswith(_FORM):
        raise UnsupportedMediaType("The form must be sent as a browser sends it.")
    try:
        text = (await raw_body(request)).decode("ascii")
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS))
    except ValueError:
        raise Invalid(Fault("", "The form is not well-formed.")) from None


def _refused(title: str, refusal: Refusal) -> Response[bytes]:
    words = refusal.text
    if isinstance(refusal, Invalid):
        words = "This link is not whole, or not one of ours. Open it again from the mail, or ask for another."
    if isinstance(refusal, TokenGone):
        words = "This link was used before, has expired, or was replaced by a newer one. Ask for another."
    answer = _page("page.html", title, status=status_of(refusal), text=words, bad=True)
    if refusal.retry_after:
        answer.headers["Retry-After"] = str(refusal.retry_after)
    return answer


def _page(template: str, title: str, *, status: int = 200, **values: object) -> Response[bytes]:
    made = _TEMPLATES.get_template(template).render(title=title, style=_SAFE_STYLE, **values)
    return Response(
        made.encode(), status_code=status, headers={"Cache-Control": "no-store"}, media_type=MediaType.HTML
    )


HANDLERS = (verify_by_form, reset_form, reset_by_form)
