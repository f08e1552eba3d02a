"""The metrics of the service by name: kind, unit, labels and meaning; docs/TELEMETRY.md shows this table."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram", "summary"]


class Metric(NamedTuple):
    """One family. No label ever holds what a caller sent.

    Prometheus has labels of its own, `job` and `instance`: it renames ours where they are called the same.
    """

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    help: str


_GENERATION = ("projection", "state", "generation")

METRICS: tuple[Metric, ...] = (
    Metric(
        "usersd_build_info", "gauge", "1", ("version", "python", "role"),
        "Which build runs, and in which role; always 1.",
    ),
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
        "usersd_up_replica", "gauge", "1", (),
        "1 while the read replica answers, 0 while it is left alone; not there where there is none.",
    ),
    Metric(
        "usersd_replica_reads_total", "counter", "reads", ("outcome",),
        "Reads that the replica may answer: answered by it, or passed_on to the primary.",
    ),
    Metric(
        "usersd_job_runs_total", "counter", "runs", ("work", "outcome"),
        "Turns of regular work that this process has taken: ok or failed.",
    ),
    Metric(
        "usersd_job_interval_seconds", "gauge", "seconds", ("work",),
        "How often the regular work is to be done, over all processes together.",
    ),
    Metric(
        "usersd_checkpoint_interval_seconds", "gauge", "seconds", (),
        "Within what time every event is to be signed.",
    ),
    Metric(
        "usersd_mails_tried_total", "counter", "tries", ("kind", "outcome"),
        "Tries of this process to hand over a mail: sent, again (it failed, and is tried later), given_up, "
        "or needless (what it says is out of date).",
    ),
    Metric(
        "usersd_certificate_expiry_timestamp_seconds", "gauge", "seconds", ("server",),
        "When the first certificate in the file of a server (http or grpc) runs out, since the epoch.",
    ),
    Metric(
        "usersd_up_broker", "gauge", "1", (),
        "1 while every relay that is this process's turn is connected to NATS, 0 while one is not.",
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
    Metric("usersd_reactor_position", "gauge", "events", ("reactor",), "How far the log is acted upon."),
    Metric("usersd_reactor_lag_events", "gauge", "events", ("reactor",), "Events still to act upon."),
    Metric(
        "usersd_reactor_lag_seconds", "gauge", "seconds", ("reactor",),
        "How long the next event to act upon has been waiting.",
    ),
    Metric("usersd_reactor_owned", "gauge", "1", ("reactor",), "1 while some replica holds the lease."),
    Metric(
        "usersd_mails_due", "gauge", "mails", (),
        "Mails that are not handed over yet, those that are tried again included; counted up to 10,000.",
    ),
    Metric(
        "usersd_mails_due_seconds", "gauge", "seconds", (),
        "How long the oldest of them has been waiting; 0 where there is none.",
    ),
    Metric(
        "usersd_erasures_open", "gauge", "users", (),
        "Users who are to be erased and are not everywhere yet; counted up to 10,000.",
    ),
    Metric(
        "usersd_erasures_open_seconds", "gauge", "seconds", (),
        "How long the first of them has been waiting; 0 where there is none.",
    ),
    Metric(
        "usersd_checkpoint_position", "gauge", "events", (), "Up to which position the log is signed.",
    ),
    Metric(
        "usersd_checkpoint_timestamp_seconds", "gauge", "seconds", (),
        "When it was last signed, since the epoch.",
    ),
    Metric(
        "usersd_log_unsigned_seconds", "gauge", "seconds", (),
        "How long the first event that is not signed yet has been waiting; 0 where there is none.",
    ),
    Metric(
        "usersd_job_done_timestamp_seconds", "gauge", "seconds", ("work",),
        "When any process last did the regular work without a fault, since the epoch; 0: never.",
    ),
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
