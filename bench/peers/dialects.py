"""How each service is asked: the same questions in three dialects, as bytes for the one load generator."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlencode

import msgspec

from bench.load import Answer, request
from tests.support.service import ADMIN

SECRET = "changeMe123"


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has logged in: who they are, what they show, and what renews it."""

    id: str = ""
    shown: str
    renews: str = ""


class Dialect(Protocol):
    """One service. Each method gives the bytes of a request; people are known by number."""

    name: str
    address: str

    def register(self, number: int) -> bytes: ...

    def login(self, number: int) -> bytes: ...

    def admin_login(self) -> bytes: ...

    def session(self, answer: Answer) -> Session:
        """What an answer to a login gives."""
        ...

    def profile(self, session: Session) -> bytes: ...

    def refresh(self, session: Session) -> bytes: ...

    def refreshed(self, session: Session, body: bytes) -> bytes:
        """The next renewal, made of the answer to the last."""
        ...

    def update(self, session: Session, name: str) -> bytes: ...

    def page(self, session: Session, number: int) -> bytes: ...


def email(number: int) -> str:
    return f"person{number}@example.com"


class Ours(msgspec.Struct):
    """The service of this repository."""

    address: str
    name: str = "usersd"

    def register(self, number: int) -> bytes:
        account = {
            "first_name": "Ada",
            "last_name": "Lovelace",
            "email": email(number),
            "credentials": {"username": f"person{number}", "secret": SECRET},
        }
        return request(self.address, "POST", "/users", {}, msgspec.json.encode(account))

    def login(self, number: int) -> bytes:
        return self._login(email(number), SECRET)

    def admin_login(self) -> bytes:
        return self._login(ADMIN["identity"], ADMIN["secret"])

    def _login(self, identity: str, secret: str) -> bytes:
        body = msgspec.json.encode({"identity": identity, "secret": secret})
        return request(self.address, "POST", "/users/tokens/issue", {}, body)

    def session(self, answer: Answer) -> Session:
        tokens = msgspec.json.decode(answer.body)
        return Session(shown=f"Bearer {tokens['access_token']}", renews=tokens["refresh_token"])

    def profile(self, session: Session) -> bytes:
        return self._get("/users/profile", session)

    def refresh(self, session: Session) -> bytes:
        headers = {"Authorization": f"Bearer {session.renews}", "Content-Length": "0"}
        return request(self.address, "POST", "/users/tokens/refresh", headers)

    def refreshed(self, session: Session, body: bytes) -> bytes:
        return self.refresh(Session(shown="", renews=msgspec.json.decode(body)["refresh_token"]))

    def update(self, session: Session, name: str) -> bytes:
        headers = {"Authorization": session.shown}
        body = msgspec.json.encode({"first_name": name})
        return request(self.address, "PATCH", f"/users/{session.id}", headers, body)

    def page(self, session: Session, number: int) -> bytes:
        return self._get(f"/users?limit=10&offset={(number - 1) * 10}", session)

    def _get(self, path: str, session: Session) -> bytes:
        return request(self.address, "GET", path, {"Authorization": session.shown})


class FastApiUsers(msgspec.Struct):
    """FastAPI-Users: JSON Web Tokens, but for what is renewed, which its table of tokens keeps."""

    address: str
    name: str

    def register(self, number: int) -> bytes:
        account = {"email": email(number), "password": SECRET, "first_name": "Ada", "last_name": "Lovelace"}
        return request(self.address, "POST", "/auth/register", {}, msgspec.json.encode(account))

    def login(self, number: int) -> bytes:
        return self._login(email(number), "jwt")

    def stored_login(self, number: int) -> bytes:
        """A login whose token stands in the table."""
        return self._login(email(number), "stored")

    def admin_login(self) -> bytes:
        return self.login(0)

    def _login(self, identity: str, kind: str) -> bytes:
        body = urlencode({"username": identity, "password": SECRET}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return request(self.address, "POST", f"/auth/{kind}/login", headers, body)

    def session(self, answer: Answer) -> Session:
        return Session(shown=f"Bearer {msgspec.json.decode(answer.body)['access_token']}")

    def profile(self, session: Session) -> bytes:
        return request(self.address, "GET", "/users/me", {"Authorization": session.shown})

    def refresh(self, session: Session) -> bytes:
        headers = {"Authorization": session.shown, "Content-Length": "0"}
        return request(self.address, "POST", "/auth/stored/refresh", headers)

    def refreshed(self, session: Session, body: bytes) -> bytes:
        return self.refresh(self.session(Answer(b"", body)))

    def update(self, session: Session, name: str) -> bytes:
        body = msgspec.json.encode({"first_name": name})
        return request(self.address, "PATCH", "/users/me", {"Authorization": session.shown}, body)

    def page(self, session: Session, number: int) -> bytes:
        path = f"/users?limit=10&offset={(number - 1) * 10}"
        return request(self.address, "GET", path, {"Authorization": session.shown})


class BetterAuth(msgspec.Struct):
    """better-auth: a session in its table, a signed cookie that names it."""

    address: str
    name: str

    def register(self, number: int) -> bytes:
        account = {"email": email(number), "password": SECRET, "name": "Ada"}
        return self._post("sign-up/email", {}, account)

    def login(self, number: int) -> bytes:
        return self._post("sign-in/email", {}, {"email": email(number), "password": SECRET})

    def admin_login(self) -> bytes:
        return self.login(0)

    def session(self, answer: Answer) -> Session:
        cookie = answer.header("set-cookie").partition(";")[0]
        assert "session_token" in cookie, answer.head
        return Session(shown=cookie)

    def profile(self, session: Session) -> bytes:
        return request(self.address, "GET", "/api/auth/get-session", {"Cookie": session.shown})

    def refresh(self, session: Session) -> bytes:
        return self.profile(session)

    def refreshed(self, session: Session, body: bytes) -> bytes:
        return self.profile(session)

    def update(self, session: Session, name: str) -> bytes:
        return self._post("update-user", {"Cookie": session.shown}, {"name": name})

    def page(self, session: Session, number: int) -> bytes:
        asked = {"limit": 10, "offset": (number - 1) * 10, "sortBy": "email"}
        path = f"/api/auth/admin/list-users?{urlencode(asked)}"
        return request(self.address, "GET", path, {"Cookie": session.shown})

    def _post(self, what: str, headers: dict[str, str], body: dict[str, str]) -> bytes:
        headers = {"Origin": self.address, **headers}
        return request(self.address, "POST", f"/api/auth/{what}", headers, msgspec.json.encode(body))
