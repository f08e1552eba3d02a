"""Hosts under load: one after the other is killed or cut off, and nothing that was acknowledged is lost."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.everything import check_everything
from tests.scaling.clusters import Cluster, embedded_programs
from tests.scaling.hosts import Host, hosts
from tests.scaling.trio import Trio
from tests.support import load as loads
from tests.support.deployment import Part
from tests.support.load import Load, more_writes
from tests.support.servers import throw_away_folder
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

RECOVERED = 30.0
"""Seconds within which whatever was lost is made up for: a lease runs out, a connection counts as dead."""

ROLES = {"b": ("api", "projector", "relay", "sweeper"), "c": ("api", "projector", "relay", "mailer")}

_BEHIND = """
SELECT (SELECT max(position) FROM events) - min(position)
FROM (SELECT position FROM projections WHERE live UNION ALL SELECT position FROM relays) AS readers"""


class Site:
    """What stands where: PostgreSQL on a, the service on b and c, the standby on d, NATS on a, b and c."""

    def __init__(self, folder: Path, a: Host, b: Host, c: Host, d: Host, stack: ExitStack) -> None:
        programs = embedded_programs(folder)
        self.hosts = {"a": a, "b": b, "c": c, "d": d}
        self.primary = Cluster(folder / "pg", programs, address=a.address, host=a.name)
        self.standby = Cluster(folder / "standby", programs, address=d.address, host=d.name)
        self.trio = Trio(folder, [(host.address, host.name) for host in (a, b, c)])
        for server in (self.primary.stop, self.standby.stop, self.trio.kill):
            stack.callback(server)
        self.parts: list[Part] = []
        self.loads: list[Load] = []
        self._folder = folder

    async def start(self) -> None:
        self.trio.start()
        await asyncio.to_thread(self.primary.make)
        address = self.hosts["a"].address
        await asyncio.to_thread(self.standby.copy, f"host={address} user=usersd dbname=postgres")
        await self.trio.ready()
        for name, roles in ROLES.items():
            self.parts += [self._part(name, role) for role in roles]
        assert self.parts[0].cli("migrate").code == 0
        for part in self.parts:
            part.start(wait=False)
        for part in self.parts:
            await asyncio.to_thread(part.wait_until_ready)

    def part(self, host: str, role: str) -> Part:
        return next(part for part in self.parts if part.home.name == f"{host}-{role}")

    def projecting(self) -> str:
        """The host whose projector holds the lease of the read model `users`."""
        owner = str(self.primary.ask("SELECT owner FROM projections WHERE live AND name = 'users'"))
        processes = {host: self.part(host, "projector").process for host in ROLES}
        (found,) = [host for host, one in processes.items() if one and f"/{one.pid}/" in owner]
        return found

    async def caught_up(self) -> None:
        """Until some process has brought every read model and the stream to the end of the log."""

        async def at_the_end() -> bool:
            behind = await asyncio.to_thread(self.primary.ask, _BEHIND)
            return isinstance(behind, int) and behind < 20

        await eventually(at_the_end, RECOVERED)

    def _part(self, host: str, role: str) -> Part:
        home = self._folder / f"{host}-{role}"
        home.mkdir()
        made = Part(
            home, role, self.primary.conninfo, self.trio,
            MG_USERS_DB_HOST=self.hosts["a"].address, MG_USERS_DB_REPLICA_HOST=self.hosts["d"].address,
            MG_USERS_DB_REPLICA_LISTS="true", MG_USERS_HTTP_HOST=self.hosts[host].address,
            MG_USERS_STREAM_REPLICAS="3", MG_USERS_GRPC_ENABLED="false",
            MG_USERS_ADMIN_PASSWORD=loads.ADMIN["secret"],
        )  # fmt: skip
        made.place = self.hosts[host].enter
        return made


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    if os.geteuid() != 0:
        pytest.fail("Hosts are network namespaces, and only root can make them.")
    monkeypatch.setitem(loads.ADMIN, "secret", "an-admin-of-this-site-1")
    with throw_away_folder() as folder, hosts("a", "b", "c", "d") as (a, b, c, d), ExitStack() as stack:
        made = Site(folder, a, b, c, d, stack)
        try:
            yield made
        finally:
            for part in made.parts:
                part.kill()


@asynccontextmanager
async def load_on(part: Part, seed: int) -> AsyncIterator[Load]:
    load, stop = Load(seed), asyncio.Event()
    working = asyncio.create_task(load.run(part.url, stop, workers=3))
    try:
        yield load
    finally:
        stop.set()
        await working


async def lost_and_found(site: Site, name: str, at: Part) -> None:
    """Writes and lists go on at a process of another host; say after how long everything had caught up."""
    began = time.monotonic()
    async with load_on(at, seed=int(began)) as load:
        await more_writes(load, 10, RECOVERED)
        written = time.monotonic() - began
        await site.caught_up()
    print(f"{name}: written after {written:.1f} s, caught up after {time.monotonic() - began:.1f} s")
    site.loads.append(load)


async def test_hosts_are_lost_one_after_the_other_and_nothing_that_was_acknowledged_is(site: Site) -> None:
    await site.start()
    on_b, on_c = site.part("b", "api"), site.part("c", "api")
    async with load_on(on_c, seed=1) as steady, load_on(on_b, seed=2) as other:
        site.loads += [steady, other]
        await more_writes(steady, 10)
        await more_writes(other, 10)
        await _lose_single_processes(site, on_b, on_c)
        await _lose_whole_hosts(site, on_b, on_c)
    whole = Load(seed=0)
    for each in site.loads:
        whole.acknowledged += each.acknowledged
        whole.attempted |= each.attempted
        whole.faults += each.faults
    head = await check_everything(on_c, whole)
    print(f"{len(whole.acknowledged)} writes were acknowledged, {head} events are in the log")


async def _lose_single_processes(site: Site, on_b: Part, on_c: Part) -> None:
    on_b.kill()
    await lost_and_found(site, "an API is killed", on_c)
    on_b.start()
    await lost_and_found(site, "and is back", on_b)

    site.hosts["d"].cut_off()
    await lost_and_found(site, "the standby is cut off", on_b)
    site.hosts["d"].reconnect()
    await eventually(lambda: _lists(on_b), RECOVERED)

    site.trio.nodes[2].kill()
    await lost_and_found(site, "a NATS server is killed", on_b)
    site.trio.nodes[2].start()
    await site.trio.leader()


async def _lose_whole_hosts(site: Site, on_b: Part, on_c: Part) -> None:
    projecting = await asyncio.to_thread(site.projecting)
    on_it, on_the_other = (on_b, on_c) if projecting == "b" else (on_c, on_b)
    site.hosts[projecting].cut_off()
    await lost_and_found(site, "the host that projects is cut off", on_the_other)
    site.hosts[projecting].reconnect()
    await lost_and_found(site, "and is back", on_it)

    site.hosts["a"].cut_off()
    await eventually(lambda: _is_unready(on_c), RECOVERED)
    site.hosts["a"].reconnect()
    await lost_and_found(site, "PostgreSQL was cut off, and is back", on_c)
    await lost_and_found(site, "the same, seen from the other host", on_b)


async def _is_unready(part: Part) -> bool:
    return not await asyncio.to_thread(part.is_ready)


async def _lists(part: Part) -> bool:
    async with httpx.AsyncClient(base_url=part.url, timeout=10, trust_env=False) as http:
        answer = await http.post("/users/tokens/issue", json=loads.ADMIN)
        if answer.status_code != 201:
            return False
        bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        listed = await http.get("/users?limit=1", headers=bearer)
        return listed.status_code == 200
