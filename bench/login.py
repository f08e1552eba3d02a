"""Logins at saturation, alone and beside other requests, against raw bcrypt in the same circumstances."""

from __future__ import annotations

import asyncio
import statistics
import time

import bcrypt
import httpx
import msgspec

from bench import serving
from bench.ground import Ground
from bench.hashing import COST, per_second
from bench.load import Load, busy, paced, request
from bench.measuring import Row, in_turns, say
from bench.profile import register_and_log_in

SECONDS = 8.0
SECRET = "changeMe123"
PROFILES = 100
"""Requests a second for a profile that go on beside the logins."""
TRIES = 500


async def measure(ground: Ground) -> list[Row]:
    """Logins alone and beside profiles, those profiles against idle ones, an unknown user against a known.

    What goes on beside the logins takes its part of the machine: so it goes on beside raw bcrypt, too.
    """
    with (
        ground.databases.fresh() as conninfo,
        serving.running(conninfo, MG_USERS_BCRYPT_COST=str(COST), MG_USERS_THROTTLE="false") as address,
    ):
        ada = await asyncio.to_thread(register_and_log_in, address)
        profile = request(address, "GET", "/users/profile", {"Authorization": f"Bearer {ada.token}"})
        login = request(address, "POST", "/users/tokens/issue", {}, _body("ada"))
        beside: list[Load] = []

        async def ours() -> float:
            logins, profiles = await asyncio.gather(
                busy(address, login, expected=201, seconds=SECONDS, connections=16),
                paced(address, profile, per_second=PROFILES, seconds=SECONDS),
            )
            assert logins.failed == 0, f"{logins.failed} logins failed"
            assert profiles.failed == 0, f"{profiles.failed} requests for a profile failed"
            beside.append(profiles)
            return logins.per_second

        async def alone() -> float:
            logins = await busy(address, login, expected=201, seconds=SECONDS, connections=16)
            assert logins.failed == 0, f"{logins.failed} logins failed: {logins.refusal}"
            return logins.per_second

        async def limit() -> float:
            return await asyncio.to_thread(_raw, SECONDS / 2)

        async def limit_beside() -> float:
            raw, _ = await asyncio.gather(
                asyncio.to_thread(_raw, SECONDS),
                paced(address, profile, per_second=PROFILES, seconds=SECONDS),
            )
            return raw

        raw = "raw bcrypt.checkpw"
        logins = await in_turns("logins at saturation", raw, alone, limit, aim=0.9)
        work, against = f"logins beside {PROFILES} profiles a second", f"{raw} beside the same"
        crowded = await in_turns(work, against, ours, limit_beside, aim=0.9)
        idle = [await paced(address, profile, per_second=PROFILES, seconds=SECONDS / 2) for _ in beside]
        return [logins, crowded, _delayed(beside, idle), await asyncio.to_thread(_told_apart, address)]


def _body(identity: str) -> bytes:
    return msgspec.json.encode({"identity": identity, "secret": SECRET})


def _delayed(beside: list[Load], idle: list[Load]) -> Row:
    pairs = [(busy.p99 * 1000, quiet.p99 * 1000) for busy, quiet in zip(beside, idle, strict=True)]
    return Row(
        work=f"{PROFILES} profiles a second beside logins at saturation, p99",
        against="the same without logins, p99",
        ours=statistics.median(ours for ours, _ in pairs),
        limit=statistics.median(limit for _, limit in pairs),
        share=statistics.median(ours / limit for ours, limit in pairs),
        aim=3.0,
        unit="ms",
        rounds=len(pairs),
    )


def _told_apart(address: str) -> Row:
    """Wrong secrets for a user who is there and for one who is not, in turns."""
    times: dict[str, list[float]] = {"nobody@example.com": [], "ada": []}
    with httpx.Client(base_url=address) as client:
        for number in range(TRIES):
            for identity, taken in times.items():
                started = time.perf_counter()
                answer = client.post(
                    "/users/tokens/issue", json={"identity": identity, "secret": f"wrong {number}"}
                )
                taken.append((time.perf_counter() - started) * 1000)
                assert answer.status_code == 401
            if number % 100 == 99:
                say(f"  unknown and known, {number + 1} tries each")
    unknown, known = (statistics.median(taken) for taken in times.values())
    return Row(
        work=f"login of an unknown user, median of {TRIES}",
        against="login of a known one with a wrong secret",
        ours=unknown,
        limit=known,
        share=max(unknown / known, known / unknown),
        aim=1.03,
        unit="ms",
        rounds=TRIES,
    )


def _raw(seconds: float) -> float:
    hashed = bcrypt.hashpw(SECRET.encode(), bcrypt.gensalt(COST))
    return per_second(lambda: bcrypt.checkpw(SECRET.encode(), hashed), seconds)
