"""A service for one run of the fuzzer, and what is asked of it when the run is over."""

from __future__ import annotations

import asyncio
import json
import traceback

import httpx
import psycopg

from tests.e2e.everything import check_everything
from tests.fuzz import leaks
from tests.fuzz.campaign import AT_ONCE, Campaign, Find, Report
from tests.fuzz.canaries import found
from tests.support.load import ADMIN, Load
from tests.support.program import Program, program

MAX_MEMORY = 400
"""MiB that the process may hold at the end, whatever was sent to it."""

SHOWN = 4000

_ADMINS = """
SELECT DISTINCT stream_id::text FROM events
WHERE convert_from(state, 'UTF8')::jsonb->'data'->>'role' = 'admin'"""


async def fuzzed(
    seconds: float, seed: int, requests: int = 0, at_once: int = AT_ONCE
) -> tuple[Report, list[str]]:
    """Fuzz a service of its own; the report, and each fault in words."""
    # At debug everything that can be logged is.
    with program(MG_USERS_LOG_LEVEL="debug") as usersd:
        await asyncio.to_thread(usersd.start)
        campaign = Campaign(usersd, seed, at_once)
        report = await campaign.run(seconds, requests)
        campaign.judge_readers(await asyncio.to_thread(_admins, usersd.postgres))
        wrong = [_worded(find, seed) for find in report.finds.values()]
        wrong += await _afterwards(usersd, report)
    return report, wrong


def _admins(conninfo: str) -> set[str]:
    """Everybody who was an admin at any time, as the log has it."""
    with psycopg.connect(conninfo) as connection:
        return {row[0] for row in connection.execute(_ADMINS)}


def _worded(find: Find, seed: int) -> str:
    return (
        f"{find.fault} ({find.operation}, {find.times} times; first as number {find.number}, changed: "
        f"{', '.join(find.changes) or 'nothing'}; replay: --seed {seed} --requests {find.number + 1})\n"
        f"  sent {len(find.sent)} bytes: {find.sent[:SHOWN]!r}\n  answered: {find.answered[:SHOWN]}"
    )


async def _afterwards(usersd: Program, report: Report) -> list[str]:
    wrong = await _alive(usersd.url)
    if report.memory[-1] > MAX_MEMORY:
        wrong.append(f"the process holds {report.memory[-1]} MiB: {report.memory}")
    try:
        await check_everything(usersd, Load(seed=report.seed))
    except AssertionError as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        told = f"{where.name}: {where.line}: {str(error)[:SHOWN]}"
        wrong.append(f"log, read models, stream and names do not agree: {told}")
    wrong += await leaks.in_messages(usersd.nats)
    wrong += await asyncio.to_thread(_left_behind, usersd)
    return wrong


async def _alive(url: str) -> list[str]:
    """Whether requests are still answered, and the metrics, where there are any, tell nothing of them."""
    wrong: list[str] = []
    async with httpx.AsyncClient(base_url=url, timeout=10, trust_env=False) as http:
        for verb, path, body in (("GET", "/readyz", None), ("POST", "/users/tokens/issue", ADMIN)):
            answer = await http.request(verb, path, json=body)
            if answer.status_code not in (200, 201):
                wrong.append(f"in the end {verb} {path} is answered {answer.status_code}: {answer.text}")
        measured = await http.get("/metrics")
        wrong += [f"{kind} in the metrics: {place!r}" for kind, place in found(measured.content).items()]
    return wrong


def _left_behind(usersd: Program) -> list[str]:
    wrong = [*leaks.in_tables(usersd.postgres)]
    # Ended first, so that whatever is still in a buffer gets to the files that are looked at.
    usersd.terminate()
    usersd.wait()
    wrong += leaks.in_files(usersd)
    out, err = ((usersd.home / name).read_text(errors="replace").splitlines() for name in ("out.1", "err.1"))
    postgres = (usersd.data / "postgres.log").read_text(errors="replace").splitlines()
    wrong += sorted(set(leaks.error_lines([*out, *err, *postgres])))[:20]
    wrong += [f"a line of the log is no JSON: {line[:300]}" for line in out if not _is_json(line)][:5]
    return wrong


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
