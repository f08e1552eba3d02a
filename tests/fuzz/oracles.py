"""What must hold for whatever comes back, and what an answer tells about the users it is about."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from tests.fuzz import canaries
from tests.fuzz.pool import Account, Pool
from tests.fuzz.requests import ANONYMOUS, Request
from tests.fuzz.tokens import subject_of
from tests.fuzz.wire import Answer, Exchange

_OAUTH = ("introspect", "revoke")
_PROBLEM_KEYS = {"type", "title", "status", "detail", "instance", "code", "errors", "message", "error"}
_GIVES_TOKENS = {"issue", "refresh"}
_TAKES_NO_ACCESS_TOKEN = ANONYMOUS | {"register", "refresh"}
_OWN_KEYS = re.compile(rb'"pointer":"/metadata/[^"]*"')
"""Where in the public metadata a fault is can only be said by the keys of whoever sent it."""

_MAY_STAY_UNANSWERED = 100_000
"""Bytes of a request from which on it may be refused without being read, and the answer be lost with it."""


def faults(request: Request, sent: bytes, result: Exchange, issued: set[bytes]) -> Iterator[str]:
    """What is wrong with an exchange, in words that are the same for the same fault."""
    if result.hung:
        yield "the connection was open after 10 s"
        return
    if result.rest and b"HTTP/2.0" not in sent[:30]:
        yield "bytes came back that are no response"
    finals = [answer for answer in result.answers if answer.status >= 200]
    for answer in finals:
        yield from _of_an_answer(request, answer)
    if request.raw is None:
        yield from _of_a_pair(request, sent, result, finals)
        yield from _of_a_token(request, finals, issued)


def _of_an_answer(request: Request, answer: Answer) -> Iterator[str]:
    if answer.status >= 500 and not (answer.status == 503 and answer.header(b"retry-after")):
        yield f"{answer.status}"
    if b"x-injected" in answer.headers:
        yield "a header of the request's own making stands in the answer"
    ours = answer.header(b"x-request-id") != b""
    if answer.status >= 400 and ours:
        yield from _of_a_refusal(request, answer)
    if answer.status >= 400:
        kinds = canaries.found(answer.head + b"\r\n\r\n" + _OWN_KEYS.sub(b"", answer.body))
        if kinds:
            yield f"a refusal with {answer.status} repeats what was sent: {', '.join(sorted(kinds))}"
    elif not _leaks_nothing(request, answer):
        yield "an answer shows a secret, a token, a key or a hash"


def _of_a_refusal(request: Request, answer: Answer) -> Iterator[str]:
    if b"HEAD" in (request.method, (request.raw or b"")[:4]) or b"/readyz" in request.path:
        return
    if answer.header(b"content-type").startswith(b"text/html") and b"</html>" in answer.body:
        # A page for people, as a browser asks for it.
        return
    try:
        body = json.loads(answer.body)
    except ValueError:
        yield f"a refusal with {answer.status} whose body is no JSON"
        return
    if set(body) == {"error", "error_description"} and request.operation.name in _OAUTH:
        return
    if answer.header(b"content-type") != b"application/problem+json" or set(body) != _PROBLEM_KEYS:
        yield f"a refusal with {answer.status} that is no problem document"
    elif not (body["code"] and body["message"] and body["status"] == answer.status):
        yield f"a refusal with {answer.status} without a code or a message"


def _leaks_nothing(request: Request, answer: Answer) -> bool:
    kinds = set(canaries.found(answer.body))
    if request.operation.name in _GIVES_TOKENS or request.raw is not None:
        kinds.discard("jwt")
    return not kinds & (canaries.NOWHERE | {"hash"})


def _of_a_pair(request: Request, sent: bytes, result: Exchange, finals: list[Answer]) -> Iterator[str]:
    """A request that is whole has one answer, and the one behind it on the same connection has its own."""
    if not finals:
        if len(sent) < _MAY_STAY_UNANSWERED:
            yield "a whole request was not answered"
        return
    if not request.follow_up:
        if len(finals) > 1:
            yield "one request has two answers"
        return
    if len(finals) > 2:
        yield "two requests have three answers"
    if len(finals) == 2 and finals[1].header(b"x-request-id") != b"follow-up":
        yield "the second request on a connection has another one's answer"


def _of_a_token(request: Request, finals: list[Answer], issued: set[bytes]) -> Iterator[str]:
    """Nobody is let in by a token that was never issued."""
    shown = [value for name, value in request.headers if name.lower() == b"authorization"]
    if request.operation.name in _TAKES_NO_ACCESS_TOKEN or request.path.startswith(b"/users/tokens"):
        return
    if not finals or finals[0].status >= 300 or not request.path.startswith(b"/users") or len(shown) > 1:
        return
    if request.method == b"OPTIONS" or (request.method == b"POST" and request.path.rstrip(b"/") == b"/users"):
        return
    # Only the signature may be spelt in several ways; what it signs may not.
    signed = shown[0].partition(b" ")[2].strip().rpartition(b".")[0] if shown else b""
    if signed not in issued:
        yield "a token that was never issued was accepted"


STRANGER = "private metadata is shown to a stranger"


def shown_to_a_stranger(request: Request, sent: bytes, answer: Answer) -> str | None:
    """The id of whoever is shown private metadata that is not theirs; only an admin may be that."""
    shown = canaries.words("private", answer.body)
    if answer.status >= 300 or request.raw is not None or shown <= canaries.words("private", sent):
        return None
    if request.operation.name == "register" and answer.header(b"idempotency-replayed"):
        # Who repeats a registration shows the secret that opens the account.
        return None
    values = [value for name, value in request.headers if name.lower() == b"authorization"]
    reader = subject_of(values[0].decode("latin-1")) if values else "nobody"
    body = _json(answer)
    owner = isinstance(body, dict) and body.get("id") == reader
    own = (f"/users/{reader}/history", f"/users/{reader}/export")
    return None if owner or unquote(request.path).startswith(own) else reader


def learn(request: Request, answer: Answer, pool: Pool, issued: set[bytes]) -> None:
    """Take over into the pool what an answer tells."""
    body = _json(answer)
    name = request.operation.name
    caller = request.caller
    if answer.status == 401 and caller and not request.changes and caller.access and _shows(request, caller):
        caller.access = ""
        pool.errand("issue", caller.id)
    if isinstance(body, dict) and answer.status in (200, 201):
        if "access_token" in body:
            _take_tokens(request, body, issued)
        elif name == "register" and "email" in body:
            _take_in(request, body, pool)
        elif account := pool.of(str(body.get("id", ""))):
            _update(request, answer, account, body, pool)
    if link := answer.header(b"link"):
        cursor = link.partition(b"cursor=")[2].partition(b">")[0].partition(b"&")[0]
        pool.cursors = [*pool.cursors[-20:], cursor.decode()]


def _shows(request: Request, account: Account) -> bool:
    """Whether the request was made with what is still the account's latest token."""
    return any(
        account.access.encode() in value or account.refresh.encode() in value
        for name, value in request.headers
        if name == b"Authorization"
    )


