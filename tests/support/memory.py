"""A world in memory: the ports of the application over the in-memory log, with the real mapper and keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from application.bus import Bus
from application.commands import COMMANDS
from application.listing import Found, Part, UserFilter
from application.messages import Context, Page
from application.ports import (
    ANY_FRESHNESS,
    Change,
    Credential,
    Freshness,
    History,
    NameKind,
    Ports,
    Recorded,
    Rules,
    UserRow,
    WalkedPage,
    WalkedUser,
)
from application.queries import QUERIES
from domain import events
from domain.access import ANONYMOUS, Actor
from domain.user import User, fold
from domain.values import Role, Status
from infrastructure.event_store.keyring import Keyring
from infrastructure.event_store.mapper import FORGOTTEN, EventMapper
from infrastructure.event_store.memory import MemoryRecorder
from infrastructure.event_store.prepared import CredentialRow, position_of, prepare
from infrastructure.reads.cursors import SealedCursors
from infrastructure.tokens.local import LocalTokens
from infrastructure.tokens.signing import SigningKey
from projections.users.reader import render
from tests.support.guards import MemoryClients, MemoryHoldings, MemoryThrottle
from tests.support.links import MemoryLinks
from tests.support.repeats import MemoryRepeats
from tests.support.revocations import MemoryRevocations
from tests.support.sessions import MemorySecurityLog, MemorySessions

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = "correct horse"


def keyring() -> Keyring:
    """A keyring that no database holds."""
    return Keyring(b"r" * 32, b"l" * 32, b"f" * 32, {1: b"s" * 32}, b"c" * 32, b"m" * 32, b"k" * 32)


def context(actor: Actor = ANONYMOUS, at: datetime = NOON) -> Context:
    return Context(actor=actor, at=at, command_id=uuid4(), correlation_id=uuid4())


class FixedClock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> datetime:
        return self.time

    def advance(self, by: timedelta) -> None:
        self.time += by


class PlainHasher:
    """A hasher that takes no time; remembers against what it has verified."""

    def __init__(self) -> None:
        self.prefix = "plain:"
        self.verified: list[str | None] = []

    async def hash(self, secret: str) -> str:
        return self.prefix + secret

    async def verify(self, secret: str, hashed: str | None) -> bool:
        self.verified.append(hashed)
        return hashed is not None and hashed.partition(":")[2] == secret

    def outdated(self, hashed: str) -> bool:
        return not hashed.startswith(self.prefix)


class MemoryLog:
    """Implements the port EventLog; `interrupt` runs once, just before the next append."""

    def __init__(self, recorder: MemoryRecorder, keys: Keyring) -> None:
        self.recorder = recorder
        self.mapper = EventMapper()
        self.keys = keys
        self.interrupt: Callable[[], Awaitable[Any]] | None = None
        self.interrupt_always: Callable[[], Awaitable[Any]] | None = None

    async def load(self, user_id: UUID) -> History:
        timeline = await self.timeline(user_id)
        if not timeline:
            return History(user=User(id=user_id))
        user = fold(user_id, (recorded.event for recorded in timeline))
        return History(user=user, position=timeline[-1].position, key=self.recorder.user_keys.get(user_id))

    async def timeline(self, user_id: UUID) -> Sequence[Recorded]:
        return [
            self.mapper.open(
                user_id,
                row.originator_version,
                row.topic,
                row.state,
                self.recorder.user_keys.get(user_id, FORGOTTEN),
                row.id,
            )
            for row in self.recorder.select_notifications(None, 100_000)
            if row.originator_id == user_id
        ]

    async def append(self, change: Change) -> int:
        interrupt, self.interrupt = self.interrupt or self.interrupt_always, None
        if interrupt:
            await interrupt()
        return self.append_at_once(change)

    def append_at_once(self, change: Change) -> int:
        return position_of(self.recorder.append([prepare(change, self.mapper, self.keys)])[0])

    async def head(self) -> int:
        return self.recorder.max_notification_id() or 0


class MemoryAccounts:
    """Implements the port Accounts."""

    def __init__(self, recorder: MemoryRecorder, keys: Keyring) -> None:
        self._recorder = recorder
        self._keys = keys

    async def find(self, login: str) -> Credential | None:
        holder = await self.holder("email" if "@" in login else "username", login)
        return await self.of(holder) if holder else None

    async def of(self, user_id: UUID) -> Credential | None:
        row = self._recorder.credentials.get(user_id)
        if row is None:
            return None
        carried_session, carried_from = self._recorder.carried.get(user_id, (None, None))
        return Credential(
            user_id=user_id,
            secret_hash=row.secret_hash,
            epoch=row.epoch,
            status=Status(row.status),
            role=Role(row.role),
            verified=row.verified,
            carried_session=carried_session,
            carried_from=carried_from,
        )

    async def holder(self, kind: NameKind, entered: str) -> UUID | None:
        return self._recorder.names.get((kind, self._keys.digest(kind, entered)))

    async def had_admin(self) -> bool:
        return ("first_admin", b"") in self._recorder.names

    async def rehashed(self, user_id: UUID, old: str, new: str) -> None:
        row = self._recorder.credentials[user_id]
        if row.secret_hash == old:
            self._recorder.credentials[user_id] = CredentialRow(
                new, row.epoch, row.status, row.role, row.verified
            )


class MemoryDirectory:
    """Implements the port UserDirectory over rows that a test puts there."""

    def __init__(self) -> None:
        self.rows: dict[UUID, UserRow] = {}

    async def find(self, user_id: UUID) -> UserRow | None:
        return self.rows.get(user_id)

    async def list(
        self, filter: UserFilter, part: Part, *, cards: bool = False, freshness: Freshness = ANY_FRESHNESS
    ) -> Found:
        rows = list(self.rows.values())
        shown = [row.card if cards else row.document for row in rows]
        return Found(users=shown[part.offset : part.offset + part.limit], total=len(rows))

    async def walk(self, after: UUID | None, position: int) -> AsyncIterator[WalkedPage]:
        users = sorted((WalkedUser(id, row.version, row.document) for id, row in self.rows.items()))
        yield WalkedPage([user for user in users if after is None or user.id > after], [])

    async def history(
        self, user_id: UUID, limit: int, offset: int, *, freshness: Freshness = ANY_FRESHNESS
    ) -> Page:
        return Page(users=[], total=0, limit=limit, offset=offset)

    def render(self, user: User) -> UserRow:
        return render(user)


class MemoryVisibility:
    """Implements the port Visibility; remembers for which positions somebody has waited."""

    def __init__(self) -> None:
        self.waited_for: list[int] = []
        self.answer = True

    async def wait(self, position: int, within: float) -> bool:
        self.waited_for.append(position)
        return self.answer


class World:
    """Everything a use case stands on, and shorter words for what tests say often."""

    def __init__(self, **rules: Any) -> None:
        self.recorder = MemoryRecorder()
        self.keys = keyring()
        self.log = MemoryLog(self.recorder, self.keys)
        self.accounts = MemoryAccounts(self.recorder, self.keys)
        self.directory = MemoryDirectory()
        self.visibility = MemoryVisibility()
        self.hasher = PlainHasher()
        self.throttle = MemoryThrottle()
        self.clock = FixedClock()
        self.tokens = LocalTokens(
            [SigningKey.make("ES256")],
            life=timedelta(minutes=15),
            issuer="t",
            audience="t",
        )
        self.security_log = MemorySecurityLog()
        self.links = MemoryLinks(self.keys)
        self.sessions = MemorySessions(self.accounts, self.security_log)
        self.observed: list[tuple[str, str]] = []
        self.ports = Ports(
            log=self.log,
            accounts=self.accounts,
            repeats=MemoryRepeats(self.recorder, self.keys),
            directory=self.directory,
            cursors=SealedCursors(self.keys.cursor_key),
            visibility=self.visibility,
            tokens=self.tokens,
            revocations=MemoryRevocations(self.accounts),
            sessions=self.sessions,
            links=self.links,
            security_log=self.security_log,
            holdings=MemoryHoldings(),
            hasher=self.hasher,
            throttle=self.throttle,
            clients=MemoryClients(),
            clock=self.clock,
            rules=Rules(**rules),
        )
        self.bus = Bus(self.ports, COMMANDS, QUERIES, lambda name, _, outcome: self._observe(name, outcome))

    async def do(self, command: Any, actor: Actor = ANONYMOUS, *, wait: bool = True) -> Any:
        return await self.bus.dispatch(command, context(actor, self.clock.now()), wait=wait)

    async def ask(self, query: Any, actor: Actor = ANONYMOUS) -> Any:
        return await self.bus.ask(query, context(actor, self.clock.now()))

    async def user(self, name: str = "ada", role: Role = Role.USER) -> Actor:
        """A registered user, as the one who asks; the secret is SECRET."""
        account = events.Registered(
            at=self.clock.now(), email=f"{name}@example.com", username=name, role=role
        )
        user_id = uuid4()
        before = History(user=User(id=user_id))
        after = fold(user_id, [account])
        change = Change(
            before=before,
            after=after,
            events=[account],
            context=context(),
            secret_hash=await self.hasher.hash(SECRET),
        )
        self.log.append_at_once(change)
        return Actor("user", user_id, role, "access")

    async def admin(self, name: str = "root") -> Actor:
        return await self.user(name, Role.ADMIN)

    async def load(self, actor: Actor) -> User:
        assert actor.id is not None
        return (await self.log.load(actor.id)).user

    def _observe(self, name: str, outcome: str) -> None:
        self.observed.append((name, outcome))
