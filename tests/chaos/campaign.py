"""One storm: everybody is set to work, the faults come as planned, and when all is calm the judge looks."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import httpx
import psycopg

from tests.chaos.asking import PATIENCE, bearer
from tests.chaos.book import Book
from tests.chaos.clients import Client
from tests.chaos.deployment import Deployment
from tests.chaos.faults import Hand, plan
from tests.chaos.ground import Ground, ground
from tests.chaos.judge import Judge
from tests.chaos.measures import Measures, Report
from tests.chaos.probing import Prober, try_all
from tests.soak.processes import crew
from tests.support.load import ADMIN

STARTED_WITHIN = 180.0

_STILL_THERE = "SELECT 'a deleted account', 0 FROM credentials WHERE status = 'deleted'"

_BEHIND = """
SELECT name, position FROM (
    SELECT name, position FROM projections WHERE live UNION ALL SELECT name, position FROM relays
    UNION ALL SELECT name, position FROM reactors) AS readers
WHERE position < (SELECT coalesce(max(position), 0) FROM events)
UNION ALL SELECT 'an erasure', position FROM erasures WHERE certificate IS NULL
UNION ALL SELECT 'mail ' || kind, position FROM mails WHERE state = 'due'"""

# A mail that somebody died over waits for a minute and a half, and one that was refused for longer.
_NO_WAITING = "UPDATE mails SET due_at = now() - interval '2 minutes' WHERE state = 'due'"


@dataclass
class Aftermath:
    """What is left of a storm: its report, and everything that the judge looks at."""

    report: Report
    ground: Ground
    book: Book
    judge: Judge


@contextmanager
def stormed(measures: Measures, tell: Callable[[str], None] = lambda line: None) -> Iterator[Aftermath]:
    """Run a storm to its end and judge it; the servers stay up for whoever wants to look as well."""
    with ground(measures.disk) as place, crew(place.folder) as everybody:
        report, book = Report(measures), Book()
        deployment = Deployment(place, everybody, measures)
        hand = Hand(deployment, measures, book)
        try:
            asyncio.run(_deployed(deployment, hand, book, report, tell))
        finally:
            deployment.end()
        judge = Judge(place, everybody, book)
        report.wrong += [*_amid(book.faults, hand), *judge.found(report)]
        report.faults, report.left_out = hand.done, hand.left_out
        report.starts, report.complaints = deployment.starts, deployment.complaints
        report.wrong += deployment.faults
        report.requests, report.repeated = book.requests, book.repeated
        report.acknowledged, report.revoked = len(book.writes), book.tried
        yield Aftermath(report, place, book, judge)


def _amid(faults: Sequence[tuple[float, str]], hand: Hand) -> Iterator[str]:
    """What clients met with, when, and what had gone wrong just before."""
    for when, words in faults:
        before = [f"{words} at {at - hand.began:.1f} s" for at, words in hand.diary if when - 12 < at < when]
        yield f"at {when - hand.began:.1f} s: {words} (amid: {', '.join(before) or 'nothing'})"


async def _deployed(
    deployment: Deployment, hand: Hand, book: Book, report: Report, tell: Callable[[str], None]
) -> None:
    """Everybody runs, for as long as the storm lasts and until everything has settled."""
    await deployment.start()
    minding = asyncio.create_task(deployment.mind())
    try:
        async with _spoken_to(deployment) as apis:
            await _all_answer(apis, STARTED_WITHIN)
            probers = [
                Prober(process.name, http, book) for process, http in zip(deployment.apis, apis, strict=True)
            ]
            book.heard = [prober.hear for prober in probers]
            await _storm(apis, probers, hand, book, report, tell)
            began = time.monotonic()
            report.wrong += await _settled(deployment.ground, apis, report.measures)
            report.settling = time.monotonic() - began
            tell("everything has settled; revoked tokens are tried once more")
            await try_all(probers, book)
    finally:
        minding.cancel()
        await deployment.close()


async def _storm(
    apis: Sequence[httpx.AsyncClient], probers: Sequence[Prober], hand: Hand, book: Book, report: Report,
    tell: Callable[[str], None],
) -> None:  # fmt: skip
    measures, watch, stop = report.measures, _Watch(apis), asyncio.Event()
    others = [asyncio.create_task(run()) for run in (watch.run, *(prober.run for prober in probers))]
    clients = [Client(number, measures.seed, apis, book) for number in range(measures.clients)]
    working = [asyncio.create_task(client.work(stop, measures.pause)) for client in clients]
    await _faults(hand, measures, book, tell)
    stop.set()
    hand.follow_up(at_once=True)
    tell("calm; the clients finish what they have begun")
    await asyncio.gather(*working)
    watch.leave(hand, report)
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _faults(hand: Hand, measures: Measures, book: Book, tell: Callable[[str], None]) -> None:
    told, hand.began = 0.0, time.monotonic()
    # What is broken at the end has its time as well.
    faults = plan(measures.seed, measures.seconds - measures.longest / 2, measures.every)
    longest = measures.seconds * (8 if measures.enough else 1)
    while (passed := time.monotonic() - hand.began) < longest:
        if passed > measures.seconds and len(book.writes) >= measures.enough:
            return
        hand.follow_up()
        if faults and faults[0].after <= passed:
            hand.do(faults.pop(0))
        if passed - told > 10:
            told = passed
            tell(
                f"{passed:.0f} s: {len(book.writes)} writes, {book.tried} revoked tokens tried, "
                f"{hand.done.total()} faults, {len(book.faults)} found"
            )
        await asyncio.sleep(0.02)


@asynccontextmanager
async def _spoken_to(deployment: Deployment) -> AsyncIterator[list[httpx.AsyncClient]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=f"http://127.0.0.1:{process.port}", timeout=PATIENCE, trust_env=False
                )
            )
            for process in deployment.apis
        ]


async def _all_answer(apis: Sequence[httpx.AsyncClient], within: float) -> None:
    deadline = time.monotonic() + within
    for http in apis:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await http.get("/readyz")).status_code == 200:
                    break
            if time.monotonic() > deadline:
                raise AssertionError(f"an API was not ready within {within:.0f} s")
            await asyncio.sleep(0.05)


async def _settled(place: Ground, apis: Sequence[httpx.AsyncClient], measures: Measures) -> list[str]:
    """Until every API is ready and nobody has anything left to read or to send; what never came to that."""
    try:
        await _all_answer(apis, measures.patience)
    except AssertionError as error:
        return [f"{error}, though nothing was broken any more"]
    deadline = time.monotonic() + measures.patience
    await asyncio.to_thread(_hurry, place)
    while behind := await asyncio.to_thread(_behind, place, erases=measures.erases):
        if time.monotonic() > deadline:
            return [
                f"{name}: still at {at}, {measures.patience:.0f} s after the storm" for name, at in behind
            ]
        await asyncio.sleep(0.2)
    return []


def _hurry(place: Ground) -> None:
    with psycopg.connect(place.postgres, autocommit=True) as connection:
        connection.execute(_NO_WAITING)


def _behind(place: Ground, *, erases: bool) -> list[tuple[str, int]]:
    query = f"{_BEHIND} UNION ALL {_STILL_THERE}" if erases else _BEHIND
    with psycopg.connect(place.postgres, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


class _Watch:
    """Asks all the time whether anybody answers who is signed in, and remembers the longest silence."""

    def __init__(self, apis: Sequence[httpx.AsyncClient]) -> None:
        self._apis = apis
        self._answered = time.monotonic()
        self._longest = (0.0, 0.0)

    async def run(self) -> None:
        await asyncio.gather(*(self._ask(http) for http in self._apis))

    def leave(self, hand: Hand, report: Report) -> None:
        self._note()
        since, until = self._longest
        report.dark = until - since
        amid = [kind for when, kind in hand.diary if since - 3 < when < until]
        report.amid = ", ".join(amid) or "nothing"

    async def _ask(self, http: httpx.AsyncClient) -> None:
        token = ""
        while True:
            with contextlib.suppress(httpx.TransportError):
                if not token:
                    answer = await http.post("/users/tokens/issue", json=ADMIN, timeout=3)
                    token = answer.json()["access_token"] if answer.status_code == 201 else ""
                # Asked on a connection of its own, so that none that has died is taken.
                shown = await http.get("/users/profile", headers=bearer(token), timeout=3)
                if shown.status_code == 200:
                    self._note()
            await asyncio.sleep(0.1)

    def _note(self) -> None:
        now = time.monotonic()
        if now - self._answered > self._longest[1] - self._longest[0]:
            self._longest = (self._answered, now)
        self._answered = now
