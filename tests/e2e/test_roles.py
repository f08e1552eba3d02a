"""Each role in a process of its own: it does its own work and no other, and whoever dies is made up for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import httpx
import pytest

from infrastructure.accounts.passwords import BcryptHasher
from infrastructure.bootstrap import open_service
from infrastructure.integrity.checkpoint import verified
from infrastructure.postgres.migrate import known
from infrastructure.roles import Role
from infrastructure.settings import load
from infrastructure.standing import open_keys
from tests.e2e.everything import check_everything
from tests.support.databases import Databases, standing
from tests.support.deployment import Deployment, Part, deployment
from tests.support.load import SECRET, Load, more_writes, together
from tests.support.waiting import at_last, eventually

PATIENCE = 30.0

DONE = {
    "projector": "SELECT min(position) > 0 FROM projections WHERE live",
    "relay": "SELECT coalesce(max(position), 0) > 0 FROM relays",
    "mailer": "SELECT coalesce(max(position), 0) > 0 FROM reactors WHERE name = 'mails'",
    "sweeper": "SELECT count(*) > 0 FROM log_checkpoints",
}
"""What shows that a role has done its work on a log with an event in it."""

_HEAD = "SELECT max(position) FROM events"
_REACHED = {
    "projector": "SELECT min(position) FROM projections WHERE live",
    "relay": "SELECT min(position) FROM relays",
    "mailer": "SELECT position FROM reactors WHERE name = 'mails'",
}
_MAILED = f"SELECT ({_REACHED['mailer']}) = ({_HEAD})"
_SIGNED = "SELECT checkpoint FROM log_checkpoints ORDER BY number DESC LIMIT 1"
_WAITING = "waiting for `usersd migrate`"


@pytest.fixture
def unmigrated(databases: Databases) -> Iterator[Deployment]:
    with databases.unmigrated() as conninfo, deployment(conninfo) as made:
        yield made


@pytest.fixture
def deployed(database: str) -> Iterator[Deployment]:
    with deployment(database) as made:
        yield made


def test_each_role_waits_for_the_schema_and_does_its_own_work_and_no_other(unmigrated: Deployment) -> None:
    api = _started_before_the_schema(unmigrated)
    _each_does_its_own_work(unmigrated, api)
    _all_stop(unmigrated)
    signed_until = verified(api.one(_SIGNED)).checkpoint.position
    assert signed_until == api.one(_HEAD), "a sweeper that stops leaves nothing uncovered"


@pytest.mark.system
@pytest.mark.timeout(600)
async def test_one_of_each_role_is_killed_under_load_and_nothing_is_lost(deployed: Deployment) -> None:
    api, other, *_ = await asyncio.to_thread(
        deployed.started, "api", "api", "projector", "projector", "relay", "relay", "mailer", "sweeper"
    )
    loads, stop = [Load(seed=1), Load(seed=2)], asyncio.Event()
    working = [
        asyncio.create_task(each.run(one.url, stop, workers=3))
        for each, one in zip(loads, (api, other), strict=True)
    ]
    for each in loads:
        await more_writes(each, 10)
    owner = max((part for part in deployed.parts if part.role == "projector"), key=Part.owns)
    for victim in (owner, *(deployed.first(role) for role in ("relay", "mailer", "sweeper"))):
        await asyncio.to_thread(_kill, victim)
        await more_writes(loads[1], 5)
    api.kill()
    await more_writes(loads[1], 5)
    stop.set()
    await asyncio.gather(*working)
    await check_everything(other, together(loads))
    await eventually(lambda: asyncio.to_thread(other.one, _MAILED), PATIENCE)
    await asyncio.to_thread(_all_stop, deployed)


def _started_before_the_schema(unmigrated: Deployment) -> Part:
    """An API that has waited for the schema, and a projector that was ended while it did."""
    api, projector = unmigrated.part("api"), unmigrated.part("projector")
    for part in (api, projector):
        part.start(wait=False)
    for part in (api, projector):
        _wait_for_words(part, _WAITING)
    projector.terminate()
    assert projector.wait() == 0, projector.output()
    (waiting, stopped) = projector.output("err").splitlines()
    assert known()[0].name in waiting
    assert stopped == "usersd has stopped"
    assert api.cli("migrate").code == 0
    api.wait_until_ready()
    assert api.output("err").count(_WAITING) <= len(known()), "each missing one is told once"
    return api


def _wait_for_words(part: Part, words: str) -> None:
    at_last(lambda: words in part.output("err"), PATIENCE)


def _wait_for_rows(part: Part, query: str) -> None:
    at_last(lambda: part.one(query), PATIENCE)


def _each_does_its_own_work(unmigrated: Deployment, api: Part) -> None:
    answer = httpx.post(f"{api.url}/users", json=_account(), timeout=30, trust_env=False)
    assert answer.status_code == 201, answer.text
    assert answer.headers["usersd-read-model"] == "behind"
    undone = dict(DONE)
    for role, query in DONE.items():
        assert not any(api.one(one) for one in undone.values()), f"before {role}: {undone}"
        (part,) = unmigrated.started(role)
        _wait_for_rows(api, query)
        del undone[role]
        assert httpx.get(f"{part.url}/users", trust_env=False).status_code == 404
        assert httpx.get(f"{part.url}/metrics", trust_env=False).status_code == 200


def _kill(victim: Part) -> None:
    """Kill it and see its work go on: by a stand-by, or by one that is started in its place."""
    victim.kill()
    head = victim.one(_HEAD)
    if victim.role in ("mailer", "sweeper"):
        victim.start()
    if victim.role != "sweeper":
        at_last(lambda: victim.one(_REACHED[victim.role]) >= head, PATIENCE)


def _all_stop(deployed: Deployment) -> None:
    running = [part for part in deployed.parts if part.process and part.process.poll() is None]
    assert {part.role for part in running} == {"api", "projector", "relay", "mailer", "sweeper"}
    began = time.monotonic()
    for part in running:
        part.terminate()
    for part in running:
        assert part.wait(PATIENCE) == 0, part.output()
        assert part.output("err").endswith("usersd has stopped\n")
    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize(
    ("role", "works"),
    [
        (Role.API, ""),
        (Role.PROJECTOR, "check the read models"),
        (Role.RELAY, "forget in streams of forms switched off"),
        (Role.MAILER, "mails"),
    ],
    ids=str,
)
async def test_regular_work_is_that_of_its_role_alone(database: str, role: Role, works: str) -> None:
    ground = standing(database)
    keys = await asyncio.to_thread(open_keys, ground)
    chosen = load({"MG_USERS_BCRYPT_COST": "4"}).settings
    found: dict[Role, set[str]] = {}
    for one in (role, Role.SWEEPER, Role.RUN):
        async with open_service(chosen, ground, keys, hasher=BcryptHasher(4), role=one) as service:
            found[one] = {job.name for job in service.scheduler.jobs}
    assert works in found[role] or not (works or found[role])
    assert not found[role] & found[Role.SWEEPER]
    assert found[role] | found[Role.SWEEPER] <= found[Role.RUN]


def _account() -> dict[str, object]:
    return {
        "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com",
        "credentials": {"username": "ada", "secret": SECRET},
    }  # fmt: skip
