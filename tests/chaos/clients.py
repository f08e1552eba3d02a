"""Clients who use the service as people do, each with accounts of their own, and believe what they are told.

Only its client changes an account, one request after the other. So the client knows what must hold, but for
the outcome of a request that nobody answered, which is sent again with the same key until it is known.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from uuid import UUID, uuid5

import httpx

from tests.chaos.asking import Asking, Unanswered
from tests.chaos.book import Account, Book, Session, claims_of, session_of
from tests.support.load import ADMIN, SECRET

CONTESTED = 12
"""Names that all clients want."""

SPACE = UUID(int=7)

WEIGHTS = {
    "register": 3, "contested register": 2, "login": 4, "refresh": 5, "update": 6, "view": 3, "list": 2,
    "disable": 2, "enable": 2, "delete": 1, "logout": 3, "logout everywhere": 1, "password": 2, "email": 1,
    "contested email": 1, "verification": 1, "last admin": 1,
}  # fmt: skip


class LostTrack(Exception):
    """A good token was refused while the clocks did not agree, which is no fault."""


class Client:
    """One client; `number` and the seed decide what it asks for."""

    def __init__(self, number: int, seed: int, apis: Sequence[httpx.AsyncClient], book: Book) -> None:
        self._chance = random.Random(f"{seed}:{number}")
        self._name = f"{seed}:{number}"
        self._ask = Asking(apis, book, self._chance)
        self._book = book
        self._marks = 0
        self._admin = ""
        self._admin_id = ""
        self.accounts: list[Account] = []

    async def work(self, stop: asyncio.Event, pause: float) -> None:
        """Ask for one thing after the other until told to stop."""
        try:
            await self._sign_in()
            while not stop.is_set():
                await self._one_of()
                await asyncio.sleep(self._chance.expovariate(1 / pause))
        except Unanswered as fault:
            self._book.fault(str(fault))
        except Exception as error:
            self._book.fault(f"a client met with {type(error).__name__}: {str(error)[:300]}")

    async def _one_of(self) -> None:
        (kind,) = self._chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
        # Most of what happens, happens to those who came lately.
        account = self._chance.choice(self.accounts[-8:]) if self.accounts else None
        try:
            await self._act(kind, account)
        except LostTrack:
            # Whether it was done is not known any more, so that nothing is known of the account.
            if account is not None and account in self.accounts:
                self.accounts.remove(account)
            await self._sign_in()

    async def _act(self, kind: str, account: Account | None) -> None:
        if kind in ("register", "contested register") or account is None:
            await self._register(contested=kind == "contested register")
        elif kind == "last admin":
            await self._attack_the_last_admin()
        elif kind == "list":
            await self._list(account)
        else:
            await self._of_an_account(kind, account)

    async def _of_an_account(self, kind: str, account: Account) -> None:
        if kind == "enable" or not account.enabled:
            await (self._enable(account) if not account.enabled else self._login(account))
            return
        sure = [session for session in account.sessions if session.sure]
        if kind == "login" or not account.sessions:
            await self._login(account)
        elif kind == "refresh":
            await self._refresh(account, self._chance.choice(account.sessions))
        elif kind == "update":
            await self._update(account, self._chance.choice(sure) if sure else None)
        elif kind == "disable":
            await self._disable(account)
        elif kind == "delete":
            await self._delete(account)
        elif kind in ("email", "contested email"):
            await self._change_email(account, contested=kind == "contested email")
        elif sure:
            await self._of_a_session(kind, account, self._chance.choice(sure))

    async def _of_a_session(self, kind: str, account: Account, session: Session) -> None:
        if kind == "view":
            await self._view(account, session)
        elif kind == "logout":
            await self._log_out(account, session)
        elif kind == "logout everywhere":
            await self._log_out_everywhere(account, session)
        elif kind == "password":
            await self._change_password(account, session)
        elif kind == "verification":
            path = "/users/send-verification"
            answer, _ = await self._ask.until_answered(kind, "POST", path, token=session.access[-1])
            self._due(kind, answer, 200)

    def _mark(self) -> str:
        """A text that nobody else has; the same again for the same seed."""
        self._marks += 1
        mark = f"m{uuid5(SPACE, f'{self._name}:{self._marks}').hex[:20]}"
        self._book.attempted.add(mark)
        return mark

    def _contested(self) -> str:
        name = f"wanted{self._chance.randrange(CONTESTED)}"
        return "".join(self._chance.choice((letter, letter.upper())) for letter in name)

    def _due(self, kind: str, answer: httpx.Response, *due: int) -> bool:
        """Whether the answer is the first of those that are due; others that are due are no fault."""
        if time.monotonic() < self._book.doubtful_until and '"invalid_token"' in answer.text:
            raise LostTrack
        if answer.status_code not in due:
            told = answer.text[: answer.text.find(',"errors"')]
            self._book.fault(f"{answer.status_code} to {kind} at {answer.url.port}, and not {due}: {told}")
        return answer.status_code == due[0]

    async def _sign_in(self) -> None:
        answer, _ = await self._ask.until_answered("login", "POST", "/users/tokens/issue", json=ADMIN)
        if self._due("login of the admin", answer, 201):
            self._admin = answer.json()["access_token"]
            self._admin_id = claims_of(self._admin)["sub"]

    async def _register(self, *, contested: bool) -> None:
        mark = self._mark()
        name = self._contested() if contested else mark
        body = {
            "first_name": mark, "last_name": "Lovelace", "email": f"{name}@example.com",
            "credentials": {"username": name, "secret": SECRET},
        }  # fmt: skip
        kind = "contested register" if contested else "register"
        answer, _ = await self._ask.until_answered(kind, "POST", "/users", keyed=True, json=body)
        if not self._due(kind, answer, 201, *([409] if contested else [])):
            self._book.refused.add(mark)
            return
        user_id = answer.json()["id"]
        self._book.acknowledge(answer, user_id, "users.registered.v1", mark)
        self.accounts.append(Account(user_id, f"{name}@example.com", name, SECRET, mark))
        if self._chance.random() < 0.7:
            await self._login(self.accounts[-1])

    async def _login(self, account: Account) -> None:
        identity = self._chance.choice((account.email, account.username))
        body = {"identity": identity, "secret": account.secret}
        answer, _ = await self._ask.until_answered("login", "POST", "/users/tokens/issue", json=body)
        if self._due("login", answer, 201 if account.enabled else 401) and account.enabled:
            account.sessions.append(session_of(answer))

    async def _refresh(self, account: Account, session: Session) -> None:
        path = "/users/tokens/refresh"
        answer = await self._ask.once("refresh", "POST", path, token=session.refresh)
        if answer is None or answer.status_code == 503:
            # A successor may be on its way that never comes. Who asks again too late is taken for a thief.
            session.sure = False
        elif answer.status_code == 201:
            tokens = answer.json()
            session.access.append(tokens["access_token"])
            session.refresh = tokens["refresh_token"]
        elif answer.status_code == 401 and not session.sure:
            account.sessions.remove(session)
        else:
            self._due("refresh", answer, 201)

    async def _update(self, account: Account, session: Session | None) -> None:
        mark = self._mark()
        token = session.access[-1] if session and self._chance.random() < 0.5 else self._admin
        answer, _ = await self._ask.until_answered(
            "update", "PATCH", f"/users/{account.id}", keyed=True, token=token, json={"first_name": mark}
        )
        if self._due("update", answer, 200):
            self._book.acknowledge(answer, account.id, "users.profile_updated.v1", mark)
            account.first_name = mark

    async def _view(self, account: Account, session: Session) -> None:
        token = session.access[-1]
        answer, _ = await self._ask.until_answered("view", "GET", "/users/profile", token=token)
        if self._due("view", answer, 200) and answer.json()["first_name"] != account.first_name:
            self._book.fault(f"{account.id} was shown without a change that was acknowledged")

    async def _list(self, account: Account) -> None:
        path = f"/users?limit=5&status=all&email={account.email}"
        answer, _ = await self._ask.until_answered("list", "GET", path, token=self._admin)
        self._due("list", answer, 200)

    async def _disable(self, account: Account) -> None:
        await self._switch(account, "disable")
        self._end("disabled", account)
        account.enabled = False

    async def _enable(self, account: Account) -> None:
        await self._switch(account, "enable")
        account.enabled = True

    async def _switch(self, account: Account, verb: str) -> None:
        answer, _ = await self._ask.until_answered(
            verb, "POST", f"/users/{account.id}/{verb}", keyed=True, token=self._admin
        )
        if self._due(verb, answer, 200):
            self._book.acknowledge(answer, account.id, f"users.{verb}d.v1")

    async def _delete(self, account: Account) -> None:
        path = f"/users/{account.id}"
        answer, again = await self._ask.until_answered("delete", "DELETE", path, token=self._admin)
        if self._due("delete", answer, 204, *([409] if again else [])):
            self._book.acknowledge(answer, account.id, "users.deleted.v1")
        self._end("deleted", account)
        self.accounts.remove(account)

    async def _change_email(self, account: Account, *, contested: bool) -> None:
        mark = self._mark()
        email = f"{self._contested() if contested else mark}@example.com"
        kind = "contested email" if contested else "email"
        answer, _ = await self._ask.until_answered(
            kind, "PATCH", f"/users/{account.id}/email", keyed=True, token=self._admin, json={"email": email}
        )
        # Whoever holds a name that is wanted may ask for it again, which changes letters at the most.
        changes = email != account.email
        if self._due(kind, answer, 200, *([409] if contested else [])) and changes:
            self._book.acknowledge(answer, account.id, "users.email_changed.v1")
            account.email = email
            self._end("the email was changed", account)

    async def _log_out(self, account: Account, session: Session) -> None:
        """End a session, by itself or from another one."""
        by = self._chance.choice([one for one in account.sessions if one.sure])
        answer, again = await self._ask.until_answered(
            "logout", "POST", "/users/tokens/revoke", token=by.access[-1], json={"token_id": session.id}
        )
        # Who has ended the own session cannot ask a second time.
        self._due("logout", answer, 204, *([401] if again and by is session else []))
        self._end("logged out", account, session)

    async def _log_out_everywhere(self, account: Account, session: Session) -> None:
        path = "/users/tokens/revoke-all"
        answer, again = await self._ask.until_answered(
            "logout everywhere", "POST", path, token=session.access[-1]
        )
        self._due("logout everywhere", answer, 204, *([401] if again else []))
        self._end("logged out everywhere", account)

    async def _change_password(self, account: Account, session: Session) -> None:
        new = f"{SECRET}{self._mark()}"
        body = {"old_secret": account.secret, "new_secret": new}
        answer, again = await self._ask.until_answered(
            "password", "PATCH", "/users/secret", token=session.access[-1], json=body
        )
        # It takes no key: a second try shows a token, and a secret, that the first has made worthless.
        if self._due("password", answer, 200, *([401] if again else [])):
            self._book.acknowledge(answer, account.id, "users.secret_changed.v1")
        account.secret = new
        self._end("the password was changed", account)
        await self._login(account)

    async def _attack_the_last_admin(self) -> None:
        path = f"/users/{self._admin_id}"
        if self._chance.random() < 0.5:
            answer, _ = await self._ask.until_answered(
                "last admin", "POST", f"{path}/disable", token=self._admin
            )
        else:
            answer, _ = await self._ask.until_answered("last admin", "DELETE", path, token=self._admin)
        self._due("last admin", answer, 409)

    def _end(self, why: str, account: Account, *sessions: Session) -> None:
        """These sessions, or all, must be worth nothing from now on."""
        ended = list(sessions or account.sessions)
        self._book.revoke(why, *ended)
        for session in ended:
            account.sessions.remove(session)
