"""Puts what was read from the database into families of the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family

from infrastructure.telemetry.backlog import Backlog
from infrastructure.telemetry.catalogue import BY_NAME
from infrastructure.telemetry.database import Figures, Follower

Row = tuple[Any, ...]
"""The values of the labels, then what the kind has: a value, count and sum, or buckets and sum."""

_KINDS: dict[str, Any] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
    "summary": SummaryMetricFamily,
}

_EVERYWHERE: dict[str, Callable[[Follower, int], float]] = {
    "position": lambda found, head: found.position,
    "lag_events": lambda found, head: max(head - found.position, 0),
    "lag_seconds": lambda found, head: found.lag_seconds,
    "owned": lambda found, head: found.owned,
}

_OF_PROJECTIONS: dict[str, Callable[[Follower], float]] = {
    "usersd_parked_streams": lambda found: found.parked,
    "usersd_projection_paused": lambda found: found.paused,
    "usersd_projection_differing": lambda found: found.differing,
    "usersd_projection_checked_total": lambda found: found.checked,
}


def family(name: str, rows: Iterable[Row]) -> Family:
    """A family as the catalogue has it."""
    metric = BY_NAME[name]
    made: Family = _KINDS[metric.kind](name, metric.help, labels=metric.labels)
    add: Callable[..., None] = made.add_metric  # type: ignore[attr-defined]
    for labels, *values in rows:
        add(labels, *values)
    return made


def of_the_database(figures: Figures, jobs: Sequence[str]) -> Iterator[Family]:
    """Whatever there is only where the database has answered; `jobs` are those that are switched on."""
    yield family("usersd_log_head_position", [((), figures.head)])
    yield family("usersd_sessions_open", [((), figures.sessions)])
    projections = [
        ((found.name, found.state, str(found.generation)), found)
        for found in figures.followers
        if found.kind == "projection"
    ]
    yield from _followers("projection", projections, figures.head)
    for name, measure in _OF_PROJECTIONS.items():
        yield family(name, [(labels, measure(found)) for labels, found in projections])
    for kind in ("relay", "reactor"):
        found = [((one.name,), one) for one in figures.followers if one.kind == kind]
        yield from _followers(kind, found, figures.head)
    yield family("usersd_log_unsigned_seconds", [((), figures.unsigned_seconds)])
    yield from _waiting(figures.backlog, jobs)


def _followers(
    kind: str, followers: Sequence[tuple[tuple[str, ...], Follower]], head: int
) -> Iterator[Family]:
    for name, measure in _EVERYWHERE.items():
        rows = [(labels, measure(found, head)) for labels, found in followers]
        yield family(f"usersd_{kind}_{name}", rows)


def _waiting(backlog: Backlog, jobs: Sequence[str]) -> Iterator[Family]:
    single = {
        "usersd_mails_due": backlog.mails_due,
        "usersd_mails_due_seconds": backlog.mails_oldest,
        "usersd_erasures_open": backlog.erasures_open,
        "usersd_erasures_open_seconds": backlog.erasures_oldest,
    }
    for name, value in single.items():
        yield family(name, [((), value)])
    signed = backlog.checkpoint
    yield family("usersd_checkpoint_position", [((), signed.position)] if signed else [])
    yield family("usersd_checkpoint_timestamp_seconds", [((), signed.at)] if signed else [])
    done = [((job,), backlog.jobs.get(job, 0)) for job in jobs]
    yield family("usersd_job_done_timestamp_seconds", done)
