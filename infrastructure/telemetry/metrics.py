"""The metrics of one service, put together when they are asked for: nothing is kept in a global registry."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from psycopg_pool import AsyncConnectionPool

from domain.errors import WrongCredentials
from infrastructure.accounts.passwords import BcryptHasher
from infrastructure.event_store.appender import Appender
from infrastructure.telemetry import originals
from infrastructure.telemetry.catalogue import BY_NAME
from infrastructure.telemetry.database import NOTHING, Database, Figures, Follower
from infrastructure.telemetry.requests import RequestTimes
from infrastructure.telemetry.rpcs import RpcTimes

Row = tuple[Any, ...]
"""The values of the labels, then what the kind has: a value, count and sum, or buckets and sum."""

_KINDS: dict[str, Any] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
    "summary": SummaryMetricFamily,
}

LOGIN = "IssueTokens"


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at when somebody asks."""

    database: Database
    appender: Appender
    pool: AsyncConnectionPool
    hasher: object
    version: str


class Metrics(Collector):
    """Counts what the bus and the HTTP layer tell it, and looks at the rest at a scrape."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._figures: Figures = NOTHING
        self._used: dict[tuple[str, str], list[float]] = {}
        self.requests = RequestTimes()
        self.rpcs = RpcTimes()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def use_case(self, name: str, seconds: float, outcome: str) -> None:
        """Hears from the bus of each command and query."""
        used = self._used.get((name, outcome))
        if used is None:
            used = self._used[name, outcome] = [0, 0.0]
        used[0] += 1
        used[1] += seconds

    async def render(self) -> bytes:
        """Everything, in the text format of Prometheus (0.0.4)."""
        self._figures = await self._sources.database.read()
        return generate_latest(self._registry) + "\n".join([*originals.lines(self.requests), ""]).encode()

    def collect(self) -> Iterator[Family]:
        """The library's own seam."""
        yield _family("usersd_build_info", [((self._sources.version, platform.python_version()), 1)])
        yield _family(
            "usersd_http_request_duration_seconds",
            [
                ((method, route, str(status)), timed.buckets(), timed.seconds)
                for (method, route, status), timed in self.requests.timed.items()
            ],
        )
        yield _family(
            "usersd_grpc_call_duration_seconds",
            [(labels, timed.buckets(), timed.seconds) for labels, timed in self.rpcs.timed.items()],
        )
        yield _family("usersd_grpc_streams", [((), self.rpcs.streams())])
        yield _family(
            "usersd_use_case_duration_seconds",
            [(labels, count, seconds) for labels, (count, seconds) in self._used.items()],
        )
        yield _family("usersd_logins_total", [((name,), count) for name, count in self._logins().items()])
        yield _family("usersd_append_batch_commands", [self._batches()])
        for name, value in self._now().items():
            yield _family(name, [((), value)])
        if self._figures.up:
            yield from _of_the_database(self._figures)

    def _logins(self) -> dict[str, float]:
        ok, failed = (
            self._used.get((LOGIN, outcome), [0, 0.0])[0] for outcome in ("ok", WrongCredentials.code)
        )
        return {"ok": ok, "failed": failed}

    def _batches(self) -> Row:
        appender = self._sources.appender
        bounds = [*(str(2**power) for power in range(len(appender.sizes) - 1)), "+Inf"]
        return (), list(zip(bounds, accumulate(appender.sizes), strict=True)), appender.appended

    def _now(self) -> dict[str, float]:
        pool = self._sources.pool.get_stats()
        size = pool.get("pool_size", 0)
        now: dict[str, float] = {
            "usersd_append_waiting": self._sources.appender.waiting,
            "usersd_pool_connections": size,
            "usersd_pool_connections_in_use": size - pool.get("pool_available", 0),
            "usersd_pool_requests_waiting": pool.get("requests_waiting", 0),
            "usersd_up_database": int(self._figures.up),
        }
        if isinstance(hasher := self._sources.hasher, BcryptHasher):
            in_use = min(hasher.waiting, hasher.cores)
            now |= {"usersd_hashing_in_use": in_use, "usersd_hashing_waiting": hasher.waiting - in_use}
        return now


def _of_the_database(figures: Figures) -> Iterator[Family]:
    yield _family("usersd_log_head_position", [((), figures.head)])
    yield _family("usersd_sessions_open", [((), figures.sessions)])
    projections = [
        ((found.name, found.state, str(found.generation)), found)
        for found in figures.followers
        if found.kind == "projection"
    ]
    yield from _followers("projection", projections, figures.head)
    measures: dict[str, Callable[[Follower], float]] = {
        "usersd_parked_streams": lambda found: found.parked,
        "usersd_projection_paused": lambda found: found.paused,
        "usersd_projection_differing": lambda found: found.differing,
        "usersd_projection_checked_total": lambda found: found.checked,
    }
    for name, measure in measures.items():
        yield _family(name, [(labels, measure(found)) for labels, found in projections])
    relays = [((found.name,), found) for found in figures.followers if found.kind == "relay"]
    yield from _followers("relay", relays, figures.head)


def _followers(
    kind: str, followers: Sequence[tuple[tuple[str, ...], Follower]], head: int
) -> Iterator[Family]:
    measures: dict[str, Callable[[Follower], float]] = {
        "position": lambda found: found.position,
        "lag_events": lambda found: max(head - found.position, 0),
        "lag_seconds": lambda found: found.lag_seconds,
        "owned": lambda found: found.owned,
    }
    for name, measure in measures.items():
        rows = [(labels, measure(found)) for labels, found in followers]
        yield _family(f"usersd_{kind}_{name}", rows)


def _family(name: str, rows: Iterable[Row]) -> Family:
    """A family as the catalogue has it."""
    metric = BY_NAME[name]
    family = _KINDS[metric.kind](name, metric.help, labels=metric.labels)
    for labels, *values in rows:
        family.add_metric(labels, *values)
    made: Family = family
    return made