def _take_tokens(request: Request, body: dict[str, str], issued: set[bytes]) -> None:
    for kind in ("access_token", "refresh_token"):
        issued.add(body[kind].rpartition(".")[0].encode())
    account = request.subject
    if account is not None and not request.changes:
        account.access, account.refresh = body["access_token"], body["refresh_token"]
        # The first admin is not of our making, and this is where their id is told.
        account.id = account.id or subject_of(account.access)


def _take_in(request: Request, body: dict[str, Any], pool: Pool) -> None:
    try:
        secret = json.loads(request.body)["credentials"]["secret"]
    except (ValueError, KeyError, TypeError):
        return
    credentials = body.get("credentials", {})
    pool.add(Account(body["id"], body["email"], secret, credentials.get("username", "")))


def _update(request: Request, answer: Answer, account: Account, body: dict[str, Any], pool: Pool) -> None:
    account.etag = answer.header(b"etag").decode() or account.etag
    account.email = body.get("email", account.email)
    account.username = body.get("credentials", {}).get("username", account.username)
    if account is pool.root:
        return
    if request.operation.name == "change_secret" and account is request.caller:
        secret = _json_of(request.body).get("new_secret")
        account.secret = secret if isinstance(secret, str) else account.secret
        pool.errand("issue", account.id)
    if "email" in body:
        # Only the whole document tells; the card of a stranger shows constants.
        if body["status"] == "disabled" and account.enabled:
            pool.errand("enable", account.id)
        account.enabled = body["status"] == "enabled"
        if body["role"] != account.role:
            pool.errand("issue", account.id)
        account.role = body["role"]


def _json(answer: Answer) -> Any:
    try:
        return json.loads(answer.body)
    except ValueError:
        return None


def _json_of(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
