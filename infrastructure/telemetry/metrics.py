"""The metrics of one process, put together when they are asked for: nothing is kept in a global registry."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import accumulate

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from psycopg_pool import AsyncConnectionPool

from infrastructure.accounts.passwords import BcryptHasher
from infrastructure.event_store.appender import Appender
from infrastructure.nats.relay import Relay
from infrastructure.postgres.replica import Replica
from infrastructure.telemetry import originals
from infrastructure.telemetry.certificates import CertificateFiles
from infrastructure.telemetry.database import NOTHING, Database, Figures
from infrastructure.telemetry.families import Row, family, of_the_database
from infrastructure.telemetry.requests import RequestTimes
from infrastructure.telemetry.rpcs import RpcTimes
from infrastructure.telemetry.use_cases import UseCaseTimes
from interfaces.scheduler import Job


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at when somebody asks.

    `jobs` are those of all roles, and `signed_within` is what time the sweeper has for signing an event;
    `turns` and `mails` count what this process has done, by name and outcome.
    """

    version: str
    role: str
    database: Database
    appender: Appender
    pool: AsyncConnectionPool
    replica: Replica | None
    hasher: object
    use_cases: UseCaseTimes
    certificates: CertificateFiles
    relays: Sequence[Relay]
    jobs: Sequence[Job]
    signed_within: timedelta
    turns: Mapping[tuple[str, str], int]
    mails: Mapping[tuple[str, str], int]


class Metrics(Collector):
    """Counts what the servers tell it, and looks at the rest at a scrape."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._figures: Figures = NOTHING
        self.requests = RequestTimes()
        self.rpcs = RpcTimes()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    async def render(self) -> bytes:
        """Everything, in the text format of Prometheus (0.0.4)."""
        self._figures = await self._sources.database.read()
        return generate_latest(self._registry) + "\n".join([*originals.lines(self.requests), ""]).encode()

    def collect(self) -> Iterator[Family]:
        """The library's own seam."""
        sources = self._sources
        build = (sources.version, platform.python_version(), sources.role)
        yield family("usersd_build_info", [(build, 1)])
        yield from self._asked()
        yield family("usersd_append_batch_commands", [self._batches()])
        yield from self._replica()
        yield family("usersd_job_runs_total", sources.turns.items())
        intervals = [((job.name,), job.every.total_seconds()) for job in sources.jobs]
        yield family("usersd_job_interval_seconds", intervals)
        within = sources.signed_within.total_seconds()
        yield family("usersd_checkpoint_interval_seconds", [((), within)])
        yield family("usersd_mails_tried_total", sources.mails.items())
        expiry = [((server,), at) for server, at in sources.certificates.expiry().items()]
        yield family("usersd_certificate_expiry_timestamp_seconds", expiry)
        yield family("usersd_up_broker", self._broker())
        for name, value in self._now().items():
            yield family(name, [((), value)])
        if self._figures.up:
            yield from of_the_database(self._figures, [job.name for job in sources.jobs])

    def _asked(self) -> Iterator[Family]:
        """What others have asked of this process."""
        requests, rpcs, use_cases = self.requests.timed, self.rpcs.timed, self._sources.use_cases
        yield family(
            "usersd_http_request_duration_seconds",
            [
                ((method, route, str(status)), timed.buckets(), timed.seconds)
                for (method, route, status), timed in requests.items()
            ],
        )
        yield family(
            "usersd_grpc_call_duration_seconds",
            [(labels, timed.buckets(), timed.seconds) for labels, timed in rpcs.items()],
        )
        yield family("usersd_grpc_streams", [((), self.rpcs.streams())])
        yield family(
            "usersd_use_case_duration_seconds",
            [(labels, count, seconds) for labels, (count, seconds) in use_cases.timed.items()],
        )
        yield family("usersd_logins_total", [((name,), count) for name, count in use_cases.logins().items()])

    def _replica(self) -> Iterator[Family]:
        replica = self._sources.replica
        standing = replica.standing() if replica else None
        yield family("usersd_up_replica", [((), int(standing.up))] if standing else [])
        reads = {"answered": standing.answered, "passed_on": standing.passed_on} if standing else {}
        yield family("usersd_replica_reads_total", [((name,), count) for name, count in reads.items()])

    def _batches(self) -> Row:
        appender = self._sources.appender
        bounds = [*(str(2**power) for power in range(len(appender.sizes) - 1)), "+Inf"]
        return (), list(zip(bounds, accumulate(appender.sizes), strict=True)), appender.appended

    def _broker(self) -> list[Row]:
        told = [relay.connected for relay in self._sources.relays if relay.connected is not None]
        return [((), int(all(told)))] if told else []

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
