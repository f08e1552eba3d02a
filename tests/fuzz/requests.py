"""Valid requests of signed-in users and admins: what every fuzzed request starts from."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from tests.fuzz.canaries import mint
from tests.fuzz.pool import Account, Pool
from tests.fuzz.routes import PAGES, Operation

Header = tuple[bytes, bytes]

_FOR_ALL = ("oauth_metadata", "introspect", "revoke", "request_reset", "reset", "verify")
ANONYMOUS = frozenset(
    {"issue", "health", "livez", "readyz", "metrics", "jwks", "jwks_magistrala", *PAGES, *_FOR_ALL}
)
"""The operations that need nobody to be signed in."""


@dataclass
class Request:
    """A request in parts, so that each can be bent on its own.

    `document` is the body as JSON, `body` what is sent once it is written out. `raw` replaces all of it:
    bytes that may be no whole request. `changes` names what was done to a valid request.
    """

    operation: Operation
    method: bytes
    path: bytes
    query: list[tuple[bytes, bytes]] = field(default_factory=list)
    headers: list[Header] = field(default_factory=list)
    document: Any = None
    body: bytes = b""
    framing: bytes = b"length"
    caller: Account | None = None
    subject: Account | None = None
    raw: bytes | None = None
    follow_up: bytes = b""
    changes: list[str] = field(default_factory=list)

    def written(self) -> bytes:
        """The bytes to send."""
        if self.raw is not None:
            return self.raw
        query = b"?" + b"&".join(b"=".join(pair) for pair in self.query) if self.query else b""
        lines = [self.method + b" " + self.path + query + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in self.headers]
        if not self.follow_up:
            lines.append(b"Connection: close")
        if self.framing == b"chunked":
            lines.append(b"Transfer-Encoding: chunked")
            body = _chunked(self.body)
        else:
            if self.body or self.method in (b"POST", b"PATCH", b"PUT"):
                lines.append(b"Content-Length: %d" % len(self.body))
            body = self.body
        return b"\r\n".join(lines) + b"\r\n\r\n" + body + self.follow_up

    def copied(self) -> Request:
        """The same request, to be bent without bending this one."""
        return replace(
            self, headers=[*self.headers], query=[*self.query], document=deepcopy(self.document), changes=[]
        )

    def drop(self, name: bytes) -> None:
        """Leave a header out."""
        self.headers = [header for header in self.headers if header[0].lower() != name.lower()]


def _chunked(body: bytes) -> bytes:
    half = len(body) // 2
    parts = [part for part in (body[:half], body[half:]) if part]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def write_out(document: Any) -> bytes:
    """JSON in ASCII: what no UTF-8 can hold, such as half a surrogate pair, stays an escape."""
    return json.dumps(document).encode()


def valid(operation: Operation, pool: Pool, chance: random.Random, subject: Account | None = None) -> Request:
    """A request of an operation as a well-behaved client would send it, for a given account or for any."""
    subject = subject or pool.somebody(chance)
    caller = subject if chance.random() < 0.5 and subject.access else pool.signed_in(chance)
    if operation.name in ("change_role", "enable", "disable"):
        caller = pool.root
    if operation.name in ("list_users", "feed", "bulk") and chance.random() < 0.6:
        caller = pool.root
    if operation.name in ("change_secret", "profile", "refresh", "revoke_all_refresh_tokens"):
        caller = subject
    request = Request(
        operation,
        operation.method.encode(),
        operation.path.replace("{user_id}", subject.id).encode(),
        headers=[(b"Host", b"localhost"), (b"User-Agent", b"fuzz")],
        caller=caller,
        subject=subject,
    )
    _sign(request, caller, chance)
    _add_headers(request, chance)
    if operation.query:
        request.query = _query(operation, subject, pool, chance)
    if builder := _BODIES.get(operation.name):
        request.headers.append((b"Content-Type", b"application/json"))
        request.document = builder(subject, chance)
        request.body = write_out(request.document)
    if operation.name == "bulk":
        request.headers.append((b"Content-Type", b"application/x-ndjson"))
        lines = [write_out(_register(subject, chance)) for _ in range(chance.randint(1, 4))]
        request.body = b"\n".join(lines)
    if form := _FORMS.get(operation.name):
        request.headers.append((b"Content-Type", b"application/x-www-form-urlencoded"))
        request.body = urlencode(form(subject, chance)).encode()
    return request


def _sign(request: Request, caller: Account, chance: random.Random) -> None:
    name = request.operation.name
    if name in ANONYMOUS or (name == "register" and chance.random() < 0.7):
        request.caller = None
    else:
        token = caller.refresh if name == "refresh" else caller.access
        request.headers.append((b"Authorization", b"Bearer " + token.encode()))


def _add_headers(request: Request, chance: random.Random) -> None:
    known = request.operation.headers
    subject = request.subject
    if "Idempotency-Key" in known and chance.random() < 0.3:
        request.headers.append((b"Idempotency-Key", f'"{mint("key", chance)}"'.encode()))
    if "If-Match" in known and subject and subject.etag and chance.random() < 0.2:
        request.headers.append((b"If-Match", subject.etag.encode()))
    if "If-None-Match" in known and subject and subject.etag and chance.random() < 0.3:
        request.headers.append((b"If-None-Match", subject.etag.encode()))
    if "Prefer" in known and chance.random() < 0.2:
        request.headers.append((b"Prefer", b"respond-async"))
    if chance.random() < 0.2:
        request.headers.append((b"X-Request-ID", b"fuzz-%x" % chance.getrandbits(32)))
    if chance.random() < 0.1:
        request.headers.append((b"traceparent", b"00-%032x-%016x-01" % (chance.getrandbits(128), 1)))


def _query(operation: Operation, subject: Account, pool: Pool, chance: random.Random) -> list[Header]:
    values: dict[str, Callable[[], str]] = {
        "limit": lambda: str(chance.randint(1, 100)),
        "offset": lambda: str(chance.randint(0, 50)),
        "cursor": lambda: chance.choice(pool.cursors) if pool.cursors else "",
        "order": lambda: chance.choice(("updated_at", "created_at", "email", "username", "first_name")),
        "dir": lambda: chance.choice(("asc", "desc")),
        "status": lambda: chance.choice(("all", "enabled", "disabled", "deleted")),
        "role": lambda: chance.choice(("user", "admin")),
        "id": lambda: subject.id[: chance.randint(3, 36)],
        "email": lambda: subject.email,
        "username": lambda: subject.username or "cnry",
        "identity": lambda: subject.email,
        "metadata": lambda: '%7B"site":1%7D',
        "created_from": lambda: "2020-01-01T00:00:00Z",
        "created_to": lambda: "2100-01-01T00:00:00Z",
        "after": lambda: subject.id,
        "only_total": lambda: chance.choice(("true", "false")),
    }
    chosen = [name for name in operation.query if chance.random() < 0.25]
    if operation.name == "search" and not {"username", "id", "first_name", "last_name"} & set(chosen):
        chosen.append("username")
    return [(name.encode(), values.get(name, lambda: mint("name", chance))().encode()) for name in chosen]


def _register(_: Account, chance: random.Random) -> Any:
    secret = mint("secret", chance)
    email = f"{mint('mail', chance)}@example.com"
    account: dict[str, Any] = {
        "metadata": {"site": chance.randint(0, 9), mint("name", chance): mint("name", chance)},
        "private_metadata": {"note": mint("private", chance), mint("private", chance): [1, None]},
        "tags": [mint("name", chance)],
        "profile_picture": f"https://example.com/{mint('name', chance)}.png",
    }
    if chance.random() < 0.3:
        return account | {"name": mint("name", chance), "credentials": {"identity": email, "secret": secret}}
    names = {"first_name": mint("name", chance), "last_name": mint("name", chance), "email": email}
    return account | names | {"credentials": {"username": mint("name", chance), "secret": secret}}


def _login(subject: Account, chance: random.Random) -> Any:
    if chance.random() < 0.5:
        return {"identity": subject.email, "secret": subject.secret}
    login = {"username": subject.username or subject.email, "password": subject.secret}
    return login | {"description": "laptop"}


def _update(_: Account, chance: random.Random) -> Any:
    return {
        "first_name": mint("name", chance),
        "last_name": mint("name", chance),
        "metadata": {"site": chance.randint(0, 9), "word": mint("name", chance)},
        "private_metadata": {"note": mint("private", chance)},
    }


def _reset(_: Account, chance: random.Random) -> Any:
    secret = mint("secret", chance)
    return {"token": mint("token", chance), "password": secret, "confirm_password": secret}


_BODIES: dict[str, Callable[[Account, random.Random], Any]] = {
    "register": _register,
    "issue": _login,
    "update": _update,
    "change_secret": lambda who, chance: {"old_secret": who.secret, "new_secret": mint("secret", chance)},
    "change_username": lambda _, chance: {"username": mint("name", chance)},
    "change_email": lambda _, chance: {"email": f"{mint('mail', chance)}@example.com"},
    "change_identity": lambda _, chance: {"identity": f"{mint('mail', chance)}@example.com"},
    "change_tags": lambda _, chance: {"tags": [mint("name", chance), "sensor"]},
    "change_picture": lambda _, chance: {"profile_picture": f"https://x.example/{mint('name', chance)}"},
    "change_role": lambda _, chance: {"role": chance.choice(("user", "user", "admin"))},
    "request_reset": lambda who, chance: {"email": who.email, "host": mint("name", chance)},
    "reset": _reset,
    "revoke_refresh_token": lambda who, _: {"token_id": who.id},
    "revoke_all_refresh_tokens": lambda _, chance: {"keep_current": True},
}

_FORMS: dict[str, Callable[[Account, random.Random], Any]] = {
    "introspect": lambda who, chance: {"token": chance.choice((who.access, mint("token", chance)))},
    "revoke": lambda _, chance: {"token": mint("token", chance), "token_type_hint": "refresh_token"},
}
