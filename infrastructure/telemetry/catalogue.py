"""The metrics of the service by name: kind, unit, labels and meaning; docs/TELEMETRY.md shows this table."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram", "summary"]


class Metric(NamedTuple):
    """One family. No label ever holds what a caller sent."""

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    help: str


_GENERATION = ("projection", "state", "generation")

METRICS: tuple[Metric, ...] = (
    Metric("usersd_build_info", "gauge", "1", ("version", "python"), "Which build runs; always 1."),
    Metric(
        "usersd_http_request_duration_seconds", "histogram", "seconds", ("method", "route", "status"),
        "Time from a request to its answer, refusals of every kind included.",
    ),
    Metric(
        "usersd_grpc_call_duration_seconds", "histogram", "seconds", ("rpc", "code"),
        "Time from a call over gRPC to its end, streams included; calls to what is not there are left out.",
    ),
    Metric("usersd_grpc_streams", "gauge", "streams", (), "Streams over gRPC that are open."),
    Metric(
        "usersd_use_case_duration_seconds", "summary", "seconds", ("use_case", "outcome"),
        "Time of a command or query: its sum and count. The outcome is ok, error or a refusal's code.",
    ),
    Metric("usersd_logins_total", "counter", "logins", ("outcome",), "Logins by secret: ok or failed."),
    Metric(
        "usersd_append_batch_commands", "histogram", "commands", (),
        "How many commands shared one append; the sum is how many commands were appended.",
    ),
    Metric("usersd_append_waiting", "gauge", "commands", (), "Commands that wait for the next append."),
    Metric("usersd_hashing_in_use", "gauge", "hashes", (), "Secrets that are being hashed."),
    Metric("usersd_hashing_waiting", "gauge", "hashes", (), "Secrets that wait for a core to be hashed on."),
    Metric("usersd_pool_connections", "gauge", "connections", (), "Connections in the database pool."),
    Metric("usersd_pool_connections_in_use", "gauge", "connections", (), "Those of them in use."),
    Metric(
        "usersd_pool_requests_waiting", "gauge", "requests", (), "Who waits for a connection of the pool."
    ),
    Metric(
        "usersd_up_database", "gauge", "1", (),
        "1 if the database answered this scrape in time; 0 leaves out every metric below.",
    ),
    Metric("usersd_log_head_position", "gauge", "events", (), "The position of the last event of the log."),
    Metric("usersd_projection_position", "gauge", "events", _GENERATION, "How far it has come."),
    Metric(
        "usersd_projection_lag_events", "gauge", "events", _GENERATION, "Events still to project."
    ),
    Metric(
        "usersd_projection_lag_seconds", "gauge", "seconds", _GENERATION,
        "How long the next event to project has been waiting.",
    ),
    Metric(
        "usersd_projection_owned", "gauge", "1", _GENERATION,
        "1 while some replica holds the lease and projects; a rebuild holds none.",
    ),
    Metric(
        "usersd_parked_streams", "gauge", "streams", _GENERATION,
        "Users that the projection cannot go on with.",
    ),
    Metric(
        "usersd_projection_paused", "gauge", "1", _GENERATION, "1 while an operator has it paused.",
    ),
    Metric(
        "usersd_projection_differing", "gauge", "users", _GENERATION,
        "Users whose rows were found not to be what the log says, until they are; 1 more for totals.",
    ),
    Metric(
        "usersd_projection_checked_total", "counter", "users", _GENERATION,
        "Users whose rows the background check has held against the log.",
    ),
    Metric("usersd_relay_position", "gauge", "events", ("relay",), "How far the log is published."),
    Metric("usersd_relay_lag_events", "gauge", "events", ("relay",), "Events still to publish."),
    Metric(
        "usersd_relay_lag_seconds", "gauge", "seconds", ("relay",),
        "How long the next event to publish has been waiting.",
    ),
    Metric("usersd_relay_owned", "gauge", "1", ("relay",), "1 while some replica holds the lease."),
    Metric(
        "usersd_sessions_open", "gauge", "sessions", (),
        "Sessions that can be refreshed: counted up to 10,000, estimated beyond.",
    ),
    Metric(
        "users_api_request_count", "counter", "requests", ("method",),
        "Requests by the originals' name of the method.",
    ),
    Metric(
        "users_api_request_latency_microseconds", "summary", "seconds", ("method",),
        "Their time in seconds, whatever the name says; quantiles 0.5, 0.9, 0.99 of the last 1,000 a route.",
    ),
)  # fmt: skip

BY_NAME = {metric.name: metric for metric in METRICS}


def table() -> str:
    """The catalogue as Markdown."""
    lines = ["| metric | kind | unit | labels | meaning |", "|---|---|---|---|---|"]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {metric.unit} | {labels} | {metric.help} |")
    return "\n".join(lines)
