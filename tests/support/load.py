"""A mixed load over HTTP that remembers every write the service has acknowledged, and holds the log to it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec

from application.ports import Recorded, Unreadable
from tests.support.waiting import eventually

SECRET = "changeMe123"
ADMIN = {"identity": "admin@example.com", "secret": "12345678"}


class Acknowledged(msgspec.Struct, frozen=True):
    """A write that was answered with success: whose, which, where, and the unique text it carried."""

    user_id: UUID
    event: str
    version: int
    position: int
    mark: str = ""


class _Account(msgspec.Struct):
    """An account of a worker; whether it is enabled is None after a change that nobody answered."""

    id: str
    email: str
    enabled: bool | None = True


class Load:
    """Workers that each own the accounts they register, so that every version they are told is exact."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.acknowledged: list[Acknowledged] = []
        self.attempted: set[str] = set()
        self.answers: Counter[int] = Counter()
        self.logins = 0
        self.faults: list[str] = []
        self._accounts: dict[int, list[_Account]] = {}

    async def run(self, url: str, stop: asyncio.Event, workers: int = 6) -> None:
        """Work until told to stop; a service that is gone ends the worker that notices."""
        limits = httpx.Limits(max_connections=workers + 1)
        async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False, limits=limits) as http:
            admin = await self._sign_in(http)
            if admin is not None:
                await asyncio.gather(*(self._work(http, admin, stop, number) for number in range(workers)))

    async def _sign_in(self, http: httpx.AsyncClient) -> dict[str, str] | None:
        with contextlib.suppress(httpx.TransportError):
            answer = await self._ask(http, "POST", "/users/tokens/issue", (201,), json=ADMIN)
            if answer.status_code == 201:
                return {"Authorization": f"Bearer {answer.json()['access_token']}"}
        return None

    async def _work(
        self, http: httpx.AsyncClient, admin: dict[str, str], stop: asyncio.Event, number: int
    ) -> None:
        mine = self._accounts.setdefault(number, [])
        for turn in itertools.count():
            if stop.is_set():
                return
            try:
                if turn % 5 == 0 or not mine:
                    await self._register(http, mine)
                else:
                    await self._one_of(http, admin, self.random.choice(mine))
            except httpx.TransportError:
                return

    async def _one_of(self, http: httpx.AsyncClient, admin: dict[str, str], account: _Account) -> None:
        kind = self.random.choice(("login", "rename", "rename", "switch", "list"))
        if kind == "login":
            body = {"identity": account.email, "secret": SECRET}
            due = {True: (201,), False: (401,), None: (201, 401)}[account.enabled]
            answer = await self._ask(http, "POST", "/users/tokens/issue", due, json=body)
            self.logins += answer.status_code == 201
        elif kind == "rename":
            mark = f"r{uuid4().hex}"
            self.attempted.add(mark)
            answer = await self._ask(
                http, "PATCH", f"/users/{account.id}", (200,), json={"first_name": mark}, headers=admin
            )
            self._note(answer, "users.profile_updated.v1", mark)
        elif kind == "switch":
            verb = "disable" if account.enabled else "enable"
            due = (200, 409) if account.enabled is None else (200,)
            account.enabled = None
            answer = await self._ask(http, "POST", f"/users/{account.id}/{verb}", due, headers=admin)
            if answer.status_code in (200, 409):
                account.enabled = verb == "enable"
            self._note(answer, f"users.{verb}d.v1")
        else:
            await self._ask(http, "GET", "/users?limit=5&last_name=u1", (200,), headers=admin)

    async def _register(self, http: httpx.AsyncClient, mine: list[_Account]) -> None:
        name = f"u{uuid4().hex[:20]}"
        self.attempted.add(f"{name}@example.com")
        body = {
            "first_name": "Ada", "last_name": name, "email": f"{name}@example.com", "tags": [name],
            "credentials": {"username": name, "secret": SECRET}, "metadata": {"of": name},
        }  # fmt: skip
        answer = await self._ask(http, "POST", "/users", (201,), json=body)
        self._note(answer, "users.registered.v1", body["email"])
        if answer.status_code == 201:
            mine.append(_Account(answer.json()["id"], answer.json()["email"]))

    async def _ask(
        self, http: httpx.AsyncClient, verb: str, path: str, due: tuple[int, ...], **more: Any
    ) -> httpx.Response:
        answer = await http.request(verb, path, **more)
        self.answers[answer.status_code] += 1
        if answer.status_code == 503 and "retry-after" not in answer.headers:
            self.faults.append(f"503 without Retry-After: {verb} {path}")
        if answer.status_code not in (*due, 503):
            self.faults.append(f"{answer.status_code} to {verb} {path}: {answer.text}")
        return answer

    def _note(self, answer: httpx.Response, event: str, mark: Any = "") -> None:
        if answer.status_code in (200, 201):
            self.acknowledged.append(
                Acknowledged(
                    UUID(answer.json()["id"]),
                    event,
                    int(answer.headers["etag"].strip('"')),
                    int(answer.headers["usersd-position"]),
                    mark,
                )
            )

    def check(self, log: Sequence[Recorded | Unreadable]) -> None:
        """Every acknowledged write is in the log where it was said to be, and nothing is there twice."""
        assert not self.faults, self.faults[:5]
        at = {event.position: event for event in log}
        for write in self.acknowledged:
            event = at[write.position]
            assert isinstance(event, Recorded)
            told = (event.user_id, event.name, event.version)
            assert told == (write.user_id, write.event, write.version), write
            assert write.mark in ("", _mark(event)), write
        positions = [write.position for write in self.acknowledged]
        assert len(positions) == len(set(positions)), "two writes were answered with one position"
        marks = Counter(mark for event in log if isinstance(event, Recorded) and (mark := _mark(event)))
        twice = [mark for mark, times in marks.items() if times > 1 and mark in self.attempted]
        assert not twice, f"stored twice: {twice}"


def together(loads: Sequence[Load]) -> Load:
    """What several loads have seen, to be held against the log as one."""
    whole = Load(seed=0)
    for load in loads:
        whole.acknowledged += load.acknowledged
        whole.attempted |= load.attempted
        whole.faults += load.faults
    return whole


async def more_writes(load: Load, count: int, within: float = 30.0) -> None:
    """Until so many more writes were acknowledged."""
    goal = len(load.acknowledged) + count

    async def acknowledged() -> bool:
        return len(load.acknowledged) >= goal

    await eventually(acknowledged, within)


def _mark(event: Recorded) -> str:
    if event.name == "users.registered.v1":
        return str(event.event.email)  # type: ignore[attr-defined]
    return str(getattr(event.event, "first_name", None) or "")
