"""What somebody logged in asks most: profile, refresh and a change of the profile, beside the peers."""

from __future__ import annotations

import itertools

import msgspec

from bench.ground import Ground
from bench.load import Load, busy, chained, each
from bench.measuring import Row
from bench.peers.dialects import Dialect, FastApiUsers, Session, email
from bench.peers.running import Contenders, contenders
from bench.peers.turns import CONNECTIONS, compared, signed_in, signed_up

COST = 4
"""Nothing measured here hashes a secret."""

PEOPLE = 256
"""Who change their profiles in turn: nobody changes as often as one connection could."""

SECONDS = 4.0


async def measure(ground: Ground) -> list[Row]:
    """Three rows for each peer."""
    with contenders(COST) as found:
        people = {one.dialect.name: await people_of(one.dialect) for one in (found.ours, *found.peers)}
        rows = [*await _profile(found, people), *await _update(found, people)]
    with contenders(COST, renewing=True) as found:
        for one in (found.ours, *found.peers):
            await signed_up(one.dialect, range(CONNECTIONS))
        return rows + await _refresh(found)


async def people_of(dialect: Dialect, people: int = PEOPLE) -> list[Session]:
    """People who are logged in and know who they are."""
    await signed_up(dialect, range(people))
    sessions = await signed_in(dialect, range(people))
    profiles = await each(dialect.address, [dialect.profile(session) for session in sessions])
    for number, profile in enumerate(profiles):
        # A service may answer 200 to nobody in particular.
        assert email(number).encode() in profile.body, f"{dialect.name}: {profile}"
    ids = [_id_in(profile.body) for profile in profiles]
    return [msgspec.structs.replace(session, id=found) for session, found in zip(sessions, ids, strict=True)]


def _id_in(profile: bytes) -> str:
    found = msgspec.json.decode(profile)
    return str(found["user"]["id"] if "user" in found else found["id"])


async def _profile(found: Contenders, people: dict[str, list[Session]]) -> list[Row]:
    async def ask(dialect: Dialect) -> Load:
        raws = [dialect.profile(session) for session in people[dialect.name][:CONNECTIONS]]
        return await chained(dialect.address, raws, None, expected=200, seconds=SECONDS)

    return await compared(f"profile, {CONNECTIONS} connections", found, ask)


async def _update(found: Contenders, people: dict[str, list[Session]]) -> list[Row]:
    names = itertools.count()

    async def ask(dialect: Dialect) -> Load:
        turn = itertools.cycle(people[dialect.name])

        def change(_: bytes = b"") -> bytes:
            return dialect.update(next(turn), f"Ada {next(names)}")

        raws = [change() for _ in range(CONNECTIONS)]
        load = await chained(dialect.address, raws, change, expected=200, seconds=SECONDS)
        (shown,) = await each(dialect.address, [dialect.profile(people[dialect.name][0])])
        assert b"Ada " in shown.body, f"{dialect.name} has changed nothing: {shown}"
        return load

    return await compared(f"update of a profile field, {CONNECTIONS} connections", found, ask)


async def _refresh(found: Contenders) -> list[Row]:
    async def ask(dialect: Dialect) -> Load:
        logins = [
            dialect.stored_login(number) if isinstance(dialect, FastApiUsers) else dialect.login(number)
            for number in range(CONNECTIONS)
        ]
        sessions = [dialect.session(answer) for answer in await each(dialect.address, logins)]
        if isinstance(dialect, FastApiUsers) or sessions[0].renews:
            return await _in_chains(dialect, sessions)
        raw = dialect.refresh(sessions[0])
        return await busy(dialect.address, raw, seconds=SECONDS, connections=CONNECTIONS)

    return await compared(f"refresh, {CONNECTIONS} connections", found, ask)


async def _in_chains(dialect: Dialect, sessions: list[Session]) -> Load:
    """Each renewal with what the last one gave."""
    raws = [dialect.refresh(session) for session in sessions]
    return await chained(
        dialect.address,
        raws,
        lambda body: dialect.refreshed(sessions[0], body),
        expected=2,
        seconds=SECONDS,
    )
